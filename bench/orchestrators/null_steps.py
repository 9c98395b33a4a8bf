"""
The null item's steps for the orchestrators in Python: the same eight calls as bare-workflows.mjs makes (eleven steps and the item's
record), models that answer at once, and the same writes in refineloop's own layout and with its care: an artifact and a record
synced under a temporary name and then linked to their own, a ledger line synced before a model is called and one after.

What these steps do not do is look up whether they are recorded: to know what is finished is the orchestrator's part here.
"""

import contextlib
import hashlib
import json
import os
import struct
import time
import uuid
from pathlib import Path

PICTURE_ENCODERS = ("image_similarity", "clip_text")


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical(value) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Store:
    """One run in a folder of its own; made anew in each call, since calls may be in different processes."""

    def __init__(self, root: str, run: str):
        self.root, self.run = Path(root), run

    def put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".tmp-{os.getpid()}-{uuid.uuid4().hex}"
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        os.unlink(temporary)

    def get(self, ref: dict) -> bytes:
        data = self.path_of(ref["digest"]).read_bytes()
        if digest(data) != ref["digest"]:
            raise ValueError(f"{ref['digest']} is corrupt")
        return data

    def put_artifact(self, data: bytes, media_type: str, derived_from: list) -> dict:
        name = digest(data)
        if not self.path_of(name).exists():
            self.put(str(self.path_of(name).relative_to(self.root)), data)
        return {"digest": name, "mediaType": media_type, "bytes": len(data), "derivedFrom": derived_from}

    def path_of(self, name: str) -> Path:
        value = name.removeprefix("sha256:")
        return self.root / "blobs" / "sha256" / value[:2] / value

    def log(self, line: dict, durable: bool) -> None:
        """One write a line, so that threads need no lock; syncs that come together are one commit of the file system's journal."""
        path = self.root / "runs" / self.run / "ledger" / f"{os.getpid()}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, (json.dumps({"at": time.time(), **line}) + "\n").encode())
            if durable:
                os.fsync(file)
        finally:
            os.close(file)


def step(store: Store, name: str, item: dict, at: list, inputs: list, params: dict, model: str | None, execute) -> dict:
    """Runs one step: its key, its line in the ledger, its record."""
    key_input = {"step": name, "stepVersion": 1, "inputs": inputs, "params": params, "model": model, "runtime": RUNTIME, "draw": 0}
    key = hashlib.sha256(canonical(key_input).encode()).hexdigest()
    arm, number = at
    attempt = str(uuid.uuid4())
    start = {"row": "start", "id": attempt, "step": name, "item": item["id"], "arm": arm, "round": number, "draw": 0, "key": key}
    store.log({**start, "attempt": 1, "device": "cpu:0", "billable": False}, durable=True)
    started = time.perf_counter()
    outputs, values = execute()
    seconds = time.perf_counter() - started
    record = {**key_input, "key": key, "outputs": outputs, "values": values, "unpinned": False, "seconds": seconds}
    store.put(f"steps/{key}.json", json.dumps(record).encode())
    size = sum(output["bytes"] for output in outputs.values())
    store.log({"row": "end", "id": attempt, "status": "completed", "seconds": seconds, "bytes": size, "usd": None}, durable=False)
    return {"outputs": outputs, "values": values, "key": key}


RUNTIME = {"engine": "null", "version": "1", "provider": "cpu", "precision": "fp32", "batching": "exact"}
MODEL = digest(b"model")


def read_dataset(dataset: str) -> list:
    rows = [json.loads(line) for line in (Path(dataset) / "metadata.jsonl").read_text().splitlines()]
    return [{**row, "key": hashlib.sha256(row["id"].encode()).hexdigest()[:16]} for row in rows]


def index_dataset(root: str, run: str, dataset: str) -> list:
    """Reads the dataset's rows, stores the true pictures, writes the run's index."""
    store = Store(root, run)
    items = []
    for row in read_dataset(dataset):
        picture = store.put_artifact((Path(dataset) / row["file_name"]).read_bytes(), "image/png", [])
        item = {"id": row["id"], "key": row["key"], "caption": row["text"], "feedback": row["feedback"][0], "trueImage": picture}
        items.append(item)
    store.put(f"runs/{run}/index/0.jsonl", "".join(json.dumps(item) + "\n" for item in items).encode())
    return items


def embed(root: str, run: str, item: dict, at: list, subjects: list) -> dict:
    """Vectors by encoder; `subjects` are (encoder, text or artifact)."""
    store, vectors = Store(root, run), {}
    for encoder, subject in subjects:
        is_text = isinstance(subject, str)

        def execute():
            data = subject.encode() if is_text else store.get(subject)
            vector = hashlib.sha256(f"{encoder}\n".encode() + data).digest()
            packed = struct.pack("<32f", *(byte / 255 for byte in vector))
            return {"embedding": store.put_artifact(packed, "application/vnd.refineloop.float32", inputs)}, {"dimensions": 32}

        inputs = [] if is_text else [subject["digest"]]
        params = {"text": subject} if is_text else {"image": subject["digest"]}
        done = step(store, "embed", item, at, inputs, params, f"{MODEL}/{encoder}", execute)
        vectors[encoder] = done["outputs"]["embedding"]
    return vectors


def generate(root: str, run: str, item: dict, at: list, prompt: str) -> dict:
    store = Store(root, run)
    params = {"prompt": prompt, "seed": int(item["key"][:8], 16), "numInferenceSteps": 20, "guidanceScale": 5, "height": 8, "width": 8}

    def execute():
        picture = hashlib.sha256(canonical(params).encode()).digest()
        values = {"seed": params["seed"], "tokens": {"used": 9, "cut": 0}, "width": 8, "height": 8}
        return {"image": store.put_artifact(picture, "image/png", [])}, values

    done = step(store, "generate", item, at, [], params, MODEL, execute)
    return {"at": at, "image": done["outputs"]["image"], "key": done["key"], **done["values"]}


def score(root: str, run: str, item: dict, at: list, image: dict, vectors: dict, references: dict) -> dict:
    store = Store(root, run)
    refs = [image, item["trueImage"], *vectors.values(), *references.values()]

    def execute():
        store.get(image), store.get(item["trueImage"])
        unpack = lambda ref: struct.unpack("<32f", store.get(ref))
        return {}, {"scores": {name: cosine(unpack(vectors[name]), unpack(references[name])) for name in vectors}}

    params = {"metrics": list(PICTURE_ENCODERS)}
    return step(store, "score", item, at, [ref["digest"] for ref in refs], params, None, execute)["values"]["scores"]


def cosine(a: tuple, b: tuple) -> float:
    dot = lambda x, y: sum(p * q for p, q in zip(x, y))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def write_feedback(root: str, run: str, item: dict, at: list, picture: dict) -> str:
    store = Store(root, run)

    def execute():
        text = store.put_artifact(item["feedback"].encode(), "text/plain", [picture["digest"]])
        return {"feedback": text}, {"feedback": item["feedback"]}

    params = {"column": "feedback", "item": item["id"]}
    return step(store, "feedback", item, at, [picture["digest"]], params, None, execute)["values"]["feedback"]


def record_item(root: str, run: str, item: dict, rounds: list) -> str:
    record = {"id": item["id"], "key": item["key"], "state": "improved", "arms": [{"name": "written", "oracle": True, "rounds": rounds}]}
    Store(root, run).put(f"runs/{run}/items/{item['key']}.json", json.dumps(record).encode())
    return item["key"]

"""Measures the pack on the dataset's test split and writes `measured.json`, which `build_pack.py` puts into pack.json.

- feedback: does caption + written feedback give pictures nearer to the true one than the caption alone, and does another item's
  feedback (the placebo) not? Paired by item, same seed, by the reporter `similarity`, with bootstrap 95% intervals.
- lacking, usual: what would a critic gain that reads the picture of the caption without error, and knows the caption and what creatures usually have, if it said
  what the picture lacks, or all that is usual (the two kinds of make_feedback_set.py)?
- attributes: in how many of the twelve is a picture like the true one, as the heads of `similarity` read them?
- similarity: does the dot product of two pictures follow the true share of attributes they agree in?
- selector: how often does the right text win over one with a single attribute changed, and over other items' texts?
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from creatures.attributes import ATTRIBUTES, NAMES, Creature, agreement, from_indices
from creatures.feedback_rounds import join_prompt
from creatures.knowable import KNOWABLE, knowable
from creatures.texts import describe, describe_fully, pick_names, write_feedback
from encoder_data import to_pixel_values
from onnx_files import open_session
from onnx_pipeline import OnnxPipeline, OnnxVae, item_seed

BATCH = 8
SEED = 11
RUN_SEED = 7
BOOTSTRAPS = 10_000


class Encoders:
    """The pack's selector and reporter."""

    def __init__(self, pack: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(pack / "selector" / "tokenizer.json"))
        end_id = self.tokenizer.token_to_id("<|endoftext|>")
        self.tokenizer.enable_truncation(77)
        self.tokenizer.enable_padding(length=77, pad_id=end_id, pad_token="<|endoftext|>")
        self.text_model = open_session(pack / "selector" / "onnx" / "text_model.onnx")
        self.vision_model = open_session(pack / "selector" / "onnx" / "vision_model.onnx")
        self.similarity_model = open_session(pack / "similarity" / "onnx" / "model.onnx")

    def texts(self, texts: list[str]) -> np.ndarray:
        ids = np.array([encoding.ids for encoding in self.tokenizer.encode_batch(texts)], dtype=np.int64)
        return self.text_model.run(["text_embeds"], {"input_ids": ids})[0]

    def pictures(self, pictures: np.ndarray) -> np.ndarray:
        return self.vision_model.run(["image_embeds"], {"pixel_values": to_pixel_values(pictures).numpy()})[0]

    def similarity(self, pictures: np.ndarray) -> np.ndarray:
        return self.similarity_model.run(["image_embeds"], {"pixel_values": to_pixel_values(pictures).numpy()})[0]


def paired(difference: np.ndarray) -> dict:
    """Mean of a paired difference, its bootstrap 95% interval, and the shares of better and worse items."""
    rng = np.random.default_rng(0)
    means = difference[rng.integers(0, len(difference), (BOOTSTRAPS, len(difference)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": round(float(difference.mean()), 4),
        "ci95": [round(float(low), 4), round(float(high), 4)],
        "better": round(float((difference > 0).mean()), 3),
        "worse": round(float((difference < 0).mean()), 3),
        "n": len(difference),
    }


def generate_arms(pipeline: OnnxPipeline, encoders: Encoders, rows: list[dict]) -> dict[str, np.ndarray]:
    """Pictures uint8 [n, 64, 64, 3] of every arm; all arms of an item share its seed. The placebo is the next item's feedback.

    `control` is the caption under another seed.
    """
    seeds = [item_seed(RUN_SEED, row["id"]) for row in rows]
    others = rows[1:] + rows[:1]
    prompts = {
        "caption": [row["text"] for row in rows],
        "feedback1": [join_prompt(row["text"], row["feedback"][:1]) for row in rows],
        "feedback2": [join_prompt(row["text"], row["feedback"]) for row in rows],
        "placebo1": [join_prompt(row["text"], other["feedback"][:1]) for row, other in zip(rows, others)],
        "placebo2": [join_prompt(row["text"], other["feedback"]) for row, other in zip(rows, others)],
        "description": [row["description"] for row in rows],
    }

    def generate(texts: list[str], seeds: list[int] = seeds) -> np.ndarray:
        batches = range(0, len(rows), BATCH)
        return np.concatenate([pipeline.generate(texts[i : i + BATCH], seeds[i : i + BATCH]) for i in batches])

    arms = {name: generate(texts) for name, texts in prompts.items()}
    arms["control"] = generate(prompts["caption"], [item_seed(RUN_SEED, row["id"], 1) for row in rows])
    seen = read_attributes(encoders.similarity(arms["caption"]))
    for kind in KNOWABLE:
        feedback = [knowable_feedback(kind, row, picture) for row, picture in zip(rows, seen, strict=True)]
        arms[kind] = generate([join_prompt(row["text"], [text]) for row, text in zip(rows, feedback)])
        arms[f"{kind}Placebo"] = generate([join_prompt(row["text"], [text]) for row, text in zip(rows, feedback[1:] + feedback[:1])])
    return arms


def knowable_feedback(kind: str, row: dict, seen: np.ndarray) -> str:
    """What can be said of a picture with the attributes `seen` [12] by who never saw the true one."""
    rng = random.Random(row["id"])
    picture = from_indices(seen.tolist())
    wanted, said = knowable(kind, {**picture, **row["said"]}, list(row["said"]), picture)
    return write_feedback(wanted, said, rng)


def mottle(pack: Path, pictures: np.ndarray) -> np.ndarray:
    """A round trip through the VAE with noise of 0.2 on the latents: drawings, with known attributes, that look generated."""
    vae = OnnxVae(pack / "diffusion")
    latents = vae.encode(pictures)
    return vae.decode(latents + 0.2 * np.random.default_rng(SEED).standard_normal(latents.shape))


def measure_feedback(encoders: Encoders, arms: dict[str, np.ndarray], truth: np.ndarray) -> dict:
    true_embeds = encoders.similarity(truth)
    scores = {name: (encoders.similarity(pictures) * true_embeds).sum(1) for name, pictures in arms.items()}
    gains = {
        f"{name}-caption": paired(scores[name] - scores["caption"])
        for name in scores
        if name != "caption"
    }
    for n in (1, 2):
        gains[f"feedback{n}-placebo{n}"] = paired(scores[f"feedback{n}"] - scores[f"placebo{n}"])
    for kind in KNOWABLE:
        for other in ("control", f"{kind}Placebo"):
            gains[f"{kind}-{other}"] = paired(scores[kind] - scores[other])
    return {"similarityToTrue": {name: round(float(value.mean()), 4) for name, value in scores.items()}, "gains": gains}


def read_attributes(embeds: np.ndarray) -> np.ndarray:
    """The likeliest value of every attribute, [n, 12], from the reporter's embeddings (config.json says how they are made)."""
    bounds = np.cumsum([len(values) for values in ATTRIBUTES.values()])[:-1]
    return np.stack([head.argmax(1) for head in np.split(embeds, bounds, axis=1)], 1)


def measure_attributes(encoders: Encoders, arms: dict[str, np.ndarray], rows: list[dict], truth: np.ndarray) -> dict:
    """Shares that agree with the true creature; `drawings` says how well the reader reads."""
    true = np.array([[ATTRIBUTES[name].index(row["attributes"][name]) for name in NAMES] for row in rows])
    right = {name: read_attributes(encoders.similarity(pictures)) == true for name, pictures in {"drawings": truth, **arms}.items()}
    return {
        "all": {name: round(float(value.mean()), 4) for name, value in right.items()},
        "ofTheDescription": dict(zip(NAMES, right["description"].mean(0).round(3).tolist(), strict=True)),
    }


def measure_similarity(encoders: Encoders, creatures: list[Creature], clean: np.ndarray, mottled: np.ndarray) -> dict:
    """Over all pairs of different items (one picture clean, the other mottled, as in a report), and matched pairs."""
    one, other = encoders.similarity(clean), encoders.similarity(mottled)
    dots = one @ other.T
    true = np.array([[agreement(a, b) for b in creatures] for a in creatures])
    apart = ~np.eye(len(creatures), dtype=bool)
    slope, intercept = np.polyfit(true[apart], dots[apart], 1)
    nearest = dots.argmax(0) == np.arange(len(creatures))
    return {
        "pairs": int(apart.sum()),
        "correlation": round(float(np.corrcoef(true[apart], dots[apart])[0, 1]), 4),
        "correlationCleanClean": round(float(np.corrcoef(true[apart], (one @ one.T)[apart])[0, 1]), 4),
        "slope": round(float(slope), 3),
        "intercept": round(float(intercept), 3),
        "meanAbsoluteError": round(float(np.abs(true - dots)[apart].mean()), 4),
        "meanOfSameCreature": round(float(np.diag(dots).mean()), 4),
        "trueCreatureNearest": round(float(nearest.mean()), 3),
    }


def change_one(creature: Creature, names: list[str], rng: random.Random) -> Creature:
    name = rng.choice(names)
    return {**creature, name: rng.choice([value for value in ATTRIBUTES[name] if value != creature[name]])}


def measure_selector(encoders: Encoders, rows: list[dict], views: dict[str, np.ndarray]) -> dict:
    """Shares of pictures for which the right text scores higher."""
    rng = random.Random(SEED)
    creatures = [row["attributes"] for row in rows]
    wording = [rng.random() for _ in rows]
    full = [describe_fully(c, random.Random(w)) for c, w in zip(creatures, wording)]
    full_wrong = [describe_fully(change_one(c, NAMES, rng), random.Random(w)) for c, w in zip(creatures, wording)]
    named = [pick_names(rng, 2) for _ in rows]
    vague = [describe(c, n, random.Random(w)) for c, n, w in zip(creatures, named, wording)]
    vague_wrong = [describe(change_one(c, n, rng), n, random.Random(w)) for c, n, w in zip(creatures, named, wording)]
    embeds = {name: encoders.texts(texts) for name, texts in
              {"full": full, "full_wrong": full_wrong, "vague": vague, "vague_wrong": vague_wrong}.items()}  # fmt: skip
    results = {}
    for name, pictures in views.items():
        image = encoders.pictures(pictures)
        score = {key: (image * text).sum(1) for key, text in embeds.items()}
        among = image @ embeds["full"].T
        results[name] = {
            "fullOverOneAttributeChanged": round(float((score["full"] > score["full_wrong"]).mean()), 3),
            "vagueOverOneAttributeChanged": round(float((score["vague"] > score["vague_wrong"]).mean()), 3),
            "rightDescriptionFirst": round(float((among.argmax(1) == np.arange(len(rows))).mean()), 3),
            "n": len(rows),
        }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path)
    parser.add_argument("dataset", type=Path, help="the dataset's test/ folder")
    parser.add_argument("out", type=Path, help="measured.json to write")
    parser.add_argument("--items", type=int, default=40, help="items that pictures are generated for")
    parser.add_argument("--pictures", type=Path, help=".npz of the generated pictures: written, or read where it is there")
    arguments = parser.parse_args()
    everything = [json.loads(line) for line in (arguments.dataset / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]

    def load(rows: list[dict]) -> np.ndarray:
        return np.stack([np.asarray(Image.open(arguments.dataset / row["file_name"]).convert("RGB")) for row in rows])

    encoders = Encoders(arguments.pack)
    rows = random.Random(SEED).sample(everything, arguments.items)
    if arguments.pictures and arguments.pictures.exists():
        arms = dict(np.load(arguments.pictures))
    else:
        arms = generate_arms(OnnxPipeline(arguments.pack / "diffusion"), encoders, rows)
        if arguments.pictures:
            np.savez(arguments.pictures, **arms)
    clean = load(everything)
    mottled = mottle(arguments.pack, clean)
    measured = {
        "feedback": {
            "n": arguments.items, "scheduler": "ddim", "numInferenceSteps": 20, "guidanceScale": 5,
            **measure_feedback(encoders, arms, load(rows)),
        },
        "attributes": measure_attributes(encoders, arms, rows, load(rows)),
        "similarity": measure_similarity(encoders, [row["attributes"] for row in everything], clean, mottled),
        "selector": {
            **measure_selector(encoders, everything, {"drawings": clean, "mottled": mottled}),
            **measure_selector(encoders, rows, {"generatedFromDescription": arms["description"]}),
        },
    }  # fmt: skip
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(measured, indent=2) + "\n")
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()

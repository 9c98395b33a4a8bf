"""A small training program that takes the configuration of models/training/feedback: a low-rank model of which letter follows which, in plain Python."""

import json
import math
import os
import random
import sys
import time
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz ."
V = len(LETTERS)
STEP_SECONDS = float(os.environ.get("SMALL_TRAINER_STEP_SECONDS", "0"))


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def load(file):
    config = json.loads(Path(file).read_text())
    splits = {}
    for split in ("train", "validation"):
        name = Path(config["data"]) / split / "metadata.jsonl"
        splits[split] = []
        for number, line in enumerate(name.read_text().splitlines(), 1):
            row = json.loads(line)
            if not (Path(config["data"]) / split / row["file_name"]).is_file():
                print(f"{name}:{number}: file_name: there is no {row['file_name']}", file=sys.stderr)
                sys.exit(2)
            splits[split].append(pairs(row["feedback"]))
    return config, splits


def pairs(text):
    ids = [LETTERS.index(c) for c in text.lower() if c in LETTERS]
    return list(zip(ids, ids[1:]))


def begin(config):
    rng = random.Random(config["seed"])
    r = config["lora"]["r"]
    return {
        "a": [[rng.gauss(0, 0.3) for _ in range(r)] for _ in range(V)],
        "b": [[rng.gauss(0, 0.3) for _ in range(V)] for _ in range(r)],
    }


def probabilities(model, i):
    row = [sum(a * b[j] for a, b in zip(model["a"][i], model["b"])) for j in range(V)]
    top = max(row)
    exps = [math.exp(x - top) for x in row]
    total = sum(exps)
    return [e / total for e in exps]


def loss_of(model, texts):
    rows = {}
    losses = [-math.log(rows.setdefault(i, probabilities(model, i))[j]) for text in texts for i, j in text]
    return sum(losses) / len(losses)


def learn(model, texts, rate):
    """One step of gradient descent; the loss before it."""
    together = [pair for text in texts for pair in text]
    gradient, loss = {}, 0.0
    for i, j in together:
        p = probabilities(model, i)
        loss -= math.log(p[j])
        row = gradient.setdefault(i, [0.0] * V)
        for k in range(V):
            row[k] += (p[k] - (k == j)) / len(together)
    before = [list(row) for row in model["b"]]
    for i, row in gradient.items():
        a = model["a"][i]
        for r, b in enumerate(model["b"]):
            for k in range(V):
                b[k] -= rate * a[r] * row[k]
        for r in range(len(a)):
            a[r] -= rate * sum(before[r][k] * row[k] for k in range(V))
    time.sleep(STEP_SECONDS)
    return loss / len(together)

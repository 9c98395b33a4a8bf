"""Generates what a critic learns from: the train split's pictures as the loop makes them, each with the feedback that was written on it.

Round 0 is the picture from the caption alone, round 1 the picture from caption and first feedback; the critic is to write
the first feedback on the one and the second on the other. Writes one .npz: `pictures` uint8 [n, 64, 64, 3], `items`, `rounds`,
`captions`, `feedback` (n texts each).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from creatures.feedback_rounds import join_prompt
from onnx_pipeline import OnnxPipeline, item_seed

BATCH = 8
RUN_SEED = 2031


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("diffusion", type=Path, help="the pack's diffusion/ folder")
    parser.add_argument("split", type=Path, help="the dataset's train/ folder")
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--items", type=int, help="only the first so many")
    parser.add_argument("--draws", type=int, default=1, help="pictures of each prompt")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in (arguments.split / "metadata.jsonl").read_text().splitlines()][: arguments.items]
    pipeline = OnnxPipeline(arguments.diffusion)
    examples = [
        (row["id"], round_, row["text"], join_prompt(row["text"], row["feedback"][:round_]), row["feedback"][round_], draw)
        for row in rows
        for draw in range(arguments.draws)
        for round_ in range(len(row["feedback"]))
    ]
    pictures = []
    for start in range(0, len(examples), BATCH):
        batch = examples[start : start + BATCH]
        prompts = [prompt for _, _, _, prompt, _, _ in batch]
        pictures.append(pipeline.generate(prompts, [item_seed(RUN_SEED, item, draw) for item, _, _, _, _, draw in batch]))
        if start // BATCH % 20 == 0:
            print(f"{start + len(batch)} of {len(examples)} pictures", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.out,
        pictures=np.concatenate(pictures),
        items=np.array([item for item, *_ in examples]),
        rounds=np.array([round_ for _, round_, *_ in examples], dtype=np.uint8),
        captions=np.array([caption for _, _, caption, *_ in examples]),
        feedback=np.array([feedback for *_, feedback, _ in examples]),
    )
    print(f"{arguments.out}: {len(examples)} pictures of {len(rows)} items")


if __name__ == "__main__":
    main()

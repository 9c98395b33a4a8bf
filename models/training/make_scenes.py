"""Draws `examples/datasets/scenes`: a Hugging Face image folder of 160 landscapes (100 train, 60 test). Running it again gives the same bytes."""

from __future__ import annotations

import argparse
import json
import random
import shutil
from pathlib import Path

from PIL import Image

from scenes.attributes import NAMES, sample_scene
from scenes.drawing import draw_scene
from scenes.texts import caption_vaguely, describe, write_rounds

ROOT = Path(__file__).parent.parent.parent
SPLITS = {"train": range(1, 101), "test": range(101, 161)}
# As in the creatures: captions by people and by captioning models hold wrong words.
WRONG_SHARE = 0.33


def make_item(number: int) -> tuple[dict, Image.Image]:
    """The metadata row (without `file_name`) and the picture of one item."""
    rng = random.Random(f"scenes-dataset-1/{number}")
    scene = sample_scene(rng)
    caption, named, wrong = caption_vaguely(scene, rng, WRONG_SHARE)
    row = {
        "id": f"scene-{number:04d}",
        "text": caption,
        "feedback": write_rounds(scene, named, wrong, rng),
        "description": describe(scene, NAMES),
        "attributes": scene,
    }
    return row, draw_scene(scene, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "examples" / "datasets" / "scenes")
    arguments = parser.parse_args()
    for split, numbers in SPLITS.items():
        folder = arguments.out / split
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rows = []
        for number in numbers:
            row, picture = make_item(number)
            file_name = f"{row['id']}.png"
            picture.save(folder / file_name, compress_level=9)
            rows.append(json.dumps({"file_name": file_name, **row}, ensure_ascii=False))
        (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(f"{split}: {len(rows)} items")


if __name__ == "__main__":
    main()

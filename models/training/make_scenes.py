"""Draws `examples/datasets/scenes`: a Hugging Face image folder of 160 landscapes (100 train, 60 test). Running it again gives the same bytes."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image

from image_folder import write_image_folder
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
    write_image_folder(arguments.out, SPLITS, make_item)


if __name__ == "__main__":
    main()

"""Draws what the pack's critics learn from: a feedback set of pictures that do not do what their captions ask, with what a critic can tell.

Each example is a caption, the drawing of a creature that keeps some of what the caption names, and feedback of one of two kinds (`creatures/knowable.py`).
Because mistakes are drawn, what is wrong is known and not guessed.
Half of the drawings went through the VAE with noise on the latents, so that they look as generated pictures do.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from PIL import Image

from creatures.attributes import Creature, sample_creature
from creatures.drawing import draw_creature
from creatures.knowable import KNOWABLE, knowable
from creatures.texts import caption_vaguely, write_feedback
from image_folder import write_image_folder
from make_drawings import round_trips

FIRST_DRAWING_SEED = 60_000_000
# How often a picture keeps what its caption names.
KEPT_SHARE = 0.6
VALIDATION_SHARE = 0.1


def spoil(asked: Creature, named: list[str], rng: random.Random) -> Creature:
    """A creature that has some of what is asked for."""
    while True:
        seen = sample_creature(rng)
        seen |= {name: asked[name] for name in named if rng.random() < KEPT_SHARE}
        if seen["belly"] != seen["color"]:
            return seen


def make_row(kind: str, number: int) -> tuple[dict, Creature]:
    """The metadata row (without `file_name`) and the creature that its picture shows."""
    rng = random.Random(f"creatures-critics-1/{number}")
    asked = sample_creature(rng)
    caption = caption_vaguely(asked, rng, wrong_share=0)
    seen = spoil(asked, caption.named, rng)
    wanted, said = knowable(kind, asked, caption.named, seen)
    feedback = write_feedback(wanted, said, rng)
    return {"id": f"drawn-{number:05d}", "caption": caption.text, "feedback": feedback, "round": 0}, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("diffusion", type=Path, help="the pack's diffusion/ folder")
    parser.add_argument("out", type=Path, help="the feedback set to write: train/ and validation/")
    parser.add_argument("--say", choices=KNOWABLE, default="lacking", help="the kind of feedback")
    parser.add_argument("--count", type=int, default=3000)
    arguments = parser.parse_args()
    drawn = np.stack([np.asarray(draw_creature(make_row(arguments.say, number)[1], FIRST_DRAWING_SEED + number)) for number in range(arguments.count)])
    mottled = round_trips(drawn, arguments.diffusion, FIRST_DRAWING_SEED)

    def make_item(number: int) -> tuple[dict, Image.Image]:
        return make_row(arguments.say, number)[0], Image.fromarray((mottled if number % 2 else drawn)[number])

    held_out = max(1, int(arguments.count * VALIDATION_SHARE))
    write_image_folder(arguments.out, {"train": range(held_out, arguments.count), "validation": range(held_out)}, make_item)


if __name__ == "__main__":
    main()

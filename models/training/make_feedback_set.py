"""Draws what the pack's critics learn from: a feedback set of pictures that do not do what their captions ask, with what a critic can tell.

A critic sees a caption and a picture, never the true one. Two things it can know: what the caption names and the picture lacks, and what creatures
of this world usually have. Each example is a caption, the drawing of a creature that keeps some of what the caption names, and feedback, of one of two kinds.
`lacking`: at most four attributes that the picture has not got, first those that the caption names; a critic has to look for it. `usual`: what the caption names and the
picture lacks, and all that is usual where the caption is silent, whether the picture shows it or not. A refined prompt draws another creature, in which what is not said is left
to chance, so this gains more (on 140 items of the train split, over the control: +0.051 against +0.030); but who learns it does not look: BLIP-2's loss was the same with
another item's picture. So it is for the critic that cannot see, OPT with integer tokens.
Because mistakes are drawn, what is wrong is known and not guessed.
Half of the drawings went through the VAE with noise on the latents, so that they look as generated pictures do.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from PIL import Image

from creatures.attributes import ATTRIBUTES, PRIORS, Creature, sample_creature
from creatures.drawing import draw_creature
from creatures.texts import caption_vaguely, write_feedback
from image_folder import write_image_folder
from make_drawings import round_trips

FIRST_DRAWING_SEED = 60_000_000
# How often a picture keeps what its caption names.
KEPT_SHARE = 0.6
VALIDATION_SHARE = 0.1
MOST_NAMED = 4
# What creatures usually have where the caption is silent, the surest habit first; of the other attributes no value is common enough.
HABITS = ["background", "eyes", "pattern", "wings", "limbs"]
# The same for `usual`, which costs nothing where the picture is right already.
ALL_HABITS = ["background", "eyes", "wings", "pattern", "limbs", "belly", "eyesize"]


# The kinds of feedback by who does not know the true picture.
KNOWABLE = ["lacking", "usual"]


def usual(name: str) -> str:
    """The commonest value of an attribute."""
    priors = PRIORS[name]
    return ATTRIBUTES[name][priors.index(max(priors))]


def knowable(kind: str, asked: Creature, named: list[str], seen: Creature) -> tuple[Creature, list[str]]:
    """What the picture should be like as far as caption and world tell, and the attributes to say, by the kind of feedback.

    `asked` counts only in the attributes `named`, which the caption names. Nothing is lacking: the caption's own attributes are said again.
    """
    wanted = {**seen, **{name: usual(name) for name in ALL_HABITS}, **{name: asked[name] for name in named}}
    lacking = [name for name in named if seen[name] != asked[name]]
    if kind == "usual":
        return wanted, lacking + [name for name in ALL_HABITS if name not in named]
    unusual = [name for name in HABITS if name not in named and seen[name] != wanted[name]]
    return wanted, (lacking + unusual)[:MOST_NAMED] or named


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

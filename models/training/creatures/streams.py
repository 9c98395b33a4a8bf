"""Which random streams the training drawings come from. Every model has its own, and the demo dataset has one that no model sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .attributes import Creature, sample_creature, to_indices
from .drawing import draw_creature


@dataclass(frozen=True)
class Stream:
    """Picture number i has the attributes drawn by `random.Random(creature_seed(i))` and the drawing seed `first_drawing_seed + i`."""

    creature_seed: Callable[[int], int | str]
    first_drawing_seed: int
    description: str
    count: int  # pictures
    held_out: int = 0  # the first so many of them only measure and calibrate

    def creature(self, number: int) -> Creature:
        return sample_creature(random.Random(self.creature_seed(number)))

    def draw(self, number: int) -> tuple[np.ndarray, list[int]]:
        """The picture, uint8 [64, 64, 3], and its labels, twelve class indices."""
        creature = self.creature(number)
        return np.asarray(draw_creature(creature, self.first_drawing_seed + number)), to_indices(creature)


STREAMS: dict[str, Stream] = {
    "diffusion": Stream(
        lambda i: 1_000_003 + i, 0, "attributes from random.Random(1000003 + i), drawing seed i", 39_000
    ),
    "selector": Stream(
        lambda i: f"creatures-selector-1/{i}", 30_000_000,
        "attributes from random.Random('creatures-selector-1/<i>'), drawing seed 30000000 + i", 6_000,
    ),
    "similarity": Stream(
        lambda i: f"creatures-similarity-1/{i}", 40_000_000,
        "attributes from random.Random('creatures-similarity-1/<i>'), drawing seed 40000000 + i", 12_000, 1_000,
    ),
    "vit-mae": Stream(
        lambda i: f"creatures-vit-mae-1/{i}", 50_000_000,
        "attributes from random.Random('creatures-vit-mae-1/<i>'), drawing seed 50000000 + i", 4_000,
    ),
}  # fmt: skip

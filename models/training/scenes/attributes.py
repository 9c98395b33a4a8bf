"""The eight attributes that define a scene, and how one is drawn at random."""

from __future__ import annotations

import random

ATTRIBUTES: dict[str, list[str]] = {
    "place": ["meadow", "beach", "desert", "snow"],
    "time": ["day", "sunset", "night"],
    "weather": ["clear", "cloudy", "rainy"],
    "thing": ["house", "tree", "tent", "tower", "windmill"],
    "color": ["red", "blue", "yellow", "white", "purple"],
    "count": ["one", "two", "three"],
    "side": ["left", "middle", "right"],
    "hills": ["none", "round", "pointed"],
}
NAMES: list[str] = list(ATTRIBUTES)

# One value for every name in NAMES.
Scene = dict[str, str]


def sample_scene(rng: random.Random) -> Scene:
    """Every attribute uniform, but for the weather, which is mostly clear."""
    scene = {name: rng.choice(values) for name, values in ATTRIBUTES.items()}
    scene["weather"] = rng.choices(ATTRIBUTES["weather"], [0.5, 0.3, 0.2])[0]
    return scene

"""The twelve attributes that define a creature, and how one is drawn at random."""

from __future__ import annotations

import random

# An attribute's value is stored as its index in these lists (labels, classifier heads), so their order is part of the data.
ATTRIBUTES: dict[str, list[str]] = {
    "shape": ["round", "tall", "square", "star", "pear", "triangle"],
    "color": ["red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "gray"],
    "belly": ["none", "white", "yellow", "red", "blue", "green"],
    "pattern": ["plain", "stripes", "spots"],
    "eyes": ["one", "two", "three"],
    "eyesize": ["small", "big"],
    "head": ["none", "horns", "ears", "antennae", "spikes", "leaf"],
    "tail": ["none", "long", "bushy", "lightning"],
    "wings": ["none", "bat", "feather", "butterfly"],
    "limbs": ["two", "four", "none"],
    "mouth": ["smile", "frown", "open", "fangs"],
    "background": ["white", "blue", "green", "yellow", "pink"],
}
NAMES: list[str] = list(ATTRIBUTES)

# Probability of each value, in the order above; attributes that are not listed are uniform.
PRIORS: dict[str, list[float]] = {
    "belly": [0.25, 0.2, 0.15, 0.14, 0.13, 0.13],
    "pattern": [0.46, 0.27, 0.27],
    "eyes": [0.2, 0.6, 0.2],
    "eyesize": [0.45, 0.55],
    "head": [0.2, 0.16, 0.16, 0.16, 0.16, 0.16],
    "tail": [0.28, 0.24, 0.24, 0.24],
    "wings": [0.37, 0.21, 0.21, 0.21],
    "limbs": [0.42, 0.33, 0.25],
    "background": [0.56, 0.11, 0.11, 0.11, 0.11],
}

# One value for every name in NAMES.
Creature = dict[str, str]


def sample_creature(rng: random.Random) -> Creature:
    """Draws every attribute from its prior. A belly patch never has the body's colour: nobody could see it."""
    creature: Creature = {}
    for name, values in ATTRIBUTES.items():
        creature[name] = rng.choices(values, PRIORS.get(name, [1] * len(values)))[0]
    while creature["belly"] == creature["color"]:
        creature["belly"] = rng.choices(ATTRIBUTES["belly"], PRIORS["belly"])[0]
    return creature


def to_indices(creature: Creature) -> list[int]:
    """The creature as twelve class indices, in the order of NAMES."""
    return [ATTRIBUTES[name].index(creature[name]) for name in NAMES]


def from_indices(indices: list[int]) -> Creature:
    """The inverse of `to_indices`."""
    return {name: ATTRIBUTES[name][int(index)] for name, index in zip(NAMES, indices, strict=True)}


def agreement(one: Creature, other: Creature) -> float:
    """Share of the twelve attributes in which two creatures agree, 0..1."""
    return sum(one[name] == other[name] for name in NAMES) / len(NAMES)

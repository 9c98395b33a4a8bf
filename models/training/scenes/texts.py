"""Texts about scenes: full descriptions, vague captions, and feedback as a person would word it."""

from __future__ import annotations

import random
from collections.abc import Iterable

from .attributes import ATTRIBUTES, NAMES, Scene

PLACES = {"meadow": "in a green meadow", "beach": "on a beach", "desert": "in the desert", "snow": "in the snow"}
TIMES = {"day": "by day", "sunset": "at sunset", "night": "at night"}
WEATHERS = {"clear": "under a clear sky", "cloudy": "under a cloudy sky", "rainy": "in the rain"}
HILLS = {"none": "without any hills", "round": "before round hills", "pointed": "before pointed mountains"}
SIDES = {"left": "on the left", "middle": "in the middle", "right": "on the right"}

SENTENCES: dict[str, list[str]] = {
    "place": ["It should be {place}.", "The ground is wrong, it should be {place}."],
    "time": ["It should be {time}.", "Make it a picture {time}."],
    "weather": ["It should be {weather}.", "The weather should be {value}."],
    "thing": ["It should show a {value}.", "What stands there should be a {value}."],
    "color": ["The {thing} should be {value}.", "Make the {thing} {value}."],
    "count": ["There should be {value} of them.", "It should have {value}, not more and not fewer."],
    "side": ["It should stand {side}.", "Move it so that it stands {side}."],
    "hills": ["It should be {hills}.", "The landscape should be {hills}."],
}


def phrases(scene: Scene) -> dict[str, str]:
    return {
        "place": PLACES[scene["place"]], "time": TIMES[scene["time"]], "weather": WEATHERS[scene["weather"]],
        "hills": HILLS[scene["hills"]], "side": SIDES[scene["side"]], "thing": scene["thing"],
    }  # fmt: skip


def describe(scene: Scene, named: Iterable[str]) -> str:
    """One sentence that names exactly the attributes in `named`."""
    names, words = set(named), phrases(scene)
    many = scene["count"] != "one" and "count" in names
    noun = words["thing"] if "thing" in names else "building"
    color = f"{scene['color']} " if "color" in names else ""
    subject = f"{scene['count']} {color}{noun}s" if many else f"a {color}{noun}"
    rest = [words[name] for name in ("side", "place", "hills", "weather", "time") if name in names]
    return " ".join([subject, *rest])


def caption_vaguely(scene: Scene, rng: random.Random, wrong_share: float) -> tuple[str, list[str], list[str]]:
    """A caption of two or three attributes; the attributes that it names, and those of them that it names wrongly."""
    named = ["thing", *rng.sample([name for name in NAMES if name not in ("thing", "hills", "side")], rng.choice([1, 2]))]
    told, wrong = dict(scene), []
    if rng.random() < wrong_share:
        name = rng.choice(named)
        told[name] = rng.choice([value for value in ATTRIBUTES[name] if value != scene[name]])
        wrong = [name]
    return describe(told, named), named, wrong


def write_feedback(scene: Scene, names: Iterable[str], rng: random.Random) -> str:
    """A short sentence for each of the attributes."""
    words = phrases(scene)
    return " ".join(rng.choice(SENTENCES[name]).format(value=scene[name], **words) for name in names)


def write_rounds(scene: Scene, named: list[str], wrong: list[str], rng: random.Random) -> list[str]:
    """Two entries of two sentences: what the caption says wrongly comes first, then what it leaves out."""
    missing = [name for name in NAMES if name not in named]
    rng.shuffle(missing)
    queue = (wrong + missing)[:4]
    return [write_feedback(scene, queue[:2], rng), write_feedback(scene, queue[2:], rng)]

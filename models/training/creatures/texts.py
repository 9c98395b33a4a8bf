"""Texts about creatures: full descriptions, vague captions, and feedback as a person would word it.

As in `drawing.py`, the order of the calls to the random generator is part of the format: the bundled text encoder and
UNet were trained on exactly these sentences.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .attributes import ATTRIBUTES, NAMES, Creature

NOUNS = ["creature", "monster", "character", "animal"]
SHAPE_WORDS: dict[str, list[str]] = {
    "round": ["round"],
    "tall": ["tall"],
    "square": ["square", "boxy"],
    "star": ["star shaped"],
    "pear": ["pear shaped"],
    "triangle": ["triangular", "cone shaped"],
}
SIZE_WORDS = {"big": ["big", "large"], "small": ["small", "tiny"]}

# How readily a caption mentions an attribute: people name the colour first and the background hardly ever.
SALIENCE: dict[str, float] = {
    "color": 6, "shape": 2, "eyes": 1.5, "eyesize": 2, "wings": 2, "tail": 2,
    "head": 2, "belly": 1.5, "pattern": 1.5, "limbs": 0.8, "mouth": 1.5, "background": 0.4,
}  # fmt: skip


@dataclass(frozen=True)
class Caption:
    """A vague caption, the attributes that it names, those of them that it names wrongly, and what it says of each."""

    text: str
    named: list[str]
    wrong: list[str]
    said: Creature


def noun_phrase(creature: Creature, name: str, rng: random.Random) -> str:
    """What stands after "with" or "has" for one attribute."""
    value, choice = creature[name], rng.choice
    if name == "belly":
        if value == "none":
            return choice(["no belly patch", "a plain belly"])
        return choice([f"a {value} belly", f"a {value} tummy", f"a {value} patch on the belly"])
    # Every list of a table is drawn from, the chosen value's or not: that is the order of random calls that was trained on.
    if name == "pattern":
        return {
            "plain": choice(["plain skin", "no pattern"]),
            "stripes": choice(["stripes", "a striped body", "striped skin"]),
            "spots": choice(["spots", "a spotted body", "dots on the skin"]),
        }[value]
    if name == "head":
        return {
            "none": choice(["nothing on its head", "a bare head"]),
            "horns": choice(["horns", "two horns", "horns on its head"]),
            "ears": choice(["long ears", "tall ears"]),
            "antennae": choice(["antennae", "two antennae", "feelers"]),
            "spikes": choice(["a crown of spikes", "spikes on its head", "spiky hair"]),
            "leaf": choice(["a leaf on its head", "leaves on top of the head", "a sprout on its head"]),
        }[value]
    if name == "tail":
        return {
            "none": choice(["no tail"]),
            "long": choice(["a long tail", "a long thin tail", "a curved tail"]),
            "bushy": choice(["a bushy tail", "a fluffy tail"]),
            "lightning": choice(["a lightning tail", "a tail like a lightning bolt", "a zigzag tail"]),
        }[value]
    if name == "wings":
        return {
            "none": "no wings",
            "bat": choice(["bat wings", "dark bat wings"]),
            "feather": choice(["feather wings", "white feathered wings", "bird wings"]),
            "butterfly": choice(["butterfly wings", "colorful butterfly wings"]),
        }[value]
    if name == "limbs":
        return {
            "none": choice(["no legs"]),
            "two": choice(["two legs", "two feet"]),
            "four": choice(["four legs", "four feet"]),
        }[value]
    if name == "mouth":
        return {
            "smile": choice(["a smile", "a happy smile", "a smiling mouth"]),
            "frown": choice(["a frown", "a sad mouth"]),
            "open": choice(["an open mouth", "a round open mouth"]),
            "fangs": choice(["fangs", "sharp fangs", "two sharp teeth"]),
        }[value]
    raise ValueError(f"the attribute {name!r} has no noun phrase")


def eyes_phrase(creature: Creature, rng: random.Random, with_count: bool = True, with_size: bool = True) -> str:
    count = creature["eyes"]
    noun = "eye" if count == "one" else "eyes"
    sizes = {size: rng.choice(words) for size, words in SIZE_WORDS.items()}
    size = sizes[creature["eyesize"]]
    if with_count and with_size:
        return f"{count} {size} {noun}"
    if with_count:
        return f"{count} {noun}"
    return f"{size} eyes"


def join_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + " and " + words[-1]


def background_phrase(creature: Creature, rng: random.Random) -> str:
    color = creature["background"]
    return rng.choice([f"on a {color} background", f"against a {color} background", f"in front of a {color} background"])


def capitalise(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def subject(creature: Creature, names: set[str], rng: random.Random) -> str:
    """The noun with its article and, where they are to be named, shape and colour."""
    words = []
    if "shape" in names:
        words.append(rng.choice(SHAPE_WORDS[creature["shape"]]))
    if "color" in names:
        words.append(creature["color"])
    if len(words) == 2 and rng.random() < 0.25:
        words = words[::-1]
    opening = rng.choice(["a", "a", "a cartoon", "a little", "a cute"]) if rng.random() < 0.6 else "a"
    phrase = opening + " " + " ".join(words + [rng.choice(NOUNS)])
    return phrase.replace("a orange", "an orange").replace("a animal", "an animal")


def describe(creature: Creature, named: Iterable[str], rng: random.Random) -> str:
    """One or two sentences that name exactly the attributes in `named`."""
    names = set(named)
    opening = subject(creature, names, rng)
    parts: list[str] = []
    actions: list[str] = []
    if "eyes" in names or "eyesize" in names:
        parts.append(eyes_phrase(creature, rng, "eyes" in names, "eyesize" in names))
    for name in ("belly", "pattern", "head", "tail", "wings", "limbs", "mouth"):
        if name not in names:
            continue
        if name == "limbs" and rng.random() < 0.5:
            floating = rng.choice(["floats in the air", "hovers above the ground"])
            actions.append({"none": floating, "two": "stands on two legs", "four": "stands on four legs"}[creature[name]])
        elif name == "mouth" and rng.random() < 0.35 and creature[name] in ("smile", "frown"):
            sad = rng.choice(["frowns", "looks sad"])
            actions.append({"smile": "smiles", "frown": sad}[creature[name]])
        else:
            parts.append(noun_phrase(creature, name, rng))
    rng.shuffle(parts)
    if len(parts) > 4 and rng.random() < 0.6:
        half = rng.randint(2, len(parts) - 2)
        first, second = parts[:half], parts[half:]
    else:
        first, second = parts, []
    sentence = opening
    if first:
        sentence += " with " + join_words(first)
    background_left = "background" in names
    if background_left and not second and not actions:
        sentence += " " + background_phrase(creature, rng)
        background_left = False
    sentences = [sentence]
    predicates = (["has " + join_words(second)] if second else []) + actions
    if predicates:
        background = " " + background_phrase(creature, rng) if background_left else ""
        sentences.append("it " + " and ".join(predicates) + background)
    elif background_left:
        sentences[0] += " " + background_phrase(creature, rng)
    text = ". ".join(capitalise(s) if rng.random() < 0.8 else s for s in sentences)
    return text + ("." if rng.random() < 0.7 else "")


def describe_fully(creature: Creature, rng: random.Random) -> str:
    return describe(creature, NAMES, rng)


def pick_names(rng: random.Random, count: int, pool: Iterable[str] | None = None, by_salience: bool = True) -> list[str]:
    """Up to `count` different attribute names, the salient ones more often unless told otherwise."""
    left = list(pool or NAMES)
    picked: list[str] = []
    while left and len(picked) < count:
        name = rng.choices(left, [SALIENCE[p] if by_salience else 1 for p in left])[0]
        left.remove(name)
        picked.append(name)
    return picked


def caption_vaguely(creature: Creature, rng: random.Random, count: int | None = None, wrong_share: float = 0.25) -> Caption:
    """A caption of 1-3 attributes as people write them: absent things are rarely mentioned, and some words are wrong."""
    count = count or rng.choice([1, 2, 2, 3])
    named = pick_names(rng, count)
    named = [n for n in named if not (creature[n] in ("none", "plain") and rng.random() < 0.85)] or ["color"]
    told = dict(creature)
    wrong: list[str] = []
    if rng.random() < wrong_share:
        name = rng.choice(named)
        told[name] = rng.choice([value for value in ATTRIBUTES[name] if value != creature[name]])
        wrong = [name]
    return Caption(describe(told, named, rng), named, wrong, {name: told[name] for name in named})


def _absence(creature: Creature, name: str, rng: random.Random) -> str:
    """A sentence (without its full stop) that asks for the absence of something."""
    thing = {
        "head": "anything on its head", "tail": "a tail", "wings": "wings",
        "limbs": "legs", "belly": "a belly patch", "pattern": "a pattern",
    }[name]  # fmt: skip
    bare = "its head should be bare"
    has_no = f"it has no {thing.replace('a ', '').replace('anything', 'thing')}"
    remove = {
        "head": "remove the thing on its head", "tail": "remove the tail", "wings": "remove the wings",
        "limbs": "remove the legs", "belly": "remove the belly patch", "pattern": "the skin should be plain",
    }[name]  # fmt: skip
    return rng.choice([f"it should not have {thing}", bare if name == "head" else has_no, remove])


def write_feedback(creature: Creature, named: Iterable[str], rng: random.Random) -> str:
    """Short sentences that tell what the picture should be like in the attributes `named`."""
    names = list(named)
    rng.shuffle(names)
    choice = rng.choice
    things: list[str] = []  # what it should have: several go into one sentence
    sentences: list[str] = []  # what is a sentence of its own
    for name in names:
        value = creature[name]
        if name == "color":
            sentences.append(
                choice(
                    [
                        f"the creature should be {value}",
                        f"make it {value}",
                        f"the body should be {value}",
                        f"it should be {value}",
                        f"its color should be {value}",
                    ]
                )
            )
        elif name == "shape":
            word = choice(SHAPE_WORDS[value])
            sentences.append(choice([f"the body should be {word}", f"it should be {word}", f"make the body {word}"]))
        elif name == "background":
            sentences.append(
                choice(
                    [
                        f"it should stand against a {value} background",
                        f"the background should be {value}",
                        f"use a {value} background",
                    ]
                )
            )
        elif name == "eyes":
            if "eyesize" in names and choice([0, 1]):
                things.append(eyes_phrase(creature, rng))
            else:
                things.append(eyes_phrase(creature, rng, True, False))
        elif name == "eyesize":
            words = [word for group in SIZE_WORDS.values() for word in group]
            if "eyes" in names and any(" eye" in t for t in things) and any(word in t for t in things for word in words):
                continue  # the phrase about their number has told it
            sizes = {"big": choice(SIZE_WORDS["big"]), "small": choice(SIZE_WORDS["small"])}
            if choice([0, 1]):
                things.append(f"{sizes[value]} eyes")
            else:
                comparative = "bigger" if value == "big" else "smaller"
                sentences.append(choice([f"the eyes should be {sizes[value]}", f"make the eyes {comparative}"]))
        elif (value == "none" and name in ("head", "tail", "wings", "limbs", "belly")) or value == "plain":
            if name == "limbs" and choice([0, 1]):
                sentences.append("it should float in the air")
            elif choice([0, 1, 2]) == 0:
                things.append(noun_phrase(creature, name, rng))
            else:
                sentences.append(_absence(creature, name, rng))
        elif name == "mouth" and value in ("smile", "frown") and choice([0, 0, 1]):
            smile = choice(["it should smile", "it should look happy"])
            frown = choice(["it should frown", "it should look sad"])
            sentences.append({"smile": smile, "frown": frown}[value])
        elif name == "limbs" and choice([0, 0, 1]):
            sentences.append(f"it should stand on {value} legs")
        else:
            things.append(noun_phrase(creature, name, rng))

    with_things: list[str] = []
    openings = ["it should have ", "the creature should have ", "add ", "it needs ", "there should be ", "it has "]
    while things:
        count = rng.randint(1, 3)
        group, things = things[:count], things[count:]
        with_things.append(choice(openings) + join_words(group))
    rng.shuffle(sentences)
    if len(sentences) >= 2 and rng.random() < 0.5 and all(s.startswith("it should") for s in sentences[:2]):
        sentences = [sentences[0] + " and " + sentences[1][3:]] + sentences[2:]
    everything = with_things + sentences
    rng.shuffle(everything)
    return " ".join(capitalise(s) + "." for s in everything)


def caption_with_feedback(
    creature: Creature, rng: random.Random, count: int | None = None, wrong_share: float = 0.35
) -> tuple[str, list[str], list[str]]:
    """A vague caption followed by feedback on 1-7 attributes; returns the text, what each of the two parts names."""
    caption = caption_vaguely(creature, rng, wrong_share=wrong_share)
    count = count or rng.choice([1, 2, 3, 4, 5, 6, 7])
    pool = [name for name in NAMES if name not in caption.named or rng.random() < 0.2]
    extra = pick_names(rng, max(0, count - len(caption.wrong)), pool, by_salience=False)
    named = list(dict.fromkeys(caption.wrong + extra)) or ["color"]
    return caption.text.rstrip(".") + ". " + write_feedback(creature, named, rng), caption.named, named


def training_text(creature: Creature, rng: random.Random) -> tuple[str, list[str]]:
    """A text of any kind, and the attributes that it names truly (a correction counts, the word it corrects does not)."""
    kind = rng.random()
    if kind < 0.36:
        named = list(NAMES) if rng.random() < 0.6 else pick_names(rng, rng.randint(7, 11), by_salience=False)
        return describe(creature, named, rng), named
    if kind < 0.58:
        caption = caption_vaguely(creature, rng, count=rng.choice([1, 1, 2, 2, 3, 3, 4, 5, 6]), wrong_share=0)
        return caption.text, caption.named
    text, named_first, named_then = caption_with_feedback(creature, rng)
    return text, list(set(named_first) | set(named_then))

"""Written feedback for a dataset item: one entry a round, two short sentences at most, together within CLIP's 77 tokens."""

from __future__ import annotations

import random
from collections.abc import Callable

from .attributes import NAMES, Creature
from .texts import SALIENCE, Caption, write_feedback

SENTENCES_A_ROUND = 2
ATTRIBUTES_A_SENTENCE = 3
# How often a wording is tried again until a group of attributes comes out as a single sentence.
TRIES = 40
MAXIMUM_TOKENS = 77


def join_prompt(caption: str, feedback: list[str]) -> str:
    """The refined prompt, as the text encoder and the UNet saw it in training: the caption as a sentence, then the feedback."""
    return " ".join([caption.rstrip(".") + "."] + feedback) if feedback else caption


def one_sentence(creature: Creature, names: list[str], rng: random.Random) -> str | None:
    """Feedback on all of `names` in a single sentence, or None where no try gave one."""
    for _ in range(TRIES):
        text = write_feedback(creature, names, rng)
        if text.count(".") == 1:
            return text
    return None


def take_sentence(creature: Creature, queue: list[str], rng: random.Random) -> str:
    """Writes a sentence on the queue's first attribute and as many of the next ones as fit; takes them off the queue."""
    group = [queue.pop(0)]
    sentence = one_sentence(creature, group, rng)
    assert sentence is not None, f"feedback on {group[0]} alone is always one sentence"
    for name in list(queue):
        if len(group) == ATTRIBUTES_A_SENTENCE:
            break
        longer = one_sentence(creature, [*group, name], rng)
        if longer is not None:
            sentence = longer
            group.append(name)
            queue.remove(name)
    return sentence


def order_by_salience(creature: Creature, names: list[str], rng: random.Random) -> list[str]:
    """A weighted shuffle: what is striking comes first, what is absent comes late."""
    left, ordered = list(names), []
    while left:
        weights = [SALIENCE[n] * (0.3 if creature[n] in ("none", "plain") else 1) for n in left]
        name = rng.choices(left, weights)[0]
        left.remove(name)
        ordered.append(name)
    return ordered


def write_rounds(
    creature: Creature, caption: Caption, rng: random.Random, count_tokens: Callable[[str], int]
) -> tuple[list[str], list[str]]:
    """Two feedback entries, and the attributes that neither they nor the caption name.

    The first entry begins with what the caption says wrongly; the second names what the first left out. Both are what a
    person would say who has the true picture before them.
    """
    right = [name for name in caption.named if name not in caption.wrong]
    missing = [name for name in NAMES if name not in right and name not in caption.wrong]
    queue = caption.wrong + order_by_salience(creature, missing, rng)
    entries: list[str] = []
    for _ in range(2):
        sentences: list[str] = []
        while queue and len(sentences) < SENTENCES_A_ROUND:
            rest = list(queue)
            sentence = take_sentence(creature, rest, rng)
            prompt = join_prompt(caption.text, [*entries, " ".join([*sentences, sentence])])
            if count_tokens(prompt) > MAXIMUM_TOKENS:
                break
            sentences.append(sentence)
            queue = rest
        entries.append(" ".join(sentences))
    return entries, queue

"""Says what a tuned critic has learned, and what it has learned by heart: `python models/training/feedback/measure.py CONFIG.json`.

Writes `measured.json` to the configuration's `out`. A critic whose loss is no higher with another item's picture is not looking; one whose
training loss is far below its validation loss, or that writes training feedback again, knows it by heart.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from command import run, say, torch_device
from config import Config

if TYPE_CHECKING:
    from feedback_set import Row

LONGEST_NGRAM = 4


def measure(config: Config) -> None:
    import numpy as np

    from critics import critic_of, loss_over
    from feedback_set import load_set
    from train import write_json

    train, validation = load_set(config.data)
    critic, device = critic_of(config), torch_device(config)
    model = critic.tuned().to(device)
    others = other_items(validation)
    own = [critic.picture(row) for row in validation]
    other = [critic.picture(row) for row in others] if others else None
    none = [np.zeros_like(picture) for picture in own]
    over = lambda rows, pictures: loss_over(critic, model, rows, pictures, device, config.batchSize)  # noqa: E731
    texts = []
    for i, row in enumerate(validation):
        seen = {"own": own[i], **({"other": other[i]} if other else {})}
        ids = {name: critic.write(model, critic.prompt(row.caption, picture)) for name, picture in seen.items()}
        written = {name: critic.tokenizer.decode(critic.without_end(i), skip_special_tokens=True).strip() for name, i in ids.items()}
        texts.append({"id": row.id, "round": row.round, "caption": row.caption, "feedback": row.feedback, **written, "tokens": ids["own"]})
        say("text", done=i + 1, total=len(validation))
    training = [row.feedback for row in train]
    measured = {
        "kind": config.kind,
        "rows": {"train": len(train), "validation": len(validation)},
        "trainLoss": over(train, [critic.picture(row) for row in train]),
        "validationLoss": over(validation, own),
        "validationLossWithAnotherItemsPicture": over(validation, other) if other else None,
        "validationLossWithoutPicture": over(validation, none),
        "changedByAnotherItemsPicture": sum(text["own"] != text["other"] for text in texts) / len(texts) if other else None,
        "written": about([text["own"] for text in texts], training),
        # What the people's own feedback on these pictures shares with that in training: as much is no sign of learning by heart.
        "reference": about([row.feedback for row in validation], training),
        "texts": texts,
    }
    write_json(config.out / "measured.json", measured)
    say("done", **{name: value for name, value in measured.items() if name != "texts"})


def other_items(rows: list[Row]) -> list[Row] | None:
    """For each row one of another item, of the same round where there is one; None where all are of one item."""
    paired = []
    for i, row in enumerate(rows):
        following = [*rows[i + 1 :], *rows[:i]]
        others = [other for other in following if other.id != row.id]
        if not others:
            return None
        paired.append(next((other for other in others if other.round == row.round), others[0]))
    return paired


def about(texts: list[str], training: list[str]) -> dict:
    """Shares of n-grams that stand in training (copied-ngrams.ts' words), of texts that do so whole, and of n-grams that differ."""
    copied, distinct = {}, {}
    for n in range(1, LONGEST_NGRAM + 1):
        known = {gram for text in training for gram in ngrams(text, n)}
        grams = [gram for text in texts for gram in ngrams(text, n)]
        copied[str(n)] = sum(gram in known for gram in grams) / len(grams) if grams else 0.0
        if n <= 2:
            distinct[str(n)] = len(set(grams)) / len(grams) if grams else 0.0
    whole = {tuple(words(text)) for text in training}
    return {"copiedNgrams": copied, "verbatim": sum(tuple(words(text)) in whole for text in texts) / len(texts), "distinct": distinct}


def words(text: str) -> list[str]:
    return re.findall(r"(?:[^\W_]|')+", text.lower())


def ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    parts = words(text)
    return list(zip(*(itertools.islice(parts, i, None) for i in range(n)), strict=False))


if __name__ == "__main__":
    run(__doc__, measure)

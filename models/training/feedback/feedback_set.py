"""Reads a feedback set: `train/` and `validation/`, each with `metadata.jsonl` and pictures beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from config import BadInput


@dataclass(frozen=True)
class Row:
    """A picture that was generated from a caption, and the feedback on it."""

    id: str
    caption: str
    feedback: str
    picture: Path
    round: int
    # Where it stands, for messages.
    place: str

    def image(self) -> Image.Image:
        return Image.open(self.picture).convert("RGB")


def load_set(folder: Path) -> tuple[list[Row], list[Row]]:
    """Training and validation rows. Raises BadInput."""
    train, validation = load_split(folder / "train"), load_split(folder / "validation")
    seen = {row.id: row.place for row in train}
    for row in validation:
        if row.id in seen:
            raise BadInput(f"{row.place}: id: item {row.id} stands in train too ({seen[row.id]}); a split shares no item with another")
    return train, validation


def load_split(folder: Path) -> list[Row]:
    file = folder / "metadata.jsonl"
    if not file.is_file():
        raise BadInput(f"{file} is missing: expected a feedback set as `refineloop export RUN DEST --as feedback-set` writes it")
    try:
        # Not splitlines(): JSON lets U+2028 and the like stand in a text.
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        line = file.read_bytes().count(b"\n", 0, error.start) + 1
        raise BadInput(f"{file}:{line}: is not UTF-8: save the file again in that encoding") from error
    rows = [read_row(line, folder, f"{file}:{number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise BadInput(f"{file} has no rows; training needs both splits: make the set with more items or a larger validation share")
    return rows


def read_row(line: str, folder: Path, place: str) -> Row:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadInput(f"{place}: is no JSON: {error.msg}") from error
    for name in ("file_name", "id", "caption", "feedback"):
        if not isinstance(values, dict) or not isinstance(values.get(name), str) or not values[name].strip():
            raise BadInput(f"{place}: {name}: expected a text that is not empty")
        if any("\ud800" <= character <= "\udfff" for character in values[name]):
            raise BadInput(f"{place}: {name}: holds half of a character (a lone surrogate): write the text again")
    if not isinstance(values.get("round", 0), int):
        raise BadInput(f"{place}: round: expected a whole number, not {json.dumps(values['round'])}")
    picture = folder / values["file_name"]
    try:
        with Image.open(picture) as image:
            image.load()
    except FileNotFoundError as error:
        raise BadInput(f"{place}: file_name: there is no {picture}") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise BadInput(f"{place}: file_name: {picture} cannot be read as a picture") from error
    return Row(values["id"], values["caption"], values["feedback"].strip(), picture, values.get("round", 0), place)

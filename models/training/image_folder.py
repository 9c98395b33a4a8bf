"""Writes a dataset that is drawn as Hugging Face's imagefolder: a folder a split, `metadata.jsonl` beside the pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image


def write_image_folder(out: Path, splits: dict[str, Iterable[int]], make_item: Callable[[int], tuple[dict, Image.Image]]) -> None:
    """`make_item` gives an item's metadata row (with `id`, without `file_name`) and its picture. Earlier splits are replaced."""
    for split, numbers in splits.items():
        folder = out / split
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        rows = []
        for number in numbers:
            row, picture = make_item(number)
            file_name = f"{row['id']}.png"
            picture.save(folder / file_name, compress_level=9)
            rows.append(json.dumps({"file_name": file_name, **row}, ensure_ascii=False))
        (folder / "metadata.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(f"{split}: {len(rows)} items")

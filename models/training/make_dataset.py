"""Draws the demo dataset `examples/datasets/creatures`: a Hugging Face image folder of 833 creatures (600 train, 233 test).

Running it again gives the same bytes. Its random streams are seeded with strings, those of the training drawings and texts
with integers, and its drawing seeds lie beyond theirs: no model of the pack has seen these pictures unless its record says so.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from PIL import Image
from tokenizers import Tokenizer

from creatures.attributes import sample_creature
from creatures.drawing import draw_creature
from creatures.feedback_rounds import MAXIMUM_TOKENS, join_prompt, write_rounds
from creatures.knowable import knowable
from creatures.texts import Caption, caption_vaguely, describe_fully, write_feedback
from image_folder import write_image_folder

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

SPLITS = {"train": range(1, 601), "test": range(601, 834)}
# Added to an item's number. The diffusion model was trained on drawing seeds 0..39999.
FIRST_DRAWING_SEED = 20_000_000
# A third of the captions hold a wrong word, as captions by people and by captioning models do.
WRONG_SHARE = 0.33


def make_item(number: int, tokenizer: Tokenizer) -> tuple[dict, Image.Image]:
    """The metadata row (without `file_name`) and the picture of one item."""
    rng = random.Random(f"creatures-dataset-1/{number}")
    creature = sample_creature(rng)
    caption = caption_vaguely(creature, rng, wrong_share=WRONG_SHARE)

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text).ids)  # with start and end

    feedback, _ = write_rounds(creature, caption, rng, count_tokens)
    if not all(feedback):
        raise RuntimeError(f"item {number}: no room for feedback")
    assert count_tokens(join_prompt(caption.text, feedback)) <= MAXIMUM_TOKENS
    row = {
        "id": f"creature-{number:04d}",
        "text": caption.text,
        "feedback": feedback,
        "description": describe_fully(creature, rng),
        "attributes": creature,
        "said": caption.said,
        "advice": [advise(caption, random.Random(f"creatures-advice-1/{number}"))],
    }
    return row, draw_creature(creature, FIRST_DRAWING_SEED + number)


def advise(caption: Caption, rng: random.Random) -> str:
    """What who knows the caption and the world, but not the true picture, would have in it: all that is usual where the caption is silent."""
    wanted, names = knowable("usual", caption.said, list(caption.said), caption.said)
    return write_feedback(wanted, names, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "examples" / "datasets" / "creatures")
    parser.add_argument(
        "--tokenizer",
        type=Path,
        default=ROOT / "models" / "packs" / "creatures" / "diffusion" / "tokenizer" / "tokenizer.json",
        help="tokenizer.json that the 77 tokens are counted with",
    )
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer))
    write_image_folder(arguments.out, SPLITS, lambda number: make_item(number, tokenizer))


if __name__ == "__main__":
    main()

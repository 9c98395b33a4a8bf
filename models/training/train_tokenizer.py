"""Trains the CLIP tokenizer: byte-level BPE with end-of-word marks, lower case, over the generator's texts.

The vocabulary keeps CLIP's order: 256 bytes, the same with `</w>`, one entry a merge, then the two special tokens.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from creatures.attributes import sample_creature
from creatures.texts import training_text

SEED = 1
VOCABULARY = 1200  # at most: the texts give out before
PATTERN = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# Words of people's feedback that the generator does not use: they shall not fall apart into letters.
EXTRA_WORDS = (
    "please change make more less not very the picture image should instead of and with without bright dark light color "
    "colour its their is are was too but also only wants i want to see give has have body face left right top bottom"
)


def training_texts(count: int) -> list[str]:
    rng = random.Random(SEED)
    return [training_text(sample_creature(rng), rng)[0] for _ in range(count)] + [EXTRA_WORDS] * 50


def byte_symbols() -> list[str]:
    """The printable stand-ins of the 256 byte values, in the order of GPT-2 and CLIP: printable bytes first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("\u00a1"), ord("\u00ac") + 1), *range(ord("\u00ae"), ord("\u00ff") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def train_merges(texts: list[str]) -> list[str]:
    """The merges, best first, each as two symbols with a space between."""
    tokenizer = Tokenizer(
        models.BPE(unk_token="<|endoftext|>", end_of_word_suffix="</w>", fuse_unk=False, continuing_subword_prefix="")
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="removed", invert=True),
            ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False,
        # Numbered before the texts are read: of pairs that are as frequent the first is merged, and the trainer numbers ends of words in the order of a hash map.
        special_tokens=[*alphabet, *(f"{symbol}</w>" for symbol in reversed(alphabet))],
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


def build_vocabulary(merges: list[str]) -> dict[str, int]:
    symbols = byte_symbols()
    words = symbols + [symbol + "</w>" for symbol in symbols] + [merge.replace(" ", "") for merge in merges]
    vocabulary: dict[str, int] = {}
    for word in [*words, "<|startoftext|>", "<|endoftext|>"]:
        vocabulary.setdefault(word, len(vocabulary))
    return vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the tokenizer to write")
    parser.add_argument("--texts", type=int, default=30_000)
    arguments = parser.parse_args()
    merges = train_merges(training_texts(arguments.texts))
    vocabulary = build_vocabulary(merges)
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[tuple(merge.split(" ")) for merge in merges], model_max_length=77)
    tokenizer.save_pretrained(arguments.out)
    print(f"{arguments.out}: {len(merges)} merges, {len(vocabulary)} tokens")


if __name__ == "__main__":
    main()

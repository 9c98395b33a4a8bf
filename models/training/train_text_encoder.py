"""Pre-trains the text encoder (`CLIPTextModel`): from its hidden states, twelve heads must name the attributes a text tells.

The diffusion model then only has to learn what the attributes look like. A correction in a text counts, the word it
corrects does not. The heads are thrown away.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from creatures.attributes import ATTRIBUTES, NAMES, sample_creature
from creatures.texts import training_text
from training_loop import Plan, Step, add_options, checkpoint_of, train

CLASSES = [len(values) + 1 for values in ATTRIBUTES.values()]  # one more: not named
WIDTH = 128
MAXIMUM_TOKENS = 77


def make_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=tokenizer.vocab_size, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=4,
            num_attention_heads=4, max_position_embeddings=MAXIMUM_TOKENS, projection_dim=WIDTH, hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.eos_token_id,
            attn_implementation="eager",
        )
    )  # fmt: skip


def encode(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """int64 [b, 77]"""
    return torch.tensor(tokenizer(texts, padding="max_length", max_length=MAXIMUM_TOKENS, truncation=True)["input_ids"])


def make_batch(tokenizer: CLIPTokenizer, size: int, rng: random.Random) -> tuple[Tensor, Tensor]:
    """Ids [b, 77] and labels [b, 12]."""
    texts, labels = [], []
    for _ in range(size):
        creature = sample_creature(rng)
        text, named = training_text(creature, rng)
        texts.append(text)
        labels.append([ATTRIBUTES[n].index(creature[n]) if n in named else len(ATTRIBUTES[n]) for n in NAMES])
    return encode(tokenizer, texts), torch.tensor(labels)


def slot_loss(logits: Tensor, labels: Tensor) -> Tensor:
    heads = logits.split(CLASSES, -1)
    return torch.stack([F.cross_entropy(head, labels[:, k]) for k, head in enumerate(heads)]).mean()


def slot_accuracy(logits: Tensor, labels: Tensor) -> float:
    heads = logits.split(CLASSES, -1)
    return torch.stack([(head.argmax(1) == labels[:, k]).float().mean() for k, head in enumerate(heads)]).mean().item()


class Reader(nn.Module):
    """The text encoder and, for its training only, twelve heads on its hidden states."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text_encoder = make_text_encoder(tokenizer)
        self.heads = nn.Linear(WIDTH, sum(CLASSES))


@dataclass(frozen=True)
class TextTask:
    tokenizer: Path
    batch: int  # of one process
    seed: int = 3

    def build(self) -> tuple[Reader, Step]:
        tokenizer = CLIPTokenizer.from_pretrained(self.tokenizer)
        reader = Reader(tokenizer)
        rows = torch.arange(self.batch)

        def step(rng: random.Random) -> tuple[Tensor, dict[str, float]]:
            ids, labels = make_batch(tokenizer, self.batch, rng)
            end = (ids == tokenizer.eos_token_id).int().argmax(1)
            # Short batches are faster; the padding behind the end is what the UNet sees most of, so it is trained too, at times in full.
            length = min(MAXIMUM_TOKENS, int(end.max()) + 1 + rng.choice([2, 2, 2, 6, MAXIMUM_TOKENS]))
            hidden = reader.text_encoder(input_ids=ids[:, :length]).last_hidden_state
            somewhere = (end + (torch.rand(self.batch) * (length - end)).long()).clamp(max=length - 1)
            at_end = reader.heads(hidden[rows, end])
            loss = slot_loss(at_end, labels) + slot_loss(reader.heads(hidden[rows, somewhere]), labels)
            return loss, {"attributes named rightly": slot_accuracy(at_end.detach(), labels)}

        return reader, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path, help="folder of the tokenizer")
    parser.add_argument("out", type=Path, help="folder of the text encoder to write")
    add_options(parser, steps=1000, batch=32)
    arguments = parser.parse_args()
    checkpoint = checkpoint_of(arguments.out)
    plan = Plan(arguments.steps, 1.5e-3, betas=(0.9, 0.98), checkpoint_seconds=arguments.checkpoint_seconds)
    reader = train(TextTask(arguments.tokenizer, arguments.batch), plan, checkpoint)
    with torch.no_grad():
        ids, labels = make_batch(CLIPTokenizer.from_pretrained(arguments.tokenizer), 500, random.Random(99))
        hidden = reader.text_encoder(input_ids=ids).last_hidden_state
    print(f"held-out, at the last of 77 places: {slot_accuracy(reader.heads(hidden[:, -1]), labels):.4f}")
    reader.text_encoder.save_pretrained(arguments.out)
    checkpoint.unlink()


if __name__ == "__main__":
    main()

"""Pre-trains the text encoder (`CLIPTextModel`): from its hidden states, twelve heads must name the attributes a text tells.

The diffusion model then only has to learn what the attributes look like. A correction in a text counts, the word it
corrects does not. The heads are thrown away.
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from creatures.attributes import ATTRIBUTES, NAMES, sample_creature
from creatures.texts import training_text

SEED = 3
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


def train(model: CLIPTextModel, tokenizer: CLIPTokenizer, steps: int, batch: int) -> nn.Linear:
    heads = nn.Linear(WIDTH, sum(CLASSES))
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, betas=(0.9, 0.98))
    rng = random.Random(SEED)
    rows = torch.arange(batch)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 1.5e-3 * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        ids, labels = make_batch(tokenizer, batch, rng)
        end = (ids == tokenizer.eos_token_id).int().argmax(1)
        # Short batches are faster; the padding behind the end is what the UNet sees most of, so it is trained too, at times in full.
        length = min(MAXIMUM_TOKENS, int(end.max()) + 1 + rng.choice([2, 2, 2, 6, MAXIMUM_TOKENS]))
        hidden = model(input_ids=ids[:, :length]).last_hidden_state
        somewhere = (end + (torch.rand(batch) * (length - end)).long()).clamp(max=length - 1)
        at_end = heads(hidden[rows, end])
        loss = slot_loss(at_end, labels) + slot_loss(heads(hidden[rows, somewhere]), labels)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 100 == 0 or step == steps:
            print(f"step {step}: loss {loss.item() / 2:.4f} attributes named rightly {slot_accuracy(at_end, labels):.4f}", flush=True)
    return heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=Path, help="folder of the tokenizer")
    parser.add_argument("out", type=Path, help="folder of the text encoder to write")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.tokenizer)
    model = make_text_encoder(tokenizer)
    heads = train(model, tokenizer, arguments.steps, arguments.batch)
    model.eval()
    with torch.no_grad():
        ids, labels = make_batch(tokenizer, 500, random.Random(99))
        hidden = model(input_ids=ids).last_hidden_state
    print(f"held-out, at the last of 77 places: {slot_accuracy(heads(hidden[:, -1]), labels):.4f}")
    model.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

"""How much of a picture reaches a small OPT: as the mean of its features in one vector, as each of them, or as integer tokens.

    "$PYTHON" bench/soft_prompt.py mean|all|tokens [EPOCHS]

The OPT is trained from nothing to name colour, background, shape and tail of drawings. Prints the cross-entropy a token on drawings that it was
not trained on, with their own picture and with another's.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[1:1] = [str(ROOT / "models" / "training" / "feedback"), str(ROOT / "models" / "training")]

from transformers import OPTConfig  # noqa: E402

from config import Config  # noqa: E402
from creatures.attributes import sample_creature  # noqa: E402
from creatures.drawing import draw_creature  # noqa: E402
from critics import Opt, OptSoft, loss_over  # noqa: E402
from feedback_set import Row  # noqa: E402

PACK = ROOT / "models" / "packs" / "creatures"
TRAIN, HELD_OUT, BATCH = 2400, 200, 32
NAMED = ("color", "background", "shape", "tail")


class Drawing(Row):
    def image(self):  # noqa: ANN201
        return self.picture


def draw(number: int) -> Drawing:
    creature = sample_creature(random.Random(f"soft-prompt-{number}"))
    return Drawing(str(number), "a creature", " ".join(creature[name] for name in NAMED), draw_creature(creature, number), 0, f"drawing {number}")


def main() -> None:
    shown, epochs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 16
    torch.set_num_threads(1)
    kind = Opt if shown == "tokens" else OptSoft
    nowhere = Path()
    critic = kind(Config(nowhere, "opt", PACK / "opt", nowhere, nowhere, imageEncoder=PACK / "vit-mae", prompt="{caption}:{image}:", seed=3))
    rows = [draw(number) for number in range(TRAIN + HELD_OUT)]
    look = critic.features.all if shown == "all" else critic.features.mean
    pictures = [look(row, 0) for row in rows]
    config = OPTConfig.from_pretrained(PACK / "opt", hidden_size=96, word_embed_proj_dim=96, ffn_dim=384, num_hidden_layers=2, dropout=0.0)
    config.image_feature_size = pictures[0].shape[-1]
    torch.manual_seed(3)
    model = critic.architecture(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05, betas=(0.9, 0.95))
    rng = np.random.default_rng(3)
    held, own = rows[TRAIN:], pictures[TRAIN:]
    for epoch in range(1, epochs + 1):
        model.train()
        order = rng.permutation(TRAIN)
        for start in range(0, TRAIN, BATCH):
            loss = model(**critic.batch([critic.example(rows[i], pictures[i]) for i in order[start : start + BATCH]])).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        losses = [loss_over(critic, model, held, pictures, "cpu", 50) for pictures in (own, own[1:] + own[:1])]
        print(f"{shown}: epoch {epoch}: own {losses[0]:.4f}, another's {losses[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()

"""Trains `vit-mae/`: a small ViT-MAE on drawings and on the critics' pictures, and exports its encoder with the mask's noise as an input.

Pictures of 64 pixels are enlarged to 112, so that patches of 8 make the 196 of the original; a quarter of them is seen,
which with the class token gives 50 features, as in the paper. The last layer norm keeps a small fixed gain: its values then
lie within about +-0.3, and `[1000 x value]` gives a few hundred different tokens, each seen often enough to be learned.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import ViTMAEConfig, ViTMAEForPreTraining, ViTMAEModel

from creatures.streams import STREAMS
from encoder_data import disturb, to_pixel_values
from onnx_files import export, round_to_half

SEED = 2032
EDGE = 112
# Gain of the last layer norm: values of the mean feature are about this large.
GAIN = 0.1

PREPROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": EDGE, "width": EDGE},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}

CONFIG = ViTMAEConfig(
    image_size=EDGE, patch_size=8, mask_ratio=0.75, hidden_size=64, num_hidden_layers=4, num_attention_heads=4,
    intermediate_size=256, decoder_hidden_size=64, decoder_num_hidden_layers=2, decoder_num_attention_heads=4,
    decoder_intermediate_size=256, norm_pix_loss=False, attn_implementation="eager",
)  # fmt: skip


class Encoder(nn.Module):
    """`pixel_values` [b, 3, 112, 112], `noise` [b, 196] -> `last_hidden_state` [b, 50, d]."""

    def __init__(self, model: ViTMAEModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, noise: Tensor) -> Tensor:
        return self.model(pixel_values, noise=noise).last_hidden_state


def train(model: ViTMAEForPreTraining, pictures: np.ndarray, steps: int, batch: int) -> None:
    rng = np.random.default_rng(SEED)
    model.vit.layernorm.weight.data.fill_(GAIN)
    model.vit.layernorm.weight.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    losses: list[float] = []
    for step in range(1, steps + 1):
        chosen = rng.integers(0, len(pictures), batch)
        pixels = disturb(to_pixel_values(pictures[chosen]), rng)
        pixels = nn.functional.interpolate(pixels, EDGE, mode="bicubic", align_corners=False).clamp(-1, 1)
        loss = model(pixels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step}: reconstruction {np.mean(losses[-100:]):.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="the critics' pictures: train/ of the set of make_feedback_set.py")
    parser.add_argument("out", type=Path, help="the pack's vit-mae/ folder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--drawings", type=int, default=STREAMS["vit-mae"].count)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    stream = STREAMS["vit-mae"]
    drawn = np.stack([stream.draw(number)[0] for number in range(arguments.drawings)])
    shown = np.stack([np.asarray(Image.open(path).convert("RGB")) for path in sorted(arguments.pictures.glob("*.png"))])
    pictures = np.concatenate([drawn, shown])
    model = ViTMAEForPreTraining(CONFIG)
    train(model, pictures, arguments.steps, arguments.batch)
    export_encoder(model, arguments.out)


def export_encoder(model: ViTMAEForPreTraining, out: Path) -> None:
    torch.manual_seed(SEED)
    round_to_half(model.vit)
    encoder = Encoder(model.vit)
    error = export(
        encoder,
        {"pixel_values": torch.rand(2, 3, EDGE, EDGE) * 2 - 1, "noise": torch.rand(2, 196)},
        ["last_hidden_state"],
        {"pixel_values": {0: "batch_size"}, "noise": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}},
        out / "onnx" / "model.onnx",
    )
    config = model.config.to_dict()
    config.pop("_name_or_path", None)
    config["architectures"] = ["ViTMAEModel"]
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    size = (out / "onnx" / "model.onnx").stat().st_size
    print(f"{out}: {size / 1e6:.2f} MB, largest difference from torch {error:.1e}")


if __name__ == "__main__":
    main()

"""Trains the reporter `similarity/`: an image encoder whose dot product is about the share of attributes two pictures agree in.

Twelve softmax heads read the attributes. The embedding is the square roots of all their probabilities, divided by sqrt(12):
a unit vector, and the dot product of two of them is the mean Bhattacharyya coefficient of the twelve pairs of distributions.
Temperatures, one a head, are fitted on held-out mottled pictures so that the probabilities are neither saturated nor flat.
It shares no weights, no drawings and no architecture with the selector, so that the score that selects does not also report.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from creatures.attributes import ATTRIBUTES, NAMES
from creatures.streams import STREAMS
from encoder_data import PREPROCESSOR, Drawings, to_pixel_values
from onnx_files import export

CLASSES = [len(values) for values in ATTRIBUTES.values()]
SEED = 2027


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + F.relu(self.norm(self.convolution(x)))


def halve(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """A convolution that halves height and width."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class SimilarityEncoder(nn.Module):
    """`pixel_values` [b, 3, 64, 64] in -1..1 -> `image_embeds` [b, 55], unit vectors of non-negative numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            halve(3, 32, 5), halve(32, 64), Residual(64), halve(64, 96), Residual(96), halve(96, 160), nn.Flatten(),
            nn.Linear(160 * 16, 256), nn.ReLU(), nn.Dropout(0.1),
        )  # fmt: skip
        self.heads = nn.Linear(256, sum(CLASSES))
        self.register_buffer("temperatures", torch.ones(len(CLASSES)))

    def logits(self, pixel_values: Tensor) -> tuple[Tensor, ...]:
        return self.heads(self.body(pixel_values)).split(CLASSES, -1)

    def forward(self, pixel_values: Tensor) -> Tensor:
        scaled = [logits / self.temperatures[k] for k, logits in enumerate(self.logits(pixel_values))]
        return torch.cat([torch.softmax(head, -1).clamp_min(1e-12).sqrt() for head in scaled], -1) / math.sqrt(len(CLASSES))


def attribute_loss(logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(head, labels[:, k]) for k, head in enumerate(logits)]).mean()


def accuracies(logits: tuple[Tensor, ...], labels: Tensor) -> dict[str, float]:
    return {name: round((head.argmax(1) == labels[:, k]).float().mean().item(), 3) for k, (name, head) in enumerate(zip(NAMES, logits))}


def train(model: SimilarityEncoder, drawings: Drawings, steps: int, batch: int) -> None:
    rng = np.random.default_rng(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.03)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps, pct_start=0.1)
    losses: list[float] = []
    for step in range(1, steps + 1):
        indices = rng.integers(0, len(drawings), batch)
        loss = attribute_loss(model.logits(drawings.batch(indices, rng)), torch.from_numpy(drawings.labels[indices]))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0 or step == steps:
            print(f"step {step}: loss {np.mean(losses[-100:]):.4f}", flush=True)


def all_logits(model: SimilarityEncoder, pictures: np.ndarray) -> tuple[Tensor, ...]:
    with torch.no_grad():
        parts = [model.logits(to_pixel_values(pictures[start : start + 100])) for start in range(0, len(pictures), 100)]
    return tuple(torch.cat(heads) for heads in zip(*parts))


def fit_temperatures(model: SimilarityEncoder, held_out: Drawings) -> None:
    """One temperature a head, the one under which the held-out mottled pictures are likeliest."""
    labels = torch.from_numpy(held_out.labels)
    grid = [0.5 + 0.05 * i for i in range(71)]
    for k, head in enumerate(all_logits(model, held_out.views)):
        model.temperatures[k] = min(grid, key=lambda t: F.cross_entropy(head / t, labels[:, k]).item())


def write_configs(out: Path) -> None:
    config = {
        "model_type": "refineloop-similarity",
        "architectures": ["SimilarityEncoder"],
        "image_size": 64,
        "projection_dim": sum(CLASSES),
        "embedding": "unit vectors: square roots of twelve softmax distributions, divided by sqrt(12)",
        "similarity": {"function": "dot", "range": [0, 1], "meaning": "about the share of the twelve attributes that agree"},
        "attributes": ATTRIBUTES,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help=".npz of the stream 'similarity', with views")
    parser.add_argument("out", type=Path, help="the pack's similarity/ folder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument(
        "--held-out", type=int, default=STREAMS["similarity"].held_out, help="the first so many pictures only measure and calibrate"
    )
    arguments = parser.parse_args()
    if arguments.steps < 20:
        parser.error("--steps must be at least 20: the learning rate needs room to rise and fall")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    drawings = Drawings.load(arguments.drawings)
    training, held_out = drawings.select(slice(arguments.held_out, None)), drawings.select(slice(0, arguments.held_out))
    model = SimilarityEncoder()
    train(model, training, arguments.steps, arguments.batch)
    model.eval()
    labels = torch.from_numpy(held_out.labels)
    for name, pictures in (("drawings", held_out.pictures), ("mottled", held_out.views)):
        accuracy = accuracies(all_logits(model, pictures), labels)
        print(f"held-out {name}: mean {np.mean(list(accuracy.values())):.3f} {accuracy}")
    fit_temperatures(model, held_out)
    print("temperatures", [round(t, 2) for t in model.temperatures.tolist()])
    path = arguments.out / "onnx" / "model.onnx"
    axes = {"pixel_values": {0: "batch_size"}, "image_embeds": {0: "batch_size"}}
    error = export(model, {"pixel_values": to_pixel_values(held_out.views[:2])}, ["image_embeds"], axes, path)
    write_configs(arguments.out)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, largest difference from torch {error:.1e}")


if __name__ == "__main__":
    main()

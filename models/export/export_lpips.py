"""Exports LPIPS (Zhang et al., arXiv 1801.03924, version 0.1) as a folder for the score `lpips`.

    "$PYTHON" models/export/export_lpips.py --net alex --backbone alexnet-owt-7be5be79.pth --heads lpips/weights/v0.1/alex.pth --out FOLDER

`--backbone` is torchvision's file of ImageNet weights (alexnet or vgg16), `--heads` the linear heads that the PyPI package `lpips` holds.
The graph has inputs `image` and `reference`, float32 [b, 3, height, width] from -1 to 1, and the output `distance` [b].
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from onnx_export import export_graph

# How the package shifts and scales what lies in -1..1, to what torchvision's networks were trained on.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
EPSILON = 1e-10


def vgg_blocks(sizes: list[int]) -> list[tuple]:
    """3x3 convolutions, each followed by ReLU, in blocks with a maximum of 2x2 between; a tap at each block's end."""
    steps: list[tuple] = []
    index = 0
    for block, size in enumerate(sizes):
        if block > 0:
            steps.append(("pool", 2))
            index += 1
        for _ in range(size):
            steps.append(("conv", index, 1, 1))
            index += 2
        steps.append(("tap",))
    return steps


# Convolutions by their number in torchvision's `features`, with stride and padding; ReLU follows each.
NETS: dict[str, list[tuple]] = {
    "alex": [
        ("conv", 0, 4, 2), ("tap",), ("pool", 3), ("conv", 3, 1, 2), ("tap",), ("pool", 3),
        ("conv", 6, 1, 1), ("tap",), ("conv", 8, 1, 1), ("tap",), ("conv", 10, 1, 1), ("tap",),
    ],
    "vgg": vgg_blocks([2, 2, 3, 3, 3]),
}  # fmt: skip


class Lpips(nn.Module):
    """`image`, `reference` [b, 3, h, w] -> `distance` [b]."""

    def __init__(self, net: str, backbone: dict[str, Tensor], heads: dict[str, Tensor]) -> None:
        super().__init__()
        self.steps = NETS[net]
        for step in self.steps:
            if step[0] == "conv":
                for part in ("weight", "bias"):
                    self.register_buffer(f"conv{step[1]}_{part}", backbone[f"features.{step[1]}.{part}"].float())
        for tap in range(sum(step[0] == "tap" for step in self.steps)):
            self.register_buffer(f"head{tap}", heads[f"lin{tap}.model.1.weight"].float())
        self.register_buffer("shift", torch.tensor(SHIFT)[None, :, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[None, :, None, None])

    def features(self, pictures: Tensor) -> list[Tensor]:
        x = (pictures - self.shift) / self.scale
        taps = []
        for step in self.steps:
            if step[0] == "conv":
                _, index, stride, padding = step
                weight, bias = getattr(self, f"conv{index}_weight"), getattr(self, f"conv{index}_bias")
                x = functional.relu(functional.conv2d(x, weight, bias, stride=stride, padding=padding))
            elif step[0] == "pool":
                x = functional.max_pool2d(x, step[1], stride=2)
            else:
                taps.append(x / ((x * x).sum(1, keepdim=True).sqrt() + EPSILON))
        return taps

    def forward(self, image: Tensor, reference: Tensor) -> Tensor:
        layers = zip(self.features(image), self.features(reference), strict=True)
        means = [functional.conv2d((a - b) ** 2, getattr(self, f"head{tap}")).mean((1, 2, 3)) for tap, (a, b) in enumerate(layers)]
        return torch.stack(means).sum(0)


def export_lpips(net: str, backbone: dict[str, Tensor], heads: dict[str, Tensor], out: Path) -> Lpips:
    """Writes `onnx/model.onnx` and `config.json`; returns the module that was exported."""
    module = Lpips(net, backbone, heads).eval()
    axes = {0: "batch_size", 2: "height", 3: "width"}
    pictures = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).unbind()
    export_graph(
        module, dict(zip(("image", "reference"), pictures)), ["distance"],
        {"image": axes, "reference": axes, "distance": {0: "batch_size"}}, out / "onnx" / "model.onnx",
    )  # fmt: skip
    (out / "config.json").write_text(json.dumps({"model_type": "lpips", "net": net, "version": "0.1"}, indent=2) + "\n")
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=sorted(NETS), default="alex")
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    load = lambda file: torch.load(file, map_location="cpu", weights_only=True)  # noqa: E731
    export_lpips(arguments.net, load(arguments.backbone), load(arguments.heads), arguments.out)


if __name__ == "__main__":
    main()

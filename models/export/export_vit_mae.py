"""Exports ViT-MAE's encoder with the mask's noise as an input, so that the caller's seed says which patches are seen.

(`optimum-cli export onnx` leaves the noise to the graph, which then draws other patches at every call.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoImageProcessor, ViTMAEModel

from onnx_export import export_graph


class Encoder(nn.Module):
    """`pixel_values` [b, 3, h, w], `noise` [b, patches] -> `last_hidden_state` [b, 1 + seen patches, d]."""

    def __init__(self, model: ViTMAEModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, noise: Tensor) -> Tensor:
        return self.model(pixel_values, noise=noise).last_hidden_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face's name or a folder, such as facebook/vit-mae-base")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    model = ViTMAEModel.from_pretrained(arguments.model, attn_implementation="eager", torch_dtype=torch.float32)
    edge = model.config.image_size
    patches = (edge // model.config.patch_size) ** 2
    torch.manual_seed(0)
    export_graph(
        Encoder(model),
        {"pixel_values": torch.rand(2, 3, edge, edge) * 2 - 1, "noise": torch.rand(2, patches)},
        ["last_hidden_state"],
        {"pixel_values": {0: "batch_size"}, "noise": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}},
        arguments.out / "onnx" / "model.onnx",
    )
    model.config.architectures = ["ViTMAEModel"]
    model.config.save_pretrained(arguments.out)
    AutoImageProcessor.from_pretrained(arguments.model, use_fast=False).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

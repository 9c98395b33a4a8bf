"""Exports CLIP's two towers as files of their own (transformers.js' layout), so that pictures and texts are encoded apart.

(`optimum-cli export onnx` writes one graph that wants a picture and a text at every call.) The text tower takes no attention mask: CLIP's is
causal and reads the state at the end token, so that padding behind it changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from onnx_export import export_graph


class Text(nn.Module):
    """`input_ids` [b, n] -> `text_embeds` [b, d]."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model.text_projection(self.model.text_model(input_ids=input_ids).pooler_output)


class Vision(nn.Module):
    """`pixel_values` [b, 3, h, w] -> `image_embeds` [b, d]."""

    def __init__(self, model: CLIPModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.model.visual_projection(self.model.vision_model(pixel_values=pixel_values).pooler_output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face's name or a folder, such as openai/clip-vit-base-patch32")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    model = CLIPModel.from_pretrained(arguments.model, attn_implementation="eager", torch_dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    edge = model.config.vision_config.image_size
    torch.manual_seed(0)
    export_graph(
        Text(model),
        {"input_ids": tokenizer(["a cat", "a dog on a red mat"], padding="max_length", return_tensors="pt").input_ids},
        ["text_embeds"],
        {"input_ids": {0: "batch_size", 1: "sequence_length"}, "text_embeds": {0: "batch_size"}},
        arguments.out / "onnx" / "text_model.onnx",
    )
    export_graph(
        Vision(model),
        {"pixel_values": torch.rand(2, 3, edge, edge) * 2 - 1},
        ["image_embeds"],
        {"pixel_values": {0: "batch_size"}, "image_embeds": {0: "batch_size"}},
        arguments.out / "onnx" / "vision_model.onnx",
    )
    model.config.save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    CLIPImageProcessor.from_pretrained(arguments.model).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

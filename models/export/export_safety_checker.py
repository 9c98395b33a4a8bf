"""Exports the safety checker of a Stable Diffusion pipeline into its exported folder: `optimum-cli` leaves it out.

    python models/export/export_safety_checker.py MODEL FOLDER

    safety_checker/model.onnx                     clip_input [b, 3, edge, edge], images [b, h, w, 3] from 0 to 1
                                                  -> out_images (black where blocked), has_nsfw_concepts [b]
    feature_extractor/preprocessor_config.json    how a picture becomes `clip_input`
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from torch import Tensor, nn
from transformers.utils import cached_file

from onnx_export import export_graph


class Checker(nn.Module):
    def __init__(self, checker: StableDiffusionSafetyChecker) -> None:
        super().__init__()
        self.checker = checker

    def forward(self, clip_input: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.checker.forward_onnx(clip_input, images.clone())  # It blackens what it is given.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face's name or a folder, such as stable-diffusion-v1-5/stable-diffusion-v1-5")
    parser.add_argument("out", type=Path, help="folder that `optimum-cli export onnx` wrote")
    arguments = parser.parse_args()
    checker = StableDiffusionSafetyChecker.from_pretrained(arguments.model, subfolder="safety_checker", torch_dtype=torch.float32)
    edge = checker.config.vision_config.image_size
    torch.manual_seed(0)
    picture = {0: "batch_size", 1: "height", 2: "width"}
    export_graph(
        Checker(checker),
        {"clip_input": torch.randn(8, 3, edge, edge), "images": torch.rand(8, 64, 48, 3)},
        ["out_images", "has_nsfw_concepts"],
        {"clip_input": {0: "batch_size"}, "images": picture, "out_images": picture, "has_nsfw_concepts": {0: "batch_size"}},
        arguments.out / "safety_checker" / "model.onnx",
    )
    preprocessor = arguments.out / "feature_extractor" / "preprocessor_config.json"
    preprocessor.parent.mkdir(exist_ok=True)
    shutil.copyfile(cached_file(arguments.model, preprocessor.name, subfolder="feature_extractor"), preprocessor)


if __name__ == "__main__":
    main()

"""What the export scripts are tested with: `python small_exports.py safety OUT | other-graph OUT | beside OUT`.

`safety`: a Stable Diffusion's safety checker and feature extractor with random weights, which blocks about half of what it sees.
`other-graph`: exports a module that computes something else once it is traced. `beside`: one whose weights do not fit into the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import CLIPConfig

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "export"))
import onnx_export  # noqa: E402


def safety(out: Path) -> None:
    torch.manual_seed(3)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, text_config={}, projection_dim=16)).eval()
    with torch.no_grad():
        seen = checker.visual_projection(checker.vision_model(torch.randn(64, 3, 32, 32))[1])
        checker.concept_embeds.copy_(torch.randn(17, 16))
        checker.concept_embeds_weights[0] = torch.nn.functional.cosine_similarity(seen, checker.concept_embeds[:1]).median()
    checker.save_pretrained(out / "safety_checker")
    (out / "feature_extractor").mkdir()
    settings = {"feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 32, "size": 32}  # as SD 1.4 has it
    (out / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(settings))


class OtherGraph(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if torch.onnx.is_in_onnx_export() else x


def other_graph(out: Path) -> None:
    onnx_export.export_graph(OtherGraph(), {"x": torch.zeros(2)}, ["y"], {}, out / "model.onnx")


def beside(out: Path) -> None:
    onnx_export.LARGEST_FILE = 100
    onnx_export.export_graph(torch.nn.Linear(64, 64), {"x": torch.randn(2, 64)}, ["y"], {}, out / "model.onnx")


if __name__ == "__main__":
    {"safety": safety, "other-graph": other_graph, "beside": beside}[sys.argv[1]](Path(sys.argv[2]))

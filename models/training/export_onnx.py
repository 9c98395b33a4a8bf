"""Exports a diffusers pipeline folder as `optimum-cli export onnx` lays it out: the pack's `diffusion/`.

Input and output names, and their free dimensions, are those of optimum-onnx 0.1.0 (`exporters/onnx/model_configs.py`).
Two things differ: the text encoder takes exactly 77 ids, and takes them as int32 as diffusers' own ONNX exports do
(optimum writes int64 by default), so a host has to ask the session for the type.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextModel

from onnx_files import export


class TextEncoder(nn.Module):
    """`input_ids` int32 [b, 77] -> `last_hidden_state` [b, 77, d], `pooler_output` [b, d]."""

    def __init__(self, model: CLIPTextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(input_ids=input_ids.long())
        return output.last_hidden_state, output.pooler_output


class Unet(nn.Module):
    """`sample` [b, c, h, w], `timestep` int64 scalar, `encoder_hidden_states` [b, n, d] -> `out_sample` [b, c, h, w]."""

    def __init__(self, model: UNet2DConditionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor) -> Tensor:
        return self.model(sample, timestep, encoder_hidden_states, return_dict=False)[0]


class VaeDecoder(nn.Module):
    """`latent_sample` [b, c, h, w] -> `sample` [b, 3, 4h, 4w], about -1..1."""

    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    def forward(self, latent_sample: Tensor) -> Tensor:
        return self.model.decode(latent_sample, return_dict=False)[0]


class VaeEncoder(nn.Module):
    """`sample` [b, 3, H, W] in -1..1 -> `latent_parameters` [b, 2c, H/4, W/4]: mean and log-variance, c channels each."""

    def __init__(self, model: AutoencoderKL) -> None:
        super().__init__()
        self.model = model

    def forward(self, sample: Tensor) -> Tensor:
        return self.model.quant_conv(self.model.encoder(sample))


def export_pipeline(source: Path, out: Path) -> dict[str, float]:
    """Writes the whole folder; returns the largest absolute difference from torch of each graph."""
    text_encoder = CLIPTextModel.from_pretrained(source / "text_encoder", attn_implementation="eager", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(source / "unet", torch_dtype=torch.float32)
    unet.set_attn_processor(AttnProcessor())  # plain attention exports to the plainest graph
    vae = AutoencoderKL.from_pretrained(source / "vae", torch_dtype=torch.float32)
    torch.manual_seed(0)
    width, channels = unet.config.cross_attention_dim, vae.config.latent_channels
    latent_axes = {0: "batch_size", 2: "height", 3: "width"}
    ids = torch.randint(0, text_encoder.config.vocab_size, (2, 77), dtype=torch.int32)
    errors = {
        "text_encoder": export(
            TextEncoder(text_encoder),
            {"input_ids": ids},
            ["last_hidden_state", "pooler_output"],
            {"input_ids": {0: "batch_size"}, "last_hidden_state": {0: "batch_size"}, "pooler_output": {0: "batch_size"}},
            out / "text_encoder" / "model.onnx",
        ),
        "unet": export(
            Unet(unet),
            {"sample": torch.randn(2, channels, 16, 16), "timestep": torch.tensor(5), "encoder_hidden_states": torch.randn(2, 77, width)},
            ["out_sample"],
            {"sample": latent_axes, "encoder_hidden_states": {0: "batch_size", 1: "sequence_length"}, "out_sample": latent_axes},
            out / "unet" / "model.onnx",
        ),
        "vae_decoder": export(
            VaeDecoder(vae),
            {"latent_sample": torch.randn(2, channels, 16, 16)},
            ["sample"],
            {"latent_sample": {0: "batch_size", 2: "latent_height", 3: "latent_width"}, "sample": latent_axes},
            out / "vae_decoder" / "model.onnx",
        ),
        "vae_encoder": export(
            VaeEncoder(vae),
            {"sample": torch.rand(2, 3, 64, 64) * 2 - 1},
            ["latent_parameters"],
            {"sample": {0: "batch_size", 2: "sample_height", 3: "sample_width"}, "latent_parameters": latent_axes},
            out / "vae_encoder" / "model.onnx",
        ),
    }
    copy_configs(source, out)
    return errors


def copy_configs(source: Path, out: Path) -> None:
    for part, origin in (("text_encoder", "text_encoder"), ("unet", "unet"), ("vae_decoder", "vae"), ("vae_encoder", "vae")):
        config = json.loads((source / origin / "config.json").read_text())
        config.pop("_name_or_path", None)  # a folder of the machine that trained it
        (out / part / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for folder in ("tokenizer", "scheduler"):
        shutil.copytree(source / folder, out / folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
    shutil.copyfile(source / "model_index.json", out / "model_index.json")
    write_slow_tokenizer(out / "tokenizer")


def write_slow_tokenizer(folder: Path) -> None:
    """Writes vocab.json and merges.txt, which older loaders want, from tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="diffusers pipeline folder")
    parser.add_argument("out", type=Path, help="the pack's diffusion/ folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for part, error in export_pipeline(arguments.source, arguments.out).items():
        size = (arguments.out / part / "model.onnx").stat().st_size
        print(f"{part}: {size / 1e6:.2f} MB, largest difference from torch {error:.1e}")


if __name__ == "__main__":
    main()

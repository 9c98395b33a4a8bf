"""Makes models of true size with random weights for bench/full-size.mjs: a folder for torch and its ONNX export, as optimum-cli writes it.

    python bench/make_full_size.py sd|opt|vit-mae FOLDER      (environment: models/export/requirements.txt; up to 12 GB of memory, 20 of disk)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from optimum.exporters.onnx import main_export

ROOT = Path(__file__).parent.parent
# Any byte-pair tokenizer does: the numbers do not depend on what the ids mean.
CLIP_TOKENIZER = ROOT / "models" / "packs" / "creatures" / "diffusion" / "tokenizer"
OPT_TOKENIZER = ROOT / "models" / "packs" / "creatures" / "opt"


def make_stable_diffusion(folder: Path) -> None:
    """runwayml/stable-diffusion-v1-5's configuration, its safety checker left out."""
    from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    unet = UNet2DConditionModel(
        sample_size=64, cross_attention_dim=768, attention_head_dim=8, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2
    )
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    text_encoder = CLIPTextModel(
        CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12, num_hidden_layers=12, projection_dim=768)
    )
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False
    )
    StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=CLIPTokenizer.from_pretrained(CLIP_TOKENIZER), unet=unet, scheduler=scheduler,
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def make_opt(folder: Path) -> None:
    """facebook/opt-1.3b's configuration."""
    from transformers import GPT2TokenizerFast, OPTConfig, OPTForCausalLM

    config = OPTConfig(
        hidden_size=2048, ffn_dim=8192, num_hidden_layers=24, num_attention_heads=32, word_embed_proj_dim=2048, vocab_size=50272
    )
    tokenizer = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    GPT2TokenizerFast(tokenizer_file=str(OPT_TOKENIZER / "tokenizer.json"), add_bos_token=True, **tokenizer).save_pretrained(folder)
    name_every_id(folder / "tokenizer.json", config.vocab_size)
    OPTForCausalLM(config).save_pretrained(folder)


def make_vit_mae(folder: Path) -> None:
    """facebook/vit-mae-base's configuration, the class's own defaults."""
    from transformers import ViTImageProcessor, ViTMAEConfig, ViTMAEForPreTraining

    ViTMAEForPreTraining(ViTMAEConfig()).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def name_every_id(file: Path, size: int) -> None:
    """Random weights choose any id: one without a text would read as an answer of nothing."""
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    taken = set(vocabulary.values())
    vocabulary |= {f"word{i}": i for i in range(size) if i not in taken}
    file.write_text(json.dumps(tokenizer), encoding="utf-8")


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    make, task = {
        "sd": (make_stable_diffusion, "text-to-image"), "opt": (make_opt, "text-generation-with-past"), "vit-mae": (make_vit_mae, None)
    }[name]  # fmt: skip
    torch.manual_seed(0)
    torch.set_num_threads(2)
    if not (folder / name).exists():
        make(folder / name)
    if task is None:
        subprocess.run([sys.executable, ROOT / "models" / "export" / "export_vit_mae.py", folder / name, folder / f"{name}-onnx"], check=True)
        return
    # Post-processing and validation would need the weights twice more in memory.
    main_export(str(folder / name), folder / f"{name}-onnx", task=task, no_post_process=True, do_validation=False)


if __name__ == "__main__":
    main()

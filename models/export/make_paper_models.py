"""Makes the paper's models in small: the true classes, tiny, with random weights, exported by the very commands of docs/paper.md.

Hugging Face's names in those commands are replaced by folders made here, so that what the page tells a person to run is what is run. Writes
`paper-models/<name>/`, what the recipe loads; a command that fails ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from transformers import (
    BitImageProcessor, Blip2Config, Blip2ForConditionalGeneration, BlipImageProcessor, CLIPConfig, CLIPImageProcessor, CLIPModel,
    CLIPTextConfig, CLIPTextModel, CLIPTokenizer, Dinov2Config, Dinov2Model, GPT2TokenizerFast, OPTConfig, OPTForCausalLM, ViTImageProcessor, ViTMAEConfig,
    ViTMAEForPreTraining,
)  # fmt: skip

ROOT = Path(__file__).parent.parent.parent
PACK = ROOT / "models" / "packs" / "creatures"
PAGE = ROOT / "docs" / "paper.md"

# OPT's shape in small; BLIP-2's decoder has it, too.
OPT = {"hidden_size": 16, "ffn_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "word_embed_proj_dim": 16, "vocab_size": 704}
# Width of a tower of CLIP, and the like.
TINY = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def stable_diffusion(folder: Path) -> None:
    """SD 1.5's blocks, a sixteenth as wide, for pictures of 64 pixels."""
    unet = UNet2DConditionModel(
        sample_size=8, cross_attention_dim=16, attention_head_dim=2, block_out_channels=(8, 16, 16, 16), layers_per_block=1, norm_num_groups=4
    )
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 8, 8), layers_per_block=1, latent_channels=4, sample_size=64, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    tokenizer = CLIPTokenizer.from_pretrained(PACK / "diffusion" / "tokenizer")
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(clip_text(tokenizer)), tokenizer=tokenizer, unet=unet,
        scheduler=PNDMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False
        ),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip


def clip_text(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    ids = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return CLIPTextConfig(**TINY, vocab_size=len(tokenizer), projection_dim=16, **ids)


def clip(folder: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(PACK / "diffusion" / "tokenizer")
    vision = {**TINY, "image_size": 64, "patch_size": 16, "projection_dim": 16}
    CLIPModel(CLIPConfig(text_config=clip_text(tokenizer).to_dict(), vision_config=vision, projection_dim=16)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}).save_pretrained(folder)


def vit_mae(folder: Path) -> None:
    """The original's 196 patches, of which 49 are seen."""
    config = ViTMAEConfig(**TINY, decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=1, decoder_intermediate_size=8)
    ViTMAEForPreTraining(config).save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)


def opt_tokenizer() -> GPT2TokenizerFast:
    marks = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    return GPT2TokenizerFast(tokenizer_file=str(PACK / "opt" / "tokenizer.json"), add_bos_token=True, **marks)


def opt(folder: Path) -> None:
    OPTForCausalLM(OPTConfig(**OPT)).save_pretrained(folder)
    opt_tokenizer().save_pretrained(folder)


def blip2(folder: Path) -> None:
    vision = {**TINY, "image_size": 56, "patch_size": 14}
    config = Blip2Config(
        vision_config=vision, qformer_config={**TINY, "encoder_hidden_size": 16, "vocab_size": 32, "cross_attention_frequency": 2},
        text_config={**OPTConfig(**OPT).to_dict(), "model_type": "opt"}, num_query_tokens=4, image_token_index=703,
    )  # fmt: skip
    Blip2ForConditionalGeneration(config).save_pretrained(folder)
    opt_tokenizer().save_pretrained(folder)
    BlipImageProcessor(size={"height": 56, "width": 56}).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    Dinov2Model(Dinov2Config(**TINY, image_size=56, patch_size=14, mlp_ratio=2)).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}).save_pretrained(folder)


def adapter(folder: Path) -> None:
    """A LoRA adapter of OPT as PEFT saves it; random, as an untrained one changes nothing."""
    model = get_peft_model(OPTForCausalLM(OPTConfig(**OPT)), LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    disturb(model)
    model.save_pretrained(folder)


def pipeline_adapter(folder: Path) -> None:
    """A LoRA adapter of the UNet as diffusers' training scripts save it."""
    unet = UNet2DConditionModel.from_pretrained(folder.parent / "stable-diffusion-v1-5" / "unet")
    unet.add_adapter(LoraConfig(r=2, init_lora_weights="gaussian", target_modules=["to_k", "to_q", "to_v"]))
    disturb(unet)
    StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(unet))


def disturb(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn_like(parameter) * 0.1


# Of what the commands name, by its last part.
SOURCES = {
    "stable-diffusion-v1-5": stable_diffusion,
    "vit-mae-base": vit_mae,
    "opt-2.7b": opt,
    "blip2-opt-2.7b": blip2,
    "clip-vit-base-patch32": clip,
    "dinov2-base": dinov2,
    "opt-lora": adapter,
    "sd-lora": pipeline_adapter,
}


def commands() -> list[str]:
    """The page's export commands, one a line."""
    blocks = re.findall(r"```sh export\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def run(command: str, sources: Path, out: Path) -> None:
    for name in sorted(SOURCES, key=len, reverse=True):
        command = re.sub(rf"(?<=\s)[\w.-]*/?{re.escape(name)}(?=\s)", str(sources / name), command)
    command = re.sub(r"(?<=\s)(models/paper|tuned)/", lambda place: f"{out if place[1] == 'models/paper' else sources}/", command)
    print(f"$ {command}", flush=True)
    environment = {**os.environ, "PYTHON": sys.executable, "BIN": str(Path(sys.executable).parent)}
    subprocess.run(["bash", "-ec", command], cwd=ROOT, env=environment, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "models" / "reference" / "goldens")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    out = arguments.out.resolve() / "paper-models"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        sources = Path(folder)
        for seed, (name, make) in enumerate(SOURCES.items()):
            torch.manual_seed(seed)
            make(sources / name)
        for command in commands():
            run(command, sources, out)
    for merged in out.glob("*-tuned"):  # Run to see that the commands work; the recipe uses none of them.
        shutil.rmtree(merged)
    for file in out.rglob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content.pop("_name_or_path", None):  # a folder of the machine that made it
            file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

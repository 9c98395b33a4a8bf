"""Trains the UNet (`UNet2DConditionModel`) on cached latents with the noise schedule of Stable Diffusion, and saves the whole
pipeline in half precision as diffusers lays it out.

Loss: mean squared error on the noise, weighted min-SNR-5 (Hang et al. 2023, arXiv 2303.09556). Training text is a random one a picture,
empty in a tenth of the cases, for classifier-free guidance.
"""

from __future__ import annotations

import argparse
import copy
import math
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from creatures.attributes import from_indices
from creatures.texts import training_text
from encoder_data import BF16_HELP, to_pixel_values
from train_text_encoder import WIDTH, encode

SEED = 5
EMPTY_SHARE = 0.1
EMA_DECAY = 0.999
SNR_CAP = 5.0
SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


def make_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=1, block_out_channels=(64, 128, 192), norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=[1, 2, 3],  # diffusers' name; it is the number of heads a level: 64 dimensions each
    )  # fmt: skip


def make_scheduler() -> DDIMScheduler:
    return DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: np.ndarray) -> Tensor:
    """float32 [n, 4, 16, 16]"""
    batches = (pictures[start : start + 100] for start in range(0, len(pictures), 100))
    return torch.cat([vae.encode(to_pixel_values(batch)).latent_dist.mean for batch in batches])


def train(
    unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer,
    latents: Tensor, labels: np.ndarray, steps: int, batch: int, bf16: bool,
) -> UNet2DConditionModel:  # fmt: skip
    """Returns the exponential moving average of the weights."""
    unet.set_attn_processor(AttnProcessor())  # 1.3 times as fast on a CPU as fused attention
    average = copy.deepcopy(unet)
    parameters = list(unet.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    alphas_cumprod = make_scheduler().alphas_cumprod.float()
    rng, text_rng = np.random.default_rng(SEED), random.Random(SEED)
    losses: list[float] = []
    for step in range(1, steps + 1):
        done = step / steps
        decay = 1.0 if done < 0.4 else 0.5 + 0.5 * math.cos(math.pi * (done - 0.4) / 0.6)
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * min(1, step / 150) * decay + 1e-6
        chosen = rng.integers(0, len(latents), batch)
        texts = [
            "" if text_rng.random() < EMPTY_SHARE else training_text(from_indices(labels[i]), text_rng)[0] for i in chosen
        ]
        clean = latents[chosen]
        noise = torch.randn_like(clean)
        # One timestep from each of `batch` equal strata.
        timesteps = ((torch.rand(1) + torch.arange(batch) / batch) % 1 * 1000).long()[torch.randperm(batch)]
        alpha = alphas_cumprod[timesteps][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            with torch.no_grad():
                context = text_encoder(input_ids=encode(tokenizer, texts)).last_hidden_state
            predicted = unet(noisy, timesteps, context).sample
        snr = alpha.flatten() / (1 - alpha.flatten())
        loss = (((predicted.float() - noise) ** 2).mean((1, 2, 3)) * snr.clamp(max=SNR_CAP) / snr).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), parameters, 1 - min(EMA_DECAY, step / (9 + step)))
        losses.append(loss.item())
        if step % 100 == 0 or step == steps:
            print(f"step {step}: weighted loss {np.mean(losses[-100:]):.4f}", flush=True)
    return average.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help=".npz of the stream 'diffusion'")
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("text_encoder", type=Path)
    parser.add_argument("vae", type=Path)
    parser.add_argument("out", type=Path, help="diffusers pipeline folder to write")
    parser.add_argument("--steps", type=int, default=3700)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--bf16", action="store_true", help=BF16_HELP)
    parser.add_argument("--init", type=Path, help="UNet folder to go on from")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    arrays = np.load(arguments.drawings)
    tokenizer = CLIPTokenizer.from_pretrained(arguments.tokenizer)
    text_encoder = CLIPTextModel.from_pretrained(arguments.text_encoder).eval().requires_grad_(False)
    vae = AutoencoderKL.from_pretrained(arguments.vae, low_cpu_mem_usage=False).eval()
    unet = make_unet()
    if arguments.init:
        unet = UNet2DConditionModel.from_pretrained(arguments.init, torch_dtype=torch.float32, low_cpu_mem_usage=False).train()
    latents = encode_pictures(vae, arrays["pictures"])
    unet = train(
        unet, text_encoder, tokenizer, latents, arrays["labels"], arguments.steps, arguments.batch, arguments.bf16
    )
    pipeline = StableDiffusionPipeline(
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=make_scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.to(torch.float16).save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

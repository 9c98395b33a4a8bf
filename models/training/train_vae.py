"""Trains the VAE (`AutoencoderKL`, 64 x 64 RGB <-> 16 x 16 x 4 latents) and folds the latents' scale into it.

After training, each latent channel's mean and deviation are folded into the quant convolutions, so that latents have mean 0
and deviation 1 and `scaling_factor` is 1.
"""

from __future__ import annotations

import argparse
import copy
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from encoder_data import BF16_HELP, to_pixel_values

SEED = 0
KL_WEIGHT = 5e-4
EMA_DECAY = 0.998


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=4, sample_size=64, block_out_channels=(16, 32, 64), layers_per_block=1,
        norm_num_groups=8, down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        mid_block_add_attention=False, scaling_factor=1.0,
    )  # fmt: skip


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 with more weight on edges and details, L2, and the difference of neighbouring pixels."""
    difference = output - target
    detail = 1 + 3 * (target - F.avg_pool2d(target, 5, 1, 2)).abs().mean(1, keepdim=True)
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return (difference.abs() * detail).mean() + 2 * (difference**2).mean() + 0.5 * (across + down)


def train(vae: AutoencoderKL, pictures: np.ndarray, steps: int, batch: int, bf16: bool) -> AutoencoderKL:
    """Returns the exponential moving average of the weights."""
    average = copy.deepcopy(vae)
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    rng = np.random.default_rng(SEED + 1)
    for step in range(1, steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, step / 100) * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        target = to_pixel_values(pictures[np.sort(rng.integers(0, len(pictures), batch))])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            posterior = vae.encode(target).latent_dist
            output = vae.decode(posterior.sample()).sample
        mean, variance, logvar = posterior.mean.float(), posterior.var.float(), posterior.logvar.float()
        divergence = 0.5 * (mean**2 + variance - 1 - logvar).mean()
        loss = reconstruction_loss(output.float(), target) + KL_WEIGHT * divergence
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        with torch.no_grad():
            decay = min(EMA_DECAY, step / (9 + step))
            torch._foreach_lerp_(list(average.parameters()), parameters, 1 - decay)
        if step % 100 == 0 or step == steps:
            error = ((output.float() - target) ** 2).mean().item()
            print(f"step {step}: loss {loss.item():.4f} PSNR {10 * math.log10(4 / error):.2f} dB", flush=True)
    return average.eval()


@torch.no_grad()
def fold_latent_scale(vae: AutoencoderKL, pictures: np.ndarray) -> None:
    """Makes the latents' mean 0 and deviation 1 by changing quant_conv and its inverse; reconstructions stay the same."""
    latents = torch.cat(
        [vae.encode(to_pixel_values(pictures[start : start + 100])).latent_dist.mean for start in range(0, len(pictures), 100)]
    )
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    forward, inverse = vae.quant_conv, vae.post_quant_conv
    forward.weight[:4] /= deviation[:, None, None, None]
    forward.bias[:4] = (forward.bias[:4] - mean) / deviation
    forward.bias[4:] -= 2 * deviation.log()  # the log-variance of the scaled latents
    inverse.bias += (inverse.weight[:, :, 0, 0] * mean[None]).sum(1)
    inverse.weight *= deviation[None, :, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help=".npz of the stream 'diffusion'")
    parser.add_argument("out", type=Path, help="diffusers folder of the VAE to write")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--bf16", action="store_true", help=BF16_HELP)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    pictures = np.load(arguments.drawings)["pictures"]
    vae = train(make_vae(), pictures, arguments.steps, arguments.batch, arguments.bf16)
    fold_latent_scale(vae, pictures[:2000])
    vae.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()

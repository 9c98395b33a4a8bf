"""Trains the VAE (`AutoencoderKL`, 64 x 64 RGB <-> 16 x 16 x 8 latents) and folds the latents' scale into it.

Eight channels a latent, twice Stable Diffusion 1.5's: pictures as small as these lose stripes and spots in four. Normalisation is over all
channels at once: with groups of one or two, the few channels of the last block lose the picture's colour. After training, each latent channel's
mean and deviation are folded into the quant convolutions, so that latents have mean 0 and deviation 1 and `scaling_factor` is 1.

With `--decoder-of`, only the decoder of such a VAE goes on, on latents with noise: what a UNet predicts is never exact, and a decoder that has seen
nothing but exact latents turns small errors into blotches. The latents stay what they were.
"""

from __future__ import annotations

import argparse
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from encoder_data import to_pixel_values
from training_loop import Plan, Step, add_bf16, add_options, checkpoint_of, choose, train

KL_WEIGHT = 5e-4
LATENT_CHANNELS = 8
# Deviation of the noise on latents of unit variance that the decoder learns to overlook, at most; each picture gets its own.
MAXIMUM_LATENT_NOISE = 0.4
# Pictures at the end of the stream that only measure, at most.
HELD_OUT = 500


def make_vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=LATENT_CHANNELS, sample_size=64, block_out_channels=(8, 16, 64),
        layers_per_block=1, norm_num_groups=1, down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, mid_block_add_attention=False, scaling_factor=1.0,
    )  # fmt: skip


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 with more weight on edges and details, L2 with more weight on colour, and the difference of neighbouring pixels."""
    difference = output - target
    detail = 1 + 3 * (target - F.avg_pool2d(target, 5, 1, 2)).abs().mean(1, keepdim=True)
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    chroma = difference - difference.mean(1, keepdim=True)
    return (difference.abs() * detail).mean() + 2 * (difference**2).mean() + 2 * (chroma**2).mean() + 0.5 * (across + down)


def load_pictures(drawings: Path) -> tuple[np.ndarray, np.ndarray]:
    """What is trained on and what only measures: uint8 [n, 64, 64, 3] each."""
    pictures = np.load(drawings)["pictures"]
    held_out = min(HELD_OUT, len(pictures) // 10)
    return pictures[:-held_out], pictures[-held_out:]


@dataclass(frozen=True)
class VaeTask:
    drawings: Path
    batch: int  # of one process
    bf16: bool = False
    seed: int = 0

    def build(self) -> tuple[AutoencoderKL, Step]:
        vae = make_vae()
        pictures, _ = load_pictures(self.drawings)

        def step(rng: random.Random) -> tuple[Tensor, dict[str, float]]:
            target = to_pixel_values(pictures[sorted(choose(rng, len(pictures), self.batch))])
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                posterior = vae.encode(target).latent_dist
                output = vae.decode(posterior.sample()).sample.float()
            mean, variance, logvar = posterior.mean.float(), posterior.var.float(), posterior.logvar.float()
            divergence = 0.5 * (mean**2 + variance - 1 - logvar).mean()
            loss = reconstruction_loss(output, target) + KL_WEIGHT * divergence
            return loss, {"PSNR": decibels(output.detach(), target), "KL": divergence.item()}

        return vae, step


@dataclass(frozen=True)
class DecoderTask:
    vae: Path
    drawings: Path
    batch: int  # of one process
    bf16: bool = False
    seed: int = 1

    def build(self) -> tuple[AutoencoderKL, Step]:
        vae = AutoencoderKL.from_pretrained(self.vae, low_cpu_mem_usage=False).train()
        for part in (vae.encoder, vae.quant_conv):
            part.requires_grad_(False)
        pictures, _ = load_pictures(self.drawings)

        def step(rng: random.Random) -> tuple[Tensor, dict[str, float]]:
            target = to_pixel_values(pictures[sorted(choose(rng, len(pictures), self.batch))])
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
                with torch.no_grad():
                    latents = vae.encode(target).latent_dist.mean
                noise = MAXIMUM_LATENT_NOISE * torch.rand(len(latents), 1, 1, 1) * torch.randn_like(latents)
                output = vae.decode(latents + noise).sample.float()
            return reconstruction_loss(output, target), {"PSNR": decibels(output.detach(), target)}

        return vae, step


def decibels(output: Tensor, target: Tensor) -> float:
    """PSNR of pixel values in -1..1, over the whole batch."""
    return 10 * math.log10(4 / ((output.clamp(-1, 1) - target) ** 2).mean().item())


@torch.no_grad()
def held_out_psnr(vae: AutoencoderKL, pictures: np.ndarray, noise: float = 0) -> float:
    """PSNR of reconstructions from the latents' means, with noise of this deviation on them."""
    torch.manual_seed(0)
    targets = [to_pixel_values(pictures[start : start + 100]) for start in range(0, len(pictures), 100)]
    latents = [vae.encode(target).latent_dist.mean for target in targets]
    outputs = [vae.decode(latent + noise * torch.randn_like(latent)).sample for latent in latents]
    return decibels(torch.cat(outputs), torch.cat(targets))


@torch.no_grad()
def fold_latent_scale(vae: AutoencoderKL, pictures: np.ndarray) -> None:
    """Makes the latents' mean 0 and deviation 1 by changing quant_conv and its inverse; reconstructions stay the same."""
    latents = torch.cat(
        [vae.encode(to_pixel_values(pictures[start : start + 100])).latent_dist.mean for start in range(0, len(pictures), 100)]
    )
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    forward, inverse = vae.quant_conv, vae.post_quant_conv
    forward.weight[:LATENT_CHANNELS] /= deviation[:, None, None, None]
    forward.bias[:LATENT_CHANNELS] = (forward.bias[:LATENT_CHANNELS] - mean) / deviation
    forward.bias[LATENT_CHANNELS:] -= 2 * deviation.log()  # the log-variance of the scaled latents
    inverse.bias += (inverse.weight[:, :, 0, 0] * mean[None]).sum(1)
    inverse.weight *= deviation[None, :, None, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help=".npz of the stream 'diffusion'")
    parser.add_argument("out", type=Path, help="diffusers folder of the VAE to write")
    add_options(parser, steps=9000, batch=4)
    add_bf16(parser)
    parser.add_argument("--decoder-of", type=Path, help="VAE whose decoder goes on with noise on the latents")
    arguments = parser.parse_args()
    checkpoint = checkpoint_of(arguments.out)
    plan = Plan(arguments.steps, 1e-3 if arguments.decoder_of else 2e-3, weight_decay=1e-4, checkpoint_seconds=arguments.checkpoint_seconds)
    if arguments.decoder_of:
        task = DecoderTask(arguments.decoder_of, arguments.drawings, arguments.batch, arguments.bf16)
    else:
        task = VaeTask(arguments.drawings, arguments.batch, arguments.bf16)
    vae = train(task, plan, checkpoint)
    torch.set_num_threads(2)
    pictures, held_out = load_pictures(arguments.drawings)
    if not arguments.decoder_of:
        fold_latent_scale(vae, pictures[:2000])
    for noise in (0, 0.1, 0.2):
        print(f"held-out PSNR {held_out_psnr(vae, held_out, noise):.2f} dB with noise {noise} on the latents")
    vae.save_pretrained(arguments.out)
    checkpoint.unlink()


if __name__ == "__main__":
    main()

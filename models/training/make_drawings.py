"""Draws a stream's training pictures into one .npz: `pictures` uint8 [n, 64, 64, 3], `labels` uint8 [n, 12].

With `--vae`, also `views`: the same pictures after a round trip through the VAE with noise on the latents, which gives them
the mottled look of generated pictures. The encoders learn from both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from creatures.streams import STREAMS

BATCH = 50
# Standard deviation of the noise on a latent of unit variance; each picture gets its own, uniform up to this.
MAXIMUM_LATENT_NOISE = 0.45


def round_trips(pictures: np.ndarray, vae_folder: Path, seed: int) -> np.ndarray:
    """Each picture encoded, disturbed and decoded again; same shape and type as the input."""
    vae = AutoencoderKL.from_pretrained(vae_folder, torch_dtype=torch.float32, low_cpu_mem_usage=False).eval()
    generator = torch.Generator().manual_seed(seed)
    views = np.empty_like(pictures)
    with torch.no_grad():
        for start in range(0, len(pictures), BATCH):
            batch = torch.from_numpy(pictures[start : start + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
            latents = vae.encode(batch).latent_dist.mean
            strength = torch.rand(len(latents), 1, 1, 1, generator=generator) * MAXIMUM_LATENT_NOISE
            latents = latents + strength * torch.randn(latents.shape, generator=generator)
            decoded = vae.decode(latents).sample.clamp(-1, 1)
            views[start : start + BATCH] = ((decoded + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return views


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", choices=list(STREAMS))
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--count", type=int, help="default: the stream's own number")
    parser.add_argument("--vae", type=Path, help="diffusers folder of the VAE; adds `views`")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    stream = STREAMS[arguments.stream]
    count = arguments.count or stream.count
    drawn = [stream.draw(number) for number in range(count)]
    arrays = {
        "pictures": np.stack([picture for picture, _ in drawn]),
        "labels": np.array([labels for _, labels in drawn], dtype=np.uint8),
    }
    if arguments.vae:
        arrays["views"] = round_trips(arrays["pictures"], arguments.vae, stream.first_drawing_seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **arrays)
    print(f"{arguments.out}: {count} pictures of the stream {arguments.stream!r}")


if __name__ == "__main__":
    main()

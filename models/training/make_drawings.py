"""Draws a stream's training pictures into one .npz: `pictures` uint8 [n, 64, 64, 3], `labels` uint8 [n, 12].

With `--diffusion`, also `views`: the same pictures after a round trip through the VAE with noise on the latents, which gives them
the mottled look of generated pictures. The encoders learn from both.
"""

from __future__ import annotations

import argparse
import multiprocessing
from functools import partial
from pathlib import Path

import numpy as np

from creatures.streams import STREAMS
from onnx_pipeline import OnnxVae

BATCH = 50
# Standard deviation of the noise on a latent of unit variance; each picture gets its own, uniform up to this.
MAXIMUM_LATENT_NOISE = 0.45


def round_trips(pictures: np.ndarray, diffusion: Path, seed: int) -> np.ndarray:
    """Each picture encoded, disturbed and decoded again; same shape and type as the input."""
    vae, rng = OnnxVae(diffusion), np.random.default_rng(seed)
    views = np.empty_like(pictures)
    for start in range(0, len(pictures), BATCH):
        latents = vae.encode(pictures[start : start + BATCH])
        strength = rng.uniform(0, MAXIMUM_LATENT_NOISE, (len(latents), 1, 1, 1))
        views[start : start + BATCH] = vae.decode(latents + strength * rng.standard_normal(latents.shape))
    return views


def draw(stream: str, number: int) -> tuple[np.ndarray, list[int]]:
    return STREAMS[stream].draw(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", choices=list(STREAMS))
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--count", type=int, help="default: the stream's own number")
    parser.add_argument("--diffusion", type=Path, help="the pack's diffusion/ folder, whose VAE adds `views`")
    arguments = parser.parse_args()
    stream = STREAMS[arguments.stream]
    count = arguments.count or stream.count
    with multiprocessing.get_context("fork").Pool(2) as pool:
        drawn = pool.map(partial(draw, arguments.stream), range(count), chunksize=100)
    arrays = {
        "pictures": np.stack([picture for picture, _ in drawn]),
        "labels": np.array([labels for _, labels in drawn], dtype=np.uint8),
    }
    if arguments.diffusion:
        arrays["views"] = round_trips(arrays["pictures"], arguments.diffusion, stream.first_drawing_seed)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **arrays)
    print(f"{arguments.out}: {count} pictures of the stream {arguments.stream!r}")


if __name__ == "__main__":
    main()

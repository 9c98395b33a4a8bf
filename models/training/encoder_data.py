"""Training pictures for the two encoders: loading, and the disturbances that make an encoder see through generated pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# The preprocessing of both encoders: pixel values 0..255 become -1..1.
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": 64},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 64, "width": 64},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


def to_pixel_values(pictures: np.ndarray) -> Tensor:
    """uint8 [b, 64, 64, 3] -> float [b, 3, 64, 64] in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True)
class Drawings:
    """What `make_drawings.py` wrote: clean pictures, their mottled views, and the labels [n, 12]."""

    pictures: np.ndarray
    views: np.ndarray
    labels: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Drawings:
        arrays = np.load(path)
        return cls(arrays["pictures"], arrays["views"], arrays["labels"].astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: np.ndarray | slice) -> Drawings:
        return Drawings(self.pictures[indices], self.views[indices], self.labels[indices])

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Disturbed pictures, float [b, 3, 64, 64]."""
        clean, view = to_pixel_values(self.pictures[indices]), to_pixel_values(self.views[indices])
        # A third clean, a third mottled, a third in between.
        share = np.clip(rng.uniform(-1, 2, len(indices)), 0, 1)
        weight = torch.from_numpy(share).float()[:, None, None, None]
        return disturb(clean + weight * (view - clean), rng)


def disturb(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Mirrors, shifts, blurs, discolours and roughens a batch [b, 3, 64, 64]; none of it changes an attribute."""
    count = len(pixels)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    if rng.random() < 0.5:
        pixels = pixels.flip(3)
    pixels = torch.roll(pixels, tuple(int(shift) for shift in rng.integers(-2, 3, 2)), (2, 3))
    if rng.random() < 0.25:
        pixels = 0.5 * pixels + 0.5 * F.avg_pool2d(pixels, 3, 1, 1, count_include_pad=False)

    def strengths(maximum: float) -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator) * maximum

    blotches = torch.randn(count, 3, 8, 8, generator=generator)
    blotches = F.interpolate(blotches, scale_factor=8, mode="bilinear", align_corners=False)
    grain = torch.randn(pixels.shape, generator=generator)
    brightness = torch.randn(count, 1, 1, 1, generator=generator) * 0.05
    return (pixels + strengths(0.2) * blotches + strengths(0.08) * grain + brightness).clamp(-1, 1)

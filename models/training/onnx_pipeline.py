"""Text to image with the pack's ONNX files: what the TypeScript side does, in Python, to measure and to make training pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler
from tokenizers import Tokenizer

from encoder_data import to_pixel_values
from item_seed import item_seed  # noqa: F401  who makes pictures also seeds them
from onnx_files import open_session


class OnnxVae:
    """Pictures uint8 [b, 64, 64, 3] to latents [b, c, 16, 16] of unit variance, and back."""

    def __init__(self, folder: Path) -> None:
        self.encoder, self.decoder = (open_session(folder / part / "model.onnx") for part in ("vae_encoder", "vae_decoder"))

    def encode(self, pictures: np.ndarray) -> np.ndarray:
        """The means, without the noise of what is drawn around them."""
        parameters = self.encoder.run(["latent_parameters"], {"sample": to_pixel_values(pictures).numpy()})[0]
        return np.split(parameters, 2, axis=1)[0]

    def decode(self, latents: np.ndarray) -> np.ndarray:
        pixels = self.decoder.run(["sample"], {"latent_sample": latents.astype(np.float32)})[0]
        return (np.clip(pixels / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)


class OnnxPipeline:
    """Stable Diffusion's loop: 64 x 64 pictures, DDIM, classifier-free guidance."""

    def __init__(self, folder: Path, steps: int = 20, guidance: float = 5.0) -> None:
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
        end_id = self.tokenizer.token_to_id("<|endoftext|>")
        self.tokenizer.enable_truncation(77)
        self.tokenizer.enable_padding(length=77, pad_id=end_id, pad_token="<|endoftext|>")
        self.text_encoder = open_session(folder / "text_encoder" / "model.onnx")
        self.unet = open_session(folder / "unet" / "model.onnx")
        self.vae = OnnxVae(folder)
        self.channels = json.loads((folder / "unet" / "config.json").read_text())["in_channels"]
        self.scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
        self.scheduler.set_timesteps(steps)
        self.guidance = guidance

    def encode(self, texts: list[str]) -> np.ndarray:
        """[b, 77, d]"""
        ids = np.array([encoding.ids for encoding in self.tokenizer.encode_batch(texts)], dtype=np.int32)
        return self.text_encoder.run(["last_hidden_state"], {"input_ids": ids})[0]

    def generate(self, prompts: list[str], seeds: list[int]) -> np.ndarray:
        """One picture a prompt, uint8 [b, 64, 64, 3]. A picture does not depend on its neighbours in the batch (up to rounding)."""
        count = len(prompts)
        context = self.encode([""] * count + prompts)
        noise = [torch.randn(self.channels, 16, 16, generator=torch.Generator("cpu").manual_seed(seed)) for seed in seeds]
        latents = torch.stack(noise) * self.scheduler.init_noise_sigma
        for timestep in self.scheduler.timesteps:
            sample = self.scheduler.scale_model_input(latents, timestep).numpy()
            feeds = {
                "sample": np.concatenate([sample, sample]),
                "timestep": np.array(int(timestep), dtype=np.int64),
                "encoder_hidden_states": context,
            }
            prediction = self.unet.run(["out_sample"], feeds)[0]
            without, with_text = prediction[:count], prediction[count:]
            guided = torch.from_numpy(without + self.guidance * (with_text - without))
            latents = self.scheduler.step(guided, timestep, latents).prev_sample
        return self.vae.decode(latents.numpy())

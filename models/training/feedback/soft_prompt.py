"""An OPT that reads a picture's features as vectors between its words: a small trained network takes them into the embedding space.

What the paper did not try: its integer tokens share their embeddings with words that mean something else, and two features that
differ by a thousandth have nothing in common.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import OPTConfig, OPTForCausalLM

# Stands in the ids where a vector of the picture goes; no token's.
IMAGE = -1


class ImageProjection(nn.Sequential):
    """`image_features` [b, n, width] -> [b, n, d], for each feature alone."""

    def __init__(self, width: int, d: int) -> None:
        super().__init__(nn.LayerNorm(width), nn.Linear(width, d), nn.GELU(), nn.Linear(d, d))


class SoftPromptOPT(OPTForCausalLM):
    """`image_feature_size` in the configuration is the features' width. Ids hold {@link IMAGE} once for each feature of a row."""

    def __init__(self, config: OPTConfig) -> None:
        super().__init__(config)
        self.image_projection = ImageProjection(config.image_feature_size, config.word_embed_proj_dim)
        self.loss_type = "ForCausalLM"  # Trainer's name for it, else guessed from the class's
        self.post_init()

    def vectors(self, input_ids: Tensor, image_features: Tensor) -> Tensor:
        """[b, n, d]"""
        words = self.get_input_embeddings()(input_ids.clamp(min=0))
        picture = self.image_projection(image_features).to(words.dtype)
        return words.masked_scatter((input_ids == IMAGE)[..., None], picture)

    def forward(self, input_ids: Tensor | None = None, image_features: Tensor | None = None, **kwargs: Any) -> Any:
        if image_features is None:
            return super().forward(input_ids=input_ids, **kwargs)
        return super().forward(inputs_embeds=self.vectors(input_ids, image_features), **kwargs)

    @torch.no_grad()
    def write(self, input_ids: Tensor, image_features: Tensor, **kwargs: Any) -> Tensor:
        """Ids that follow."""
        return self.generate(inputs_embeds=self.vectors(input_ids, image_features), **kwargs)

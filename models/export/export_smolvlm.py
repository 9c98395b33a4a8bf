"""Exports a SmolVLM folder (`SmolVLMForConditionalGeneration.save_pretrained`) in transformers.js' layout, which source `vlm` runs.

    python models/export/export_smolvlm.py SOURCE FOLDER [--dtype fp16]

    onnx/vision_encoder.onnx         pixel_values [b, frames, 3, h, w] -> image_features [b x frames, tokens, d]; no frame is padding
    onnx/embed_tokens.onnx           input_ids -> inputs_embeds
    onnx/decoder_model_merged.onnx   inputs_embeds, attention_mask, position_ids, past -> logits, present
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import SmolVLMForConditionalGeneration

from export_blip2 import Axes, Embeddings, cache_of, export_command, key_value_names, tensors_of
from onnx_export import export_graph


class VisionEncoder(nn.Module):
    def __init__(self, model: SmolVLMForConditionalGeneration) -> None:
        super().__init__()
        self.vision, self.connector = model.model.vision_model, model.model.connector

    def forward(self, pixel_values: Tensor) -> Tensor:
        frames = pixel_values.flatten(0, 1)
        embeddings = self.vision.embeddings
        # Whole frames have every position once, in order.
        states = embeddings.patch_embedding(frames).flatten(2).transpose(1, 2) + embeddings.position_embedding.weight[None]
        states = self.vision.encoder(inputs_embeds=states, attention_mask=None).last_hidden_state
        return self.connector(self.vision.post_layernorm(states))


def causal_mask(inputs_embeds: Tensor, attention_mask: Tensor, before: int) -> tuple[Tensor, Tensor]:
    """What each of the words may see of those `before` and of themselves, [b, 1, n, before + n], and their places."""
    length = inputs_embeds.shape[1]
    positions = torch.arange(before, before + length)
    causal = torch.arange(before + length)[None, :] <= positions[:, None]
    allowed = causal[None, None] & (attention_mask > 0)[:, None, None, :]
    return torch.zeros(allowed.shape, dtype=inputs_embeds.dtype).masked_fill(~allowed, torch.finfo(inputs_embeds.dtype).min), positions


class Decoder(nn.Module):
    def __init__(self, model: SmolVLMForConditionalGeneration) -> None:
        super().__init__()
        self.text_model, self.lm_head = model.model.text_model, model.lm_head

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        mask, positions = causal_mask(inputs_embeds, attention_mask, past[0].shape[2])
        cache = cache_of(past)
        states = self.text_model(
            inputs_embeds=inputs_embeds, attention_mask=mask, position_ids=position_ids, past_key_values=cache,
            cache_position=positions, use_cache=True,
        ).last_hidden_state  # fmt: skip
        return self.lm_head(states), *tensors_of(cache)


def export_smolvlm(source: Path, out: Path, dtype: torch.dtype = torch.float32) -> None:
    model = SmolVLMForConditionalGeneration.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()
    text, size, folder = model.config.text_config, model.config.vision_config.image_size, out / "onnx"
    batch, rows = {0: "batch_size"}, {0: "batch_size", 1: "sequence_length"}
    export_graph(VisionEncoder(model), {"pixel_values": torch.randn(2, 2, 3, size, size, dtype=dtype)}, ["image_features"],
                 {"pixel_values": {0: "batch_size", 1: "num_images"}, "image_features": batch}, folder / "vision_encoder.onnx")  # fmt: skip
    export_graph(Embeddings(model), {"input_ids": torch.randint(0, text.vocab_size, (2, 5))}, ["inputs_embeds"],
                 {"input_ids": rows, "inputs_embeds": rows}, folder / "embed_tokens.onnx")  # fmt: skip
    layers, heads, width = text.num_hidden_layers, text.num_key_value_heads, text.head_dim
    past, present = key_value_names("past_key_values", layers), key_value_names("present", layers)
    inputs = {
        "inputs_embeds": torch.randn(2, 5, text.hidden_size, dtype=dtype),
        "attention_mask": torch.ones(2, 8, dtype=torch.long),
        "position_ids": torch.arange(3, 8).expand(2, -1),
        **{name: torch.randn(2, heads, 3, width, dtype=dtype) for name in past},
    }
    axes: Axes = {
        **dict.fromkeys(["inputs_embeds", "position_ids", "logits"], rows),
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        **dict.fromkeys(past, {0: "batch_size", 2: "past_sequence_length"}),
        **dict.fromkeys(present, {0: "batch_size", 2: "total_sequence_length"}),
    }
    export_graph(Decoder(model), inputs, ["logits", *present], axes, folder / "decoder_model_merged.onnx")
    copy_configs(source, out)


def copy_configs(source: Path, out: Path) -> None:
    for file in source.iterdir():
        if file.suffix in {".json", ".txt", ".jinja"} and not file.name.endswith(".index.json"):
            shutil.copyfile(file, out / file.name)


if __name__ == "__main__":
    export_command(__doc__, export_smolvlm)

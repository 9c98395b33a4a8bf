"""Exports a Florence-2 folder (`Florence2ForConditionalGeneration.save_pretrained`) in transformers.js' layout, which source `vlm` runs.

    python models/export/export_florence2.py SOURCE FOLDER [--dtype fp16]

    onnx/vision_encoder.onnx         pixel_values [b, 3, h, w] -> image_features [b, tokens, d]
    onnx/embed_tokens.onnx           input_ids -> inputs_embeds
    onnx/encoder_model.onnx          inputs_embeds, attention_mask -> last_hidden_state
    onnx/decoder_model_merged.onnx   inputs_embeds, encoder_hidden_states, encoder_attention_mask, past -> logits, present

The decoder keeps its own keys and values; those of the encoder's states it makes anew, so that one graph serves the first token and the others.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Florence2ForConditionalGeneration
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from export_blip2 import Axes, Embeddings, cache_of, export_command, key_value_names, tensors_of
from export_smolvlm import causal_mask, copy_configs
from onnx_export import export_graph


class VisionEncoder(nn.Module):
    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.vision_tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.projector(self.vision_tower(pixel_values))


class TextEncoder(nn.Module):
    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.encoder = model.model.language_model.encoder

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor) -> Tensor:
        return self.encoder(inputs_embeds=inputs_embeds, attention_mask=attention_mask).last_hidden_state


class Decoder(nn.Module):
    def __init__(self, model: Florence2ForConditionalGeneration) -> None:
        super().__init__()
        self.decoder, self.lm_head = model.model.language_model.decoder, model.lm_head

    def forward(self, inputs_embeds: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        before = past[0].shape[2]
        seen = torch.ones(inputs_embeds.shape[0], before + inputs_embeds.shape[1], dtype=torch.long)
        mask, positions = causal_mask(inputs_embeds, seen, before)
        own = cache_of(past)
        states = self.decoder(
            inputs_embeds=inputs_embeds, attention_mask=mask, encoder_hidden_states=encoder_hidden_states,
            encoder_attention_mask=encoder_attention_mask, past_key_values=EncoderDecoderCache(own, DynamicCache()),
            cache_position=positions, use_cache=True,
        ).last_hidden_state  # fmt: skip
        return self.lm_head(states), *tensors_of(own)


def export_florence2(source: Path, out: Path, dtype: torch.dtype = torch.float32) -> None:
    model = Florence2ForConditionalGeneration.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()
    text, folder = model.config.text_config, out / "onnx"
    size = edge_of(source)
    batch, rows, seen = {0: "batch_size"}, {0: "batch_size", 1: "sequence_length"}, {0: "batch_size", 1: "encoder_sequence_length"}
    export_graph(VisionEncoder(model), {"pixel_values": torch.randn(2, 3, size, size, dtype=dtype)}, ["image_features"],
                 {"pixel_values": batch, "image_features": batch}, folder / "vision_encoder.onnx")  # fmt: skip
    export_graph(Embeddings(model), {"input_ids": torch.randint(0, text.vocab_size, (2, 5))}, ["inputs_embeds"],
                 {"input_ids": rows, "inputs_embeds": rows}, folder / "embed_tokens.onnx")  # fmt: skip
    states = torch.randn(2, 7, text.d_model, dtype=dtype)
    export_graph(TextEncoder(model), {"inputs_embeds": states, "attention_mask": torch.ones(2, 7, dtype=torch.long)}, ["last_hidden_state"],
                 dict.fromkeys(["inputs_embeds", "attention_mask", "last_hidden_state"], seen), folder / "encoder_model.onnx")  # fmt: skip
    layers, heads = text.decoder_layers, text.decoder_attention_heads
    past, present = key_value_names("past_key_values", layers, ".decoder"), key_value_names("present", layers, ".decoder")
    inputs = {
        "inputs_embeds": torch.randn(2, 2, text.d_model, dtype=dtype),
        "encoder_hidden_states": states,
        "encoder_attention_mask": torch.ones(2, 7, dtype=torch.long),
        **{name: torch.randn(2, heads, 3, text.d_model // heads, dtype=dtype) for name in past},
    }
    axes: Axes = {
        **dict.fromkeys(["inputs_embeds", "logits"], rows),
        **dict.fromkeys(["encoder_hidden_states", "encoder_attention_mask"], seen),
        **dict.fromkeys(past, {0: "batch_size", 2: "past_sequence_length"}),
        **dict.fromkeys(present, {0: "batch_size", 2: "total_sequence_length"}),
    }
    export_graph(Decoder(model), inputs, ["logits", *present], axes, folder / "decoder_model_merged.onnx")
    copy_configs(source, out)


def edge_of(source: Path) -> int:
    """Pixels along an edge that the picture's processor gives."""
    return json.loads((source / "preprocessor_config.json").read_text())["size"]["height"]


if __name__ == "__main__":
    export_command(__doc__, export_florence2)

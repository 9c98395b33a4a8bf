"""Exports a Qwen2-VL folder (`Qwen2VLForConditionalGeneration.save_pretrained`) in transformers.js' layout, which source `vlm` runs.

    python models/export/export_qwen2_vl.py SOURCE FOLDER [--dtype fp16]

    onnx/vision_encoder.onnx         pixel_values [patches, values], grid_thw [1, 3] of one picture -> image_features [tokens, d]
    onnx/embed_tokens.onnx           input_ids -> inputs_embeds
    onnx/decoder_model_merged.onnx   inputs_embeds, attention_mask, position_ids [3, b, n], past -> logits, present

`config.json` gets the language model's fields at its root, too, as the published folders have them: transformers.js looks for them there.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.modeling_qwen2_vl import apply_rotary_pos_emb_vision

from export_blip2 import Axes, Embeddings, cache_of, export_command, key_value_names, tensors_of
from export_smolvlm import causal_mask, copy_configs
from onnx_export import export_graph


class VisionEncoder(nn.Module):
    """Of one picture: every patch sees every other, so that nothing depends on where pictures begin."""

    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.visual = model.model.visual

    def positions(self, grid_thw: Tensor) -> Tensor:
        """Row and column of each patch, in the order in which squares of neighbours are merged, [patches, 2]."""
        merge = self.visual.spatial_merge_size
        height, width = grid_thw[0, 1], grid_thw[0, 2]
        place = torch.arange(height * width)
        square, inside = place // (merge * merge), place % (merge * merge)
        columns = width // merge
        return torch.stack([square // columns * merge + inside // merge, square % columns * merge + inside % merge], dim=-1)

    def forward(self, pixel_values: Tensor, grid_thw: Tensor) -> Tensor:
        states = self.visual.patch_embed(pixel_values)
        frequencies = self.visual.rotary_pos_emb.inv_freq
        angles = (self.positions(grid_thw)[:, :, None] * frequencies[None, None]).flatten(1)
        angles = torch.cat((angles, angles), dim=-1)
        for block in self.visual.blocks:
            attention = block.attn
            count = states.shape[0]
            query, key, value = attention.qkv(block.norm1(states)).reshape(count, 3, attention.num_heads, -1).permute(1, 0, 2, 3).unbind(0)
            query, key = apply_rotary_pos_emb_vision(query, key, angles.cos(), angles.sin())
            weights = (query.transpose(0, 1) @ key.permute(1, 2, 0) * attention.scaling).float().softmax(-1).to(value.dtype)
            states = states + attention.proj((weights @ value.transpose(0, 1)).transpose(0, 1).reshape(count, -1))
            states = states + block.mlp(block.norm2(states))
        return self.visual.merger(states)


class Decoder(nn.Module):
    def __init__(self, model: Qwen2VLForConditionalGeneration) -> None:
        super().__init__()
        self.language_model, self.lm_head = model.model.language_model, model.lm_head

    def forward(self, inputs_embeds: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        mask, positions = causal_mask(inputs_embeds, attention_mask, past[0].shape[2])
        cache = cache_of(past)
        states = self.language_model(
            inputs_embeds=inputs_embeds, attention_mask={"full_attention": mask}, position_ids=position_ids, past_key_values=cache,
            cache_position=positions, use_cache=True,
        ).last_hidden_state  # fmt: skip
        return self.lm_head(states), *tensors_of(cache)


def export_qwen2_vl(source: Path, out: Path, dtype: torch.dtype = torch.float32) -> None:
    model = Qwen2VLForConditionalGeneration.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()
    text, vision, folder = model.config.text_config, model.config.vision_config, out / "onnx"
    values = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
    merge = vision.spatial_merge_size
    rows = {0: "batch_size", 1: "sequence_length"}
    export_graph(VisionEncoder(model),
                 {"pixel_values": torch.randn(6 * merge**2, values, dtype=dtype), "grid_thw": torch.tensor([[1, 2 * merge, 3 * merge]])}, ["image_features"],
                 {"pixel_values": {0: "patches"}, "grid_thw": {0: "pictures"}, "image_features": {0: "tokens"}}, folder / "vision_encoder.onnx")  # fmt: skip
    export_graph(Embeddings(model), {"input_ids": torch.randint(0, text.vocab_size, (2, 5))}, ["inputs_embeds"],
                 {"input_ids": rows, "inputs_embeds": rows}, folder / "embed_tokens.onnx")  # fmt: skip
    layers, heads, width = text.num_hidden_layers, text.num_key_value_heads, text.hidden_size // text.num_attention_heads
    past, present = key_value_names("past_key_values", layers), key_value_names("present", layers)
    inputs = {
        "inputs_embeds": torch.randn(2, 5, text.hidden_size, dtype=dtype),
        "attention_mask": torch.ones(2, 8, dtype=torch.long),
        "position_ids": torch.arange(3, 8).expand(3, 2, -1),
        **{name: torch.randn(2, heads, 3, width, dtype=dtype) for name in past},
    }
    axes: Axes = {
        **dict.fromkeys(["inputs_embeds", "logits"], rows),
        "position_ids": {1: "batch_size", 2: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        **dict.fromkeys(past, {0: "batch_size", 2: "past_sequence_length"}),
        **dict.fromkeys(present, {0: "batch_size", 2: "total_sequence_length"}),
    }
    export_graph(Decoder(model), inputs, ["logits", *present], axes, folder / "decoder_model_merged.onnx")
    copy_configs(source, out)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config.get("text_config", {}), **config}, indent=2) + "\n")


if __name__ == "__main__":
    export_command(__doc__, export_qwen2_vl)

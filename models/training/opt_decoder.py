"""An OPT as one ONNX graph with past, as optimum writes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import DynamicCache, OPTForCausalLM


class Decoder(nn.Module):
    """`input_ids`, `attention_mask`, keys and values of what came before -> `logits`, keys and values of all."""

    def __init__(self, model: OPTForCausalLM) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        output = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        present = [tensor for layer in output.past_key_values.layers for tensor in (layer.keys, layer.values)]
        return (output.logits, *present)


def decoder_graph(model: OPTForCausalLM) -> tuple[nn.Module, dict[str, Tensor], list[str], dict[str, dict[int, str]]]:
    """What an exporter takes: module, example inputs, names of outputs, free dimensions."""
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    width = model.config.hidden_size // heads
    names = [f"{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    inputs = {
        "input_ids": torch.randint(4, model.config.vocab_size, (2, 3)),
        "attention_mask": torch.ones(2, 8, dtype=torch.int64),
        **{f"past_key_values.{name}": torch.randn(2, heads, 5, width) for name in names},
    }
    axes = {
        "input_ids": {0: "batch_size", 1: "sequence_length"},
        "attention_mask": {0: "batch_size", 1: "total_sequence_length"},
        "logits": {0: "batch_size", 1: "sequence_length"},
        **{f"past_key_values.{name}": {0: "batch_size", 2: "past_sequence_length"} for name in names},
        **{f"present.{name}": {0: "batch_size", 2: "total_sequence_length"} for name in names},
    }
    return Decoder(model), inputs, ["logits", *(f"present.{name}" for name in names)], axes

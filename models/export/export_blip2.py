"""Exports a BLIP-2 folder (`Blip2ForConditionalGeneration.save_pretrained`) as ONNX files that source `blip2` runs.

    python models/export/export_blip2.py SOURCE FOLDER [--dtype fp16]

    onnx/vision_model.onnx   pixel_values [b, 3, h, w] -> last_hidden_state [b, patches + 1, width]
    onnx/qformer.onnx        image_embeds -> language_model_inputs [b, queries, d]: query tokens and projection are inside
    onnx/embed_tokens.onnx   input_ids [b, n] -> inputs_embeds [b, n, d]
    onnx/decoder_model.onnx  with an OPT: inputs_embeds, past -> logits, present; an empty past reads the prompt
                             with a T5: input_ids [b, 1], the encoder's keys and values, past -> logits, present
    onnx/encoder_model.onnx  with a T5: inputs_embeds -> the cross attention's keys and values, layer by layer

Rows of a batch have one length, so that there is no mask. Weights above 2 GB lie beside their graph as `*.onnx_data`.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from torch import Tensor, nn
from transformers import AutoTokenizer, Blip2ForConditionalGeneration, PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer, EncoderDecoderCache

from onnx_export import export_graph

CONFIGS = ["config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"]
TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"]
Axes = dict[str, dict[int, str]]


class VisionModel(nn.Module):
    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.vision_model = model.vision_model

    def forward(self, pixel_values: Tensor) -> Tensor:
        return self.vision_model(pixel_values).last_hidden_state


class QFormer(nn.Module):
    """The Q-Former is kept in float32, as transformers does; what goes in and out has the precision of its neighbours."""

    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(model.query_tokens.float())
        self.qformer = model.qformer.float()
        self.language_projection = model.language_projection

    def forward(self, image_embeds: Tensor) -> Tensor:
        queries = self.query_tokens.expand(image_embeds.shape[0], -1, -1)
        states = self.qformer(query_embeds=queries, encoder_hidden_states=image_embeds.float()).last_hidden_state
        return self.language_projection(states.to(self.language_projection.weight.dtype))


class Embeddings(nn.Module):
    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.embed_tokens = model.get_input_embeddings()

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.embed_tokens(input_ids)


class CausalDecoder(nn.Module):
    """`inputs_embeds` [b, n, d] and keys and values [b, heads, past, d] layer by layer -> `logits`, and those with n more."""

    def __init__(self, language_model: PreTrainedModel) -> None:
        super().__init__()
        self.language_model = language_model

    def forward(self, inputs_embeds: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        length, before = inputs_embeds.shape[1], past[0].shape[2]
        positions = torch.arange(before, before + length)
        allowed = torch.arange(before + length)[None, :] <= positions[:, None]
        lowest = torch.finfo(inputs_embeds.dtype).min
        mask = torch.zeros(allowed.shape, dtype=inputs_embeds.dtype).masked_fill(~allowed, lowest)[None, None]
        cache = cache_of(past)
        output = self.language_model(
            inputs_embeds=inputs_embeds, attention_mask=mask.expand(inputs_embeds.shape[0], -1, -1, -1),
            position_ids=positions[None], past_key_values=cache, cache_position=positions, use_cache=True,
        )  # fmt: skip
        return output.logits, *tensors_of(cache)


class TextEncoder(nn.Module):
    """`inputs_embeds` [b, n, d] -> keys and values of every decoder layer's cross attention, [b, heads, n, d]."""

    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.encoder, self.decoder = model.language_model.encoder, model.language_model.decoder

    def forward(self, inputs_embeds: Tensor) -> tuple[Tensor, ...]:
        states = self.encoder(inputs_embeds=inputs_embeds, attention_mask=torch.ones(inputs_embeds.shape[:2])).last_hidden_state
        attentions = [block.layer[1].EncDecAttention for block in self.decoder.block]
        return tuple(heads(project(states), a.n_heads) for a in attentions for project in (a.k, a.v))


class CrossDecoder(nn.Module):
    """`input_ids` [b, 1], past and cross attention's keys and values -> `logits` [b, 1, vocabulary], and the past with one more."""

    def __init__(self, model: Blip2ForConditionalGeneration) -> None:
        super().__init__()
        self.language_model = model.language_model

    def forward(self, input_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        own, cross = cache_of(past[: len(past) // 2]), cache_of(past[len(past) // 2 :])
        cache = EncoderDecoderCache(own, cross)
        cache.is_updated = dict.fromkeys(range(len(cross.layers)), True)
        before = past[0].shape[2]
        batch, seen = input_ids.shape[0], past[-1].shape[2]
        # The decoder takes only the shape of the encoder's states: their keys and values are in the cache.
        states = past[-1].new_zeros(batch, seen, self.language_model.config.d_model)
        output = self.language_model(
            decoder_input_ids=input_ids, encoder_outputs=(states,), attention_mask=torch.ones(batch, seen),
            decoder_attention_mask=past[0].new_zeros(batch, 1, 1, before + 1),
            past_key_values=cache, cache_position=torch.arange(before, before + 1), use_cache=True,
        )  # fmt: skip
        return output.logits, *tensors_of(own)


def heads(states: Tensor, count: int) -> Tensor:
    return states.view(states.shape[0], -1, count, states.shape[2] // count).transpose(1, 2)


def cache_of(tensors: tuple[Tensor, ...]) -> DynamicCache:
    cache = DynamicCache()
    for keys, values in zip(tensors[::2], tensors[1::2], strict=True):
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values) if takes_values(layer) else layer.lazy_initialization(keys)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def takes_values(layer: DynamicLayer) -> bool:
    return layer.lazy_initialization.__code__.co_argcount > 2


def tensors_of(cache: DynamicCache) -> Iterator[Tensor]:
    for layer in cache.layers:
        yield layer.keys
        yield layer.values


def key_value_names(prefix: str, layers: int, infix: str = "") -> list[str]:
    return [f"{prefix}.{i}{infix}.{part}" for i in range(layers) for part in ("key", "value")]


def folder_of(source: str) -> Path:
    """A folder as it is; any other name is a model's on the Hub."""
    return Path(source) if Path(source).is_dir() else Path(snapshot_download(source, allow_patterns=["*.json", "*.txt", "*.model", "*.jinja", "*.safetensors"]))


def export_causal(language_model: PreTrainedModel, folder: Path) -> None:
    """`embed_tokens.onnx` and a `decoder_model.onnx` that takes vectors: what stands between the words need be no words."""
    config, dtype = language_model.config, language_model.dtype
    rows = {0: "batch_size", 1: "sequence_length"}
    ids = torch.randint(0, config.vocab_size, (2, 5))
    export_graph(Embeddings(language_model), {"input_ids": ids}, ["inputs_embeds"],
                 {"input_ids": rows, "inputs_embeds": rows}, folder / "embed_tokens.onnx")  # fmt: skip
    layers, count, width = config.num_hidden_layers, config.num_attention_heads, config.hidden_size
    past, present = key_value_names("past_key_values", layers), key_value_names("present", layers)
    embeds = torch.randn(2, 9, language_model.get_input_embeddings().embedding_dim, dtype=dtype)
    kept = {name: torch.randn(2, count, 3, width // count, dtype=dtype) for name in past}
    axes = {"inputs_embeds": rows, "logits": rows, **dict.fromkeys([*past, *present], {0: "batch_size", 2: "past_sequence_length"})}
    export_graph(CausalDecoder(language_model), {"inputs_embeds": embeds, **kept}, ["logits", *present], axes, folder / "decoder_model.onnx")


def export_blip2(source: Path, out: Path, dtype: torch.dtype = torch.float32) -> None:
    model = Blip2ForConditionalGeneration.from_pretrained(source, dtype=dtype, attn_implementation="eager").eval()
    export_model(model, source, out)


def export_model(model: Blip2ForConditionalGeneration, source: Path, out: Path) -> None:
    """Preprocessor and tokenizer are those of `source`."""
    vision, text, folder, dtype = model.config.vision_config, model.language_model.config, out / "onnx", model.language_model.dtype
    queries, width = model.config.num_query_tokens, text.hidden_size
    # Whether a T5 scales before its head: transformers 5 says it in a field of its own, and ties the embeddings either way.
    text.tie_word_embeddings = getattr(text, "scale_decoder_outputs", text.tie_word_embeddings)
    batch = {0: "batch_size"}
    rows = {0: "batch_size", 1: "sequence_length"}
    patches = (vision.image_size // vision.patch_size) ** 2 + 1
    pixels = torch.randn(2, 3, vision.image_size, vision.image_size, dtype=dtype)
    embeds = torch.randn(2, queries + 5, width, dtype=dtype)
    export_graph(VisionModel(model), {"pixel_values": pixels}, ["last_hidden_state"],
                 {"pixel_values": batch, "last_hidden_state": batch}, folder / "vision_model.onnx")  # fmt: skip
    export_graph(QFormer(model), {"image_embeds": torch.randn(2, patches, vision.hidden_size, dtype=dtype)}, ["language_model_inputs"],
                 {"image_embeds": batch, "language_model_inputs": batch}, folder / "qformer.onnx")  # fmt: skip
    if model.config.use_decoder_only_language_model:
        export_causal(model.language_model, folder)
    else:
        ids = torch.randint(0, text.vocab_size, (2, 5))
        export_graph(Embeddings(model), {"input_ids": ids}, ["inputs_embeds"],
                     {"input_ids": rows, "inputs_embeds": rows}, folder / "embed_tokens.onnx")  # fmt: skip
        layers, count = text.num_decoder_layers, text.num_heads
        past, present = key_value_names("past_key_values", layers, ".decoder"), key_value_names("present", layers, ".decoder")
        cross, crossed = key_value_names("past_key_values", layers, ".encoder"), key_value_names("present", layers, ".encoder")
        own, seen = {0: "batch_size", 2: "past_sequence_length"}, {0: "batch_size", 2: "encoder_sequence_length"}
        export_graph(TextEncoder(model), {"inputs_embeds": embeds}, crossed,
                     {"inputs_embeds": rows, **dict.fromkeys(crossed, seen)}, folder / "encoder_model.onnx")  # fmt: skip
        kept = {name: torch.randn(2, count, 3, text.d_kv, dtype=dtype) for name in past}
        given = {name: torch.randn(2, count, queries + 5, text.d_kv, dtype=dtype) for name in cross}
        axes = {"input_ids": batch, "logits": batch, **dict.fromkeys([*past, *present], own), **dict.fromkeys(cross, seen)}
        export_graph(CrossDecoder(model), {"input_ids": ids[:, :1], **kept, **given}, ["logits", *present], axes,
                     folder / "decoder_model.onnx")  # fmt: skip
    for name in CONFIGS:
        if (source / name).exists():
            shutil.copyfile(source / name, out / name)
    if not (out / "generation_config.json").exists():
        model.generation_config.save_pretrained(out)
    copied = [shutil.copyfile(source / name, out / name) for name in TOKENIZER if (source / name).exists()]
    if out / "tokenizer.json" not in copied:
        AutoTokenizer.from_pretrained(source).save_pretrained(out)


def export_command(about: str, export: Callable[[Path, Path, torch.dtype], None]) -> Path:
    """The command line of a script that exports a folder as transformers has it; returns the folder that was written."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="folder with config.json, weights, preprocessor and tokenizer, or a name on the Hub")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=["fp32", "fp16"], default="fp32")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    export(folder_of(arguments.source), arguments.out, {"fp32": torch.float32, "fp16": torch.float16}[arguments.dtype])
    return arguments.out


def main() -> None:
    out = export_command(__doc__, export_blip2)
    for file in sorted((out / "onnx").iterdir()):
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

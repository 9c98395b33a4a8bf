"""Merges a LoRA adapter into its model, so that the result is exported like any other model.

A diffusers pipeline: `load_lora_weights` and `fuse_lora`. A transformers model (OPT, BLIP-2): PEFT's `merge_and_unload`. The merged model
is held against the model with the adapter beside it: the program ends where their outputs differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import transformers
from diffusers import DiffusionPipeline
from peft import PeftModel
from transformers import AutoConfig, AutoProcessor, AutoTokenizer

# Largest difference of an output, relative to the largest output: the same sums in another order.
TOLERANCE = 1e-4


def expect_same(adapted: torch.Tensor, merged: torch.Tensor, base: torch.Tensor) -> None:
    error = float((adapted - merged).abs().max() / adapted.abs().max())
    moved = float((adapted - base).abs().max() / adapted.abs().max())
    print(f"merged against adapter: largest relative difference {error:.1e}; the adapter moves the output by {moved:.1e}")
    if not error < TOLERANCE:
        raise SystemExit("the merged model does not give what the model with its adapter gives")
    if moved == 0:
        raise SystemExit("the adapter changes nothing; is it this model's?")


@torch.no_grad()
def merge_pipeline(model: str, adapter: str, out: Path) -> None:
    pipeline = DiffusionPipeline.from_pretrained(model)
    unet = pipeline.unet
    torch.manual_seed(0)
    context = torch.randn(1, 77, unet.config.cross_attention_dim)
    sample = torch.randn(1, unet.config.in_channels, unet.config.sample_size, unet.config.sample_size)

    def predict() -> torch.Tensor:
        return unet(sample, torch.tensor(500), context, return_dict=False)[0]

    base = predict()
    pipeline.load_lora_weights(adapter)
    adapted = predict()
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    expect_same(adapted, predict(), base)
    pipeline.save_pretrained(out)


@torch.no_grad()
def merge_model(model: str, adapter: str, out: Path) -> None:
    architecture = getattr(transformers, AutoConfig.from_pretrained(model).architectures[0])
    loaded = architecture.from_pretrained(model, torch_dtype=torch.float32).eval()
    torch.manual_seed(0)

    def predict(whole: torch.nn.Module) -> torch.Tensor:
        # Of a vision-language model, the part that writes.
        language = getattr(whole, "language_model", whole)
        ids = torch.randint(4, language.config.vocab_size, (1, 16), generator=torch.Generator().manual_seed(0))
        return language(input_ids=ids).logits

    base = predict(loaded)
    tuned = PeftModel.from_pretrained(loaded, adapter).eval()
    adapted = predict(tuned.get_base_model())
    merged = tuned.merge_and_unload()
    expect_same(adapted, predict(merged), base)
    merged.save_pretrained(out)
    for kind in (AutoTokenizer, AutoProcessor):
        try:
            kind.from_pretrained(model).save_pretrained(out)
        except (OSError, ValueError):
            pass  # A language model has no processor.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="Hugging Face's name or a folder")
    parser.add_argument("adapter", help="folder of the LoRA adapter (PEFT's or diffusers')")
    parser.add_argument("out", type=Path, help="folder of the merged model, to be exported as the model would be")
    arguments = parser.parse_args()
    try:
        DiffusionPipeline.load_config(arguments.model)
        merge = merge_pipeline
    except OSError:
        merge = merge_model
    merge(arguments.model, arguments.adapter, arguments.out)


if __name__ == "__main__":
    main()

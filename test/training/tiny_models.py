"""An OPT and a BLIP-2 of the true classes with random weights and the pack's tokenizer: `python tiny_models.py PACK OUT`.

Weights are drawn wide, so that what is written depends on what was read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, Blip2Config, Blip2ForConditionalGeneration, BlipImageProcessor, OPTConfig, OPTForCausalLM, PreTrainedModel

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
OPT = {
    "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "word_embed_proj_dim": 32, "max_position_embeddings": 256,
    "pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 2,
}  # fmt: skip


def widen(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            scale = 0.5 if "embed" in name or "query_tokens" in name else parameter.shape[-1] ** -0.5
            parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    return model


def main() -> None:
    pack, out = (Path(argument) for argument in sys.argv[1:])
    tokenizer = AutoTokenizer.from_pretrained(pack / "opt")
    words = len(tokenizer)
    opt = widen(OPTForCausalLM(OPTConfig(**OPT, vocab_size=words)), 1)
    vision = {**TINY, "image_size": 56, "patch_size": 14}
    qformer = {**TINY, "encoder_hidden_size": 32, "vocab_size": 32, "cross_attention_frequency": 2}
    text = {**OPTConfig(**OPT, vocab_size=words + 1).to_dict(), "model_type": "opt"}
    config = Blip2Config(vision_config=vision, qformer_config=qformer, text_config=text, num_query_tokens=4, image_token_index=words)
    blip2 = widen(Blip2ForConditionalGeneration(config), 2)
    for name, model in (("opt", opt), ("blip2", blip2)):
        model.save_pretrained(out / name)
        tokenizer.save_pretrained(out / name)
    BlipImageProcessor(size={"height": 56, "width": 56}).save_pretrained(out / "blip2")


if __name__ == "__main__":
    main()

"""What a training needs of memory, without the device or the weights: `python bench/training_memory.py [--batch-size 1]`.

The true architectures with LoRA on fake tensors (shapes without data): bytes of the weights, and of all that one step's forward pass keeps for the backward
pass, in mixed precision, with and without gradient checkpointing. What a device needs beside it (its context, workspaces, fragments of the allocator) is not counted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import Blip2Config, Blip2ForConditionalGeneration, OPTConfig, OPTForCausalLM

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "training" / "feedback"))
from training import GRADIENT_CHECKPOINTING  # noqa: E402

GIB = 2**30
OPT_1_3B = {"hidden_size": 2048, "ffn_dim": 8192, "num_hidden_layers": 24, "num_attention_heads": 32, "word_embed_proj_dim": 2048}
OPT_2_7B = {"hidden_size": 2560, "ffn_dim": 10240, "num_hidden_layers": 32, "num_attention_heads": 32, "word_embed_proj_dim": 2560}
# Of the paper's prompts: words, 768 integer tokens or 50 vectors or 32 queries, and a feedback of two sentences.
INTEGER_TOKENS, QUERIES, WORDS, FEEDBACK = 768, 32, 45, 30


# A BLIP-2 before an OPT adapts the OPT alone, so nothing of what comes before it is kept: its image model and Q-Former are weights and no more.
MODELS = {
    "OPT-1.3b, integer tokens": (OPT_1_3B, INTEGER_TOKENS + WORDS + FEEDBACK),
    "OPT-2.7b, integer tokens": (OPT_2_7B, INTEGER_TOKENS + WORDS + FEEDBACK),
    "BLIP-2 before OPT-2.7b": (OPT_2_7B, QUERIES + WORDS + FEEDBACK),
}


def weights_before(name: str) -> int:
    """Of a BLIP-2's image model, Q-Former and projection, whose sizes are the class's own defaults."""
    if not name.startswith("BLIP-2"):
        return 0
    with torch.device("meta"):
        model = Blip2ForConditionalGeneration(Blip2Config(text_config={**OPT_2_7B, "model_type": "opt"}))
    return sum(value.nbytes for part, value in model.named_parameters() if not part.startswith("language_model"))


def kept_bytes(model: torch.nn.Module, ids: torch.Tensor) -> int:
    """Of the storages, other than the weights', that one forward pass keeps."""
    weights = {value.untyped_storage()._cdata for value in model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        loss = model(input_ids=ids, labels=ids).loss
    assert loss.requires_grad
    return sum(storage.nbytes() for storage in kept.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, nargs="*", default=[1, 8])
    arguments = parser.parse_args()
    torch.nn.Module.to = lambda self, *_, **__: self  # PEFT's moves to where fake tensors are already
    print("| model | batch size | weights, GiB | kept for the backward pass, GiB | with gradient checkpointing |\n|---|---|---|---|---|")
    for name, (shape, length) in MODELS.items():
        with FakeTensorMode():
            model = get_peft_model(OPTForCausalLM(OPTConfig(**shape)), LoraConfig(r=16, lora_dropout=0.05)).train()
            weights = weights_before(name) + sum(value.nbytes for value in model.parameters())
            for size in arguments.batch_size:
                ids = torch.ones(size, length, dtype=torch.long)
                plain = kept_bytes(model, ids)
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=GRADIENT_CHECKPOINTING)
                less = kept_bytes(model, ids)
                model.gradient_checkpointing_disable()
                print(f"| {name} | {size} | {weights / GIB:.1f} | {plain / GIB:.1f} | {less / GIB:.1f} |", flush=True)


if __name__ == "__main__":
    main()

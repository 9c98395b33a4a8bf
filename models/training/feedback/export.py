"""Merges the adapter and writes `model/` as the TypeScript side loads it: `python models/training/feedback/export.py CONFIG.json`.

The graphs compute in float32; their weights lie in the files as float16. What the files write is then held against torch itself, from the
picture to the logits of the prompt and of the tokens after it: the command fails where they differ.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from command import run, say
from config import Config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from critics import Critic

# Largest difference of a logit, relative to the largest logit where that is above 1.
TOLERANCE = 1e-4


def export(config: Config) -> None:
    import numpy as np

    from critics import critic_of
    from feedback_set import load_set
    from parity import largest_difference

    _, validation = load_set(config.data)
    critic = critic_of(config)
    model = critic.tuned()
    out, partial = config.out / "model", config.out / "model.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write(critic, model, partial)
    # NumPy's maximum: Python's own may pass over what is not a number.
    difference = float(np.max([largest_difference(critic, model, partial, row) for row in validation[:3]]))
    if not difference < TOLERANCE:
        sys.exit(f"{partial}: the files differ from torch by {difference:.1e}; allowed is less than {TOLERANCE:.0e}")
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
    say("done", largestDifference=difference, path=str(out), bytes=sum(file.stat().st_size for file in out.rglob("*") if file.is_file()))


def write(critic: Critic, model: PreTrainedModel, out: Path) -> None:
    from onnx_files import store_half

    GRAPHS[critic.config.kind](critic, model, out)
    for file in (out / "onnx").glob("*.onnx"):
        store_half(file)
    critic.tokenizer.save_pretrained(out)
    model.generation_config.save_pretrained(out)
    settings = model.config.to_dict()
    settings.pop("_name_or_path", None)  # a folder of the machine that trained it
    settings["architectures"] = [critic.base_architecture]
    (out / "config.json").write_text(json.dumps(settings, indent=2) + "\n")


def opt(critic: Critic, model: PreTrainedModel, out: Path) -> None:
    from onnx_export import export_graph
    from opt_decoder import decoder_graph
    from opt_prompt import write_prompt

    export_graph(*decoder_graph(model), out / "onnx" / "model.onnx")
    write_prompt(out, critic.form)


def opt_soft(critic: Critic, model: PreTrainedModel, out: Path) -> None:
    import torch
    from export_blip2 import export_causal
    from onnx_export import export_graph
    from opt_prompt import write_prompt

    export_causal(model, out / "onnx")
    features = torch.randn(2, 3, model.config.image_feature_size)
    axes = {0: "batch_size", 1: "features"}
    export_graph(
        model.image_projection, {"image_features": features}, ["image_embeds"], {"image_features": axes, "image_embeds": axes},
        out / "onnx" / "image_projection.onnx",
    )  # fmt: skip
    write_prompt(out, critic.form)


def blip2(critic: Critic, model: PreTrainedModel, out: Path) -> None:
    from export_blip2 import export_model

    export_model(model, critic.config.base, out)


GRAPHS = {"opt": opt, "opt-soft": opt_soft, "blip2": blip2}

if __name__ == "__main__":
    run(__doc__, export)

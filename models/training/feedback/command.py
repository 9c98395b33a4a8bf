"""How the three commands begin and end: one configuration, JSON lines on stdout, the rest on stderr, exit 2 for bad input."""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config import BadInput, Config, load_config

MODELS = Path(__file__).parents[2]
# Shared with the bundled pack's training and with the export of other models.
sys.path[1:1] = [str(MODELS / "training"), str(MODELS / "export")]

_events = sys.stdout


def say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), file=_events, flush=True)


def run(about: str, work: Callable[[Config], None]) -> None:
    global _events
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="the JSON file that config.py describes")
    given = parser.parse_args().config
    # Libraries print where they like; whoever reads the events must not meet it.
    _events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        config = load_config(given)
        show_one_device(config)
        work(config)
    except BadInput as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def show_one_device(config: Config) -> None:
    """Before torch is there: Trainer would otherwise spread over all that it sees."""
    if config.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    index, shown = int(config.device.split(":")[1]), os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = shown.split(",") if shown else None
    if devices and index >= len(devices):
        config.refuse("device", f"{config.device} is not there: CUDA_VISIBLE_DEVICES shows {len(devices)}")
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[index] if devices else str(index)
    import torch

    if not torch.cuda.is_available():
        config.refuse("device", f"{config.device} is not there: torch sees no such device; take cpu or another")


def torch_device(config: Config) -> str:
    """The one that is shown is the first."""
    return "cpu" if config.device == "cpu" else "cuda:0"

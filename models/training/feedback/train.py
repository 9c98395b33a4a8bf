"""Tunes a critic by LoRA on a feedback set: `python models/training/feedback/train.py CONFIG.json`.

Writes `adapter/` (the best by validation loss) and `training.json` to the configuration's `out`. Killed and started again, it goes on
from the newest whole checkpoint as if it had never ended. SIGTERM: it writes a checkpoint and exits with 143.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from command import run, say
from config import Config

if TYPE_CHECKING:
    from training import FeedbackTrainer


class Stop:
    """At SIGTERM: at once while nothing is to be lost, else after the step."""

    def __init__(self) -> None:
        self.trainer: FeedbackTrainer | None = None
        signal.signal(signal.SIGTERM, self)

    def __call__(self, *_: object) -> None:
        if self.trainer is None:
            sys.exit(128 + signal.SIGTERM)
        self.trainer.stopping = True


def train(config: Config) -> None:
    stop = Stop()
    from feedback_set import load_set

    rows, validation = load_set(config.data)
    examples = {"train": len(rows), "validation": len(validation)}
    if done := config.result():
        say("start", totalSteps=done["totalSteps"], resumedFrom=done["steps"], examples=examples)
        return say("done", **done)
    from peft import get_peft_model

    from critics import critic_of
    from training import FeedbackTrainer, Stopped, count_steps, newest_checkpoint

    checkpoint = newest_checkpoint(config)
    critic = critic_of(config)
    base = critic.load()
    try:
        model = get_peft_model(base, critic.adapter())
    except ValueError as error:
        config.refuse("lora.targetModules", str(error).splitlines()[0])
    resumed = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    overlong = critic.overlong([*rows, *validation])
    say("start", totalSteps=count_steps(config, len(rows))[1], resumedFrom=resumed, examples=examples, **({"overlong": overlong} if overlong else {}))
    trainer = FeedbackTrainer(critic, model, rows, validation)
    if checkpoint:
        trainer.go_on_from(checkpoint)
    steps = resumed
    if not trainer.progress["ended"]:
        stop.trainer = trainer
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except Stopped:
            sys.exit(128 + signal.SIGTERM)
        steps = trainer.state.global_step
    save(trainer, config, steps)


def save(trainer: FeedbackTrainer, config: Config, steps: int) -> None:
    adapter, partial = config.out / "adapter", config.out / "adapter.partial"
    shutil.rmtree(partial, ignore_errors=True)
    trainer.use_best().save_pretrained(partial)
    settings = json.loads((partial / "adapter_config.json").read_text(encoding="utf-8"))
    # PEFT writes sets in the order of this process.
    write_json(partial / "adapter_config.json", {name: sorted(value) if isinstance(value, list) else value for name, value in settings.items()})
    shutil.rmtree(adapter, ignore_errors=True)
    os.replace(partial, adapter)
    progress = trainer.progress
    result = {
        "steps": steps,
        "totalSteps": trainer.total_steps,
        "bestStep": progress["bestStep"],
        "trainLoss": progress["trainLoss"],
        "validationLoss": progress["bestLoss"],
        "stoppedEarly": steps < trainer.total_steps,
        "trainedParameters": sum(value.numel() for value in trainer.best.values()),
    }
    write_json(config.out / "training.json", {**result, "fingerprint": config.fingerprint})
    say("done", **result)


def write_json(path: Path, value: object) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    run(__doc__, train)

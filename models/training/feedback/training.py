"""Hugging Face's Trainer, told to say what it does, to keep the best adapter, and to go on exactly where it was ended."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from command import say
from config import Config
from critics import Critic, Picture, loss_over
from feedback_set import Row

# Masks a picture is seen through in training: a critic must not depend on which quarter of it was seen.
VIEWS = 4
MARKER = "complete.json"
KEPT_CHECKPOINTS = 2
# The form that takes inputs without gradients, as an adapter on a frozen base has them.
GRADIENT_CHECKPOINTING = {"use_reentrant": False}


class Examples(Dataset):
    """Rows; in another epoch through another mask, which no random state decides. Raises BadInput for a row that is too long."""

    def __init__(self, critic: Critic, rows: list[Row]) -> None:
        self.critic, self.rows, self.epoch = critic, rows, 0
        self.seen = [[critic.picture(row, view) for view in range(VIEWS)] for row in rows] if critic.config.imageEncoder else None
        for i in range(len(rows)):
            _ = self[i]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        picture = self.seen[i][(self.epoch + i) % VIEWS] if self.seen else self.critic.picture(self.rows[i])
        return self.critic.example(self.rows[i], picture, self.critic.config.loss)


class Stopped(Exception):
    """Told to stop, and what there is to go on from is on disk."""


class FeedbackTrainer(Trainer):
    def __init__(self, critic: Critic, model: PeftModel, train: list[Row], validation: list[Row]) -> None:
        config = critic.config
        self.critic, self.validation = critic, validation
        self.shown: list[Picture] = [critic.picture(row) for row in validation]
        for row, picture in zip(validation, self.shown, strict=True):
            critic.example(row, picture, config.loss)  # one that is too long is told now, not after an epoch
        self.step_loss = 0.0
        # What of a training no part of Trainer keeps.
        self.progress: dict[str, Any] = {"bestStep": 0, "bestLoss": None, "idle": 0, "ended": False, "epochLoss": [0.0, 0], "trainLoss": None}
        self.best: dict[str, torch.Tensor] = {}
        self.stopping = False
        self.steps_per_epoch, self.total_steps = count_steps(config, len(train))
        super().__init__(
            model=model, args=arguments(config, self.total_steps), train_dataset=Examples(critic, train), data_collator=critic.batch,
            callbacks=[Reporter(self)],
        )  # fmt: skip

    def training_step(self, *given: Any, **named: Any) -> torch.Tensor:
        loss = super().training_step(*given, **named)
        self.step_loss += loss.item()
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Trainer's own weighs batches, not tokens."""
        loss = loss_over(self.critic, self.model, self.validation, self.shown, self.args.device, self.critic.config.batchSize)
        say("eval", step=self.state.global_step, loss=loss)
        self.judge(loss)
        self.control.should_evaluate = False
        return {"eval_loss": loss}

    def judge(self, loss: float) -> None:
        """Keeps the adapter where it is the best so far, and ends training where none has been for long."""
        stopping, progress = self.critic.config.earlyStopping, self.progress
        train_loss, steps = progress["epochLoss"]
        progress["epochLoss"] = [0.0, 0]
        if progress["bestLoss"] is None or loss < progress["bestLoss"] - (stopping.minDelta if stopping else 0):
            progress.update(bestLoss=loss, bestStep=self.state.global_step, idle=0, trainLoss=train_loss / max(1, steps))
            self.best = {name: value.detach().to("cpu", copy=True) for name, value in self.model.named_parameters() if value.requires_grad}
        else:
            progress["idle"] += 1
        if (stopping and progress["idle"] >= stopping.patience) or self.state.global_step >= self.total_steps:
            progress["ended"] = self.control.should_training_stop = True

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        torch.save({"progress": self.progress, "best": self.best}, folder / "progress.pt")
        write_marker(folder, self.critic.config)
        say("checkpoint", step=self.state.global_step, path=str(folder))

    def go_on_from(self, checkpoint: Path) -> None:
        kept = torch.load(checkpoint / "progress.pt", weights_only=True)
        self.progress, self.best = kept["progress"], kept["best"]

    def use_best(self) -> PeftModel:
        parameters = dict(self.model.named_parameters())
        for name, value in self.best.items():
            parameters[name].data.copy_(value)
        return self.model


class Reporter(TrainerCallback):
    """Says each step, and says when to evaluate, to save and to stop."""

    def __init__(self, trainer: FeedbackTrainer) -> None:
        self.trainer, self.rate = trainer, 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.train_dataset.epoch = int(state.epoch or 0)

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self.rate = self.trainer.optimizer.param_groups[0]["lr"]

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        trainer, step = self.trainer, state.global_step
        loss, trainer.step_loss = trainer.step_loss, 0.0
        say("step", step=step, epoch=state.epoch, loss=loss, learningRate=self.rate)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of step {step} is {loss}: a lower learningRate, or precision fp32, may help")
        total, steps = trainer.progress["epochLoss"]
        trainer.progress["epochLoss"] = [total + loss, steps + 1]
        # Evaluated before it is saved, so that a checkpoint at an epoch's end knows the epoch's loss.
        control.should_evaluate = step % trainer.steps_per_epoch == 0 or step >= trainer.total_steps
        control.should_save = trainer.stopping or step % trainer.critic.config.checkpointSteps == 0

    def on_save(self, *_: Any, **__: Any) -> None:
        if self.trainer.stopping:
            raise Stopped


def count_steps(config: Config, examples: int) -> tuple[int, int]:
    """Optimiser steps an epoch, and in all where nothing ends it earlier: `epochs` or `maxSteps`, whichever is less."""
    an_epoch = math.ceil(math.ceil(examples / config.batchSize) / config.gradientAccumulation)
    return an_epoch, min(config.maxSteps or math.inf, config.epochs * an_epoch)


def arguments(config: Config, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(config.out / "checkpoints"), seed=config.seed, data_seed=config.seed, learning_rate=config.learningRate,
        num_train_epochs=config.epochs, max_steps=steps if config.maxSteps else -1, per_device_train_batch_size=config.batchSize,
        gradient_accumulation_steps=config.gradientAccumulation, gradient_checkpointing=config.gradientCheckpointing,
        gradient_checkpointing_kwargs=GRADIENT_CHECKPOINTING, bf16=config.precision == "bf16", use_cpu=config.device == "cpu",
        eval_strategy="no", save_strategy="no", logging_strategy="no", save_total_limit=KEPT_CHECKPOINTS, report_to=[], disable_tqdm=True,
        remove_unused_columns=False, dataloader_pin_memory=config.device != "cpu", optim="adamw_torch", label_names=["labels"],
    )  # fmt: skip


def write_marker(folder: Path, config: Config) -> None:
    """Says, last and at once, that all of a checkpoint is on disk, and which files that is."""
    files = {path.relative_to(folder).as_posix(): digest(path, sync=True) for path in sorted(folder.rglob("*")) if path.is_file()}
    partial = folder / f"{MARKER}.partial"
    partial.write_text(json.dumps({"fingerprint": config.fingerprint, "files": files}, indent=1) + "\n")
    digest(partial, sync=True)
    os.replace(partial, folder / MARKER)


def newest_checkpoint(config: Config) -> Path | None:
    """The newest whole one; what is not whole is deleted, so that it is not counted. Raises BadInput for another configuration's."""
    folders = sorted((config.out / "checkpoints").glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]), reverse=True)
    for folder in folders:
        marker = marker_of(folder)
        if marker and marker["fingerprint"] != config.fingerprint:
            config.refuse("out", f"{folder} was written with other settings or data: delete the folder or name another")
        if marker:
            return folder
        shutil.rmtree(folder)
    return None


def marker_of(folder: Path) -> dict | None:
    """What stands in a checkpoint that is whole, each file as it was written."""
    try:
        marker = json.loads((folder / MARKER).read_text())
        return marker if all(digest(folder / name) == sha256 for name, sha256 in marker["files"].items()) else None
    except (OSError, ValueError, KeyError):
        return None


def digest(path: Path, sync: bool = False) -> str:
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()

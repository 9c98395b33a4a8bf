"""The training loop of the pack's larger models: data parallel over processes of one thread each, with checkpoints to go on from.

Two processes of one thread are 1.35 times as fast on two cores as one process of two threads. Every random number of a step comes
from the task's seed, the step and the process, so a run that was killed goes on from its checkpoint to the same weights, bit for bit.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import math
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from torch import Tensor, nn

REPORT_EVERY = 100

# One process's share of a step: its loss (a scalar to differentiate) and what to print beside it.
Step = Callable[[random.Random], tuple[Tensor, dict[str, float]]]


class Task(Protocol):
    """What is trained. It is sent to every process by pickle, so it holds paths and numbers; `build` loads what they name."""

    seed: int

    def build(self) -> tuple[nn.Module, Step]:
        """The module whose parameters are trained, and its step. Called once in each process, after torch has been seeded."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long and how fast: `constant` is the share of the steps before the cosine decay begins."""

    steps: int
    learning_rate: float
    warmup: int = 100
    constant: float = 0.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    ema_decay: float = 0.998
    processes: int = 2
    checkpoint_seconds: float = 60.0

    def rate(self, step: int) -> float:
        done = max(0.0, (step / self.steps - self.constant) / (1 - self.constant))
        return self.learning_rate * min(1, step / self.warmup) * (0.5 + 0.5 * math.cos(math.pi * done)) + 1e-6


def checkpoint_of(out: Path) -> Path:
    """Where the training of what will lie in `out` keeps its checkpoint."""
    return out.with_name(f"{out.name}.checkpoint")


def train(task: Task, plan: Plan, checkpoint: Path) -> nn.Module:
    """Trains to the end, from `checkpoint` where one lies, and returns the moving average of the weights.

    The checkpoint stays when this returns: who writes the model removes it afterwards.
    """
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        multiprocessing.spawn(run_process, (task, plan, checkpoint, Path(folder) / "meeting-point"), plan.processes)
    torch.manual_seed(task.seed)
    module, _ = task.build()
    module.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return module.eval()


def run_process(rank: int, task: Task, plan: Plan, checkpoint: Path, meeting_point: Path) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    distributed.init_process_group("gloo", f"file://{meeting_point}", world_size=plan.processes, rank=rank)
    torch.manual_seed(task.seed)
    module, step_of = task.build()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=plan.learning_rate, betas=plan.betas, weight_decay=plan.weight_decay)
    average = copy.deepcopy(module) if rank == 0 else None
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        done = state["step"]
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
    distributed.barrier()  # nobody writes a checkpoint while another still reads the last one
    saved = reported = time.monotonic()
    for step in range(done + 1, plan.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate(step)
        rng = seeded(task.seed, step, rank)
        loss, measured = step_of(rng)
        if not multiprocessing.parent_process().is_alive():
            return  # who started this was killed; the checkpoint is what goes on
        optimizer.zero_grad()
        loss.backward()
        average_gradients(parameters, plan.processes)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if average is None:
            continue
        with torch.no_grad():
            weight = 1 - min(plan.ema_decay, step / (9 + step))
            torch._foreach_lerp_([p for p in average.parameters() if p.requires_grad], parameters, weight)
        if step % REPORT_EVERY == 0 or step == plan.steps:
            seconds, reported = time.monotonic() - reported, time.monotonic()
            words = " ".join(f"{name} {value:.4f}" for name, value in {"loss": loss.item(), **measured}.items())
            print(f"step {step} of {plan.steps}: {words} ({seconds:.0f} s)", flush=True)
        if time.monotonic() - saved > plan.checkpoint_seconds or step == plan.steps:
            state = {"step": step, "module": module.state_dict(), "optimizer": optimizer.state_dict(), "average": average.state_dict()}
            partial = checkpoint.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(checkpoint)
            saved = time.monotonic()
    distributed.barrier()
    distributed.destroy_process_group()


def seeded(seed: int, step: int, rank: int) -> random.Random:
    """Python's generator of one process's step; torch's global one is seeded from it."""
    rng = random.Random(int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()[:8], "big"))
    torch.manual_seed(rng.getrandbits(63))
    return rng


def average_gradients(parameters: list[nn.Parameter], processes: int) -> None:
    """Every process has the mean of all processes' gradients afterwards. A parameter that no loss reached counts as 0."""
    if processes == 1:
        return
    flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
    distributed.all_reduce(flat)
    flat /= processes
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)


def add_options(parser: argparse.ArgumentParser, steps: int, batch: int) -> None:
    """The options that every script with this loop has."""
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch, help="examples a step of each of the two processes")
    parser.add_argument("--checkpoint-seconds", type=float, default=60)


def add_bf16(parser: argparse.ArgumentParser) -> None:
    """The option of those whose steps can compute in it."""
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=cpu_has_bf16(), help="default: where the CPU has it")


def cpu_has_bf16() -> bool:
    """Whether the CPU computes in bfloat16. Measured: where it does not, PyTorch emulates it, and a step takes 20 times as long."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def choose(rng: random.Random, count: int, batch: int) -> list[int]:
    """`batch` indices below `count`, with replacement."""
    return [rng.randrange(count) for _ in range(batch)]

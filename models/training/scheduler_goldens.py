"""Trajectories of diffusers' schedulers under a fixed fake model, for `make_goldens.py`."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math

import numpy as np
import torch

# Above 16 elements and no multiple of 16: torch's blocks and its rule for the rest. Every fourth value is kept.
SHAPE = (1, 4, 2, 3)
KEPT = 4
SEED = 42
STEPS = (4, 10, 20, 50)
SPACINGS = ("leading", "trailing", "linspace")
PREDICTIONS = ("epsilon", "v_prediction", "sample")

# Stable Diffusion's noise schedule and offset.
STABLE_DIFFUSION = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "steps_offset": 1}  # fmt: skip
LINEAR = {"beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "linear"}
ZERO_SNR = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}


def cross(*extras: dict, predictions: tuple[str, ...] = PREDICTIONS, spacings: tuple[str, ...] = SPACINGS) -> list[tuple[dict, int]]:
    """Each of the extras with each spacing, prediction type and number of steps."""
    return [
        ({**STABLE_DIFFUSION, **extra, "timestep_spacing": spacing, "prediction_type": prediction}, steps)
        for extra, spacing, prediction, steps in itertools.product(extras or ({},), spacings, predictions, STEPS)
    ]


def single(*extras: dict, steps: int = 10) -> list[tuple[dict, int]]:
    """Each of the extras alone, beside a class's defaults and what all schedulers read."""
    return [({**STABLE_DIFFUSION, **extra}, steps) for extra in extras]


def common() -> list[tuple[dict, int]]:
    return [({}, 10), *single({"steps_offset": 0, "timestep_spacing": "leading"}, LINEAR), *single({"timestep_spacing": "trailing"}, steps=7)]


def zero_snr() -> list[tuple[dict, int]]:
    return [case for spacing in SPACINGS for n in (10, 20) for case in single({**ZERO_SNR, "timestep_spacing": spacing}, steps=n)]


KARRAS = {"use_karras_sigmas": True}
SIGMA_MIN = {"final_sigmas_type": "sigma_min"}
NOISE_OR_V = ("epsilon", "v_prediction")

CASES: dict[str, list[tuple[dict, int]]] = {
    "DDIMScheduler": [
        *cross({"clip_sample": False}),
        *common(),
        *zero_snr(),
        *single({"clip_sample": False, "set_alpha_to_one": False}, {"clip_sample": True, "clip_sample_range": 0.5}),
    ],
    "PNDMScheduler": [
        *cross({"skip_prk_steps": True}, {"skip_prk_steps": False}, predictions=NOISE_OR_V),
        *common(),
        *single({"skip_prk_steps": True, "set_alpha_to_one": True}),
        *[case for n in (1, 2, 3, 7) for case in single({"skip_prk_steps": True}, steps=n)],
    ],
    "EulerDiscreteScheduler": [
        *cross(),
        *cross(KARRAS, predictions=("epsilon",)),
        *common(),
        *zero_snr(),
        *single(SIGMA_MIN, {**SIGMA_MIN, **KARRAS}, {**ZERO_SNR, **KARRAS}),
    ],
    "EulerAncestralDiscreteScheduler": [*cross(predictions=NOISE_OR_V), *common(), *zero_snr()],
    "DPMSolverMultistepScheduler": [
        *cross(),
        *cross(KARRAS, spacings=("linspace",)),
        *common(),
        *zero_snr(),
        *single(SIGMA_MIN, {**SIGMA_MIN, **KARRAS}, {**ZERO_SNR, **KARRAS}, {**SIGMA_MIN, "lower_order_final": False}),
        *single(SIGMA_MIN, {**SIGMA_MIN, "euler_at_final": True}, {"solver_type": "bh2"}, steps=20),
    ],
    "UniPCMultistepScheduler": [
        *cross(),
        *cross(KARRAS, spacings=("linspace",)),
        *common(),
        *zero_snr(),
        *single(SIGMA_MIN, {**SIGMA_MIN, **KARRAS}, {**ZERO_SNR, **KARRAS}, {**SIGMA_MIN, "lower_order_final": False}),
        # With `zero`, diffusers' bh1 gives NaN in the last step.
        *cross({**SIGMA_MIN, "solver_type": "bh1"}, predictions=("epsilon",), spacings=("linspace",)),
        *single({"solver_type": "midpoint"}),
    ],
    "LCMScheduler": [
        *cross(spacings=("leading",)),
        *common(),
        *single({**ZERO_SNR}, {"original_inference_steps": 100}, {"clip_sample": True}, {"timestep_scaling": 1.0}, {"original_inference_steps": 30}),
    ],
}


def fake_model(sample: torch.Tensor, step: int) -> torch.Tensor:
    """0.1 * sample + sin(step + element index), the sine taken in double precision and rounded to float32."""
    wave = [math.sin(step + index) for index in range(sample.numel())]
    return 0.1 * sample + torch.tensor(wave, dtype=torch.float64).to(torch.float32).reshape(sample.shape)


def trajectory(class_name: str, config: dict, steps: int) -> dict:
    """As a diffusers pipeline runs a scheduler: one generator for the initial noise and for what the steps draw."""
    import diffusers

    scheduler = getattr(diffusers, class_name)(**config)
    scheduler.set_timesteps(steps)
    generator = torch.Generator("cpu").manual_seed(SEED)
    latents = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    draws = class_name in ("EulerAncestralDiscreteScheduler", "LCMScheduler")
    kept = []
    for step, timestep in enumerate(scheduler.timesteps):
        output = fake_model(scheduler.scale_model_input(latents, timestep), step)
        latents = scheduler.step(output, timestep, latents, **({"generator": generator} if draws else {})).prev_sample
        assert latents.dtype == torch.float32 and torch.isfinite(latents).all(), (class_name, config, steps, step)
        kept.append(latents.flatten()[::KEPT].numpy())
    return {"config": {"_class_name": class_name, **config}, "numInferenceSteps": steps,
            "timesteps": [shortest(t) for t in scheduler.timesteps], "initNoiseSigma": float(scheduler.init_noise_sigma),
            "latents": base64.b64encode(np.stack(kept).astype("<f4").tobytes()).decode()}  # fmt: skip


def shortest(timestep: torch.Tensor) -> float | int:
    value = float(timestep)
    return int(value) if value.is_integer() else value


def all_timesteps(class_name: str, spacing: str) -> str:
    """Digest over every number of steps; `trailing` without the one below zero that numpy's arange adds for some."""
    import diffusers

    scheduler = getattr(diffusers, class_name)(timestep_spacing=spacing)
    lines = []
    for steps in range(1, 1000):
        scheduler.set_timesteps(steps)
        lines.append(json.dumps([int(t) for t in scheduler.timesteps if t >= 0], separators=(",", ":")))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def make_schedulers() -> dict:
    import diffusers

    return {"source": f"diffusers {diffusers.__version__}, torch {torch.__version__}, numpy {np.__version__}",
            "model": "0.1 * scaledInput + sin(step + flatIndex); step counts evaluations from 0",
            "initial": f"randn({list(SHAPE)}, seed {SEED}) * initNoiseSigma; steps that draw noise draw from the same generator",
            "latents": f"every {KEPT}th value after each evaluation, float32 little-endian, base64",
            "shape": list(SHAPE), "kept": KEPT, "seed": SEED,
            "timesteps": [{"class": name, "spacing": spacing, "sha256": all_timesteps(name, spacing)}
                          for name in ("DDIMScheduler", "DPMSolverMultistepScheduler") for spacing in SPACINGS],
            "trajectories": [trajectory(name, *case) for name, cases in CASES.items() for case in cases]}  # fmt: skip

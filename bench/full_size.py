"""Counterparts of bench/full-size.mjs: the same work by ONNX Runtime's Python API on the same graphs, and by diffusers and transformers on torch.

    python bench/full_size.py ort-sd|torch-sd|ort-opt|torch-opt FOLDER THREADS JSON

`JSON`: {prompt, steps, guidance} or {ids, tokens}. Prints {seconds, cpuSeconds, loadSeconds, peakMiB} as its last line, the first two of
two requests one after the other; a small request after loading belongs to `loadSeconds`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np


def sessions(threads: int, *files: Path) -> list:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return [onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]) for file in files]


def ort_sd(folder: Path, threads: int, prompt: str, steps: int, guidance: float):
    """Text encoder for prompt and negative prompt, DDIM with guidance, decoder; numpy between the calls."""
    from diffusers import DDIMScheduler
    from transformers import CLIPTokenizer

    text, unet, decoder = sessions(threads, *(folder / part / "model.onnx" for part in ("text_encoder", "unet", "vae_decoder")))
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    ids_type = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}[text.get_inputs()[0].type]
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")

    def work(small: bool) -> None:
        import torch

        edge = 8 if small else 64
        context = [
            text.run(["last_hidden_state"], {"input_ids": np.array(tokenizer([t], padding="max_length", max_length=77).input_ids, ids_type)})[0]
            for t in ("", prompt)
        ]
        context = np.concatenate(context)
        latents = torch.randn(1, 4, edge, edge, generator=torch.Generator("cpu").manual_seed(0))
        scheduler.set_timesteps(1 if small else steps)
        for timestep in scheduler.timesteps:
            both = np.concatenate([latents.numpy()] * 2)
            feeds = {"sample": both, "timestep": np.asarray(timestep.item(), np.float32), "encoder_hidden_states": context}
            without, with_ = unet.run(None, feeds)[0]
            noise = without + guidance * (with_ - without)
            latents = scheduler.step(torch.from_numpy(noise[None]), timestep, latents).prev_sample
        picture = decoder.run(None, {"latent_sample": latents.numpy() / 0.18215})[0]
        np.clip((picture / 2 + 0.5) * 255, 0, 255).round().astype(np.uint8)

    return work


def torch_sd(folder: Path, threads: int, prompt: str, steps: int, guidance: float):
    import torch
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    torch.set_num_threads(threads)
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32, safety_checker=None)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)

    def work(small: bool) -> None:
        edge = 64 if small else 512
        generator = torch.Generator("cpu").manual_seed(0)
        pipeline(prompt, height=edge, width=edge, num_inference_steps=1 if small else steps, guidance_scale=guidance, generator=generator)

    return work


def ort_opt(folder: Path, threads: int, ids: list[int], tokens: int):
    """Greedy: the prompt once, then one token after another with the past that the graph gave."""
    (model,) = sessions(threads, folder / "model.onnx")
    names = [value.name for value in model.get_inputs()]
    past = {value.name: value.shape for value in model.get_inputs() if value.name.startswith("past_key_values")}
    outputs = [value.name for value in model.get_outputs()]

    def work(small: bool) -> None:
        prompt = ids[:60] if small else ids
        cache = {name: np.zeros((1, shape[1], 0, shape[3]), np.float32) for name, shape in past.items()}
        row, seen = np.array([prompt], np.int64), len(prompt)
        for _ in range(1 if small else tokens):
            feeds = {"input_ids": row, "attention_mask": np.ones((1, seen), np.int64), **cache}
            if "position_ids" in names:
                feeds["position_ids"] = np.arange(seen - row.shape[1], seen, dtype=np.int64)[None]
            logits, *present = model.run(outputs, feeds)
            cache = {name.replace("present", "past_key_values"): value for name, value in zip(outputs[1:], present, strict=True)}
            row, seen = logits[:, -1:].argmax(-1), seen + 1

    return work


def torch_opt(folder: Path, threads: int, ids: list[int], tokens: int):
    import torch
    from transformers import OPTForCausalLM

    torch.set_num_threads(threads)
    model = OPTForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def work(small: bool) -> None:
        row = torch.tensor([ids[:60] if small else ids])
        count = 1 if small else tokens
        model.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=count, min_new_tokens=count, do_sample=False)

    return work


def main() -> None:
    name, folder, threads, what = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
    make = {"ort-sd": ort_sd, "torch-sd": torch_sd, "ort-opt": ort_opt, "torch-opt": torch_opt}[name]
    started = time.perf_counter()
    work = make(folder, threads, **what)
    work(small=True)
    load_seconds = time.perf_counter() - started
    seconds, cpu_seconds = [], []
    for _ in range(2):
        begun, cpu = time.perf_counter(), time.process_time()
        work(small=False)
        seconds.append(time.perf_counter() - begun)
        cpu_seconds.append(time.process_time() - cpu)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpuSeconds": cpu_seconds, "loadSeconds": load_seconds, "peakMiB": peak}))


if __name__ == "__main__":
    main()

"""Runs exported graphs as the TypeScript side does, to hold them against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from critics import Critic, Prompt
from feedback_set import Row
from onnx_files import open_session
from soft_prompt import IMAGE

# Tokens after the prompt that are read one by one, so that what the graph keeps of the past is looked at too.
STEPS = 3


class Files:
    """The graphs of one folder."""

    def __init__(self, folder: Path) -> None:
        self.sessions = {file.stem: open_session(file) for file in (folder / "onnx").glob("*.onnx")}

    def run(self, graph: str, **inputs: np.ndarray) -> np.ndarray:
        return self.sessions[graph].run(None, inputs)[0]

    def vectors(self, ids: list[int]) -> np.ndarray:
        return self.run("embed_tokens", input_ids=np.array([ids], dtype=np.int64))

    def image_vectors(self, prompt: Prompt) -> np.ndarray:
        if "pixel_values" in prompt.inputs:
            states = self.run("vision_model", pixel_values=prompt.inputs["pixel_values"][None].numpy())
            return self.run("qformer", image_embeds=states)
        return self.run("image_projection", image_features=prompt.inputs["image_features"][None].numpy())

    def prompt_inputs(self, prompt: Prompt) -> dict[str, np.ndarray]:
        if "model" in self.sessions:
            return {"input_ids": np.array([prompt.ids], dtype=np.int64)}
        at = prompt.image.index(True)
        after = at + sum(prompt.image)
        words = [self.vectors(ids) for ids in (prompt.ids[:at], prompt.ids[after:]) if ids]
        return {"inputs_embeds": np.concatenate([*words[: at > 0], self.image_vectors(prompt), *words[at > 0 :]], axis=1)}

    def logits(self, prompt: Prompt, following: list[int]) -> np.ndarray:
        """Of the prompt, read at once, and of the tokens after it, read one by one: [length, vocabulary]."""
        decoder = self.sessions.get("model") or self.sessions["decoder_model"]
        shapes = {given.name: given for given in decoder.get_inputs()}
        past = {name: np.zeros((1, given.shape[1], 0, given.shape[3]), np.float32) for name, given in shapes.items() if name.startswith("past_key_values")}
        rows, length = [], 0
        steps = [self.prompt_inputs(prompt)]
        steps += [{"input_ids": np.array([[i]], dtype=np.int64)} if "model" in self.sessions else {"inputs_embeds": self.vectors([i])} for i in following]
        for new in steps:
            length += next(iter(new.values())).shape[1]
            mask = {"attention_mask": np.ones((1, length), np.int64)} if "attention_mask" in shapes else {}
            logits, *present = decoder.run(None, {**new, **mask, **past})
            rows.append(logits[0])
            past = dict(zip(past, present, strict=True))
        return np.concatenate(rows)


def largest_difference(critic: Critic, model: PreTrainedModel, folder: Path, row: Row) -> float:
    """Over all logits of a row's prompt and what is written first; relative to the largest where that is above 1."""
    prompt = critic.prompt(row.caption, critic.picture(row))
    following = critic.write(model, prompt)[:STEPS]
    inputs = {name: value[None] for name, value in prompt.inputs.items()}
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([[*prompt.ids, *following]]), **inputs).logits[0].numpy()
    actual = Files(folder).logits(prompt, following)
    return float(np.abs(actual - expected).max() / np.maximum(1.0, np.abs(expected).max()))

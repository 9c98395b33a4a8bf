"""The kinds of critic that can be tuned: how each reads caption and picture, what it is made from, and how it writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, PeftModel
from torch import Tensor
from transformers import AutoImageProcessor, AutoTokenizer, Blip2ForConditionalGeneration, GenerationConfig, OPTConfig, OPTForCausalLM, PreTrainedModel

from config import PAPER_BLIP2, BadInput, Config
from feedback_set import Row
from image_features import ImageFeatures
from onnx_files import round_to_half
from opt_prompt import feature_ids, read_prompt, text_ids
from soft_prompt import IMAGE, SoftPromptOPT

IGNORED = -100
# The default of `max_new_tokens` in recipes.
MAX_NEW_TOKENS = 64
Picture = np.ndarray


@dataclass(frozen=True)
class Prompt:
    ids: list[int]
    # Where ids stand for no token but for vectors of the picture.
    image: list[bool]
    # What the model takes beside the ids, without the batch's dimension.
    inputs: dict[str, Tensor] = field(default_factory=dict)


class Critic:
    """A base model with its tokenizer and prompt. Raises BadInput where the base is of another kind."""

    architecture: type[PreTrainedModel]
    base_architecture: str
    # Trained whole beside the adapter.
    trained_whole: list[str] | None = None

    def __init__(self, config: Config) -> None:
        self.config = config
        file = config.base / "config.json"
        named = json.loads(file.read_text()).get("architectures") if file.exists() else None
        if self.base_architecture not in (named or []):
            raise BadInput(f"{file}: architectures: {config.kind} is tuned from {self.base_architecture}, not {', '.join(named or ['nothing'])}")
        self.tokenizer = AutoTokenizer.from_pretrained(config.base)

    def picture(self, row: Row, view: int = 0) -> Picture:
        """What the model is given of a picture; a view is one of several ways to look at it."""
        raise NotImplementedError

    def prompt(self, caption: str, picture: Picture) -> Prompt:
        raise NotImplementedError

    def feedback_ids(self, feedback: str) -> list[int]:
        """The end of the text included."""
        return [*self.tokenizer.encode(feedback, add_special_tokens=False), self.end_ids[0]]

    def example(self, row: Row, picture: Picture, loss: str = "feedback") -> dict[str, Any]:
        """Ids, labels and inputs of a row; `loss` as in the configuration, which training alone follows."""
        prompt, written = self.prompt(row.caption, picture), self.feedback_ids(row.feedback)
        said = [IGNORED if loss == "feedback" or image else i for i, image in zip(prompt.ids, prompt.image, strict=True)]
        if len(prompt.ids) + len(written) > self.longest:
            raise BadInput(f"{row.place}: feedback: {len(prompt.ids) + len(written)} tokens with its prompt; the base reads {self.longest}")
        return {"input_ids": [*prompt.ids, *written], "labels": [*said, *written], **prompt.inputs}

    def overlong(self, rows: list[Row]) -> int:
        """Rows whose feedback is longer than what is written unless a recipe asks for more tokens."""
        return sum(len(self.feedback_ids(row.feedback)) > MAX_NEW_TOKENS for row in rows)

    def batch(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        longest = max(len(example["input_ids"]) for example in examples)
        padded = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
        return {
            "input_ids": torch.tensor([padded(e["input_ids"], self.pad_id) for e in examples]),
            "attention_mask": torch.tensor([padded([1] * len(e["input_ids"]), 0) for e in examples]),
            "labels": torch.tensor([padded(e["labels"], IGNORED) for e in examples]),
            **{name: torch.stack([e[name] for e in examples]) for name in examples[0] if name not in ("input_ids", "labels")},
        }

    def load(self, **options: Any) -> PreTrainedModel:
        """The base, in single precision; what it has not is drawn from the seed."""
        torch.manual_seed(self.config.seed)
        return self.architecture.from_pretrained(self.config.base, dtype=torch.float32, **options)

    def adapter(self) -> LoraConfig:
        lora = self.config.lora
        return LoraConfig(
            r=lora.r, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=lora.targetModules, modules_to_save=self.trained_whole
        )

    def tuned(self) -> PreTrainedModel:
        """Base and adapter as one model, its weights as they will lie in the files: what is measured is what is exported."""
        folder = self.config.out / "adapter"
        if self.config.result() is None or not folder.is_dir():
            self.config.refuse("out", f"{self.config.out} holds no adapter that was trained with these settings and data: run train.py first")
        model = PeftModel.from_pretrained(self.load(attn_implementation="eager"), folder).merge_and_unload().eval()
        round_to_half(model)
        return model

    def write(self, model: PreTrainedModel, prompt: Prompt) -> list[int]:
        """The likeliest ids, the end included."""
        ids = torch.tensor([prompt.ids], device=model.device)
        inputs = {name: value[None].to(model.device) for name, value in prompt.inputs.items()}
        greedy = GenerationConfig(max_new_tokens=MAX_NEW_TOKENS, do_sample=False, eos_token_id=self.end_ids, pad_token_id=self.pad_id)
        with torch.no_grad():
            return self.generated(model, ids, attention_mask=torch.ones_like(ids), generation_config=greedy, **inputs)[0].tolist()

    def without_end(self, ids: list[int]) -> list[int]:
        return ids[:-1] if ids and ids[-1] in self.end_ids else ids

    def generated(self, model: PreTrainedModel, ids: Tensor, **options: Any) -> Tensor:
        return model.generate(input_ids=ids, **options)[:, ids.shape[1] :]

    @cached_property
    def text_config(self) -> dict:
        config = json.loads((self.config.base / "config.json").read_text())
        return config.get("text_config", config)

    @cached_property
    def end_ids(self) -> list[int]:
        """Any of them ends a text, as text-ends.ts reads them; the first is what training writes (a BLIP-2 before an OPT ends with a line's end)."""
        files = [self.config.base / name for name in ("generation_config.json", "config.json") if (self.config.base / name).exists()]
        generation, *_ = settings = [json.loads(file.read_text()) for file in files]
        named = [place.get("eos_token_id") for place in (generation, self.text_config, settings[-1], {"eos_token_id": self.tokenizer.eos_token_id})]
        ends = next(end for end in named if end is not None)
        return ends if isinstance(ends, list) else [ends]

    @property
    def pad_id(self) -> int:
        return self.end_ids[0] if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id

    @property
    def longest(self) -> int:
        return self.text_config.get("max_position_embeddings", 2048)


class Opt(Critic):
    """The paper's: the mean of what ViT-MAE sees stands in the prompt as integer tokens."""

    architecture = OPTForCausalLM
    base_architecture = "OPTForCausalLM"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        try:
            self.form = read_prompt(config.base)
        except ValueError as error:
            raise BadInput(str(error)) from error
        if config.prompt:
            self.form["template"] = config.prompt
        self.features = ImageFeatures(config.imageEncoder, config.seed)

    def picture(self, row: Row, view: int = 0) -> Picture:
        return self.features.mean(row, view)

    def prompt(self, caption: str, picture: Picture) -> Prompt:
        before, after = text_ids(self.tokenizer, caption, self.form)
        ids = [*before, *feature_ids(picture[0], self.text_config["vocab_size"], self.form), *after]
        return Prompt(ids, [False] * len(ids))

    def feedback_ids(self, feedback: str) -> list[int]:
        """Behind a prompt that ends in a word or a colon the text begins with a blank, as words inside a text do; the paper's prompt ends with a line's end."""
        return super().feedback_ids(feedback if self.form["template"][-1:].isspace() else f" {feedback}")


class OptSoft(Opt):
    """All 50 features stand there as vectors, by a projection that is trained with the adapter; their mean in one vector told less (README.md)."""

    architecture = SoftPromptOPT
    trained_whole = ["image_projection"]

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.form["image"] = "soft"

    def picture(self, row: Row, view: int = 0) -> Picture:
        return self.features.all(row, view)

    def load(self, **options: Any) -> PreTrainedModel:
        config = OPTConfig.from_pretrained(self.config.base)
        config.image_feature_size = self.features.session.get_outputs()[0].shape[-1]
        return super().load(config=config, **options)

    def prompt(self, caption: str, picture: Picture) -> Prompt:
        before, after = text_ids(self.tokenizer, caption, self.form)
        ids = [*before, *[IMAGE] * len(picture), *after]
        return Prompt(ids, [i == IMAGE for i in ids], {"image_features": torch.from_numpy(picture)})

    def generated(self, model: PreTrainedModel, ids: Tensor, **options: Any) -> Tensor:
        return model.write(ids, **options)


class Blip2(Critic):
    """BLIP-2 before an OPT: its queries, then the paper's question; the answer brings its blank along."""

    architecture = Blip2ForConditionalGeneration
    base_architecture = "Blip2ForConditionalGeneration"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.whole = json.loads((config.base / "config.json").read_text())
        if self.text_config.get("model_type") != "opt":
            raise BadInput(f"{config.base / 'config.json'}: text_config: only a BLIP-2 before an OPT is tuned, not before {self.text_config.get('model_type')}")
        self.image_token = self.whole.get("image_token_index") or self.whole.get("image_token_id")
        if self.image_token is None:
            raise BadInput(f"{config.base / 'config.json'}: image_token_index is missing, as in exports before transformers 4.46: save the model again with a newer one")
        self.template = config.prompt or PAPER_BLIP2
        self.processor = AutoImageProcessor.from_pretrained(config.base)

    def picture(self, row: Row, view: int = 0) -> Picture:
        return self.processor(row.image(), return_tensors="np")["pixel_values"][0]

    def prompt(self, caption: str, picture: Picture) -> Prompt:
        queries = [self.image_token] * self.whole["num_query_tokens"]
        words = self.tokenizer(self.template.replace("{caption}", caption)).input_ids
        return Prompt([*queries, *words], [*[True] * len(queries), *[False] * len(words)], {"pixel_values": torch.from_numpy(picture)})

    def feedback_ids(self, feedback: str) -> list[int]:
        """In one line: a line's end may be what ends a text."""
        return super().feedback_ids(f" {' '.join(feedback.split())}")


CRITICS: dict[str, type[Critic]] = {"opt": Opt, "opt-soft": OptSoft, "blip2": Blip2}


def critic_of(config: Config) -> Critic:
    return CRITICS[config.kind](config)


def loss_over(critic: Critic, model: torch.nn.Module, rows: list[Row], pictures: list[Picture], device: str | torch.device, batch_size: int) -> float:
    """Mean cross-entropy a token of the feedback, in evaluation mode, whatever training was over: no critic writes its prompt."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(rows), batch_size):
            pairs = list(zip(rows, pictures, strict=True))[start : start + batch_size]
            batch = {name: value.to(device) for name, value in critic.batch([critic.example(*pair) for pair in pairs]).items()}
            tokens = int((batch["labels"][:, 1:] != IGNORED).sum())
            total += model(**batch).loss.item() * tokens
            count += tokens
    return total / count

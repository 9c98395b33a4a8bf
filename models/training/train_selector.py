"""Trains the selector `selector/`: a small CLIP, caption against picture, that stops the loop and picks the best round.

Contrastive over the batch (Radford et al. 2021), with one hard negative a pair: the same kind of text about the same creature with one
attribute changed. Two auxiliary losses ask both towers to name the attributes, which is what makes it learn in minutes.
It shares no weights and no drawings with the reporter `similarity/`.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from creatures.attributes import ATTRIBUTES, NAMES, Creature, from_indices
from creatures.feedback_rounds import join_prompt
from creatures.texts import describe, training_text
from encoder_data import PREPROCESSOR, Drawings, to_pixel_values
from onnx_files import export

CLASSES = [len(values) for values in ATTRIBUTES.values()]
PROJECTION = 64
TEXT_WIDTH = 64
MAXIMUM_TOKENS = 77
SEED = 4099
# How often a dataset row stands in for a drawing.
DATASET_SHARE = 0.1


class Vision(nn.Module):
    """`pixel_values` [b, 3, 64, 64] in -1..1 -> `image_embeds` [b, 64], unit vectors. Convolutions: a ViT is weak after minutes."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, 24, 2), (24, 48, 2), (48, 96, 2), (96, 96, 1), (96, 128, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(8, outputs), nn.SiLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(128 * 16, 256), nn.SiLU())
        self.projection = nn.Linear(256, PROJECTION)
        self.heads = nn.Linear(256, sum(CLASSES))  # auxiliary, not exported

    def forward(self, pixel_values: Tensor) -> Tensor:
        return F.normalize(self.projection(self.body(pixel_values)), dim=-1)

    def with_logits(self, pixel_values: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        features = self.body(pixel_values)
        return F.normalize(self.projection(features), dim=-1), self.heads(features).split(CLASSES, -1)


class Text(nn.Module):
    """`input_ids` int64 [b, 77] -> `text_embeds` [b, 64], unit vectors: transformers' own CLIP text tower, tiny."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        end_id = tokenizer.token_to_id("<|endoftext|>")
        self.config = CLIPTextConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=TEXT_WIDTH, intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=MAXIMUM_TOKENS, projection_dim=PROJECTION,
            hidden_act="quick_gelu", bos_token_id=tokenizer.token_to_id("<|startoftext|>"), eos_token_id=end_id,
            pad_token_id=end_id, attn_implementation="eager",
        )  # fmt: skip
        self.model = CLIPTextModelWithProjection(self.config)
        # Auxiliary, not exported: each attribute's value, or that the text does not name it.
        self.heads = nn.Linear(TEXT_WIDTH, sum(CLASSES) + len(CLASSES))

    def forward(self, input_ids: Tensor) -> Tensor:
        return F.normalize(self.model(input_ids=input_ids).text_embeds, dim=-1)

    def with_logits(self, input_ids: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        end = (input_ids == self.config.eos_token_id).int().argmax(1)
        hidden = self.model.text_model(input_ids=input_ids).last_hidden_state[torch.arange(len(input_ids)), end]
        embeds = F.normalize(self.model.text_projection(hidden), dim=-1)
        return embeds, self.heads(hidden).split([count + 1 for count in CLASSES], -1)


def slot_labels(creature: Creature, named: list[str]) -> list[int]:
    """The class of every attribute; one past the last class where the text does not name it."""
    return [ATTRIBUTES[n].index(creature[n]) if n in named else len(ATTRIBUTES[n]) for n in NAMES]


def text_pair(creature: Creature, rng: random.Random) -> tuple[tuple[str, list[int]], tuple[str, list[int]]]:
    """A text about the creature, and a hard negative that says another value of one of the attributes it names."""
    wording = rng.random()  # the same wording for both, as far as the change allows
    text, named = training_text(creature, random.Random(wording))
    name = rng.choice(named)
    other = {**creature, name: rng.choice([value for value in ATTRIBUTES[name] if value != creature[name]])}
    wrong_text, wrong_named = training_text(other, random.Random(wording))
    if name not in wrong_named:
        wrong_text, wrong_named = describe(other, named, rng), named
    return (text, slot_labels(creature, named)), (wrong_text, slot_labels(other, wrong_named))


def load_dataset(folder: Path) -> tuple[Drawings, list[dict]]:
    """The train split; it has no mottled views, the clean picture stands in for them."""
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    pictures = np.stack([np.asarray(Image.open(folder / row["file_name"]).convert("RGB")) for row in rows])
    labels = np.array([[ATTRIBUTES[n].index(row["attributes"][n]) for n in NAMES] for row in rows])
    return Drawings(pictures, pictures, labels), rows


def dataset_text(row: dict, rng: random.Random) -> tuple[str, list[int]] | None:
    """The row's own description or its caption with feedback, where all twelve attributes are known to be named."""
    if rng.random() < 0.5:
        return row["description"], slot_labels(row["attributes"], NAMES)
    return join_prompt(row["text"], row["feedback"]), [-100] * len(NAMES)  # which ones it names is not recorded: no auxiliary loss


class Batches:
    """Endless batches of pictures, their texts and the hard negatives."""

    def __init__(self, drawings: Drawings, dataset: Path, tokenizer: Tokenizer, size: int) -> None:
        self.drawings = drawings
        self.dataset, self.rows = load_dataset(dataset)
        self.tokenizer = tokenizer
        self.size = size
        self.rng = np.random.default_rng(SEED)
        self.text_rng = random.Random(SEED)

    def ids(self, texts: list[str]) -> Tensor:
        """int64 [b, longest]: causal attention makes padding behind the end token irrelevant, so short batches are cut."""
        encodings = self.tokenizer.encode_batch(texts)
        longest = max(sum(encoding.attention_mask) for encoding in encodings)
        return torch.tensor([encoding.ids[:longest] for encoding in encodings])

    def next(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels [b, 3, 64, 64], picture labels [b, 12], ids [2b, n] (positives, then negatives), slot labels [2b, 12]."""
        own = int(self.size * DATASET_SHARE)
        chosen = self.rng.integers(0, len(self.drawings), self.size - own)
        rows = self.rng.integers(0, len(self.rows), own)
        pixels = torch.cat([self.drawings.batch(chosen, self.rng), self.dataset.batch(rows, self.rng)])
        labels = np.concatenate([self.drawings.labels[chosen], self.dataset.labels[rows]])
        pairs = [text_pair(from_indices(indices), self.text_rng) for indices in labels]
        positives = [positive for positive, _ in pairs]
        for place, row in enumerate(rows, start=self.size - own):
            positives[place] = dataset_text(self.rows[row], self.text_rng)
        everything = positives + [negative for _, negative in pairs]
        return (
            pixels,
            torch.from_numpy(labels),
            self.ids([text for text, _ in everything]),
            torch.tensor([slots for _, slots in everything]),
        )


def auxiliary_loss(logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    return torch.stack([F.cross_entropy(head, labels[:, k], ignore_index=-100) for k, head in enumerate(logits)]).mean()


def contrastive_loss(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE over b pictures and 2b texts: the second half of the texts are hard negatives of the first."""
    logits = scale * image @ text.T
    target = torch.arange(len(image))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, : len(image)].T, target)) / 2


def train(vision: Vision, text: Text, batches: Batches, steps: int) -> Tensor:
    """Returns the logarithm of the learned scale."""
    log_scale = nn.Parameter(torch.tensor(np.log(10.0), dtype=torch.float32))
    parameters = [*vision.parameters(), *text.parameters()]
    optimizer = torch.optim.AdamW([{"params": parameters, "weight_decay": 0.02}, {"params": [log_scale], "weight_decay": 0.0}], lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.1)
    history: list[list[float]] = []
    for step in range(1, steps + 1):
        pixels, labels, ids, slots = batches.next()
        image_embeds, image_logits = vision.with_logits(pixels)
        text_embeds, text_logits = text.with_logits(ids)
        contrastive = contrastive_loss(image_embeds, text_embeds, log_scale.exp())
        image_auxiliary, text_auxiliary = auxiliary_loss(image_logits, labels), auxiliary_loss(text_logits, slots)
        loss = contrastive + image_auxiliary + text_auxiliary
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            log_scale.clamp_(max=np.log(60.0))
        right = (image_embeds @ text_embeds.T).argmax(1) == torch.arange(len(image_embeds))
        history.append([contrastive.item(), image_auxiliary.item(), text_auxiliary.item(), right.float().mean().item()])
        if step % 100 == 0 or step == steps:
            means = " ".join(f"{value:.3f}" for value in np.mean(history[-100:], 0))
            print(f"step {step}: contrastive, picture heads, text heads, right text first: {means} scale {log_scale.exp():.1f}", flush=True)
    return log_scale.detach()


def write_configs(out: Path, text: Text, log_scale: float, tokenizer_folder: Path) -> None:
    text_config = {k: v for k, v in text.config.to_dict().items() if k not in ("_name_or_path", "dtype", "transformers_version")}
    config = {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": PROJECTION,
        "logit_scale_init_value": round(log_scale, 4),
        "text_config": text_config,
        "vision_config": {
            "model_type": "refineloop-convolutional-vision",
            "note": "not a ViT: a small convolutional tower; onnx/vision_model.onnx is its only form",
            "image_size": 64,
            "num_channels": 3,
            "projection_dim": PROJECTION,
        },
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tokenizer_folder / name, out / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("drawings", type=Path, help=".npz of the stream 'selector', with views")
    parser.add_argument("dataset", type=Path, help="the dataset's train/ folder")
    parser.add_argument("tokenizer", type=Path, help="folder of the tokenizer")
    parser.add_argument("out", type=Path, help="the pack's selector/ folder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=48)
    arguments = parser.parse_args()
    if arguments.steps < 20:
        parser.error("--steps must be at least 20: the learning rate needs room to rise and fall")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    vision, text = Vision(), Text(tokenizer)
    tokenizer.enable_truncation(MAXIMUM_TOKENS)
    tokenizer.enable_padding(length=MAXIMUM_TOKENS, pad_id=text.config.pad_token_id, pad_token="<|endoftext|>")
    batches = Batches(Drawings.load(arguments.drawings), arguments.dataset, tokenizer, arguments.batch)
    log_scale = train(vision, text, batches, arguments.steps)
    folder = arguments.out / "onnx"
    ids = torch.tensor([encoding.ids for encoding in tokenizer.encode_batch(["a red creature", "a tall animal with horns."])])
    errors = [
        export(text, {"input_ids": ids}, ["text_embeds"], {"input_ids": {0: "batch_size"}, "text_embeds": {0: "batch_size"}},
               folder / "text_model.onnx"),
        export(vision, {"pixel_values": to_pixel_values(batches.dataset.pictures[:2])}, ["image_embeds"],
               {"pixel_values": {0: "batch_size"}, "image_embeds": {0: "batch_size"}}, folder / "vision_model.onnx"),
    ]  # fmt: skip
    write_configs(arguments.out, text, log_scale.item(), arguments.tokenizer)
    print(f"largest differences from torch: text {errors[0]:.1e}, vision {errors[1]:.1e}")


if __name__ == "__main__":
    main()

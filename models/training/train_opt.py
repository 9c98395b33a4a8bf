"""Trains `opt/`: a small OPT that reads a caption and a picture's tokens and writes feedback, by the paper's prompt.

Its loss is next-token cross-entropy on the feedback and its end alone. It learns from the train split's pairs of a generated
picture and the feedback that was written on it; a tenth of the items is held out, and training stops where their loss does.
Each example's mask noise is drawn anew, as every item of a run has its own.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

from encoder_data import to_pixel_values
from onnx_files import export, open_session, round_to_half
from opt_decoder import decoder_graph
from opt_prompt import PROMPT, prompt_ids, write_prompt
from train_vit_mae import enlarge

SEED = 2033
VOCABULARY = 4096
# Mask noises a picture: the critic must not depend on which quarter of it was seen.
VIEWS = 4
IGNORED = -100

CONFIG = OPTConfig(
    vocab_size=VOCABULARY, hidden_size=192, num_hidden_layers=4, num_attention_heads=4, ffn_dim=768, word_embed_proj_dim=192,
    max_position_embeddings=512, do_layer_norm_before=True, dropout=0.1, pad_token_id=1, bos_token_id=2, eos_token_id=2,
    attn_implementation="eager",
)  # fmt: skip


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE with OPT's special tokens: `<s>` 0, `<pad>` 1, `</s>` 2 (begin and end), `<unk>` 3."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_max_length=CONFIG.max_position_embeddings, clean_up_tokenization_spaces=False,
    )  # fmt: skip


def mean_features(session: onnxruntime.InferenceSession, pictures: np.ndarray, seed: int) -> np.ndarray:
    """uint8 [n, 64, 64, 3] -> float32 [n, VIEWS, d]: the mean over what is seen of each picture under different masks."""
    generator = torch.Generator().manual_seed(seed)
    large = enlarge(pictures)
    views = []
    for _ in range(VIEWS):
        noise = torch.rand(len(pictures), 196, generator=generator).numpy()
        states = [
            session.run(["last_hidden_state"], {"pixel_values": to_pixel_values(large[i : i + 50]).numpy(), "noise": noise[i : i + 50]})[0]
            for i in range(0, len(pictures), 50)
        ]
        views.append(np.concatenate(states).mean(1, dtype=np.float64).astype(np.float32))
    return np.stack(views, 1)


class Examples:
    """Prompts with their feedback as padded batches."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, captions: np.ndarray, features: np.ndarray, feedback: np.ndarray) -> None:
        self.tokenizer, self.captions, self.features, self.feedback = tokenizer, captions, features, feedback

    def __len__(self) -> int:
        return len(self.captions)

    def batch(self, chosen: np.ndarray, views: np.ndarray, features: np.ndarray | None = None) -> dict[str, Tensor]:
        """Token ids, mask and labels; labels are the feedback and its end. `features` [n, d] stand in for the pictures' own."""
        rows = []
        for k, (i, view) in enumerate(zip(chosen, views, strict=True)):
            vector = self.features[i, view] if features is None else features[k]
            prompt = prompt_ids(self.tokenizer, str(self.captions[i]), vector, VOCABULARY)
            written = [*self.tokenizer.encode(str(self.feedback[i]), add_special_tokens=False), self.tokenizer.eos_token_id]
            rows.append((prompt, written))
        longest = max(len(prompt) + len(written) for prompt, written in rows)
        pad = lambda values, filler: values + [filler] * (longest - len(values))  # noqa: E731
        return {
            "input_ids": torch.tensor([pad(p + w, CONFIG.pad_token_id) for p, w in rows]),
            "attention_mask": torch.tensor([pad([1] * (len(p) + len(w)), 0) for p, w in rows]),
            "labels": torch.tensor([pad([IGNORED] * len(p) + w, IGNORED) for p, w in rows]),
        }


def loss_over(model: OPTForCausalLM, examples: Examples, indices: np.ndarray, features: np.ndarray | None = None) -> float:
    """Mean cross-entropy a token over these examples."""
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(indices), 32):
            chosen = indices[start : start + 32]
            replaced = None if features is None else features[start : start + 32]
            batch = examples.batch(chosen, np.zeros(len(chosen), dtype=int), replaced)
            tokens = int((batch["labels"] != IGNORED).sum())
            total += model(**batch).loss.item() * tokens
            count += tokens
    return total / count


def train(model: OPTForCausalLM, examples: Examples, train_set: np.ndarray, held_out: np.ndarray, epochs: int, patience: int) -> None:
    rng = np.random.default_rng(SEED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, betas=(0.9, 0.95))
    best, best_state, idle = float("inf"), None, 0
    for epoch in range(1, epochs + 1):
        started = time.monotonic()
        model.train()
        order = rng.permutation(train_set)
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            loss = model(**examples.batch(chosen, rng.integers(0, VIEWS, len(chosen)))).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        held = loss_over(model, examples, held_out)
        print(f"epoch {epoch}: last {loss.item():.3f}, held out {held:.4f}, {time.monotonic() - started:.0f} s", flush=True)
        if held < best - 1e-3:
            best, idle = held, 0
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
        elif (idle := idle + 1) >= patience:
            break
    model.load_state_dict(best_state)


def save(model: OPTForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path, torch_out: Path) -> None:
    model.eval()
    model.save_pretrained(torch_out)
    tokenizer.save_pretrained(torch_out)
    write_prompt(torch_out)
    error = export(*decoder_graph(model), out / "onnx" / "model.onnx")
    tokenizer.save_pretrained(out)
    write_prompt(out)
    config = model.config.to_dict()
    config.pop("_name_or_path", None)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model.generation_config.save_pretrained(out)
    size = (out / "onnx" / "model.onnx").stat().st_size
    print(f"{out}: {size / 1e6:.2f} MB, largest difference from torch {error:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feedback", type=Path, help="the .npz of make_feedback_data.py")
    parser.add_argument("vit_mae", type=Path, help="the pack's vit-mae/ folder")
    parser.add_argument("out", type=Path, help="the pack's opt/ folder")
    parser.add_argument("torch_out", type=Path, help="where the same weights go as transformers has them, for the goldens")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--patience", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    data = np.load(arguments.feedback)
    tokenizer = train_tokenizer([PROMPT["template"], *data["captions"], *data["feedback"]])
    session = open_session(arguments.vit_mae / "onnx" / "model.onnx")
    features = mean_features(session, data["pictures"], SEED)
    examples = Examples(tokenizer, data["captions"], features, data["feedback"])
    items = np.unique(data["items"])
    held_items = set(np.random.default_rng(SEED).permutation(items)[: len(items) // 10])
    is_held = np.array([item in held_items for item in data["items"]])
    train_set, held_out = np.flatnonzero(~is_held), np.flatnonzero(is_held)
    model = OPTForCausalLM(CONFIG)
    train(model, examples, train_set, held_out, arguments.epochs, arguments.patience)
    round_to_half(model)
    own = features[held_out, 0]
    # Half a list away is another item's picture of the same round.
    measured = {
        "validationLoss": loss_over(model, examples, held_out),
        "validationLossWithAnotherItemsPicture": loss_over(model, examples, held_out, np.roll(own, len(own) // 4 * 2, 0)),
        "validationLossWithoutPicture": loss_over(model, examples, held_out, np.zeros_like(own)),
    }
    save(model, tokenizer, arguments.out, arguments.torch_out)
    measured = {name: round(value, 4) for name, value in measured.items()}
    (arguments.torch_out / "measured.json").write_text(json.dumps({"opt": measured}, indent=2) + "\n")
    print(json.dumps(measured))


if __name__ == "__main__":
    main()

"""Writes the pack's `pack.json`: its files with their digests, how each model was made, and what it was trained on."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from creatures.streams import STREAMS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VERSION = "2.0.0"

MODELS = {
    "diffusion": {
        "kind": "text-to-image",
        "description": "Stable Diffusion's classes in small: 64 x 64 pictures of creatures (diffusers' ONNX layout)",
        "madeBy": "models/training: train_tokenizer, train_vae, train_text_encoder, train_unet, export_onnx",
    },
    "selector": {
        "kind": "image-text",
        "description": "a small CLIP: cosine of caption and picture; stops the loop and picks the best round",
        "madeBy": "models/training: train_selector",
    },
    "similarity": {
        "kind": "image",
        "description": "dot product of two pictures' embeddings, 0..1, about the share of attributes they agree in; reports",
        "madeBy": "models/training: train_similarity",
    },
    "vit-mae": {
        "kind": "vit-mae",
        "description": "ViT-MAE in small: what the opt critics see of a picture, 49 of 196 patches and the class token",
        "madeBy": "models/training: make_feedback_set, train_vit_mae",
    },
    "opt": {
        "kind": "causal-lm",
        "description": "OPT in small: reads a caption and a picture's features as integer tokens and writes feedback",
        "madeBy": "models/training: make_feedback_set, train_critic_bases, tune_critic",
    },
    "opt-soft": {
        "kind": "causal-lm",
        "description": "the same OPT with a picture's features as vectors in the place of tokens",
        "madeBy": "models/training: make_feedback_set, train_critic_bases, tune_critic",
    },
    "opt-untuned": {
        "kind": "causal-lm",
        "description": "the OPT that both were tuned from: knows the world's words, those of feedback included, has seen no picture",
        "madeBy": "models/training: train_critic_bases, tune_critic",
    },
    "blip2": {
        "kind": "blip2",
        "description": "BLIP-2 in small: sees the whole picture through its own vision model and writes feedback",
        "madeBy": "models/training: make_feedback_set, train_critic_bases, tune_critic",
    },
    "blip2-untuned": {
        "kind": "blip2",
        "description": "the BLIP-2 that it was tuned from: describes drawings, knows the world's words, has seen no feedback on a picture",
        "madeBy": "models/training: train_critic_bases, tune_critic",
    },
}
# Which models were trained on the dataset's train split as well.
TRAINED_ON_DATASET = {"selector"}
FEEDBACK_SET = (
    "2700 drawings that do not do what their captions ask, by models/training/make_feedback_set (opt: --say usual): texts and attributes from "
    "random.Random('creatures-critics-1/<i>'), i = 300..2999, drawing seed 60000000 + i"
)
WORLD_TEXTS = "texts of models/training/creatures, no picture"
DRAWN = {
    "opt-untuned": WORLD_TEXTS,
    "opt": f"{WORLD_TEXTS}; then {FEEDBACK_SET}",
    "opt-soft": f"{WORLD_TEXTS}; then {FEEDBACK_SET}",
    "blip2-untuned": f"{WORLD_TEXTS}; the drawings of diffusion: {STREAMS['diffusion'].description}",
    "blip2": f"{WORLD_TEXTS}; the drawings of diffusion: {STREAMS['diffusion'].description}; then {FEEDBACK_SET}",
}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe_drawings(name: str) -> str:
    if name in DRAWN:
        return DRAWN[name]
    stream = STREAMS[name]
    trained = stream.count - stream.held_out
    return f"{trained} drawings by models/training/creatures, i = {stream.held_out}..{stream.count - 1}: {stream.description}"


def list_files(pack: Path, folder: str) -> list[dict]:
    """Every file of a model; paths are relative to the model's own folder."""
    paths = sorted(path for path in (pack / folder).rglob("*") if path.is_file())
    return [
        {"path": path.relative_to(pack / folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256(path)} for path in paths
    ]


def taught_file(critic: str) -> str:
    """Beside pack.json: the texts that a critic was taught with, each once."""
    return f"{critic}-feedback.json"


def build(pack: Path, dataset: Path, measured: dict, critics: dict[str, dict]) -> dict:
    """`critics`: by model, what its training measured."""
    train_digests = [f"sha256:{sha256(path)}" for path in sorted((dataset / "train").glob("*.png"))]
    models = {}
    for name, about in MODELS.items():
        digests = train_digests if name in TRAINED_ON_DATASET else []
        models[name] = {
            "path": name, **about, "licence": "Apache-2.0", "files": list_files(pack, name),
            "trainedOn": {"digests": digests, "drawn": describe_drawings(name), **({"feedback": taught_file(name)} if name in critics else {})},
            **({"measured": critics[name]} if name in critics else {}),
        }  # fmt: skip
    return {
        "name": "creatures",
        "version": VERSION,
        "licence": "Apache-2.0",
        "description": "Small models of a world of cartoon creatures: a text-to-image model, a selector and a reporter that share nothing",
        "models": models,
        "measured": measured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, nargs="?", default=ROOT / "models" / "packs" / "creatures")
    parser.add_argument("--dataset", type=Path, default=ROOT / "examples" / "datasets" / "creatures")
    parser.add_argument("--measured", type=Path, nargs="*", default=[],
                        help="what measure_pack.py wrote; the rest is kept from pack.json")
    parser.add_argument("--critics", type=Path, nargs="*", default=[], help="work folders of tune_critic.py, whose measured.json tells their losses")
    arguments = parser.parse_args()
    target = arguments.pack / "pack.json"
    before = json.loads(target.read_text()) if target.exists() else {"measured": {}, "models": {}}
    measured = before["measured"]
    critics = {name: model["measured"] for name, model in before["models"].items() if "measured" in model}
    for path in arguments.measured:
        measured |= json.loads(path.read_text())
    for work in arguments.critics:
        said = json.loads((work / "measured.json").read_text())
        critics[work.name] = {name: value for name, value in said.items() if name not in ("kind", "texts")}
        taught = Path(json.loads((work / "critic.json").read_text())["data"]) / "train" / "metadata.jsonl"
        texts = sorted({json.loads(row)["feedback"] for row in taught.read_text(encoding="utf-8").splitlines()})
        (arguments.pack / taught_file(work.name)).write_text(json.dumps(texts, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    manifest = build(arguments.pack, arguments.dataset, measured, critics)
    partial = target.with_suffix(".json.partial")
    partial.write_text(json.dumps(manifest, indent=2) + "\n")
    partial.replace(target)
    total = sum(file["bytes"] for model in manifest["models"].values() for file in model["files"])
    print(f"{target}: {len(manifest['models'])} models, {total / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

"""Rebuilds the whole pack from nothing, in order: `python build_all.py`. Finished stages are skipped.

A stage is finished when its record in the build folder says so: the digests of its script with all it imports, of its
options and of all its inputs and outputs as they are now. So a changed script, option or input runs the stage, from its beginning, and what depends on it again;
an interrupted stage, whose record knows no outputs, goes on from its checkpoint. The outputs lie in `build/` until the last stage copies them into the pack.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from build_pack import MODELS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Stage:
    """One call of one script. In `arguments`, names in braces are paths: `{build}`, `{dataset}`."""

    name: str
    script: str
    arguments: list[str]
    outputs: list[str]
    inputs: list[str] = field(default_factory=list)
    # Options that `--smoke` puts in the place of the real ones: a few steps, to see that everything runs.
    options: dict[str, int] = field(default_factory=dict)
    smoke: dict[str, int] = field(default_factory=dict)


# Of the exported pipeline, what gives drawings the look of generated pictures.
VAE = ["{build}/pack/diffusion/vae_encoder", "{build}/pack/diffusion/vae_decoder"]

# What the UNet is trained on.
UNET = ["{build}/diffusion.npz", "{build}/tokenizer", "{build}/text_encoder", "{build}/vae-robust"]

STAGES = [
    Stage("tokenizer", "train_tokenizer.py", ["{build}/tokenizer"], ["{build}/tokenizer"]),
    Stage("dataset", "make_dataset.py", ["--out", "{dataset}", "--tokenizer", "{build}/tokenizer/tokenizer.json"],
          ["{dataset}/train", "{dataset}/test"], ["{build}/tokenizer"]),
    Stage("diffusion-drawings", "make_drawings.py", ["diffusion", "{build}/diffusion.npz"], ["{build}/diffusion.npz"],
          smoke={"count": 120}),
    Stage("vae", "train_vae.py", ["{build}/diffusion.npz", "{build}/vae"], ["{build}/vae"], ["{build}/diffusion.npz"],
          options={"steps": 9000}, smoke={"steps": 4}),
    Stage("decoder", "train_vae.py", ["{build}/diffusion.npz", "{build}/vae-robust", "--decoder-of", "{build}/vae"], ["{build}/vae-robust"],
          ["{build}/diffusion.npz", "{build}/vae"], options={"steps": 3000}, smoke={"steps": 4}),
    Stage("text-encoder", "train_text_encoder.py", ["{build}/tokenizer", "{build}/text_encoder"], ["{build}/text_encoder"],
          ["{build}/tokenizer"], options={"steps": 1000}, smoke={"steps": 4}),
    Stage("unet", "train_unet.py", [*UNET, "{build}/diffusers-first"], ["{build}/diffusers-first"], UNET, options={"steps": 5700}, smoke={"steps": 2}),
    Stage("unet-uniform", "train_unet.py",
          [*UNET, "{build}/diffusers", "--init", "{build}/diffusers-first/unet", "--weighting", "uniform"],
          ["{build}/diffusers"], [*UNET, "{build}/diffusers-first"], options={"steps": 2000}, smoke={"steps": 2}),
    Stage("export", "export_onnx.py", ["{build}/diffusers", "{build}/pack/diffusion"], ["{build}/pack/diffusion"], ["{build}/diffusers"]),
    Stage("selector-drawings", "make_drawings.py", ["selector", "{build}/selector.npz", "--diffusion", "{build}/pack/diffusion"],
          ["{build}/selector.npz"], VAE, smoke={"count": 120}),
    Stage("selector", "train_selector.py",
          ["{build}/selector.npz", "{dataset}/train", "{build}/tokenizer", "{build}/pack/selector"], ["{build}/pack/selector"],
          ["{build}/selector.npz", "{dataset}/train", "{build}/tokenizer"], options={"steps": 1400}, smoke={"steps": 20}),
    Stage("similarity-drawings", "make_drawings.py", ["similarity", "{build}/similarity.npz", "--diffusion", "{build}/pack/diffusion"],
          ["{build}/similarity.npz"], VAE, smoke={"count": 160}),
    Stage("similarity", "train_similarity.py", ["{build}/similarity.npz", "{build}/pack/similarity"], ["{build}/pack/similarity"],
          ["{build}/similarity.npz"], options={"steps": 1500}, smoke={"steps": 20, "held-out": 60}),
    Stage("feedback-set", "make_feedback_set.py", ["{build}/pack/diffusion", "{build}/feedback-set"], ["{build}/feedback-set"],
          VAE, options={"count": 3000}, smoke={"count": 40}),
    Stage("feedback-set-usual", "make_feedback_set.py", ["{build}/pack/diffusion", "{build}/feedback-set-usual", "--say", "usual"],
          ["{build}/feedback-set-usual"], VAE, options={"count": 3000}, smoke={"count": 40}),
    Stage("vit-mae", "train_vit_mae.py", ["{build}/feedback-set/train", "{build}/pack/vit-mae"], ["{build}/pack/vit-mae"],
          ["{build}/feedback-set"], options={"steps": 1500}, smoke={"steps": 4, "drawings": 40}),
    Stage("opt-base", "train_critic_bases.py", ["opt", "{build}/opt-base"], ["{build}/opt-base"],
          options={"steps": 700}, smoke={"steps": 3}),
    Stage("blip2-base", "train_critic_bases.py", ["blip2", "{build}/blip2-base", "--drawings", "{build}/diffusion.npz"], ["{build}/blip2-base"],
          ["{build}/diffusion.npz"], options={"steps": 1500}, smoke={"steps": 3}),
    *(Stage(kind, "tune_critic.py",
            [kind, f"{{build}}/{base}-base", taught, f"{{build}}/{kind}", f"{{build}}/pack/{kind}",
             *([] if kind == "blip2" else ["--vit-mae", "{build}/pack/vit-mae"]),
             *([] if kind == "opt-soft" else ["--untuned", f"{{build}}/pack/{kind}-untuned"])],
            [f"{{build}}/pack/{kind}", f"{{build}}/{kind}"],
            [f"{{build}}/{base}-base", taught, "{build}/pack/vit-mae"], options={"epochs": epochs}, smoke={"epochs": 1})
      for kind, base, taught, epochs in (
          # OPT cannot see by its integer tokens, so it learns what is usual; the others learn to look.
          ("opt", "opt", "{build}/feedback-set-usual", 6), ("opt-soft", "opt", "{build}/feedback-set", 6), ("blip2", "blip2", "{build}/feedback-set", 8))),
    Stage("measure", "measure_pack.py", ["{build}/pack", "{dataset}/test", "{build}/measured.json"], ["{build}/measured.json"],
          ["{build}/pack/diffusion", "{build}/pack/selector", "{build}/pack/similarity", "{dataset}/test"],
          options={"items": 100}, smoke={"items": 2}),
    Stage("manifest", "build_pack.py",
          ["{build}/pack", "--dataset", "{dataset}", "--measured", "{build}/measured.json",
           "--critics", "{build}/opt", "{build}/opt-soft", "{build}/blip2"],
          ["{build}/pack/pack.json", *(f"{{build}}/pack/{kind}-feedback.json" for kind in ("opt", "opt-soft", "blip2"))],
          ["{build}/pack/diffusion", "{build}/pack/selector", "{build}/pack/similarity", "{build}/pack/vit-mae", "{build}/pack/opt",
           "{build}/pack/opt-untuned", "{build}/pack/opt-soft", "{build}/pack/blip2", "{build}/pack/blip2-untuned", "{build}/measured.json",
           "{build}/opt/measured.json", "{build}/opt-soft/measured.json", "{build}/blip2/measured.json",
           "{build}/feedback-set", "{build}/feedback-set-usual"]),
]  # fmt: skip


def digest(paths: list[Path]) -> str:
    """SHA-256 over names and bytes of files and of folders' files; a missing path gives a digest of its own."""
    total = hashlib.sha256()
    for path in paths:
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            total.update(f"{file.relative_to(path.parent).as_posix()}\0".encode())
            total.update(hashlib.sha256(file.read_bytes()).digest() if file.exists() else b"missing")
    return total.hexdigest()


# Programs that a script starts instead of importing them.
STARTS = {"tune_critic.py": ["feedback/train.py", "feedback/export.py", "feedback/measure.py"]}


def with_imports(script: Path) -> set[Path]:
    """The script and all files of ours that it imports or starts, and what those import."""
    found: set[Path] = set()
    left = [script, *(HERE / name for name in STARTS.get(script.name, []))]
    while left:
        file = left.pop()
        if file in found:
            continue
        found.add(file)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                path = Path(*name.split(".")).with_suffix(".py")
                left += [place / path for place in (file.parent, HERE, HERE / "feedback", HERE.parent / "export") if (place / path).is_file()]
    return found


class Builder:
    def __init__(self, build: Path, dataset: Path, smoke: bool) -> None:
        self.places = {"build": str(build), "dataset": str(dataset)}
        self.records = build / "records"
        self.records.mkdir(parents=True, exist_ok=True)
        self.smoke = smoke

    def paths(self, names: list[str]) -> list[Path]:
        return [Path(name.format(**self.places)) for name in names]

    def options(self, stage: Stage) -> list[str]:
        chosen = stage.smoke if self.smoke and stage.smoke else stage.options
        return [word for name, value in chosen.items() for word in (f"--{name}", str(value))]

    def made_from(self, stage: Stage) -> dict[str, str]:
        """What the stage is made from, as it is on disk now."""
        return {
            "options": " ".join(self.options(stage)),
            "code": digest(sorted(with_imports(HERE / stage.script))),
            "inputs": digest(self.paths(stage.inputs)),
        }

    def made(self, stage: Stage) -> dict[str, str]:
        return {"outputs": digest(self.paths(stage.outputs))}

    def run(self, stage: Stage) -> None:
        path, made_from = self.records / f"{stage.name}.json", self.made_from(stage)
        recorded = json.loads(path.read_text()) if path.exists() else made_from
        if recorded == {**made_from, **self.made(stage)}:
            print(f"[{stage.name}] finished before", flush=True)
            return
        started = time.monotonic()
        print(f"[{stage.name}] {stage.script} {' '.join(self.options(stage))}", flush=True)
        if not made_from.items() <= recorded.items():
            self.forget(stage)
        write_record(path, made_from)
        words = [word.format(**self.places) for word in stage.arguments]
        subprocess.run([sys.executable, str(HERE / stage.script), *words, *self.options(stage)], check=True)
        write_record(path, {**made_from, **self.made(stage)})
        print(f"[{stage.name}] done in {time.monotonic() - started:.0f} s", flush=True)

    def forget(self, stage: Stage) -> None:
        """Deletes what was made, or begun, from something else: a training would go on from its checkpoint."""
        from training_loop import checkpoint_of

        for output in self.paths(stage.outputs):
            for path in (output, checkpoint_of(output)):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def write_record(path: Path, record: dict[str, str]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)


def install(built: Path, pack: Path) -> None:
    """Puts the built models and their manifest in the pack's place; README and licence there stay."""
    for folder in MODELS:
        shutil.rmtree(pack / folder, ignore_errors=True)
        shutil.copytree(built / folder, pack / folder)
    for file in built.glob("*.json"):
        shutil.copyfile(file, pack / file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=HERE / "build")
    parser.add_argument("--smoke", action="store_true", help="a few steps a stage, dataset too in the build folder: shows that all runs")
    parser.add_argument("--install", action="store_true", help="at the end, replace the models of models/packs/creatures")
    parser.add_argument("--until", choices=[stage.name for stage in STAGES], help="stop after this stage")
    arguments = parser.parse_args()
    if arguments.smoke and arguments.install:
        parser.error("--smoke makes no models that are worth installing")
    dataset = arguments.build / "dataset" if arguments.smoke else ROOT / "examples" / "datasets" / "creatures"
    builder = Builder(arguments.build.resolve(), dataset.resolve(), arguments.smoke)
    for stage in STAGES:
        builder.run(stage)
        if stage.name == arguments.until:
            return
    if arguments.install:
        install(arguments.build / "pack", ROOT / "models" / "packs" / "creatures")
        print("installed into models/packs/creatures; run make_goldens.py --diffusers build/diffusers next")


if __name__ == "__main__":
    main()

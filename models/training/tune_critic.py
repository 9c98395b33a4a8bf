"""Tunes one of the pack's critics on the drawn feedback set, by the three programs that `refineloop train` runs, and puts it into the pack.

Beside `NAME/` stands `NAME-untuned/` where asked for: the base as it was, in the same layout and as transformers saves it, for trainings of
one's own. The work folder keeps adapter, checkpoints,
`measured.json`, and in `torch/` the merged weights as transformers has them, for the goldens.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[1:1] = [str(HERE / "feedback"), str(HERE.parent / "export")]

from config import load_config  # noqa: E402
from critics import critic_of  # noqa: E402
from export import write  # noqa: E402
from onnx_files import round_to_half  # noqa: E402

# What differs from the paper's settings. Small models from small bases: they have more to learn than an adapter on queries and values holds.
LANGUAGE = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]
SETTINGS = {
    "opt": {"lora": {"r": 32, "alpha": 64, "targetModules": LANGUAGE}},
    "opt-soft": {"lora": {"r": 32, "alpha": 64, "targetModules": LANGUAGE}},
    "blip2": {"lora": {"r": 32, "alpha": 64, "targetModules": [*LANGUAGE, "query", "key", "value", "language_projection"]}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(SETTINGS))
    parser.add_argument("base", type=Path, help="what train_critic_bases.py wrote")
    parser.add_argument("data", type=Path, help="the feedback set of make_feedback_set.py")
    parser.add_argument("work", type=Path, help="where the training goes on from when it was ended")
    parser.add_argument("out", type=Path, help="the pack's folder for this critic")
    parser.add_argument("--vit-mae", type=Path, help="the pack's vit-mae/ folder, for opt and opt-soft")
    parser.add_argument("--untuned", type=Path, help="the pack's folder for the base")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    file = work / "critic.json"
    settings = {
        "kind": arguments.kind, "base": str(arguments.base.resolve()), "data": str(arguments.data.resolve()), "out": str(work),
        "imageEncoder": str(arguments.vit_mae.resolve()) if arguments.vit_mae else None, "learningRate": 2e-3, "batchSize": 32,
        "epochs": arguments.epochs, "earlyStopping": {"patience": 3}, **SETTINGS[arguments.kind],
    }  # fmt: skip
    file.write_text(json.dumps(settings, indent=2) + "\n")
    for program in ("train", "export", "measure"):
        subprocess.run([sys.executable, str(HERE / "feedback" / f"{program}.py"), str(file)], check=True)
    shutil.rmtree(arguments.out, ignore_errors=True)
    shutil.copytree(work / "model", arguments.out)
    critic = critic_of(load_config(file))
    critic.tuned().save_pretrained(work / "torch")
    critic.tokenizer.save_pretrained(work / "torch")
    if arguments.untuned:
        shutil.rmtree(arguments.untuned, ignore_errors=True)
        arguments.untuned.mkdir(parents=True)
        base = critic.load(attn_implementation="eager").eval()
        round_to_half(base)
        base.half().save_pretrained(arguments.untuned)
        write(critic, base.float(), arguments.untuned)


if __name__ == "__main__":
    main()

import json
import math
import os
import random
import shutil
import signal
import sys
from pathlib import Path

from common import begin, learn, load, loss_of, say

config, data = load(sys.argv[1])
out = Path(config["out"])
checkpoints = out / "checkpoints"
per_epoch = -(-len(data["train"]) // config["batchSize"])
total = min(config["maxSteps"] or math.inf, config["epochs"] * per_epoch)

stopping = []
signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))


def whole():
    found = [folder for folder in checkpoints.glob("checkpoint-*") if (folder / "state.json").is_file()]
    return max(found, key=lambda folder: int(folder.name.split("-")[1]), default=None)


def save(state):
    partial = checkpoints / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "state.json").write_text(json.dumps(state))
    folder = checkpoints / f"checkpoint-{state['step']}"
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(partial, folder)
    say("checkpoint", step=state["step"], path=str(folder))
    for old in sorted(checkpoints.glob("checkpoint-*"), key=lambda f: int(f.name.split("-")[1]))[:-2]:
        shutil.rmtree(old)


kept = whole()
state = json.loads((kept / "state.json").read_text()) if kept else {"step": 0, "model": begin(config), "best": None, "idle": 0}
say("start", totalSteps=total, resumedFrom=state["step"], examples={split: len(rows) for split, rows in data.items()})
print("a word that is no event")
patience = (config["earlyStopping"] or {}).get("patience", 10**9)
while state["step"] < total and state["idle"] < patience:
    step = state["step"] = state["step"] + 1
    # The order of an epoch is its number's, so that who goes on takes the same examples.
    epoch = (step - 1) // per_epoch
    order = list(range(len(data["train"])))
    random.Random(config["seed"] * 1000 + epoch).shuffle(order)
    first = (step - 1) % per_epoch * config["batchSize"]
    loss = learn(state["model"], [data["train"][i] for i in order[first : first + config["batchSize"]]], config["learningRate"])
    say("step", step=step, epoch=step / per_epoch, loss=loss, learningRate=config["learningRate"])
    if step % per_epoch == 0 or step == total:
        validation = loss_of(state["model"], data["validation"])
        say("eval", step=step, loss=validation)
        if state["best"] is None or validation < state["best"]["validationLoss"]:
            state.update(best={"bestStep": step, "validationLoss": validation, "trainLoss": loss, "model": state["model"]}, idle=0)
            state = json.loads(json.dumps(state))  # What is the best stays as it is.
        else:
            state["idle"] += 1
    if stopping or step % config["checkpointSteps"] == 0:
        save(state)
        if stopping:
            sys.exit(143)

best = state["best"]
(out / "adapter").mkdir(exist_ok=True)
(out / "adapter" / "adapter.json").write_text(json.dumps(best["model"]))
summary = {"steps": state["step"], **{name: best[name] for name in ("bestStep", "trainLoss", "validationLoss")}}
(out / "training.json").write_text(json.dumps(summary))
say("done", **summary)

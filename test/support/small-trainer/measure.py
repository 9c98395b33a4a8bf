import json
import sys
from pathlib import Path

from common import begin, load, loss_of, say

config, data = load(sys.argv[1])
out = Path(config["out"])
adapter = json.loads((out / "model" / "letters.json").read_text())
losses = {"trainLoss": loss_of(adapter, data["train"]), "validationLoss": loss_of(adapter, data["validation"])}
measured = {**losses, "untuned": {"validationLoss": loss_of(begin(config), data["validation"])}}
(out / "measured.json").write_text(json.dumps(measured))
say("done")

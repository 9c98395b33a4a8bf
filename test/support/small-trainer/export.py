import json
import shutil
import sys
from pathlib import Path

from common import load, loss_of, say

config, data = load(sys.argv[1])
out = Path(config["out"])
shutil.copytree(config["base"], out / "model")
adapter = json.loads((out / "adapter" / "adapter.json").read_text())
(out / "model" / "letters.json").write_text(json.dumps(adapter))
again = json.loads((out / "model" / "letters.json").read_text())
say("done", largestDifference=abs(loss_of(adapter, data["validation"]) - loss_of(again, data["validation"])))

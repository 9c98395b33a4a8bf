"""What the export scripts are tested with: `python small_exports.py other-graph OUT | beside OUT`.

`other-graph`: exports a module that computes something else once it is traced. `beside`: one whose weights do not fit into the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models" / "export"))
import onnx_export  # noqa: E402


class OtherGraph(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1 if torch.onnx.is_in_onnx_export() else x


def other_graph(out: Path) -> None:
    onnx_export.export_graph(OtherGraph(), {"x": torch.zeros(2)}, ["y"], {}, out / "model.onnx")


def beside(out: Path) -> None:
    onnx_export.LARGEST_FILE = 100
    onnx_export.export_graph(torch.nn.Linear(64, 64), {"x": torch.randn(2, 64)}, ["y"], {}, out / "model.onnx")


if __name__ == "__main__":
    {"other-graph": other_graph, "beside": beside}[sys.argv[1]](Path(sys.argv[2]))

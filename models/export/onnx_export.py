"""Exports a torch module to one ONNX file, weights above 2 GB beside it, and holds the file against the module."""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 17
# Protobuf's limit is 2 GiB a file; the graph itself needs some room. Weights that are larger lie in a file of their own.
LARGEST_FILE = 1_900_000_000
# Largest difference between ONNX Runtime and torch, relative to the largest number where that is above 1.
TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes `path`, and `<path>_data` beside it where the weights do not fit into one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, path.with_name(path.name + "_data")):
        old.unlink(missing_ok=True)
    # The whole of a larger model cannot be asked for its size.
    if sum(tensor.ByteSize() for tensor in model.graph.initializer) <= LARGEST_FILE:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=path.name + "_data")
        path.with_name(path.name + "_data").chmod(path.stat().st_mode)  # ONNX keeps it from everyone else


def export_graph(
    module: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    dynamic_axes: dict[str, dict[int, str]],
    path: Path,
) -> None:
    """Ends the program where the file's outputs are not the module's."""
    module.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, torch.no_grad():
        file = Path(folder) / "model.onnx"
        with warnings.catch_warnings():  # the tracer warns of every shape that it takes for a constant
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, tuple(inputs.values()), str(file), input_names=list(inputs), output_names=outputs,
                dynamic_axes=dynamic_axes, opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        save(onnx.load(file), path)
        expected = module(*inputs.values())
    expect_same(path, inputs, dict(zip(outputs, expected if isinstance(expected, tuple) else (expected,), strict=True)))


def expect_same(path: Path, inputs: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Ends the program where a graph does not give this."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    actual = session.run(list(expected), {name: value.numpy() for name, value in inputs.items()})
    error = max(difference(a, e) for a, e in zip(actual, expected.values(), strict=True))
    allowed = max(TOLERANCE.get(e.dtype, 0.0) for e in expected.values())
    # Not on stdout, where the trainer has its events.
    print(f"{path}: largest difference from torch {error:.1e}", file=sys.stderr)
    if not error <= allowed:
        raise SystemExit(f"{path} does not give what torch gives: the largest difference is {error:.1e}, rounding is up to {allowed:.0e}")


def difference(actual: np.ndarray, expected: torch.Tensor) -> float:
    """Largest, relative to the largest number where that is above 1; infinity where one is no number or the shapes differ."""
    wanted = expected.double().numpy()
    if actual.shape != wanted.shape or not np.isfinite(actual).all() or not np.isfinite(wanted).all():
        return float("inf")
    return float(np.abs(actual - wanted).max() / max(1.0, np.abs(wanted).max()))

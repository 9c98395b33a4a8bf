"""Exports a torch module to one ONNX file, weights above 2 GB beside it, and holds the file against the module."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 18
# Protobuf's limit: weights that are larger lie in a file of their own.
MAX_INLINE_BYTES = 2**31 - 2**20
# Largest difference between ONNX Runtime and torch, of numbers of about 1.
TOLERANCE = 1e-4


def save(model: onnx.ModelProto, path: Path) -> None:
    """Writes `path`, and `<path>_data` beside it where the weights do not fit into one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, path.with_name(path.name + "_data")):
        old.unlink(missing_ok=True)
    if model.ByteSize() <= MAX_INLINE_BYTES:
        onnx.save(model, path)
    else:
        onnx.save(model, path, save_as_external_data=True, location=path.name + "_data")


def export(
    module: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    dynamic_axes: dict[str, dict[int, str]],
    path: Path,
) -> None:
    """Ends the program where the file's outputs are not the module's."""
    module.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        file = Path(folder) / "model.onnx"
        with warnings.catch_warnings():  # the tracer warns of every shape that it takes for a constant
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module, tuple(inputs.values()), str(file), input_names=list(inputs), output_names=outputs,
                dynamic_axes=dynamic_axes, opset_version=OPSET, dynamo=False,
            )  # fmt: skip
        save(onnx.load(file), path)
        expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    actual = session.run(outputs, {name: value.numpy() for name, value in inputs.items()})
    error = max(float(np.abs(a - e.numpy()).max()) for a, e in zip(actual, expected, strict=True))
    print(f"{path}: largest difference from torch {error:.1e}")
    if not error < TOLERANCE:
        raise SystemExit(f"{path} does not give what torch gives")

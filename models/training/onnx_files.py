"""Writing ONNX files: export with torch, store the weights in half precision, check both against torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
# Below this many elements (biases, norms) half precision saves nothing worth its rounding.
MINIMUM_HALF_ELEMENTS = 256
# Protobuf's limit is 2 GiB a file; the graph itself needs some room.
LARGEST_FILE = 1_900_000_000


def store_half(path: Path) -> None:
    """Rewrites the file so that large float32 weights lie in it as float16, each followed by a cast back to float32.

    The arithmetic stays float32 (ONNX Runtime folds the casts at load), so only the rounding of the weights is lost. What is too large for one file
    lies beside it as `<name>_data`.
    """
    model = onnx.load(path)
    graph = model.graph
    initializers, casts = [], []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= MINIMUM_HALF_ELEMENTS:
            half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_f16")
            initializers.append(half)
            casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT, name=f"cast_{tensor.name}"))
        else:
            initializers.append(tensor)
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(initializers)
    graph.node.extend(casts + nodes)
    beside = path.with_name(f"{path.name}_data")
    beside.unlink(missing_ok=True)
    # The whole of a larger model cannot be asked for its size.
    is_large = sum(tensor.ByteSize() for tensor in graph.initializer) > LARGEST_FILE
    onnx.save_model(model, path, **({"save_as_external_data": True, "location": beside.name} if is_large else {}))
    if is_large:
        beside.chmod(path.stat().st_mode)  # ONNX keeps it from everyone else
    onnx.checker.check_model(str(path))


def round_to_half(model: torch.nn.Module) -> None:
    """Weights as they will lie in the file, so that torch and ONNX Runtime compute with the same numbers."""
    for parameter in model.parameters():
        if parameter.numel() >= MINIMUM_HALF_ELEMENTS:
            parameter.data = parameter.data.half().float()


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def export(
    module: torch.nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: list[str],
    dynamic_axes: dict[str, dict[int, str]],
    path: Path,
) -> float:
    """Exports, stores the weights in half precision, and returns the largest absolute difference from torch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    module.eval()
    with warnings.catch_warnings():  # the tracer warns of every shape that it takes for a constant
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, tuple(inputs.values()), str(path), input_names=list(inputs), output_names=outputs,
            dynamic_axes=dynamic_axes, opset_version=OPSET, dynamo=False,
        )  # fmt: skip
    store_half(path)
    with torch.no_grad():
        expected = module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    actual = open_session(path).run(outputs, {name: value.numpy() for name, value in inputs.items()})
    return max(float(np.abs(a - e.numpy()).max()) for a, e in zip(actual, expected, strict=True))

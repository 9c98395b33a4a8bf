"""Writes a copy of an exported model folder with weights of lower precision: `fp16` (everything but inputs and outputs) or `int8` (the weights of
matrix products, quantised as ONNX Runtime's `quantize_dynamic` does). Files keep their names, so that the copy is used like the original.

For graphs that no exporter writes in that precision: `optimum-cli export onnx --dtype fp16` is the other way to fp16.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

from onnx_export import save


def to_fp16(source: Path, out: Path) -> None:
    model = onnx.load(source)
    constants_to_initializers(model.graph)
    # Without shape inference, which does not take graphs above 2 GB; what the exporters write needs none.
    save(convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True), out)


def constants_to_initializers(graph: onnx.GraphProto) -> None:
    """Of initializers the converter knows which must stay float32 (the scales of Resize); of Constant nodes it does not."""
    for node in [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def to_int8(source: Path, out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        quantised = Path(folder) / "model.onnx"
        quantize_dynamic(
            source, quantised, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8, use_external_data_format=True
        )
        save(onnx.load(quantised), out)


CONVERSIONS = {"fp16": to_fp16, "int8": to_int8}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", choices=list(CONVERSIONS), required=True)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    graphs = sorted(arguments.source.rglob("*.onnx"))
    if not graphs:
        raise SystemExit(f"{arguments.source} holds no ONNX files")
    beside = {
        graph.parent / entry.value
        for graph in graphs
        for tensor in onnx.load(graph, load_external_data=False).graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for path in sorted(arguments.source.rglob("*")):
        target = arguments.out / path.relative_to(arguments.source)
        if path.is_dir() or path in beside:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if path in graphs:
            CONVERSIONS[arguments.to](path, target)
            print(f"{target}: {arguments.to}", flush=True)
        else:
            shutil.copyfile(path, target)


if __name__ == "__main__":
    main()

"""Test vectors as the ONNX model zoo keeps them: inputs and outputs as TensorProto files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from fairuse_router import Bundle

Tensors = dict[str, NDArray]
FOLDER = "test_data_set_0"


def rows_under_every_report(bundle: Bundle, X) -> Tensors:
    """Inputs for two rows per report: one under its own report, one under each of the grid."""
    grid = bundle.schema.report_codes
    chosen = X.iloc[: 2 * len(grid)]
    codes = bundle.schema.encode(chosen)
    codes[len(grid) :] = grid[: len(codes) - len(grid)]
    return {
        **bundle.layout.features(chosen),
        "report": bundle.layout.reports(bundle.schema, codes),
    }


def write(folder: Path, model: Path, inputs: Tensors) -> None:
    """Ask plain onnxruntime, and write down what it was asked and what it answered."""
    session = onnxruntime.InferenceSession(model)
    names = [value.name for value in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, inputs), strict=True))
    order = [value.name for value in session.get_inputs()]
    folder.mkdir(exist_ok=True)
    for kind, sequence, tensors in (("input", order, inputs), ("output", names, outputs)):
        for i, name in enumerate(sequence):
            tensor = numpy_helper.from_array(tensors[name], name)
            content = tensor.SerializeToString(deterministic=True)
            (folder / f"{kind}_{i}.pb").write_bytes(content)


def read(folder: Path) -> tuple[Tensors, Tensors]:
    """Return inputs and outputs by name."""
    found: dict[str, Tensors] = {"input": {}, "output": {}}
    for path in sorted(folder.glob("*.pb"), key=lambda p: int(re.sub(r"\D", "", p.stem))):
        tensor = onnx.TensorProto.FromString(path.read_bytes())
        array = numpy_helper.to_array(tensor)
        if tensor.data_type == onnx.TensorProto.STRING:
            texts = [v.decode() if isinstance(v, bytes) else v for v in array.ravel().tolist()]
            array = np.array(texts, dtype=object).reshape(array.shape)
        found[path.stem.split("_")[0]][tensor.name] = array
    return found["input"], found["output"]


def difference(model: Path, folder: Path) -> float:
    """Replay the vectors by plain onnxruntime: the largest difference of a number.

    Numbers are compared relative to 1 + abs(number); infinite if a label or a route differs.
    """
    inputs, expected = read(folder)
    names = list(expected)
    answers = onnxruntime.InferenceSession(model).run(names, inputs)
    largest = 0.0
    for name, answer in zip(names, answers, strict=True):
        wanted = expected[name]
        if wanted.dtype.kind == "f" and answer.shape == wanted.shape:
            gap = np.abs(answer.astype(float) - wanted) / (1 + np.abs(wanted))
            largest = max(largest, float(gap.max()))
        elif not np.array_equal(answer, wanted):
            return float("inf")
    return largest

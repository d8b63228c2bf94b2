"""Shapes: the inputs and outputs of a graph are those that its metadata speaks of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import JOINED, REPORT, Layout
from fairuse_router.groups import GroupSchema

_Described = Mapping[str, Any]  # name, type and shape of a tensor


def check_shapes(
    inputs: Sequence[_Described],
    outputs: Sequence[_Described],
    layout: Layout,
    schema: GroupSchema,
    classes: NDArray[Any] | None,
) -> None:
    """Refuse a graph that its metadata does not describe.

    Parameters
    ----------
    inputs, outputs : sequence of dict
        ``name``, ``type`` and ``shape`` of each tensor.
    layout : Layout
    schema : GroupSchema
    classes : ndarray of shape (K,) or None
        None for a regression.

    Raises
    ------
    ValueError
    """
    k = len(schema.attributes)
    if layout.joined:
        expected = {JOINED: (layout.number, len(layout.columns))}
    else:
        expected = {
            name: (layout.number if c.numeric else "string", 1)
            for c, name in zip(layout.columns, layout.inputs, strict=True)
        }
    expected[REPORT] = ("int64" if layout.report == "codes" else "string", k)
    found = {i["name"]: (i["type"], *i["shape"][1:]) for i in inputs}
    if found != expected:
        raise ValueError(f"its inputs are {found}, its metadata speaks of {expected}")
    _check_outputs({o["name"]: o for o in outputs}, classes)


def _check_outputs(outputs: Mapping[str, _Described], classes: NDArray[Any] | None) -> None:
    wanted: dict[str, tuple[str, ...]] = {"route": ("int64",)}
    if classes is None:
        wanted["prediction"] = ("float32", "float64")
    else:
        wanted["label"] = ("string",) if classes.dtype.kind in "OU" else ("int64",)
    for name, types in wanted.items():
        found = outputs.get(name, {"type": "missing", "shape": []})
        if found["type"] not in types or len(found["shape"]) != 1:
            raise ValueError(
                f"its output {name} is {found['type']} of shape {found['shape']}; one "
                f"{types[0]} a row belongs there"
            )
    if "probabilities" in outputs:
        shape = outputs["probabilities"]["shape"]
        columns = 0 if classes is None else len(classes)
        if len(shape) != 2 or shape[1] != columns:
            raise ValueError(f"it has probabilities of shape {shape} for {columns} classes")

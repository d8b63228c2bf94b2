"""Metadata: what a bundle says of itself, as JSON under ``fairuse_router.*``.

``format_version`` is one integer. It grows when a reader of the version before would misread a
file: a key that is renamed or removed, or that changes its meaning. New keys do not count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.groups import MAX_REPORTS, GroupSchema
from fairuse_router.routing.table import RoutingTable

FORMAT_VERSION = 1
PREFIX = "fairuse_router."
KEYS = ("audit", "candidates", "certificate", "classes", "features", "routing_table", "schema")


def to_json(data: Any) -> str:
    """JSON text with sorted keys; infinities and NaN are refused."""
    return json.dumps(data, sort_keys=True, allow_nan=False, ensure_ascii=False)


def read(properties: Mapping[str, str]) -> dict[str, Any]:
    """Parse the metadata of a model, without the prefix.

    Raises
    ------
    ValueError
        If the model is no bundle, of another version, or lacks a key.
    """
    version = properties.get(f"{PREFIX}format_version")
    if version is None:
        raise ValueError("it is an ONNX model, but no bundle: it has no fairuse_router metadata")
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"its format_version is {version[:20]!r}, this version of fairuse_router reads "
            f"{FORMAT_VERSION}; install the version that wrote it, or export it again"
        )
    missing = [key for key in KEYS if PREFIX + key not in properties]
    if missing:
        raise ValueError(f"its metadata lacks {missing}")
    return {key: json.loads(properties[PREFIX + key]) for key in KEYS}


def write_classes(classes: NDArray[Any]) -> dict[str, Any]:
    """Classes for the file.

    Raises
    ------
    ValueError
        For labels that are neither integers, booleans, strings nor integral floats.
    """
    labels = classes.tolist()
    if all(isinstance(v, str) for v in labels):
        return {"dtype": classes.dtype.str, "labels": labels}
    if classes.dtype.kind in "biuf" and all(float(v).is_integer() for v in labels):
        return {"dtype": classes.dtype.str, "labels": [int(v) for v in labels]}
    raise ValueError(
        f"y has the classes {labels[:5]}; a bundle holds integers, booleans, integral floats or "
        "strings. Encode y and fit again."
    )


def onnx_labels(data: Mapping[str, Any]) -> NDArray[Any]:
    """Labels as the graph gives them: int64, or strings of dtype object."""
    labels = data["labels"]
    is_text = bool(labels) and isinstance(labels[0], str)
    return np.array(labels, dtype=object if is_text else np.int64)


def read_classes(data: Mapping[str, Any]) -> NDArray[Any]:
    """Classes as the router had them."""
    dtype = str(data["dtype"])
    if not re.fullmatch(r"[<>=|]?[OUbiuf][0-9]{0,4}", dtype):
        raise ValueError(f"classes have the type {dtype[:20]!r}")
    return np.array(data["labels"], dtype=object).astype(dtype)


def write_table(table: RoutingTable, min_cell: int) -> dict[str, Any]:
    """Routing table for the file; what is known of groups below `min_cell` rows is left out."""
    data = table.to_dict()
    del data["schema"]
    for group in data["groups"]:
        if group["rows"] < min_cell:
            group.update(
                rows=None,
                reason=f"fewer than {min_cell} rows: not shown",
                risks={},
                gain=None,
                low=None,
                high=None,
                unavailable={},
            )
    return data


def read_table(data: Mapping[str, Any]) -> RoutingTable:
    """Routing table of a file."""
    schema = GroupSchema.from_dict(data["schema"])
    if not 1 <= schema.n_reports <= MAX_REPORTS:
        raise ValueError(f"its group attributes span {schema.n_reports} reports")
    return RoutingTable.from_dict({**data["routing_table"], "schema": data["schema"]})


def suppress(data: Any, min_cell: int) -> Any:
    """Leave out the numbers of everything that rests on fewer than `min_cell` rows.

    A dictionary with an entry ``rows`` is taken for statistics of that many rows.

    Examples
    --------
    >>> suppress([{"group": "F", "rows": 3, "risk": 0.2}, {"group": "M", "rows": 9}], 5)
    [{'group': 'F', 'rows': None, 'risk': None}, {'group': 'M', 'rows': 9}]
    """
    if isinstance(data, Mapping):
        rows = data.get("rows")
        if isinstance(rows, int) and rows < min_cell:
            return {k: _without_numbers(v) for k, v in data.items()}
        return {k: suppress(v, min_cell) for k, v in data.items()}
    if isinstance(data, (list, tuple)):
        return [suppress(v, min_cell) for v in data]
    return data


def _without_numbers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_numbers(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_numbers(v) for v in value]
    return None if isinstance(value, (int, float)) and not isinstance(value, bool) else value

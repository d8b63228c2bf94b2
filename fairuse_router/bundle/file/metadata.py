"""Metadata: what a bundle says of itself, as JSON under ``fairuse_router.*``.

``format_version`` is one integer. It grows when a reader of the version before would misread a
file: a key that is renamed or removed, or that changes its meaning. New keys do not count, and
readers pass over what they do not know. Files of every version since 1 can be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.claims import check_claims
from fairuse_router.documents import read_json
from fairuse_router.documents import write_json as to_json  # noqa: F401  used as metadata.to_json
from fairuse_router.routing.table import RoutingTable

FORMAT_VERSION = 2  # since partial reports may have routes of their own
READABLE = range(1, FORMAT_VERSION + 1)
PREFIX = "fairuse_router."
KEYS = ("audit", "candidates", "certificate", "classes", "features", "routing_table", "schema")
LATER = ("class_counts", "compared", "held_out", "honest_gains")  # of which a file may lack any


def read(properties: Mapping[str, str]) -> dict[str, Any]:
    """Parse and check the metadata of a model, without the prefix.

    Raises
    ------
    ValueError
        If the model is no bundle, of a version that is not known, lacks a key, or contradicts
        itself.
    """
    version = properties.get(f"{PREFIX}format_version")
    if version is None:
        raise ValueError("it is an ONNX model, but no bundle: it has no fairuse_router metadata")
    if version not in map(str, READABLE):
        raise ValueError(
            f"its format_version is {version[:20]!r}, this version of fairuse_router reads up to "
            f"{FORMAT_VERSION}; install the version that wrote it, or export it again"
        )
    missing = [key for key in KEYS if PREFIX + key not in properties]
    if missing:
        raise ValueError(f"its metadata lacks {missing}")
    told = [*KEYS, *(key for key in LATER if PREFIX + key in properties)]
    parts = {key: _from_json(properties[PREFIX + key], key) for key in told}
    parts = dict.fromkeys(LATER) | parts
    check_claims(parts)
    return parts


def _from_json(text: str, key: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata {key} is no JSON ({str(error)[:80]})") from None


def write_classes(classes: NDArray[Any]) -> dict[str, Any]:
    """Classes for the file.

    Raises
    ------
    ValueError
        For labels that are neither integers of 64 bits, booleans, strings nor integral floats.
    """
    labels = classes.tolist()
    if all(isinstance(v, str) for v in labels):
        return {"dtype": classes.dtype.str, "labels": labels}
    if classes.dtype.kind in "biuf" and all(_fits_int64(v) for v in labels):
        return {"dtype": classes.dtype.str, "labels": [int(v) for v in labels]}
    raise ValueError(
        f"y has the classes {[str(label) for label in classes[:5]]}; a bundle holds integers of "
        "64 bits, booleans, integral floats or strings. Encode y and fit again."
    )


def _fits_int64(label: float) -> bool:
    return float(label).is_integer() and -(2**63) <= int(label) < 2**63


def onnx_labels(data: Mapping[str, Any]) -> NDArray[Any]:
    """Labels as the graph gives them: int64, or strings of dtype object."""
    labels = data["labels"]
    is_text = bool(labels) and isinstance(labels[0], str)
    return np.array(labels, dtype=object if is_text else np.int64)


def read_classes(data: Mapping[str, Any]) -> NDArray[Any]:
    """Classes as the router had them."""
    labels, dtype = data["labels"], data["dtype"]
    try:
        classes = np.array(labels, dtype=object).astype(dtype)
    except (TypeError, ValueError, OverflowError):
        classes = np.empty(0)
    if classes.tolist() != labels:
        raise ValueError(f"its classes {labels[:5]} are not of the type {dtype!r}")
    return classes


def read_table(data: Mapping[str, Any]) -> RoutingTable:
    """Routing table of a file."""
    return RoutingTable.from_dict({**data["routing_table"], "schema": data["schema"]})

"""What the page is told: the questions, what each brought, and how rows become tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fairuse_router.bundle import Bundle
from fairuse_router.bundle.file.layout import JOINED
from fairuse_router.inference import combine_intervals
from fairuse_router.metrics import named_metric

_VALUES = ("probabilities", "scores", "prediction")


def form_data(
    bundle: Bundle, content: bytes, choices: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Return what the page needs beside the bundle, as JSON can hold it.

    Parameters
    ----------
    bundle : Bundle
    content : bytes
        The bundle's file.
    choices : mapping of str to sequence of str
        Texts to offer, by column.

    Raises
    ------
    ValueError
        For choices of a column that is no feature of texts.
    """
    layout, table = bundle.layout, bundle.routing_table
    texts = {column.name for column in layout.columns if not column.numeric}
    unknown = sorted(set(choices) - texts)
    if unknown:
        raise ValueError(f"choices names {unknown}; the features of texts are {sorted(texts)}.")
    outputs = [output["name"] for output in bundle.outputs]
    tree = table.disclosure_plan().to_dict()["tree"]
    hidden = {tuple(r.report) for r in table.groups if r.rows is None}
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "features": [
            {
                "name": column.name,
                "input": name,
                "numeric": column.numeric,
                "needed": column.name in layout.no_missing,
                "choices": list(choices[column.name]) if column.name in choices else None,
            }
            for column, name in zip(layout.columns, layout.inputs, strict=True)
        ],
        "joined": JOINED if layout.joined else None,
        "number": layout.number,
        "codes": layout.report == "codes",
        "attributes": [
            {"name": name, "levels": list(levels)}
            for name, levels in zip(bundle.schema.attributes, bundle.schema.levels, strict=True)
        ],
        "classes": None if bundle.classes_ is None else bundle.classes_.tolist(),
        "values": next((name for name in _VALUES if name in outputs), None),
        "metric": table.metric,
        "tree": _node(tree, table.metric, bool(hidden)),
    }


def _node(node: Mapping[str, Any], metric: str, hidden: bool) -> dict[str, Any]:
    """A node of the plan as the page needs it, and all below."""
    told: dict[str, Any] = {"people": None if hidden else node["rows"], "route": node["route"]}
    if "ask" in node:
        told["ask"] = node["ask"]
        told["brings"] = _brings(node, metric, hidden)
        branches = node["branches"].items()
        told["branches"] = {level: _node(after, metric, hidden) for level, after in branches}
        told["declined"] = _node(node["declined"], metric, hidden)
    return told


def _brings(node: Mapping[str, Any], metric: str, hidden: bool) -> dict[str, Any]:
    """What answering this question brought the people it is put to.

    The plan says so where partial reports have routes of their own; elsewhere nothing is gained
    before the last question, and it is what all that follow bring together.
    """
    ends = list(_ends(node))
    weight = np.array([end["rows"] for end in ends], dtype=float)
    if node["next"] is not None:
        numbers = tuple(_number(value) for value in node["next"])
    elif node["route"] or not weight.sum():
        return {"sure": "unknown", "rows": None}
    else:
        gain, low, high = ([_number(end[name]) for end in ends] for name in ("gain", "low", "high"))
        numbers = combine_intervals(gain, low, high, weight / weight.sum())
    if not np.isfinite(numbers).all():
        return {"sure": "unknown", "rows": None}
    sure = "gain" if numbers[1] > 0 else "loss" if numbers[2] < 0 else "luck"
    show = named_metric(metric).format_gain
    told = {
        name: {"number": value, "text": show(value)}
        for name, value in zip(("gain", "low", "high"), numbers, strict=True)
    }
    return {**told, "sure": sure, "rows": None if hidden else int(weight.sum())}


def _ends(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Where the ways from a node end, if nobody declines."""
    if "ask" not in node:
        yield node
        return
    for after in node["branches"].values():
        yield from _ends(after)


def _number(value: Any) -> float:
    """A gain of a plan: None is undefined, infinities are texts."""
    return np.nan if value is None else float(value)

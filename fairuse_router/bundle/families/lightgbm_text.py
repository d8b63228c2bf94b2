"""LightGBM: its trees, read from the text that it saves a model as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.finish import (
    EXP,
    LARGEST,
    LOGISTIC,
    NUMBER,
    SIGN,
    SOFTMAX,
    Finish,
)

_IS_CATEGORY, _MISSING_LEFT, _ZERO, _NAN = 1, 2, 4, 8  # bits of a decision
_NUMBERS = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")


@dataclass(frozen=True, eq=False)
class TextTree:
    """One tree: its splits come first, then its leaves.

    Parameters
    ----------
    left, right, feature : ndarray of int64, shape (n_nodes,)
        -1 at leaves.
    threshold : ndarray of float64, shape (n_nodes,)
        Rows with ``x <= threshold`` go left.
    missing_left : ndarray of bool, shape (n_nodes,)
    sets : dict of int to list of int
        Codes that go left, of splits on categories.
    values : ndarray of float64, shape (n_nodes,)
        Of leaves.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    sets: dict[int, list[int]]
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextModel:
    """The trees of a model, of which `width` make a step, and what is made of their sums."""

    trees: list[TextTree]
    width: int
    finish: Finish


def is_lightgbm(estimator: Any) -> bool:
    """Whether an estimator is one of LightGBM's."""
    return type(estimator).__module__.split(".")[0] == "lightgbm" and hasattr(estimator, "booster_")


def read_lightgbm(estimator: Any, method: str | None) -> TextModel | None:
    """Read a fitted model; None for an objective of whose sums something else is made.

    Raises
    ------
    ValueError
        For models in leaves, and zeros that count as missing.
    """
    head, *blocks = estimator.booster_.model_to_string().split("\n\nTree=")
    fields = _fields(head)
    finish = _finish(fields["objective"].split(), method) if "objective" in fields else None
    if finish is None:
        return None
    width = int(fields["num_tree_per_iteration"])
    means = "average_output" in head.split("\n")  # a forest
    factor = width / len(blocks) if means else 1.0
    trees = [_tree(_fields(block.split("\n\n")[0]), factor) for block in blocks]
    return TextModel(trees, width, finish)


def _fields(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.split("\n") if "=" in line)


def _finish(objective: list[str], method: str | None) -> Finish | None:
    if objective == ["binary", "sigmoid:1"]:
        return LOGISTIC if method == "predict_proba" else SIGN
    if objective[0] == "multiclass":
        return SOFTMAX if method == "predict_proba" else LARGEST
    if objective[0] in ("poisson", "gamma", "tweedie"):
        return EXP
    return NUMBER if objective[0] in _NUMBERS and "sqrt" not in objective else None


def _tree(fields: dict[str, str], factor: float) -> TextTree:
    if fields["is_linear"] != "0":
        raise ValueError("its linear trees cannot be written; leave linear_tree out")

    def row(name: str, kind: Any) -> NDArray[Any]:
        return np.array(fields.get(name, "").split(), dtype=kind)

    leaves = row("leaf_value", np.float64)
    n, none = len(leaves) - 1, np.full(len(leaves), -1)
    decision, threshold = row("decision_type", np.int64), row("threshold", np.float64)
    if (decision & _ZERO).any():
        raise ValueError("zeros that count as missing cannot be written; leave zero_as_missing out")
    # leaves are numbered -1, -2, ...
    left, right = (
        np.where(child < 0, n - 1 - child, child)
        for child in (row("left_child", np.int64), row("right_child", np.int64))
    )
    by_category = decision & _IS_CATEGORY > 0
    # without a side of its own, a missing number counts as 0
    side = np.where(decision & _NAN > 0, decision & _MISSING_LEFT > 0, threshold >= 0)
    ends, words = row("cat_boundaries", np.int64), row("cat_threshold", np.uint32)
    sets = {}
    for node in np.flatnonzero(by_category).tolist():
        place = int(threshold[node])
        bits = words[ends[place] : ends[place + 1]].view(np.uint8)
        sets[node] = np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()
    return TextTree(
        np.append(left, none),
        np.append(right, none),
        np.append(row("split_feature", np.int64), none),
        np.append(threshold, np.zeros(n + 1)),
        np.append(side & ~by_category, none > 0),
        sets,
        np.append(np.zeros(n), factor * leaves),
    )

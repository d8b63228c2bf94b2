"""Boosters: the trees of XGBoost, read from the model that it saves as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.finish import EXP, NUMBER, SINGLE_LOGISTIC, SOFTMAX, Finish
from fairuse_router.documents import read_json

# what an objective makes of margins, and the margin of the score that it starts from
_LINKS: dict[str, tuple[Finish, Any]] = {
    "binary:logistic": (SINGLE_LOGISTIC, lambda p: -np.log(1 / p - 1)),
    "multi:softprob": (SOFTMAX, np.asarray),
    **dict.fromkeys(("count:poisson", "reg:gamma", "reg:tweedie"), (EXP, np.log)),
    **dict.fromkeys(
        ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror"), (NUMBER, np.asarray)
    ),
}


@dataclass(frozen=True, eq=False)
class BoostedTree:
    """One tree as XGBoost holds it: rows with ``x < threshold`` in float32 go left.

    Parameters
    ----------
    left, right, feature : ndarray of int64, shape (n_nodes,)
    threshold : ndarray of float32, shape (n_nodes,)
        Of leaves, their value.
    missing_left : ndarray of bool, shape (n_nodes,)
    target : int
        The margin that it adds to.
    factor : float
        Of its values.
    sets : dict of int to list of int
        Codes that go right, of splits on categories.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]
    target: int
    factor: float
    sets: dict[int, list[int]]


@dataclass(frozen=True, eq=False)
class Booster:
    """The trees of a model, where its margins start, and what is made of them."""

    trees: list[BoostedTree]
    start: NDArray[np.float64]
    finish: Finish


def is_xgboost(estimator: Any) -> bool:
    """Whether an estimator is one of XGBoost's, which computes in single precision itself."""
    return type(estimator).__module__.split(".")[0] == "xgboost" and hasattr(
        estimator, "get_booster"
    )


def read_xgboost(estimator: Any) -> Booster | None:
    """Read a fitted model of XGBoost; None for linear ones, other objectives or missing values."""
    if not isinstance(estimator.missing, float) or not np.isnan(estimator.missing):
        return None
    booster = estimator.get_booster()
    model = read_json(bytes(booster.save_raw("json")).decode())["learner"]
    boosted = model["gradient_booster"]
    link = _LINKS.get(model["objective"]["name"])
    trees = boosted.get("gbtree", boosted).get("model", {})
    if link is None or "trees" not in trees or model["learner_model_param"]["num_target"] != "1":
        return None
    finish, to_margin = link
    width = max(1, int(model["learner_model_param"]["num_class"]))
    score = np.array(model["learner_model_param"]["base_score"].strip("[]").split(","), dtype=float)
    # XGBoost before 3.4 keeps them beside the trees
    drops = trees.get("weight_drop") or boosted.get("weight_drop") or np.ones(len(trees["trees"]))
    last = booster.attr("best_iteration") if estimator.early_stopping_rounds else None
    count = len(trees["trees"]) if last is None else trees["iteration_indptr"][int(last) + 1]
    read = [
        _tree(tree, target, drop)
        for tree, target, drop in zip(trees["trees"], trees["tree_info"], drops, strict=True)
    ]
    start = np.broadcast_to(to_margin(score), width).astype(np.float32).astype(np.float64)
    return Booster(read[:count], start, finish)


def xgboost_categories(estimator: Any) -> list[list[Any]]:
    """Return the categories of each column of them, which models keep from XGBoost 3.1 on."""
    booster = estimator.get_booster()
    if "c" not in (booster.feature_types or ()):
        return []
    boosted = read_json(bytes(booster.save_raw("json")).decode())["learner"]["gradient_booster"]
    model = boosted.get("gbtree", boosted).get("model", {})
    kept = [_categories(one) for one in model.get("cats", {}).get("enc", ())]
    return [categories for categories in kept if categories]


def _categories(kept: Mapping[str, Any]) -> list[Any]:
    """Categories of a column: numbers, or the bytes of texts that lie end to end."""
    if not kept.get("offsets"):
        return list(kept["values"])
    text = np.array(kept["values"]).astype(np.uint8).tobytes()
    return [text[start:end].decode() for start, end in pairwise(kept["offsets"])]


def _tree(tree: Mapping[str, Any], target: int, factor: float) -> BoostedTree:
    return BoostedTree(
        np.array(tree["left_children"]),
        np.array(tree["right_children"]),
        np.array(tree["split_indices"]),
        np.array(tree["split_conditions"], dtype=np.float32),
        np.array(tree["default_left"], dtype=bool),
        target,
        factor,
        {
            node: tree["categories"][start : start + size]
            for node, start, size in zip(
                *(tree[f"categories_{name}"] for name in ("nodes", "segments", "sizes")),
                strict=True,
            )
        },
    )

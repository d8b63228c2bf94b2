"""Trees, forests and boosted trees, from scikit-learn's own arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from fairuse_router.bundle.families.boosters import BoostedTree, is_xgboost, read_xgboost
from fairuse_router.bundle.families.columns import Column
from fairuse_router.bundle.families.ensemble import Tree, sums
from fairuse_router.bundle.families.finish import (
    EXP,
    LARGEST,
    LOGISTIC,
    LOGISTIC_FROM_ZERO,
    NUMBER,
    SIGN,
    SIGN_FROM_ZERO,
    SOFTMAX,
    Finish,
    Scored,
    averaged,
    divide,
)
from fairuse_router.bundle.families.lightgbm_text import TextTree, is_lightgbm, read_lightgbm
from fairuse_router.bundle.families.limits import Limits, below, rounding_limit
from fairuse_router.bundle.families.members import Member, Members, with_members
from fairuse_router.bundle.families.natives import HISTOGRAM
from fairuse_router.bundle.graph.blocks import Answer, best, two_classes
from fairuse_router.bundle.graph.builder import Graph

_FORESTS = (
    *(RandomForestClassifier, ExtraTreesClassifier),
    *(RandomForestRegressor, ExtraTreesRegressor),
)
_GRADIENT = (GradientBoostingClassifier, GradientBoostingRegressor)
_SINGLE = (
    *(DecisionTreeClassifier, ExtraTreeClassifier),
    *(DecisionTreeRegressor, ExtraTreeRegressor),
)
_TREE_MODELS = (*_FORESTS, *HISTOGRAM, *_GRADIENT, *_SINGLE)


@dataclass(frozen=True, eq=False)
class Trees(Scored):
    """Trees whose leaves add up to scores.

    Parameters
    ----------
    trees : tuple of Tree
    finish : Finish
    votes : int, default=0
        Trees that vote on the classes, if the sums are those of votes.
    single : bool, default=False
        Whether the model adds up in single precision itself.
    members : tuple of Member, default=()
        Columns that its trees read before those of the table.
    """

    trees: tuple[Tree, ...]
    finish: Finish
    votes: int = 0
    single: bool = False
    members: tuple[Member, ...] = ()

    @property
    def width(self) -> int:
        """Number of sums."""
        return self.trees[0].values.shape[1]

    def score(self, graph: Graph, tensor: str) -> str:
        """Append the sums of the leaves that rows reach, shape (n, width).

        Votes are added up first and divided last, as scikit-learn does: the sums of pure leaves are
        whole numbers, so that tied votes tie in float32, too.
        """
        tensor = with_members(graph, self.members, tensor)
        return sums(graph, self.trees, tensor, self.votes > 0 or self.single, self.single)


def trees_of(
    estimator: Any, columns: Sequence[Column], method: str | None, kind: Any
) -> Trees | None:
    """Return the trees of a fitted tree, forest or boosting; None for any other estimator.

    Parameters
    ----------
    estimator : fitted estimator
    columns : sequence of Column
        What reaches it; thresholds are taken back to their sources.
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label; ``"predict"`` for a regressor.
    kind : {numpy.float32, numpy.float64}
        Type of the numbers that are compared.

    Raises
    ------
    ValueError
        For an init estimator, or what a booster cannot be read with.
    """
    if not _is_of_trees(estimator):
        return None
    if not all(column.slope >= 0 for column in columns):
        return None
    limits = Limits(columns, np.dtype(kind) == np.float64)
    if is_xgboost(estimator):
        return _xgboost(estimator, limits)
    if is_lightgbm(estimator):
        return _lightgbm(estimator, limits, method)
    if isinstance(estimator, HISTOGRAM):
        return _histogram_boosting(estimator, limits, method)
    if isinstance(estimator, _GRADIENT):
        return _gradient_boosting(estimator, limits, method)
    members = estimator.estimators_ if hasattr(estimator, "estimators_") else [estimator]
    trees = tuple(_from_tree(member.tree_, limits) for member in members)
    if hasattr(estimator, "classes_"):
        return Trees(trees, averaged(LARGEST, len(members)), len(members))
    return Trees(trees, averaged(NUMBER, len(members)))


def _is_of_trees(estimator: Any) -> bool:
    return type(estimator) in _TREE_MODELS or is_xgboost(estimator) or is_lightgbm(estimator)


def trees_alone(estimator: Any, method: str | None, kind: Any) -> Trees | None:
    """Return the trees of an estimator whose columns come as they are, in as few sums as can be."""
    if not _is_of_trees(estimator):
        return None
    columns = [Column(j) for j in range(estimator.n_features_in_)]
    model = trees_of(estimator, columns, method, kind)
    return None if model is None else in_one_sum(model, kind)


def in_one_sum(model: Trees, kind: Any) -> Trees:
    """Add up the votes for the second of two classes only: ONNX Runtime is quicker at one sum.

    In double precision only whole votes, of which the rest is exact.
    """
    if not model.votes or model.width != 2:
        return model
    leaves = np.concatenate([tree.values[tree.leaf] for tree in model.trees])
    whole = bool((leaves == np.round(leaves)).all())
    if np.dtype(kind) == np.float64 and not whole:
        return model
    if not np.allclose(leaves.sum(axis=1), 1, rtol=0, atol=1e-9):
        return model
    second = tuple(replace(tree, values=tree.values[:, 1:]) for tree in model.trees)
    return Trees(second, _second_of(model.votes))


@cache
def _second_of(count: int) -> Finish:
    """Probabilities of two classes from the votes for the second, of `count`, shape (n, 1)."""

    def write(graph: Graph, total: str) -> Answer:
        if graph.kind == np.float32:
            label, votes = two_classes(graph, total, float(count), "NONE")
        else:
            votes = graph.op("Gemm", total, graph.numbers([[-1, 1]]), graph.numbers([count, 0]))
            label = best(graph, votes)
        return Answer(label, divide(graph, votes, count))

    return Finish(write, of_two=True)


def _finish_of(estimator: Any, width: int, method: str | None, from_zero: bool = False) -> Finish:
    """What a boosting makes of its margins."""
    if not hasattr(estimator, "classes_"):
        return EXP if estimator.loss in ("poisson", "gamma") else NUMBER
    if width > 1:
        return SOFTMAX if method == "predict_proba" else LARGEST
    if method == "predict_proba":
        return LOGISTIC_FROM_ZERO if from_zero else LOGISTIC
    return SIGN_FROM_ZERO if from_zero else SIGN


def _histogram_boosting(estimator: Any, limits: Limits, method: str | None) -> Trees | None:
    start = np.ravel(estimator._baseline_prediction)
    members = Members()
    trees = [
        members.split(
            _from_boosting(predictor.nodes, k, len(start), limits), _sets_of(predictor), True
        )
        for step in estimator._predictors
        for k, predictor in enumerate(step)
    ]
    finish = _finish_of(estimator, len(start), method)
    return _with_sets(Trees((*_started(start), *trees), finish), members, limits)


def _sets_of(predictor: Any) -> dict[int, list[int]]:
    """Codes that go left, of nodes that split on categories."""
    nodes, bits = predictor.nodes, predictor.raw_left_cat_bitsets
    codes = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
    return {
        node: np.flatnonzero(codes[nodes["bitset_idx"][node]]).tolist()
        for node in np.flatnonzero(nodes["is_categorical"]).tolist()
    }


def _lightgbm(estimator: Any, limits: Limits, method: str | None) -> Trees | None:
    model = read_lightgbm(estimator, method)
    if model is None:
        return None
    members = Members()
    trees = [
        members.split(_from_text(tree, j % model.width, model.width, limits), tree.sets, True)
        for j, tree in enumerate(model.trees)
    ]
    return _with_sets(Trees(tuple(trees), model.finish), members, limits)


def _with_sets(model: Trees, members: Members, limits: Limits) -> Trees | None:
    """Return a model with the columns that its splits on sets ask for; None if steps made them."""
    found, trees = members.first(model.trees)
    if any(limits.are_changed(member.source) for member in found):
        return None
    return replace(model, trees=trees, members=found)


def _gradient_boosting(estimator: Any, limits: Limits, method: str | None) -> Trees:
    if not isinstance(estimator.init_, (str, DummyClassifier, DummyRegressor)):
        raise ValueError("its init estimator cannot be written; leave init=None")
    rows = np.zeros((1, estimator.n_features_in_), np.float32)
    start = np.ravel(estimator._raw_predict_init(rows))
    trees = [
        _from_tree(member.tree_, limits, estimator.learning_rate, k, len(start))
        for step in estimator.estimators_
        for k, member in enumerate(step)
    ]
    finish = _finish_of(estimator, len(start), method, from_zero=True)
    if estimator.loss == "exponential" and finish.of_two:
        # its probability is the sigmoid of twice the margin
        start = 2 * start
        trees = [replace(tree, values=2 * tree.values) for tree in trees]
    return Trees((*_started(start), *trees), finish)


def _xgboost(estimator: Any, limits: Limits) -> Trees | None:
    booster = read_xgboost(estimator)
    if booster is None:
        return None
    members = Members()
    trees = [
        members.split(_from_booster(tree, len(booster.start), limits), tree.sets, False)
        for tree in booster.trees
    ]
    model = Trees((*_started(booster.start), *trees), booster.finish, single=True)
    return _with_sets(model, members, limits)


def _started(start: NDArray[np.float64]) -> list[Tree]:
    """What the margins begin with, as trees of one leaf."""
    return [Tree.constant(row) for row in np.diag(start.astype(np.float64))]


def _from_tree(
    tree: Any, limits: Limits, factor: float = 1.0, target: int = 0, width: int | None = None
) -> Tree:
    leaf = tree.children_left < 0
    values = tree.value[:, 0, :] * factor
    return _tree(
        (tree.children_left, tree.children_right, tree.feature),
        limits.of_rounded(tree.feature, tree.threshold, leaf),
        limits.missing_left(tree.feature, tree.threshold, tree.missing_go_to_left, leaf),
        leaf,
        values if width is None else _placed(values, target, width),
        limits,
    )


def _from_boosting(nodes: NDArray[Any], target: int, width: int, limits: Limits) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    feature, threshold = nodes["feature_idx"].astype(np.int64), nodes["num_threshold"]
    return _tree(
        (nodes["left"], nodes["right"], feature),
        limits.of_doubles(feature, threshold, leaf),
        limits.missing_left(feature, threshold, nodes["missing_go_to_left"], leaf),
        leaf,
        _placed(nodes["value"][:, None], target, width),
        limits,
    )


def _from_booster(tree: BoostedTree, width: int, limits: Limits) -> Tree:
    leaf = tree.left < 0
    values = (tree.threshold * np.float32(tree.factor)).astype(np.float64)
    before = rounding_limit(below(tree.threshold))
    return _tree(
        (tree.left, tree.right, tree.feature),
        limits.of_rounded_below(tree.feature, tree.threshold, leaf),
        limits.missing_left(tree.feature, before, tree.missing_left, leaf),
        leaf,
        _placed(values[:, None], tree.target, width),
        limits,
    )


def _from_text(tree: TextTree, target: int, width: int, limits: Limits) -> Tree:
    leaf = tree.left < 0
    return _tree(
        (tree.left, tree.right, tree.feature),
        limits.of_doubles(tree.feature, tree.threshold, leaf),
        limits.missing_left(tree.feature, tree.threshold, tree.missing_left, leaf),
        leaf,
        _placed(tree.values[:, None], target, width),
        limits,
    )


def _tree(
    links: tuple[NDArray[Any], NDArray[Any], NDArray[Any]],
    threshold: NDArray[np.float64],
    missing_left: NDArray[np.bool_],
    leaf: NDArray[np.bool_],
    values: NDArray[np.float64],
    limits: Limits,
) -> Tree:
    left, right, feature = (np.where(leaf, 0, link).astype(np.int64) for link in links)
    source = np.where(leaf, 0, limits.sources[feature])
    return Tree(left, right, source, threshold, missing_left, leaf, values)


def _placed(column: NDArray[np.float64], target: int, width: int) -> NDArray[np.float64]:
    """A column as one of several, zeros elsewhere."""
    values = np.zeros((len(column), width))
    values[:, target] = column[:, 0]
    return values

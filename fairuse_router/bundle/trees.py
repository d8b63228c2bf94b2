"""Trees and forests, from scikit-learn's own arrays to one TreeEnsemble node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from fairuse_router.bundle.blocks import Answer, best, both_signs, flat
from fairuse_router.bundle.builder import ML, Graph

FORESTS = (RandomForestClassifier, ExtraTreesClassifier)
TREES = (DecisionTreeClassifier, ExtraTreeClassifier)
BOOSTING = (GradientBoostingClassifier, HistGradientBoostingClassifier)
TREE_MODELS = (*FORESTS, *TREES, *BOOSTING)
_FOREST_REGRESSORS = (RandomForestRegressor, ExtraTreesRegressor)
TREE_REGRESSORS = (
    *_FOREST_REGRESSORS,
    *(DecisionTreeRegressor, ExtraTreeRegressor),
    *(GradientBoostingRegressor, HistGradientBoostingRegressor),
)


@dataclass(frozen=True)
class _Tree:
    """One tree as arrays over its nodes; leaves have no children.

    Parameters
    ----------
    left, right, feature : ndarray of int64, shape (n_nodes,)
    threshold : ndarray of shape (n_nodes,)
        Rows with ``x <= threshold`` go left; float64 for an ensemble that compares doubles.
    missing_left : ndarray of bool, shape (n_nodes,)
        Where NaN goes.
    leaf : ndarray of bool, shape (n_nodes,)
    values : ndarray of float64, shape (n_nodes, n_targets)
        What a leaf adds to targets `first`, `first` + 1, ...
    first : int
    """

    left: NDArray[Any]
    right: NDArray[Any]
    feature: NDArray[Any]
    threshold: NDArray[np.floating]
    missing_left: NDArray[np.bool_]
    leaf: NDArray[np.bool_]
    values: NDArray[np.float64]
    first: int = 0


def classify_trees(graph: Graph, estimator: Any, tensor: str, method: str | None) -> Answer:
    """Label index, and probabilities or scores, of a tree, a forest or boosted trees.

    A forest adds up its trees' probabilities and divides last, as scikit-learn does: the sums of
    pure leaves are whole numbers, so that tied votes tie in float32, too.
    """
    if isinstance(estimator, HistGradientBoostingClassifier):
        return _histogram_boosting(graph, estimator, tensor, method)
    if isinstance(estimator, GradientBoostingClassifier):
        return _gradient_boosting(graph, estimator, tensor, method)
    members = estimator.estimators_ if isinstance(estimator, FORESTS) else [estimator]
    trees = [_from_tree(member.tree_) for member in members]
    total = _ensemble(graph, trees, len(estimator.classes_), tensor)
    return best(graph, total), graph.op("Div", total, graph.numbers(len(members)))


def regress_trees(graph: Graph, estimator: Any, tensor: str) -> str:
    """Predictions of a tree, a forest or boosted trees, shape (n, 1)."""
    if isinstance(estimator, HistGradientBoostingRegressor):
        raw = _histogram_margins(graph, estimator, tensor)[0]
        return graph.op("Exp", raw) if estimator.loss in ("poisson", "gamma") else raw
    if isinstance(estimator, GradientBoostingRegressor):
        return _gradient_margins(graph, estimator, tensor)[0]
    is_forest = isinstance(estimator, _FOREST_REGRESSORS)
    members = estimator.estimators_ if is_forest else [estimator]
    total = _ensemble(graph, [_from_tree(member.tree_) for member in members], 1, tensor)
    return graph.op("Div", total, graph.numbers(len(members)))


def _histogram_boosting(
    graph: Graph, estimator: HistGradientBoostingClassifier, tensor: str, method: str | None
) -> Answer:
    raw, width = _histogram_margins(graph, estimator, tensor)
    return _from_margins(graph, raw, width, method, "Greater", 1.0)


def _histogram_margins(graph: Graph, estimator: Any, tensor: str) -> tuple[str, int]:
    """Sums of the trees, shape (n, width), and the width."""
    categorical = estimator.is_categorical_
    if categorical is not None and np.any(categorical):
        raise ValueError(
            "its categorical splits cannot be written; encode the categories with an "
            "OrdinalEncoder and set categorical_features=None"
        )
    wide = graph.kind == np.float64
    trees = [
        _from_boosting(predictor.nodes, k, wide)
        for step in estimator._predictors
        for k, predictor in enumerate(step)
    ]
    start = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(1, -1)
    total = _ensemble(graph, trees, start.shape[1], tensor)
    return graph.op("Add", total, graph.numbers(start)), start.shape[1]


def _gradient_boosting(
    graph: Graph, estimator: GradientBoostingClassifier, tensor: str, method: str | None
) -> Answer:
    raw, width = _gradient_margins(graph, estimator, tensor)
    slope = 2.0 if estimator.loss == "exponential" else 1.0
    return _from_margins(graph, raw, width, method, "GreaterOrEqual", slope)


def _gradient_margins(graph: Graph, estimator: Any, tensor: str) -> tuple[str, int]:
    """Sums of the trees, shape (n, width), and the width."""
    if not isinstance(estimator.init_, (str, DummyClassifier, DummyRegressor)):
        raise ValueError("its init estimator cannot be written; leave init=None")
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), np.float32))
    trees = [
        _from_tree(member.tree_, k, estimator.learning_rate)
        for step in estimator.estimators_
        for k, member in enumerate(step)
    ]
    total = _ensemble(graph, trees, start.shape[1], tensor)
    return graph.op("Add", total, graph.numbers(start)), start.shape[1]


def _from_margins(
    graph: Graph, raw: str, width: int, method: str | None, above_zero: str, slope: float
) -> Answer:
    """Labels and probabilities from margins, shape (n, width)."""
    if width > 1:
        return best(graph, raw), (
            graph.op("Softmax", raw, axis=1) if method == "predict_proba" else raw
        )
    label = graph.cast(graph.op(above_zero, flat(graph, raw), graph.numbers(0)), np.int64)
    if method != "predict_proba":
        return label, raw
    steep = raw if slope == 1 else graph.op("Mul", raw, graph.numbers(slope))
    return label, both_signs(graph, graph.op("Sigmoid", steep))


def decimal_floor(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Thresholds in float32 that split rounded numbers as the doubles split the numbers.

    The bundle compares float32 where scikit-learn compared doubles. A float32 stands for the
    decimal number that is printed for it (0.3 for 0.30000001192...): it stays left of a split if
    that number does. Data of up to six digits, and data that float32 holds exactly, then fall on
    the same side as before.

    Examples
    --------
    >>> decimal_floor(np.array([0.3, 0.3 - 1e-12])) >= np.float32(0.3)
    array([ True, False])
    """
    nearest = thresholds.astype(np.float32)
    shown = np.array([float(str(v)) for v in nearest], dtype=np.float64)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(shown <= thresholds, nearest, below).astype(np.float32)


def _from_tree(tree: Any, target: int = 0, factor: float = 1.0) -> _Tree:
    leaf = tree.children_left < 0
    nearest = tree.threshold.astype(np.float32)
    # scikit-learn rounds the rows to float32 and compares them with a double
    floor = np.where(nearest <= tree.threshold, nearest, np.nextafter(nearest, np.float32(-np.inf)))
    return _Tree(
        np.where(leaf, 0, tree.children_left),
        np.where(leaf, 0, tree.children_right),
        np.where(leaf, 0, tree.feature),
        np.where(leaf, 0, floor).astype(np.float32),
        tree.missing_go_to_left.astype(bool),
        leaf,
        tree.value[:, 0, :] * factor,
        target,
    )


def _from_boosting(nodes: NDArray[Any], target: int, wide: bool) -> _Tree:
    leaf = nodes["is_leaf"].astype(bool)
    thresholds = np.where(leaf, 0, nodes["num_threshold"])
    return _Tree(
        np.where(leaf, 0, nodes["left"]),
        np.where(leaf, 0, nodes["right"]),
        np.where(leaf, 0, nodes["feature_idx"]),
        thresholds if wide else decimal_floor(thresholds),
        nodes["missing_go_to_left"].astype(bool),
        leaf,
        nodes["value"][:, None],
        target,
    )


def _ensemble(graph: Graph, trees: Sequence[_Tree], n_targets: int, tensor: str) -> str:
    """Sums of the trees' leaf values, shape (n, n_targets)."""
    sizes = [len(tree.leaf) for tree in trees]
    leaf = np.concatenate([t.leaf for t in trees])
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    widths = np.concatenate([np.full(len(t.leaf), t.values.shape[1]) for t in trees])[leaf]
    targets = np.concatenate(
        [np.tile(np.arange(t.values.shape[1]) + t.first, int(t.leaf.sum())) for t in trees]
    )
    weights = np.concatenate([t.values[t.leaf].ravel() for t in trees])
    threshold = np.concatenate([t.threshold for t in trees])
    if threshold.dtype == np.float64:
        numbers: dict[str, Any] = {
            "nodes_values_as_tensor": numpy_helper.from_array(threshold),
            "target_weights_as_tensor": numpy_helper.from_array(weights),
        }
    else:
        numbers = {"nodes_values": threshold, "target_weights": weights.astype(np.float32)}
    total = graph.op(
        "TreeEnsembleRegressor",
        graph.cast(tensor, threshold.dtype) if threshold.dtype != graph.kind else tensor,
        domain=ML,
        n_targets=n_targets,
        nodes_treeids=tree_ids,
        nodes_nodeids=node_ids,
        nodes_featureids=np.concatenate([t.feature for t in trees]).astype(np.int64),
        nodes_modes=["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf],
        nodes_truenodeids=np.concatenate([t.left for t in trees]).astype(np.int64),
        nodes_falsenodeids=np.concatenate([t.right for t in trees]).astype(np.int64),
        nodes_missing_value_tracks_true=np.concatenate(
            [t.missing_left & ~t.leaf for t in trees]
        ).astype(np.int64),
        target_treeids=np.repeat(tree_ids[leaf], widths),
        target_nodeids=np.repeat(node_ids[leaf], widths),
        target_ids=targets.astype(np.int64),
        **numbers,
    )
    return graph.cast(total, graph.kind) if graph.kind != np.float32 else total

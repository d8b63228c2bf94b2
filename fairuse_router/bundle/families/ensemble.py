"""Ensembles of trees as one node: arrays of one tree, many trees under one root, and the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

from fairuse_router.bundle.graph.builder import ML, Graph


@dataclass(frozen=True, eq=False)
class Tree:
    """One tree as arrays over its nodes, the root first; leaves have no children.

    Parameters
    ----------
    left, right, feature : ndarray of int64, shape (n_nodes,)
        0 at leaves.
    threshold : ndarray of float64, shape (n_nodes,)
        Rows with ``x <= threshold`` go left.
    missing_left : ndarray of bool, shape (n_nodes,)
        Where NaN goes.
    leaf : ndarray of bool, shape (n_nodes,)
    values : ndarray of float64, shape (n_nodes, S)
        What a leaf adds to the S sums.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    missing_left: NDArray[np.bool_]
    leaf: NDArray[np.bool_]
    values: NDArray[np.float64]

    @classmethod
    def constant(cls, values: NDArray[np.float64]) -> Tree:
        """Return a tree of one leaf."""
        none = np.zeros(1, dtype=np.int64)
        yes = np.ones(1, dtype=bool)
        return cls(none, none, none, np.zeros(1), ~yes, yes, np.reshape(values, (1, -1)))


def under_one_root(trees: Sequence[Tree], feature: int) -> Tree:
    """Return one tree that answers as tree ``x[feature]`` of several.

    Parameters
    ----------
    trees : sequence of Tree
    feature : int
        Column that holds the number of the tree.
    """
    if len(trees) == 1:
        return trees[0]
    n_splits = len(trees) - 1
    starts = np.cumsum([n_splits, *(len(tree.leaf) for tree in trees)])
    left, right = np.zeros(n_splits, dtype=np.int64), np.zeros(n_splits, dtype=np.int64)
    threshold = np.zeros(n_splits)
    free = iter(range(n_splits))

    def split(low: int, high: int) -> int:
        """Place of the node that tells the trees low, ..., high - 1 apart."""
        if high - low == 1:
            return int(starts[low])
        here, middle = next(free), (low + high) // 2
        threshold[here] = middle - 0.5
        left[here], right[here] = split(low, middle), split(middle, high)
        return here

    split(0, len(trees))
    inner = np.zeros(n_splits, dtype=bool)
    moved = list(zip(trees, starts, strict=False))
    return Tree(
        np.concatenate([left, *(np.where(t.leaf, 0, t.left + s) for t, s in moved)]),
        np.concatenate([right, *(np.where(t.leaf, 0, t.right + s) for t, s in moved)]),
        np.concatenate([np.full(n_splits, feature), *(t.feature for t in trees)]),
        np.concatenate([threshold, *(t.threshold for t in trees)]),
        np.concatenate([inner, *(t.missing_left for t in trees)]),
        np.concatenate([inner, *(t.leaf for t in trees)]),
        np.concatenate(
            [np.zeros((n_splits, trees[0].values.shape[1])), *(t.values for t in trees)]
        ),
    )


def sums(
    graph: Graph, trees: Sequence[Tree], tensor: str, in_order: bool, single: bool = False
) -> str:
    """Sums over trees of the values of the leaves that rows reach, shape (n, S).

    Parameters
    ----------
    graph : Graph
        In double precision thresholds, values and sums are doubles.
    trees : sequence of Tree
    tensor : str
        Rows, of the graph's number type.
    in_order : bool
        In double precision, round the sums as a loop over the trees would, whatever the number of
        threads: votes that tie by rounding then tie as in scikit-learn.
    single : bool, default=False
        In double precision, add up in single precision nevertheless, as the model does.
    """
    if graph.kind == np.float32:
        return _regressor(graph, trees, tensor)
    values = np.concatenate([t.values[t.leaf] for t in trees])
    held = np.count_nonzero(values, axis=1)
    whole = bool((values == np.round(values)).all())  # sums of small integers are exact
    if held.max() <= 1 and (whole or not in_order):
        target = np.argmax(values != 0, axis=1)
        weight = values[np.arange(len(values)), target]
        return _tree_ensemble(graph, trees, target, weight, values.shape[1], tensor)
    place = np.repeat(np.arange(len(trees)), [int(t.leaf.sum()) for t in trees])
    number = np.arange(len(values), dtype=np.float64)
    reached = _tree_ensemble(graph, trees, place, number, len(trees), tensor)
    reached = graph.cast(reached, np.int64)
    if len(trees) == 1:
        row = graph.op("Reshape", reached, graph.constant([-1], np.int64))
        return graph.op("Gather", graph.numbers(values), row, axis=0)
    last, axis = graph.constant([len(trees) - 1], np.int64), graph.constant(1, np.int64)
    columns = []
    for column in values.T:
        weights = graph.constant(column, np.float32) if single else graph.numbers(column)
        parts = graph.op("CumSum", graph.op("Gather", weights, reached), axis)
        columns.append(graph.op("Gather", parts, last, axis=1))
    total = graph.op("Concat", *columns, axis=1)
    return graph.cast(total, graph.kind) if single else total


def _tree_ensemble(
    graph: Graph,
    trees: Sequence[Tree],
    target: NDArray[np.int64],
    weight: NDArray[np.float64],
    n_targets: int,
    tensor: str,
) -> str:
    """TreeEnsemble of ai.onnx.ml 5, in double precision: one target and weight per leaf."""
    leaf = np.concatenate([t.leaf for t in trees])
    sizes = [len(t.leaf) for t in trees]
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    # a tree of one leaf needs a split to hang it on
    alone = np.repeat([size == 1 for size in sizes], sizes)
    split = ~leaf | alone
    node_number = np.cumsum(split) - 1
    leaf_number = _number_leaves(trees, leaf, node_number)
    order = np.argsort(leaf_number[leaf])
    children = []
    for side in ("left", "right"):
        child = np.concatenate([getattr(t, side) for t in trees]) + starts
        is_leaf = leaf[child][split]
        number = np.where(leaf[child], leaf_number[child], node_number[child])[split]
        children.append((number.astype(np.int64), is_leaf.astype(np.int64)))
    (true_ids, true_leaf), (false_ids, false_leaf) = children
    feature, threshold, missing = (
        np.concatenate([getattr(t, name) for t in trees])[split]
        for name in ("feature", "threshold", "missing_left")
    )
    roots = node_number[np.cumsum([0, *sizes[:-1]])]
    return graph.op(
        "TreeEnsemble",
        tensor,
        domain=ML,
        aggregate_function=1,
        post_transform=0,
        n_targets=n_targets,
        tree_roots=roots.tolist(),
        nodes_modes=numpy_helper.from_array(np.zeros(len(threshold), dtype=np.uint8)),
        nodes_featureids=feature.astype(np.int64).tolist(),
        nodes_splits=numpy_helper.from_array(threshold),
        nodes_missing_value_tracks_true=missing.astype(np.int64).tolist(),
        nodes_truenodeids=true_ids.tolist(),
        nodes_trueleafs=true_leaf.tolist(),
        nodes_falsenodeids=false_ids.tolist(),
        nodes_falseleafs=false_leaf.tolist(),
        leaf_targetids=target[order].astype(np.int64).tolist(),
        leaf_weights=numpy_helper.from_array(weight[order]),
    )


def _number_leaves(
    trees: Sequence[Tree], leaf: NDArray[np.bool_], node_number: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Numbers of leaves, in order but where ONNX Runtime before 1.24 would misread a root.

    It takes a root for a leaf if its children are a leaf and a split of one number (its issue
    24679); that leaf changes numbers with another of its tree.
    """
    number, root = np.cumsum(leaf) - 1, 0
    for tree in trees:
        children = root + np.array([tree.left[0], tree.right[0]])
        end, further = children[np.argsort(~leaf[children], kind="stable")]
        if leaf[end] and not leaf[further] and number[end] == node_number[further]:
            others = root + np.flatnonzero(tree.leaf)
            other = others[others != end][0]
            number[[end, other]] = number[[other, end]]
        root += len(tree.leaf)
    return number


def _regressor(graph: Graph, trees: Sequence[Tree], tensor: str) -> str:
    """TreeEnsembleRegressor of ai.onnx.ml 3, in single precision: S weights per leaf."""
    sizes = [len(tree.leaf) for tree in trees]
    leaf = np.concatenate([t.leaf for t in trees])
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    values = np.concatenate([t.values[t.leaf] for t in trees])
    held = values != 0
    held[~held.any(axis=1), 0] = True  # a leaf of no weight would count by its threshold
    at, target = np.nonzero(held)
    return graph.op(
        "TreeEnsembleRegressor",
        tensor,
        domain=ML,
        n_targets=values.shape[1],
        nodes_treeids=tree_ids,
        nodes_nodeids=node_ids,
        nodes_featureids=np.concatenate([t.feature for t in trees]).astype(np.int64),
        nodes_modes=["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf],
        nodes_values=np.concatenate([t.threshold for t in trees]).astype(np.float32),
        nodes_truenodeids=np.concatenate([t.left for t in trees]).astype(np.int64),
        nodes_falsenodeids=np.concatenate([t.right for t in trees]).astype(np.int64),
        nodes_missing_value_tracks_true=np.concatenate(
            [t.missing_left & ~t.leaf for t in trees]
        ).astype(np.int64),
        target_treeids=tree_ids[leaf][at],
        target_nodeids=node_ids[leaf][at],
        target_ids=target,
        target_weights=values[at, target].astype(np.float32),
    )

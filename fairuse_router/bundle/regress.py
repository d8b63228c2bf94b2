"""Regressors: what Pipelines, transformed targets and ensembles of them do, as nodes of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RANSACRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from fairuse_router.bundle.blocks import Block, Part, merge, select
from fairuse_router.bundle.builder import Graph
from fairuse_router.bundle.compose import transform
from fairuse_router.bundle.leaves import regress_leaf

_INVERSES = {  # inverse functions of a target, by the operator that computes them
    np.exp: "Exp",
    np.sqrt: "Sqrt",
    np.log: "Log",
    np.square: "square",
    np.expm1: "expm1",
    np.log1p: "log1p",
}


def regress(graph: Graph, estimator: Any, block: Block) -> str:
    """Predict numbers for a block of columns by any fitted regressor.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted regressor
    block : tuple of Part
        Its input.

    Returns
    -------
    str
        Tensor of shape (n, 1), of the graph's number type.
    """
    if isinstance(estimator, Pipeline):
        *before, (_, final) = estimator.steps
        for _, step in before:
            block = transform(graph, step, block)
        return regress(graph, final, block)
    if isinstance(estimator, FrozenEstimator):
        return regress(graph, estimator.estimator, block)
    if hasattr(estimator, "best_estimator_"):  # a search
        return regress(graph, estimator.best_estimator_, block)
    if isinstance(estimator, RANSACRegressor):
        return regress(graph, estimator.estimator_, block)
    if isinstance(estimator, RFE):
        chosen = select(graph, block, estimator.get_support(indices=True).tolist())
        return regress(graph, estimator.estimator_, chosen)
    if isinstance(estimator, TransformedTargetRegressor):
        target = regress(graph, estimator.regressor_, block)
        return _invert(graph, estimator.transformer_, target)
    if isinstance(estimator, VotingRegressor):
        return _mean(graph, estimator.estimators_, block, estimator._weights_not_none)
    if isinstance(estimator, BaggingRegressor):
        return _bagged(graph, estimator, block)
    if isinstance(estimator, StackingRegressor):
        return _stacked(graph, estimator, block)
    return regress_leaf(graph, estimator, block)


def _mean(graph: Graph, members: Any, block: Block, weights: Any) -> str:
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=np.float64)
    parts = [
        graph.op("Mul", regress(graph, inner, block), graph.numbers(weight))
        for inner, weight in zip(members, weights, strict=True)
    ]
    return graph.op("Div", graph.op("Sum", *parts), graph.numbers(weights.sum()))


def _bagged(graph: Graph, estimator: BaggingRegressor, block: Block) -> str:
    parts = [
        regress(graph, inner, select(graph, block, np.asarray(columns).tolist()))
        for inner, columns in zip(
            estimator.estimators_, estimator.estimators_features_, strict=True
        )
    ]
    return graph.op("Div", graph.op("Sum", *parts), graph.numbers(len(parts)))


def _stacked(graph: Graph, estimator: StackingRegressor, block: Block) -> str:
    told = [Part(regress(graph, inner, block), 1) for inner in estimator.estimators_]
    final = estimator.final_estimator_
    passed = list(block) if estimator.passthrough else []
    table = merge(graph, (*told, *passed), final)
    return regress(graph, final, (Part(table.tensor, final.n_features_in_),))


def _invert(graph: Graph, transformer: Any, target: str) -> str:
    """Take a transformed target back to the scale of y."""
    if isinstance(transformer, StandardScaler):
        if transformer.scale_ is not None:
            target = graph.op("Mul", target, graph.numbers(transformer.scale_))
        if transformer.with_mean:
            target = graph.op("Add", target, graph.numbers(transformer.mean_))
        return target
    if isinstance(transformer, MinMaxScaler):
        moved = graph.op("Sub", target, graph.numbers(transformer.min_))
        return graph.op("Div", moved, graph.numbers(transformer.scale_))
    if isinstance(transformer, FunctionTransformer):
        inverse = transformer.inverse_func
        if inverse is None:
            return target
        name = _INVERSES.get(inverse)
        if name is not None and not transformer.inv_kw_args:
            return _apply(graph, name, target)
    raise ValueError(
        f"the inverse of the target's {type(transformer).__name__} cannot be written; transform "
        "the target by StandardScaler, MinMaxScaler, or numpy's exp, expm1, log, log1p, sqrt or "
        "square"
    )


def _apply(graph: Graph, name: str, target: str) -> str:
    if name == "square":
        return graph.op("Mul", target, target)
    if name == "expm1":
        return graph.op("Sub", graph.op("Exp", target), graph.numbers(1))
    if name == "log1p":
        return graph.op("Log", graph.op("Add", target, graph.numbers(1)))
    return graph.op(name, target)

"""Meta-estimators of regressions: means, stacks and transformed targets around other regressors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.linear_model import RANSACRegressor
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler

from fairuse_router.bundle.families.meta import Ask
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, merge, select
from fairuse_router.bundle.graph.builder import Graph

_INVERSES: dict[Any, Callable[[Graph, str], str]] = {  # inverse functions of a target
    np.exp: lambda graph, y: graph.op("Exp", y),
    np.sqrt: lambda graph, y: graph.op("Sqrt", y),
    np.log: lambda graph, y: graph.op("Log", y),
    np.square: lambda graph, y: graph.op("Mul", y, y),
    np.expm1: lambda graph, y: graph.op("Sub", graph.op("Exp", y), graph.numbers(1)),
    np.log1p: lambda graph, y: graph.op("Log", graph.op("Add", y, graph.numbers(1))),
}


def _mean(
    graph: Graph, estimator: VotingRegressor, block: Block, method: str | None, ask: Ask
) -> Answer:
    members, weights = estimator.estimators_, estimator._weights_not_none
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=np.float64)
    parts = [
        graph.op("Mul", ask(inner, block, "predict").values, graph.numbers(weight))
        for inner, weight in zip(members, weights, strict=True)
    ]
    total = graph.op("Sum", *parts)
    return Answer(values=graph.op("Div", total, graph.numbers(weights.sum())))


def _bagged(
    graph: Graph, estimator: BaggingRegressor, block: Block, method: str | None, ask: Ask
) -> Answer:
    members = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
    parts = [
        ask(inner, select(graph, block, np.asarray(columns).tolist()), "predict").values
        for inner, columns in members
    ]
    return Answer(values=graph.op("Div", graph.op("Sum", *parts), graph.numbers(len(parts))))


def _stacked(
    graph: Graph, estimator: StackingRegressor, block: Block, method: str | None, ask: Ask
) -> Answer:
    members = estimator.estimators_
    told = [Part(ask(inner, block, "predict").values, 1) for inner in members]
    final = estimator.final_estimator_
    passed = list(block) if estimator.passthrough else []
    table = merge(graph, (*told, *passed), final)
    return ask(final, (Part(table.tensor, final.n_features_in_),), method)


def _transformed(
    graph: Graph, estimator: TransformedTargetRegressor, block: Block, method: str | None, ask: Ask
) -> Answer:
    """Take a transformed target back to the scale of y."""
    target = ask(estimator.regressor_, block, "predict").values
    return Answer(values=_invert(graph, estimator.transformer_, target))


def _invert(graph: Graph, transformer: Any, target: str) -> str:
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
        if inverse in _INVERSES and not transformer.inv_kw_args:
            return _INVERSES[inverse](graph, target)
    raise ValueError(
        f"the inverse of the target's {type(transformer).__name__} cannot be written; transform "
        "the target by StandardScaler, MinMaxScaler, or numpy's exp, expm1, log, log1p, sqrt or "
        "square"
    )


REGRESSORS = (
    (RANSACRegressor, lambda graph, e, block, method, ask: ask(e.estimator_, block, method)),
    (TransformedTargetRegressor, _transformed),
    (VotingRegressor, _mean),
    (BaggingRegressor, _bagged),
    (StackingRegressor, _stacked),
)

"""Composition: what Pipelines, ColumnTransformers and meta-estimators do, as nodes of a graph.

Only estimators with nothing of their own inside go to skl2onnx; everything that puts estimators
together is written here, so that text columns, names and added columns survive the nesting.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import BaggingRegressor, StackingRegressor, VotingRegressor
from sklearn.feature_selection import RFE, SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RANSACRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier

from fairuse_router.bundle.families.leaves import classify_leaf, regress_leaf, transform_leaf
from fairuse_router.bundle.families.meta import find_composer
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, known_width, merge, select
from fairuse_router.bundle.graph.builder import Graph
from fairuse_router.candidates.injection import KeepLast


def transform(graph: Graph, estimator: Any, block: Block) -> Block:
    """Transform a block of columns by any fitted transformer.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted transformer, "passthrough" or None
    block : tuple of Part
        Its input.

    Returns
    -------
    tuple of Part
    """
    if estimator is None or (isinstance(estimator, str) and estimator == "passthrough"):
        return block
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps:
            block = transform(graph, step, block)
        return block
    if isinstance(estimator, FrozenEstimator):
        return transform(graph, estimator.estimator, block)
    if isinstance(estimator, KeepLast):
        head, last = cut(graph, block, estimator.n_last)
        return transform(graph, estimator.transformer_, head) + last
    if isinstance(estimator, ColumnTransformer):
        return _transform_columns(graph, estimator, block)
    if isinstance(estimator, FeatureUnion):
        return _transform_union(graph, estimator, block)
    if isinstance(estimator, FunctionTransformer) and estimator.func is None:
        return block
    if isinstance(estimator, SelectorMixin):
        table = merge(graph, block, estimator)
        return select(graph, (table,), estimator.get_support(indices=True).tolist())
    return transform_leaf(graph, estimator, block)


def classify(graph: Graph, estimator: Any, block: Block, method: str | None) -> Answer:
    """Classify a block of columns by any fitted classifier.

    Parameters
    ----------
    graph : Graph
        Nodes are appended to it.
    estimator : fitted classifier
    block : tuple of Part
        Its input.
    method : {"predict_proba", "decision_function"} or None
        What is wanted beside the label.

    Returns
    -------
    label : str
        Tensor of shape (n,): position of the label in ``estimator.classes_``.
    values : str or None
        Probabilities of shape (n, K), or scores of shape (n, S) with S = 1 for two classes.
    """
    if isinstance(estimator, Pipeline):
        *before, (_, final) = estimator.steps
        for _, step in before:
            block = transform(graph, step, block)
        return classify(graph, final, block, method)
    if isinstance(estimator, FrozenEstimator):
        return classify(graph, estimator.estimator, block, method)
    if hasattr(estimator, "best_estimator_"):  # a search
        return classify(graph, estimator.best_estimator_, block, method)
    if isinstance(estimator, SelfTrainingClassifier):
        return classify(graph, estimator.estimator_, block, method)
    if isinstance(estimator, RFE):
        chosen = select(graph, block, estimator.get_support(indices=True).tolist())
        return classify(graph, estimator.estimator_, chosen, method)
    compose = find_composer(estimator)
    if compose is None:
        return classify_leaf(graph, estimator, block, method)
    return compose(graph, estimator, block, method, lambda e, b, m: classify(graph, e, b, m))


def final_estimator(estimator: Any) -> Any:
    """The final step of Pipelines and searches."""
    while isinstance(estimator, Pipeline) or hasattr(estimator, "best_estimator_"):
        inside = isinstance(estimator, Pipeline)
        estimator = estimator.steps[-1][1] if inside else estimator.best_estimator_
    return estimator


def reach(graph: Graph, estimator: Any, block: Block) -> tuple[Any, Block]:
    """The final step of Pipelines and searches, and the columns as they reach it."""
    while True:
        if isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                block = transform(graph, step, block)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, block


def cut(graph: Graph, block: Block, n_last: int) -> tuple[Block, Block]:
    """All but the last columns of a block, and the last."""
    if len(block) == 1:  # from the right, as the width may not be known
        part, ends = block[0], [0, -n_last, np.iinfo(np.int64).max]
        axis = graph.constant([1], np.int64)
        places = [graph.constant([e], np.int64) for e in ends]
        head = graph.op("Slice", part.tensor, places[0], places[1], axis)
        last = graph.op("Slice", part.tensor, places[1], places[2], axis)
        rest = None if part.width is None else part.width - n_last
        return (Part(head, rest, part.text),), (Part(last, n_last, part.text),)
    split = sum(known_width(part) for part in block) - n_last
    return select(graph, block, range(split)), select(graph, block, range(split, split + n_last))


def _transform_columns(graph: Graph, estimator: ColumnTransformer, block: Block) -> Block:
    weights = estimator.transformer_weights or {}
    parts: list[Part] = []
    for name, inner, _ in estimator.transformers_:
        columns = list(estimator._transformer_to_input_indices[name])
        if not columns or (isinstance(inner, str) and inner == "drop"):
            continue
        chosen = transform(graph, inner, select(graph, block, columns))
        parts.extend(_weigh(graph, chosen, weights.get(name)))
    return tuple(parts)


def _transform_union(graph: Graph, estimator: FeatureUnion, block: Block) -> Block:
    weights = estimator.transformer_weights or {}
    parts: list[Part] = []
    for name, inner in estimator.transformer_list:
        if not (isinstance(inner, str) and inner == "drop"):
            parts.extend(_weigh(graph, transform(graph, inner, block), weights.get(name)))
    return tuple(parts)


def _weigh(graph: Graph, block: Block, weight: float | None) -> Block:
    if weight is None:
        return block
    return tuple(
        Part(graph.op("Mul", part.tensor, graph.numbers(weight)), part.width) for part in block
    )


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

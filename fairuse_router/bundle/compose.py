"""Composition: what Pipelines, ColumnTransformers and meta-estimators do, as nodes of a graph.

Only estimators with nothing of their own inside go to skl2onnx; everything that puts estimators
together is written here, so that text columns, names and withheld options survive the nesting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from fairuse_router.bundle.builder import Graph
from fairuse_router.bundle.leaves import Block, Part, classify_leaf, merge, transform_leaf
from fairuse_router.injection import KeepLast


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
        head, last = _cut(graph, block, estimator.n_last)
        return transform(graph, estimator.transformer_, head) + last
    if isinstance(estimator, ColumnTransformer):
        return _transform_columns(graph, estimator, block)
    if isinstance(estimator, FeatureUnion):
        weights = estimator.transformer_weights or {}
        return tuple(
            part
            for name, inner in estimator.transformer_list
            if not (isinstance(inner, str) and inner == "drop")
            for part in _weigh(graph, transform(graph, inner, block), weights.get(name))
        )
    if isinstance(estimator, FunctionTransformer) and estimator.func is None:
        return block
    return transform_leaf(graph, estimator, block)


def classify(
    graph: Graph, estimator: Any, block: Block, method: str | None
) -> tuple[str, str | None]:
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
    if hasattr(estimator, "best_estimator_"):
        return classify(graph, estimator.best_estimator_, block, method)
    if isinstance(estimator, (FixedThresholdClassifier, TunedThresholdClassifierCV)):
        return _classify_by_threshold(graph, estimator, block, method)
    if isinstance(estimator, CalibratedClassifierCV):
        return _classify_calibrated(graph, estimator, block)
    if isinstance(estimator, VotingClassifier):
        return _classify_by_vote(graph, estimator, block)
    if isinstance(estimator, StackingClassifier):
        return _classify_stacked(graph, estimator, block, method)
    return classify_leaf(graph, estimator, block, method)


def select(graph: Graph, block: Block, columns: Sequence[int]) -> Block:
    """Columns of a block by position, in the order given."""
    places = [(i, j) for i, part in enumerate(block) for j in range(_width(part))]
    runs: list[tuple[int, list[int]]] = []
    for c in columns:
        i, j = places[c]
        if runs and runs[-1][0] == i:
            runs[-1][1].append(j)
        else:
            runs.append((i, [j]))
    chosen = []
    for i, inner in runs:
        part = block[i]
        if inner == list(range(_width(part))):
            chosen.append(part)
        else:
            tensor = graph.op("Gather", part.tensor, graph.constant(inner, np.int64), axis=1)
            chosen.append(Part(tensor, len(inner), part.text))
    return tuple(chosen)


def _width(part: Part) -> int:
    if part.width is None:
        raise ValueError("the number of columns of a table inside the estimator is not known")
    return part.width


def _cut(graph: Graph, block: Block, n_last: int) -> tuple[Block, Block]:
    """All but the last columns, and the last."""
    if len(block) == 1:  # from the right, as the width may not be known
        part, ends = block[0], [0, -n_last, np.iinfo(np.int64).max]
        axis = graph.constant([1], np.int64)
        starts = [graph.constant([e], np.int64) for e in ends]
        head = graph.op("Slice", part.tensor, starts[0], starts[1], axis)
        last = graph.op("Slice", part.tensor, starts[1], starts[2], axis)
        rest = None if part.width is None else part.width - n_last
        return (Part(head, rest, part.text),), (Part(last, n_last, part.text),)
    split = sum(_width(part) for part in block) - n_last
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


def _weigh(graph: Graph, block: Block, weight: float | None) -> Block:
    if weight is None:
        return block
    return tuple(
        Part(graph.op("Mul", part.tensor, graph.numbers(weight)), part.width, part.text)
        for part in block
    )


def _best(graph: Graph, values: str) -> str:
    """Position of the largest value of each row, the first of equal ones."""
    return graph.op("ArgMax", values, axis=1, keepdims=0)


def _column(graph: Graph, values: str, j: int) -> str:
    return graph.op("Gather", values, graph.constant([j], np.int64), axis=1)


def _own_method(estimator: Any, *preferred: str) -> str:
    """The first of the methods that the estimator has."""
    found = next((m for m in preferred if hasattr(estimator, m)), None)
    if found is None:
        raise ValueError(f"{type(estimator).__name__} has none of the methods {preferred}")
    return found


def _classify_by_threshold(
    graph: Graph, estimator: Any, block: Block, method: str | None
) -> tuple[str, str | None]:
    inner = getattr(estimator, "estimator_", estimator.estimator)
    classes = np.asarray(estimator.classes_)
    if isinstance(estimator, TunedThresholdClassifierCV):
        positive, threshold = estimator._curve_scorer._get_pos_label(), estimator.best_threshold_
    else:
        positive, threshold = estimator.pos_label, estimator.threshold
    by = estimator.response_method
    if by == "auto":
        by = _own_method(inner, "predict_proba", "decision_function")
    if isinstance(threshold, str):
        threshold = 0.5 if by == "predict_proba" else 0.0
    which = 1 if positive is None else int(np.flatnonzero(classes == positive)[0])
    _, values = classify(graph, inner, block, by)
    assert values is not None
    score = _column(graph, values, which if by == "predict_proba" else 0)
    if by == "decision_function" and which == 0:
        score = graph.op("Neg", score)
    score = graph.op("Reshape", score, graph.constant([-1], np.int64))
    above = graph.op("GreaterOrEqual", score, graph.numbers(threshold))
    label = graph.op("Where", above, *(graph.constant(i, np.int64) for i in (which, 1 - which)))
    if method not in (None, by):
        _, values = classify(graph, inner, block, method)
    return label, values


def _classify_by_vote(
    graph: Graph, estimator: VotingClassifier, block: Block
) -> tuple[str, str | None]:
    weights = estimator._weights_not_none
    weights = np.ones(len(estimator.estimators_)) if weights is None else np.asarray(weights)
    votes = []
    for inner, weight in zip(estimator.estimators_, weights, strict=True):
        if estimator.voting == "soft":
            _, vote = classify(graph, inner, block, "predict_proba")
            assert vote is not None
            weight = weight / weights.sum()
        else:
            label, _ = classify(graph, inner, block, None)
            column = graph.op("Unsqueeze", label, graph.constant([1], np.int64))
            numbers = graph.constant(np.arange(len(estimator.classes_))[None, :], np.int64)
            vote = graph.cast(graph.op("Equal", column, numbers), graph.kind)
        votes.append(graph.op("Mul", vote, graph.numbers(weight)))
    total = graph.op("Sum", *votes)
    return _best(graph, total), total if estimator.voting == "soft" else None


def _classify_stacked(
    graph: Graph, estimator: StackingClassifier, block: Block, method: str | None
) -> tuple[str, str | None]:
    told: list[Part] = []
    for inner, by in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        label, values = classify(graph, inner, block, None if by == "predict" else by)
        if values is None:
            column = graph.op("Unsqueeze", label, graph.constant([1], np.int64))
            told.append(Part(graph.cast(column, graph.kind), 1))
        elif by == "predict_proba" and len(estimator.classes_) == 2:
            told.append(Part(_column(graph, values, 1), 1))
        else:
            told.append(Part(values, None))
    if estimator.passthrough:
        told.extend(block)
    table = merge(graph, tuple(told), estimator.final_estimator_)
    width = estimator.final_estimator_.n_features_in_
    return classify(graph, estimator.final_estimator_, (Part(table.tensor, width),), method)


def _classify_calibrated(
    graph: Graph, estimator: CalibratedClassifierCV, block: Block
) -> tuple[str, str | None]:
    folds = estimator.calibrated_classifiers_
    parts = [_calibrated(graph, fold, block) for fold in folds]
    mean = graph.op("Div", graph.op("Sum", *parts), graph.numbers(len(folds)))
    return _best(graph, mean), mean


def _calibrated(graph: Graph, fold: Any, block: Block) -> str:
    """Probabilities [n, K] of one calibrated classifier of a fold."""
    by = _own_method(fold.estimator, "decision_function", "predict_proba")
    _, values = classify(graph, fold.estimator, block, by)
    assert values is not None
    n_classes = len(fold.classes)
    if fold.method == "temperature":
        return _softened(graph, fold.calibrators[0].beta_, values, by, n_classes)
    if n_classes == 2:
        score = values if by == "decision_function" else _column(graph, values, 1)
        positive = _calibrate(graph, fold.calibrators[0], score)
        return graph.op("Concat", graph.op("Sub", graph.numbers(1), positive), positive, axis=1)
    own = np.searchsorted(fold.classes, fold.estimator.classes_)
    columns = {
        int(k): _calibrate(graph, calibrator, _column(graph, values, j))
        for j, (k, calibrator) in enumerate(zip(own, fold.calibrators, strict=True))
    }
    none = graph.op("Mul", _column(graph, values, 0), graph.numbers(0))
    table = graph.op("Concat", *(columns.get(k, none) for k in range(n_classes)), axis=1)
    total = graph.op("ReduceSum", table, graph.constant([1], np.int64), keepdims=1)
    empty = graph.op("Equal", total, graph.numbers(0))
    share = graph.op("Div", table, graph.op("Where", empty, graph.numbers(1), total))
    return graph.op("Where", empty, graph.numbers(1 / n_classes), share)


def _softened(graph: Graph, beta: float, values: str, by: str, n_classes: int) -> str:
    """Temperature scaling: softmax of the scaled logits."""
    if by == "predict_proba":
        logits = graph.op("Log", graph.op("Add", values, graph.numbers(1e-12)))
    elif n_classes == 2:
        logits = graph.op("Concat", graph.op("Neg", values), values, axis=1)
    else:
        logits = values
    return graph.op("Softmax", graph.op("Mul", logits, graph.numbers(beta)), axis=1)


def _calibrate(graph: Graph, calibrator: Any, score: str) -> str:
    """Sigmoid or isotonic calibration of a column of scores."""
    if not isinstance(calibrator, IsotonicRegression):
        line = graph.op("Mul", score, graph.numbers(-calibrator.a_))
        return graph.op("Sigmoid", graph.op("Sub", line, graph.numbers(calibrator.b_)))
    return graph.cast(
        _interpolate(graph, score, calibrator.X_thresholds_, calibrator.y_thresholds_), graph.kind
    )


def _interpolate(graph: Graph, score: str, x: NDArray[Any], y: NDArray[Any]) -> str:
    """Piecewise linear interpolation in double precision, constant beyond the ends."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) == 1:
        x, y = np.array([x[0], x[0] + 1]), np.array([y[0], y[0]])
    score = graph.cast(score, np.float64)
    score = graph.op("Min", graph.op("Max", score, graph.constant(x[0])), graph.constant(x[-1]))
    passed = graph.op("GreaterOrEqual", score, graph.constant(x[None, 1:-1]))
    count = graph.op(
        "ReduceSum", graph.cast(passed, np.int64), graph.constant([1], np.int64), keepdims=1
    )
    slope = graph.op("Gather", graph.constant(np.diff(y) / np.diff(x)), count)
    run = graph.op("Sub", score, graph.op("Gather", graph.constant(x[:-1]), count))
    return graph.op(
        "Add", graph.op("Gather", graph.constant(y[:-1]), count), graph.op("Mul", run, slope)
    )

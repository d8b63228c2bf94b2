"""Meta-estimators: calibration, votes, stacks and thresholds around other classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier

from fairuse_router.bundle.graph.blocks import (
    Answer,
    Block,
    Part,
    best,
    both_signs,
    column,
    flat,
    merge,
    select,
    share,
    spread,
)
from fairuse_router.bundle.graph.builder import Graph

Ask = Callable[[Any, Block, str | None], Answer]  # compose.answer, within the same graph


def _own_method(estimator: Any, *preferred: str) -> str:
    """The first of the methods that the estimator has."""
    found = next((m for m in preferred if hasattr(estimator, m)), None)
    if found is None:
        raise ValueError(f"{type(estimator).__name__} has none of the methods {preferred}")
    return found


def _by_threshold(
    graph: Graph, estimator: Any, block: Block, method: str | None, ask: Ask
) -> Answer:
    """Return the label on the right side of a threshold that is not the usual one."""
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
    values = ask(inner, block, by).values
    score = column(graph, values, which if by == "predict_proba" else 0)
    if by == "decision_function" and which == 0:
        score = graph.op("Neg", score)
    above = graph.op("GreaterOrEqual", flat(graph, score), graph.numbers(threshold))
    label = graph.op("Where", above, *(graph.constant(i, np.int64) for i in (which, 1 - which)))
    if method not in (None, by):
        values = ask(inner, block, method).values
    return Answer(label, values)


def _by_vote(
    graph: Graph, estimator: VotingClassifier, block: Block, method: str | None, ask: Ask
) -> Answer:
    weights = estimator._weights_not_none
    weights = np.ones(len(estimator.estimators_)) if weights is None else np.asarray(weights)
    votes = []
    for inner, weight in zip(estimator.estimators_, weights, strict=True):
        if estimator.voting == "soft":
            vote = ask(inner, block, "predict_proba").values
            weight = weight / weights.sum()
        else:
            vote = _ballot(graph, ask(inner, block, None).label, len(estimator.classes_))
        votes.append(graph.op("Mul", vote, graph.numbers(weight)))
    total = graph.op("Sum", *votes)
    return Answer(best(graph, total), total if estimator.voting == "soft" else "")


def _ballot(graph: Graph, label: str, n_classes: int) -> str:
    """A one for the label of every row, shape (n, K)."""
    chosen = graph.op("Unsqueeze", label, graph.constant([1], np.int64))
    numbers = graph.constant(np.arange(n_classes)[None, :], np.int64)
    return graph.cast(graph.op("Equal", chosen, numbers), graph.kind)


def _bagged(
    graph: Graph, estimator: BaggingClassifier, block: Block, method: str | None, ask: Ask
) -> Answer:
    n_classes = len(estimator.classes_)
    members = []
    for inner, columns in zip(estimator.estimators_, estimator.estimators_features_, strict=True):
        seen = select(graph, block, np.asarray(columns).tolist())
        if method == "decision_function":
            members.append(ask(inner, seen, method).values)
        elif hasattr(inner, "predict_proba"):
            own = np.asarray(inner.classes_, dtype=np.int64)
            members.append(spread(graph, ask(inner, seen, "predict_proba").values, own, n_classes))
        else:
            members.append(_ballot(graph, ask(inner, seen, None).label, n_classes))
    mean = graph.op("Div", graph.op("Sum", *members), graph.numbers(len(members)))
    if method == "decision_function":
        return Answer(_bagged(graph, estimator, block, "predict_proba", ask).label, mean)
    return Answer(best(graph, mean), mean)


def _boosted_votes(
    graph: Graph, estimator: AdaBoostClassifier, block: Block, method: str | None, ask: Ask
) -> Answer:
    classes = np.asarray(estimator.classes_)
    n_classes, norm = len(classes), estimator.estimator_weights_.sum()
    votes = []
    for inner, weight in zip(estimator.estimators_, estimator.estimator_weights_, strict=False):
        own = np.searchsorted(classes, inner.classes_)
        label = graph.op("Gather", graph.constant(own, np.int64), ask(inner, block, None).label)
        chosen = _ballot(graph, label, n_classes)
        # w for the label of a member, -w / (K - 1) for all others
        lift = graph.numbers(weight / norm * n_classes / (n_classes - 1))
        fall = graph.numbers(weight / norm / (n_classes - 1))
        votes.append(graph.op("Sub", graph.op("Mul", chosen, lift), fall))
    total = graph.op("Sum", *votes)
    if n_classes == 2:
        margin = graph.op("Sub", column(graph, total, 1), column(graph, total, 0))
        label = graph.cast(graph.op("Greater", flat(graph, margin), graph.numbers(0)), np.int64)
        if method != "predict_proba":
            return Answer(label, margin)
        return Answer(label, both_signs(graph, graph.op("Sigmoid", margin)))
    if method != "predict_proba":
        return Answer(best(graph, total), total)
    soft = graph.op("Div", total, graph.numbers(n_classes - 1))
    return Answer(best(graph, total), graph.op("Softmax", soft, axis=1))


def _one_against_rest(
    graph: Graph, estimator: OneVsRestClassifier, block: Block, method: str | None, ask: Ask
) -> Answer:
    members = estimator.estimators_
    by = _own_method(members[0], "decision_function", "predict_proba")
    place = 0 if by == "decision_function" else 1
    scores = [column(graph, ask(e, block, by).values, place) for e in members]
    if len(members) == 1:
        threshold = graph.numbers(0.0 if by == "decision_function" else 0.5)
        label = graph.cast(graph.op("Greater", flat(graph, scores[0]), threshold), np.int64)
    else:
        label = best(graph, graph.op("Concat", *scores, axis=1))
    if method != "predict_proba":
        return Answer(label, graph.op("Concat", *scores, axis=1))
    if by != "predict_proba":
        scores = [column(graph, ask(e, block, "predict_proba").values, 1) for e in members]
    if len(members) == 1:
        return Answer(label, both_signs(graph, scores[0]))
    return Answer(label, share(graph, graph.op("Concat", *scores, axis=1)))


def _stacked(
    graph: Graph, estimator: StackingClassifier, block: Block, method: str | None, ask: Ask
) -> Answer:
    told: list[Part] = []
    for inner, by in zip(estimator.estimators_, estimator.stack_method_, strict=True):
        if by == "predict":
            label, shape = ask(inner, block, None).label, graph.constant([1], np.int64)
            told.append(Part(graph.cast(graph.op("Unsqueeze", label, shape), graph.kind), 1))
            continue
        values = ask(inner, block, by).values
        if by == "predict_proba" and len(estimator.classes_) == 2:
            values = column(graph, values, 1)
        told.append(Part(values, None))
    if estimator.passthrough:
        told.extend(block)
    final = estimator.final_estimator_
    table = merge(graph, tuple(told), final)
    return ask(final, (Part(table.tensor, final.n_features_in_),), method)


def _calibrated(
    graph: Graph, estimator: CalibratedClassifierCV, block: Block, method: str | None, ask: Ask
) -> Answer:
    folds = estimator.calibrated_classifiers_
    parts = [_calibrated_fold(graph, fold, block, ask) for fold in folds]
    mean = graph.op("Div", graph.op("Sum", *parts), graph.numbers(len(folds)))
    return Answer(best(graph, mean), mean)


def _calibrated_fold(graph: Graph, fold: Any, block: Block, ask: Ask) -> str:
    """Probabilities [n, K] of the calibrated classifier of one fold."""
    by = _own_method(fold.estimator, "decision_function", "predict_proba")
    values = ask(fold.estimator, block, by).values
    n_classes = len(fold.classes)
    if fold.method == "temperature":
        return _softened(graph, fold.calibrators[0].beta_, values, by, n_classes)
    if n_classes == 2:
        score = values if by == "decision_function" else column(graph, values, 1)
        return both_signs(graph, _calibrate(graph, fold.calibrators[0], score))
    own = np.searchsorted(fold.classes, fold.estimator.classes_)
    columns = [
        _calibrate(graph, calibrator, column(graph, values, j))
        for j, calibrator in enumerate(fold.calibrators)
    ]
    return share(graph, spread(graph, graph.op("Concat", *columns, axis=1), own, n_classes))


def _softened(graph: Graph, beta: float, values: str, by: str, n_classes: int) -> str:
    """Temperature scaling: softmax of the scaled logits."""
    if by == "predict_proba":
        values = graph.op("Log", graph.op("Add", values, graph.numbers(1e-12)))
    elif n_classes == 2:
        values = graph.op("Concat", graph.op("Neg", values), values, axis=1)
    return graph.op("Softmax", graph.op("Mul", values, graph.numbers(beta)), axis=1)


def _calibrate(graph: Graph, calibrator: Any, score: str) -> str:
    """Sigmoid or isotonic calibration of a column of scores."""
    if isinstance(calibrator, IsotonicRegression):
        knots = calibrator.X_thresholds_, calibrator.y_thresholds_
        return graph.cast(_interpolate(graph, score, *knots), graph.kind)
    line = graph.op("Mul", score, graph.numbers(-calibrator.a_))
    return graph.op("Sigmoid", graph.op("Sub", line, graph.numbers(calibrator.b_)))


def _interpolate(graph: Graph, score: str, x: NDArray[Any], y: NDArray[Any]) -> str:
    """Piecewise linear interpolation in double precision, constant beyond the ends."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(x) == 1:
        x, y = np.array([x[0], x[0] + 1]), np.array([y[0], y[0]])
    score = graph.cast(score, np.float64)
    score = graph.op("Min", graph.op("Max", score, graph.constant(x[0])), graph.constant(x[-1]))
    passed = graph.cast(graph.op("GreaterOrEqual", score, graph.constant(x[None, 1:-1])), np.int64)
    segment = graph.op("ReduceSum", passed, graph.constant([1], np.int64), keepdims=1)
    start = [graph.op("Gather", graph.constant(ends[:-1]), segment) for ends in (x, y)]
    slope = graph.op("Gather", graph.constant(np.diff(y) / np.diff(x)), segment)
    rise = graph.op("Mul", graph.op("Sub", score, start[0]), slope)
    return graph.op("Add", start[1], rise)


CLASSIFIERS = (
    ((FixedThresholdClassifier, TunedThresholdClassifierCV), _by_threshold),
    (CalibratedClassifierCV, _calibrated),
    (VotingClassifier, _by_vote),
    (BaggingClassifier, _bagged),
    (AdaBoostClassifier, _boosted_votes),
    (OneVsRestClassifier, _one_against_rest),
    (StackingClassifier, _stacked),
)

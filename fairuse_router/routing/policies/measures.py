"""A metric as the priced policy needs it: expected gains, their unit, and gains out of fold."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.inference import delong_moments, group_moments
from fairuse_router.inference.expected_gain import (
    AbsoluteErrors,
    Areas,
    Calibration,
    Costs,
    Measure,
    OwnRisk,
    SquaredErrors,
)
from fairuse_router.metrics import Metric, Predictions, confidence_and_hit, row_losses
from fairuse_router.routing.policies.evidence import Evidence, Matrix
from fairuse_router.routing.policies.ways import Way

_BINS = np.arange(1, 10) / 10
_BLOCKS = 20
_OF_UNIT_ONE = ("error", "log_loss", "brier", "auc", "ece")


def measure_of(metric: Metric, way: Way, weight: NDArray[np.float64] | None) -> Measure:
    """What the options of a way gain in a metric, if probabilities were known.

    - error, Brier score, log loss, net benefit, costs and every risk of one's own that is a mean
      over rows: costs of each class in each row, exactly;
    - squared and absolute error: of normal errors, whose variance all groups share;
    - AUC: expected over labels;
    - ECE: of infinitely many rows alike, so that bins are off by what is expected, not by noise;
    - a risk of one's own that is no mean over rows: asked for rows of all classes, weighted by
      their probabilities (``metric(y, predictions, weight)``).
    """
    if metric.name == "squared_error":
        return SquaredErrors(way.without.label, _labels(way))
    if metric.name == "absolute_error":
        return AbsoluteErrors(way.without.label, _labels(way))
    if metric.name == "auc":
        scores = [_score(p) for p in way.everybody]
        return Areas(scores[0], np.array(scores[1:]))
    if metric.name == "ece":
        return _calibration(way)
    if metric.rowwise is not None and metric.among is None and not metric.regression:
        costs = [_costs(metric, p, way.classes) for p in way.everybody]
        return Costs(costs[0], np.array(costs[1:]))
    everybody = way.everybody

    def risk(option: int, index: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
        return metric.risk(y, everybody[option + 1][index], w)

    changed = np.array([_differ(everybody[0], p) for p in everybody[1:]])
    return OwnRisk(risk, len(way.options), changed, unit_of(metric, way, weight))


def _labels(way: Way) -> Matrix:
    return np.array([p.label for p in way.options], dtype=np.float64)


def _score(predictions: Predictions) -> Matrix:
    assert predictions.proba is not None
    return predictions.proba[:, 1] if predictions.proba.shape[1] == 2 else predictions.proba


def _costs(metric: Metric, predictions: Predictions, classes: int) -> Matrix:
    """Cost of every row, were it of each class, shape (n, K)."""
    n = len(predictions)
    return np.column_stack([row_losses(metric, np.full(n, k), predictions) for k in range(classes)])


def _calibration(way: Way) -> Calibration:
    stated, classes = [], []
    for predictions in way.everybody:
        proba = predictions.proba
        assert proba is not None
        binary = proba.shape[1] == 2
        stated.append(proba[:, 1] if binary else proba.max(axis=1))
        classes.append(np.ones(len(proba), int) if binary else proba.argmax(axis=1))
    bins = np.array([np.searchsorted(_BINS, p, side="left") for p in stated])
    return Calibration(stated[0], np.array(stated[1:]), np.array(classes), bins)


def _differ(a: Predictions, b: Predictions) -> NDArray[np.bool_]:
    """Rows that are told anything else."""
    differ: NDArray[np.bool_] = a.label != b.label
    if a.proba is not None and b.proba is not None:
        differ = differ | (np.abs(a.proba - b.proba) > 1e-12).any(axis=1)
    return differ


def unit_of(metric: Metric, way: Way, weight: NDArray[np.float64] | None) -> float:
    """Of a metric, such that a label that is a toss-up costs about one half, squared a quarter.

    1 for metrics of probabilities and labels, but 2 for the ECE, whose expectation leaves out what
    luck does to bins; four variances, or two standard deviations, of y for squared and absolute
    errors. For a risk at a threshold or of one's own: what it says of labels that are all wrong,
    less what it says of those that are all right, and of a regression four times what it says of
    the mean for everybody.
    """
    y, n = way.direction.y, len(way.direction.y)
    if metric.name in ("squared_error", "absolute_error"):
        mean = np.average(y, weights=weight)
        variance = float(np.average((y - mean) ** 2, weights=weight))
        unit = 4 * variance if metric.name == "squared_error" else 2 * np.sqrt(variance)
    elif metric.name in _OF_UNIT_ONE:
        unit = 2.0 if metric.name == "ece" or (metric.name == "brier" and way.classes > 2) else 1.0
    elif metric.regression:
        mean = np.average(y, weights=weight)
        unit = 4 * abs(metric.risk(y, Predictions(np.full(n, mean)), weight))
    else:
        right, wrong = (_surely(label, way.classes) for label in (y, (y + 1) % way.classes))
        unit = metric.risk(y, wrong, weight) - metric.risk(y, right, weight)
    return float(unit) if np.isfinite(unit) and unit > 0 else 1.0


def _surely(label: np.ndarray, classes: int) -> Predictions:
    return Predictions(label, np.eye(classes)[label])


def shown_gain(
    evidence: Evidence,
    own: Predictions,
    groups: NDArray[np.int64],
    over: Predictions | None = None,
) -> tuple[Matrix, Matrix]:
    """Gain over other predictions out of fold in the metric, and its standard error, per group.

    None: over generic's.

    nan where undefined; ECE by its rows' parts in the sum, bins held fixed; risks of one's own that
    are no means over rows by a jackknife of 20 blocks.
    """
    metric, m, y = evidence.metric, evidence.rows.m, evidence.rows.y
    generic = evidence.predictions(GENERIC) if over is None else over
    if metric.name == "auc":
        assert generic.proba is not None
        assert own.proba is not None
        return delong_moments(
            y, generic.proba, own.proba, groups, m, evidence.rows.weight, evidence.rows.clusters
        )
    if metric.name == "ece":
        rows = _ece_parts(evidence, generic, groups) - _ece_parts(evidence, own, groups)
    elif metric.rowwise is None:
        return _jackknife(evidence, generic, own, groups)
    else:
        groups = metric.counted(y, groups)
        with np.errstate(invalid="ignore"):
            rows = metric.rowwise(y, generic) - metric.rowwise(y, own)
    with np.errstate(invalid="ignore"):
        mean, ss, n = group_moments(rows, groups, m, evidence.rows.weight, evidence.rows.clusters)
        return mean, np.sqrt(ss) / np.maximum(n, 1)


def _ece_parts(evidence: Evidence, predictions: Predictions, groups: NDArray[np.int64]) -> Matrix:
    """What every row adds to its group's calibration error: their mean is the error."""
    stated, hit = confidence_and_hit(evidence.rows.y, predictions)
    excess = stated - hit
    cell = 10 * groups + np.searchsorted(_BINS, stated, side="left")
    known = groups >= 0
    weight = np.ones(len(groups)) if evidence.rows.weight is None else evidence.rows.weight
    sums = np.bincount(cell[known], (weight * excess)[known], 10 * evidence.rows.m)
    return np.where(known, np.sign(sums)[np.where(known, cell, 0)] * excess, 0.0)


def _jackknife(
    evidence: Evidence, generic: Predictions, own: Predictions, groups: NDArray[np.int64]
) -> tuple[Matrix, Matrix]:
    gain, se = np.full(evidence.rows.m, np.nan), np.full(evidence.rows.m, np.nan)
    for g in range(evidence.rows.m):
        rows = np.flatnonzero(groups == g)
        if not len(rows):
            continue
        gain_of = partial(_gain, evidence, generic, own)
        gain[g] = gain_of(rows)
        unit = (
            np.arange(len(rows)) if evidence.rows.clusters is None else evidence.rows.clusters[rows]
        )
        block = np.unique(unit, return_inverse=True)[1] % _BLOCKS
        count = int(block.max()) + 1
        if count > 1:
            left = np.array([gain_of(rows[block != b]) for b in range(count)])
            se[g] = np.sqrt((count - 1) * np.mean((left - left.mean()) ** 2))
    return gain, se


def _gain(
    evidence: Evidence, generic: Predictions, own: Predictions, rows: NDArray[np.int64]
) -> float:
    y, metric = evidence.rows.y[rows], evidence.metric
    weight = None if evidence.rows.weight is None else evidence.rows.weight[rows]
    return metric.risk(y, generic[rows], weight) - metric.risk(y, own[rows], weight)

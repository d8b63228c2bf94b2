"""Risks of acting above a threshold, for two classes; a name says which: ``"net_benefit@0.2"``.

People are treated, called in or refused where the probability of the second class is at least the
threshold, as in scikit-learn and in decision curves (Vickers & Elkin 2006). Without ``@`` the label
decides.

=====================  ==========================================================================
``net_benefit@T``      TP / n - FP / n x T / (1 - T), where more is better
``fnr``, ``fpr``       share of those of the second, the first class that are (not) acted on
``recall``             1 - fnr, where more is better
``precision``          share of the second class among those acted on, where more is better
``selection_rate``     share that is acted on: neither more nor less of it is better
``cost(N,P)``          N for everybody missed and P for everybody acted on in vain, per row
=====================  ==========================================================================
"""

from __future__ import annotations

import math
import re
from functools import cache, partial
from typing import Any

import numpy as np

from fairuse_router.metrics.metric import Metric, Predictions, Weight
from fairuse_router.metrics.rowwise import labels, probabilities, row_metric

FORMS = (
    "net_benefit@T",
    "fnr",
    "fpr",
    "recall",
    "precision",
    "selection_rate",
    "cost(N,P)",
)
_NUMBER = r"[0-9.]+(?:e-?[0-9]+)?"
_NAME = re.compile(
    rf"(net_benefit|fnr|fpr|recall|precision|selection_rate|cost\(({_NUMBER}), ?({_NUMBER})\))"
    rf"(?:@({_NUMBER}))?"
)


@cache
def decision_metric(name: str) -> Metric | None:
    """Return the metric of a name such as ``"fnr@0.2"``; None if it is of no such form.

    Raises
    ------
    ValueError
        If the threshold lies outside (0, 1) or is lacking, or costs are not positive.

    Examples
    --------
    >>> y, p = np.array([1, 1, 0, 0, 0]), Predictions.from_proba([0.9, 0.1, 0.3, 0.2, 0.1])
    >>> metric = decision_metric("net_benefit@0.2")
    >>> metric.format(metric.risk(y, p, None))  # 1 / 5 - 2 / 5 x 1 / 4
    '0.100'
    >>> [decision_metric(n).format(decision_metric(n).risk(y, p, None))
    ...  for n in ("fnr", "fpr@0.2", "precision@0.2", "cost(5,1)@0.2")]
    ['50.0%', '66.7%', '33.3%', '1.400']
    """
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    kind, misses, alarms, at = found.groups()
    threshold = None if at is None else _threshold(name, at)
    costs = None if misses is None else (_number(name, misses), _number(name, alarms))
    clean = kind if costs is None else "cost({:.12g},{:.12g})".format(*costs)
    clean += "" if threshold is None else f"@{threshold:.12g}"
    if clean != name:
        return decision_metric(clean)
    if kind == "net_benefit":
        return _net_benefit(name, threshold)
    needs = threshold is not None
    if costs is not None:
        rows = partial(_costs, name, costs, threshold)
        return row_metric(name, needs, rows, steps=costs)
    if kind == "precision":
        risk = partial(_false_discovery, name, threshold)
        return Metric(name, needs, None, risk, "percent", top=1.0)
    rate: dict[str, Any] = {"style": "percent", "zero_one": True}
    if kind == "selection_rate":
        return row_metric(name, needs, partial(_acted_on, name, threshold), directed=False, **rate)
    if kind == "fpr":
        return row_metric(name, needs, partial(_acted_on, name, threshold), among=_first, **rate)
    rate["top"] = 1.0 if kind == "recall" else None
    return row_metric(name, needs, partial(_missed, name, threshold), among=_second, **rate)


def _net_benefit(name: str, threshold: float | None) -> Metric:
    if threshold is None:
        raise ValueError(
            f"metric={name!r} lacks its threshold: write 'net_benefit@0.2' to act on those whose "
            "probability is at least 0.2."
        )
    steps = (1.0, threshold / (1 - threshold))
    return row_metric(name, True, partial(_net_harm, name, threshold), top=0.0, steps=steps)


def threshold_of(metric: Metric) -> float | None:
    """Return the threshold in the name of a metric, if there is one.

    Examples
    --------
    >>> threshold_of(decision_metric("fnr@0.3"))
    0.3
    """
    found = _NAME.fullmatch(metric.name)
    return None if found is None or found.groups()[3] is None else float(found.groups()[3])


def acted_on(name: str, threshold: float | None, predictions: Predictions) -> np.ndarray:
    """Rows that are acted on: by their probability, or by their label without a threshold.

    Raises
    ------
    ValueError
        If there are other than two classes, or no probabilities for a threshold.
    """
    if threshold is None:
        if predictions.proba is not None and predictions.proba.shape[1] != 2:
            raise _not_two(name)
        return np.asarray(predictions.label == 1)
    nobody = np.zeros(len(predictions), dtype=int)
    proba = probabilities(name, nobody, predictions)
    if proba.shape[1] != 2:
        raise _not_two(name)
    return proba[:, 1] >= threshold


def _decided(
    name: str, threshold: float | None, y: np.ndarray, predictions: Predictions
) -> np.ndarray:
    """Rows that are acted on, having refused other labels than of two classes."""
    label = labels(name, y, predictions)
    if len(y) and max(y.max(), label.max()) > 1:
        raise _not_two(name)
    return acted_on(name, threshold, predictions)


def _not_two(name: str) -> ValueError:
    return ValueError(
        f"metric={name!r} is for two classes, of which the second is acted on. Use 'error', "
        "'log_loss', 'brier', 'auc' or 'ece' for more, or a risk of your own."
    )


def _threshold(name: str, text: str) -> float:
    value = _number(name, text)
    if not 0 < value < 1:
        raise ValueError(f"metric={name!r}: a threshold lies between 0 and 1, such as @0.2.")
    return value


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"metric={name!r}: {text!r} is no positive number.")
    return value


def _first(y: np.ndarray) -> np.ndarray:
    return y == 0


def _second(y: np.ndarray) -> np.ndarray:
    return y == 1


def _acted_on(
    name: str, threshold: float | None, y: np.ndarray, predictions: Predictions
) -> np.ndarray:
    return _decided(name, threshold, y, predictions).astype(float)


def _missed(
    name: str, threshold: float | None, y: np.ndarray, predictions: Predictions
) -> np.ndarray:
    return (~_decided(name, threshold, y, predictions)).astype(float)


def _net_harm(name: str, threshold: float, y: np.ndarray, predictions: Predictions) -> np.ndarray:
    """Minus what acting on a row brings: 1 for the second class, else -T / (1 - T)."""
    act = _decided(name, threshold, y, predictions)
    return np.where(act, np.where(y == 1, -1.0, threshold / (1 - threshold)), 0.0)


def _costs(
    name: str,
    costs: tuple[float, float],
    threshold: float | None,
    y: np.ndarray,
    predictions: Predictions,
) -> np.ndarray:
    act = _decided(name, threshold, y, predictions)
    return costs[0] * ((y == 1) & ~act) + costs[1] * ((y == 0) & act)


def _false_discovery(
    name: str, threshold: float | None, y: np.ndarray, predictions: Predictions, weight: Weight
) -> float:
    """Share of the first class among those acted on; nan if nobody is."""
    act = _decided(name, threshold, y, predictions)
    mass = act.astype(float) if weight is None else act * weight
    return float(mass @ (y == 0) / mass.sum()) if mass.sum() > 0 else math.nan

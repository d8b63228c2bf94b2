"""Gains that labels show, shrunken towards each other: two-prior empirical Bayes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.inference import TwoPrior, group_moments, two_prior
from fairuse_router.metrics import Metric, Predictions, get_metric, row_losses
from fairuse_router.routing.policies.evidence import Evidence, Matrix

Moments = tuple[Matrix, Matrix, Matrix]
_SURE = 1.645
_CLIP = 1e-6  # one confident mistake must not make a log loss infinite


def posterior_gains(
    evidence: Evidence,
    eligible: NDArray[np.bool_],
    moments: Callable[[Evidence], Moments],
) -> TwoPrior:
    """Shrink the gains of every rival over the groups that it may serve."""
    gain, ss, n = (np.where(eligible, part, np.nan) for part in moments(evidence))
    return two_prior(gain, ss, n)


def proper_metric(predictions: Predictions, regression: bool) -> Metric:
    """Return the score by which gains are shrunken: proper where there are probabilities."""
    if regression:
        return get_metric("squared_error")
    return get_metric("error" if predictions.proba is None else "brier")


def score_moments(evidence: Evidence) -> Moments:
    """Mean gain in the proper score, its sum of squares, and rows, each of shape (m, C)."""
    metric = proper_metric(evidence.predictions(GENERIC), evidence.metric.regression)
    return _row_moments(evidence, metric)


def _row_moments(evidence: Evidence, metric: Metric) -> Moments:
    generic = row_losses(metric, evidence.rows.y, evidence.predictions(GENERIC))
    columns = []
    for name in evidence.rivals:
        gain = generic - row_losses(metric, evidence.rows.y, evidence.predictions(name))
        columns.append(
            group_moments(
                gain,
                evidence.rows_of(name).groups,
                evidence.rows.m,
                weight=evidence.rows.weight,
                clusters=evidence.rows.clusters,
            )
        )
    mean, ss, n = (np.column_stack(part) for part in zip(*columns, strict=True))
    return mean, ss, n

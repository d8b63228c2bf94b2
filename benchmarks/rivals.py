"""Rules that `"priced"` is judged beside: those that were this package's before it.

Both choose by the Brier score (0-1 loss without probabilities, squared error of a regression)
whatever the metric, which is what they lost by.
"""

from __future__ import annotations

import numpy as np

from fairuse_router.inference import (
    STRENGTHS,
    delong_moments,
    group_moments,
    slope_evidence,
    slope_posterior,
    two_prior,
)
from fairuse_router.metrics import get_metric, row_losses
from fairuse_router.routing import Choice, Evidence

_STAY = Choice("generic", "")
_SURE, _POOL_RISK, _MAX_HARMED = 1.645, 0.005, 0.4


def shrunken(evidence: Evidence) -> list[Choice]:
    """The largest gain that is sure after empirical Bayes shrinkage under two priors.

    Better with 95% probability if groups lend each other evidence, and by half a standard deviation
    if they lend no gain. By AUC gains and DeLong errors for AUC, where log loss must gain, too.
    """
    by_auc = evidence.metric.name == "auc"
    eligible = evidence.eligible()
    if not eligible.any():
        return [_STAY] * evidence.rows.m
    moments = [(_areas if by_auc else _scores)(evidence, name) for name in evidence.rivals]
    gain, ss, n = (
        np.where(eligible, np.column_stack(part), np.nan) for part in zip(*moments, strict=True)
    )
    found = two_prior(gain, ss, n)
    with np.errstate(invalid="ignore"):
        allowed = eligible & (found.m1 > (1.0 if by_auc else _SURE) * found.sd1)
        allowed &= found.m2 > 0.5 * found.sd2
    for c, name in enumerate(evidence.rivals):
        if by_auc:
            allowed[:, c] &= evidence.gains(get_metric("log_loss"), name) > 0
        allowed[:, c] &= ~np.isneginf(evidence.gains(evidence.metric, name))
    value = np.where(allowed, np.nan_to_num(found.m1), -np.inf)
    return [
        Choice(evidence.rivals[int(row.argmax())], "") if np.isfinite(row.max()) else _STAY
        for row in value
    ]


def slope(evidence: Evidence, max_harmed: float = _MAX_HARMED) -> list[Choice]:
    """As much of the multilevel correction as is surely real in each group.

    A part may harm with probability of 0.5% to all groups together, and of ``max_harmed / m`` to a
    sceptic, and must not look worse out of fold.
    """
    own, rows = evidence.scores.get("multilevel"), evidence.rows
    if own is None or own.margins is None:
        return [_STAY] * rows.m
    column = evidence.eligible()[:, evidence.rivals.index("multilevel")]
    groups = evidence.rows_of("multilevel").groups
    groups = np.where((groups >= 0) & column[groups], groups, -1)
    seen = slope_evidence(
        rows.y,
        *own.margins.T,
        groups,
        rows.m,
        weight=rows.weight,
        clusters=rows.clusters,
        squared=evidence.metric.regression,
    )
    pool, sceptic = slope_posterior(seen.log_lik), slope_posterior(seen.log_lik, highest_mean=0.2)
    expected = np.einsum("glr,gr->gl", seen.gain, pool)
    allowed = column[:, None] & (np.einsum("glr,gr->gl", seen.gain < 0, pool) <= _POOL_RISK)
    allowed &= np.einsum("glr,gr->gl", seen.gain < 0, sceptic) <= max_harmed / rows.m
    for j, strength in enumerate(STRENGTHS.tolist()):
        some = [Choice("multilevel", "", strength) if a else _STAY for a in allowed[:, j]]
        allowed[:, j] &= ~(evidence.served(some).gains(evidence.metric, "nominee") <= 0)
    value = np.where(allowed & (expected > 0), expected, -np.inf)
    return [
        Choice("multilevel", "", float(STRENGTHS[row.argmax()])) if row.max() > 0 else _STAY
        for row in value
    ]


def _scores(evidence: Evidence, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean gain in the proper score, its sum of squares, and rows, per group."""
    regression = evidence.metric.regression
    proba = evidence.predictions("generic").proba is not None
    metric = get_metric("squared_error" if regression else "brier" if proba else "error")
    rows = evidence.rows_of(name)
    loss = [row_losses(metric, rows.y, evidence.predictions(c)) for c in ("generic", name)]
    return group_moments(
        loss[0] - loss[1], rows.groups, rows.m, weight=rows.weight, clusters=rows.clusters
    )


def _areas(evidence: Evidence, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of AUC gains, with the DeLong variance of each."""
    rows = evidence.rows_of(name)
    proba = [evidence.predictions(c).proba for c in ("generic", name)]
    gain, se = delong_moments(rows.y, *proba, rows.groups, rows.m, rows.weight, rows.clusters)
    n = rows.sizes.astype(float)
    return gain, (se * n) ** 2, n

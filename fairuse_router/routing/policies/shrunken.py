"""Shrunken gains: two-prior empirical Bayes on a proper score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fairuse_router.candidates.names import GENERIC
from fairuse_router.inference import TwoPrior, delong_moments, group_moments, two_prior
from fairuse_router.metrics import Metric, Predictions, get_metric, row_losses
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix

Moments = tuple[Matrix, Matrix, Matrix]
_SURE = 1.645
_CLIP = 1e-6  # one confident mistake must not make a log loss infinite


def shrunken(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    """Choose the largest shrunken gain that is sure under both priors, and not infinitely worse.

    The score may be bounded where the metric is not: a candidate whose gain in the metric is minus
    infinity is never chosen.
    """
    by_auc = evidence.metric.name == "auc"
    posterior = posterior_gains(evidence, eligible, auc_moments if by_auc else score_moments)
    z = 1.0 if by_auc else _SURE
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = posterior.m1 > z * posterior.sd1
        own = posterior.m2 > 0.5 * posterior.sd2
        probability = stats.norm.cdf(posterior.m1 / posterior.sd1)
    allowed = eligible & sure & own
    if by_auc:
        log_loss = get_metric("log_loss")
        gains = [evidence.gains(log_loss, name) for name in evidence.rivals]
        allowed &= np.column_stack(gains) > 0
    ruinous = allowed & _infinitely_worse(evidence, allowed)
    needed = float(stats.norm.cdf(z))
    value = np.where(eligible, np.nan_to_num(posterior.m1, nan=-np.inf), -np.inf)
    score = "AUC" if by_auc else _score_name(evidence)
    return [
        _ruinous(evidence, ruinous[g], value[g], probability[g], score)
        if ruinous[g].any() and (allowed[g] == ruinous[g]).all()
        else _choice(
            evidence.rivals,
            allowed[g] & ~ruinous[g],
            sure[g],
            value[g],
            probability[g],
            needed,
            score,
        )
        for g in range(evidence.rows.m)
    ]


def _infinitely_worse(evidence: Evidence, asked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a rival's gain in the metric is minus infinity, where that is asked; shape (m, C)."""
    worse = np.zeros_like(asked)
    for c in np.flatnonzero(asked.any(axis=0)):
        worse[:, c] = np.isneginf(evidence.gains(evidence.metric, evidence.rivals[c]))
    return worse


def _ruinous(
    evidence: Evidence,
    ruinous: NDArray[np.bool_],
    value: Matrix,
    probability: Matrix,
    score: str,
) -> Choice:
    """Generic, for a group whose best candidates would all cost infinitely much in the metric."""
    c = int(np.where(ruinous, value, -np.inf).argmax())
    return Choice(
        GENERIC,
        f"{evidence.rivals[c]} is better with probability {probability[c]:.2f} by {score}, but its "
        f"gain in {evidence.metric.name} is minus infinity",
    )


def posterior_gains(
    evidence: Evidence,
    eligible: NDArray[np.bool_],
    moments: Callable[[Evidence], Moments],
) -> TwoPrior:
    """Shrink the gains of every rival over the groups that it may serve."""
    gain, ss, n = (np.where(eligible, part, np.nan) for part in moments(evidence))
    return two_prior(gain, ss, n)


def _choice(
    names: Sequence[str],
    allowed: NDArray[np.bool_],
    sure: NDArray[np.bool_],
    value: Matrix,
    probability: Matrix,
    needed: float,
    score: str,
) -> Choice:
    if allowed.any():
        c = int(np.where(allowed, value, -np.inf).argmax())
        return Choice(names[c], f"better with probability {probability[c]:.2f} by {score}")
    c = int(value.argmax())
    if sure[c]:
        return Choice(
            GENERIC, f"{names[c]} gains in other groups, but this one shows too little of it"
        )
    chance = 0.5 if np.isnan(probability[c]) else probability[c]
    return Choice(
        GENERIC,
        f"no gain is sure enough: {names[c]} is better with probability {chance:.2f} by {score}, "
        f"{needed:.2f} is needed",
    )


def _score_name(evidence: Evidence) -> str:
    metric = proper_metric(evidence.predictions(GENERIC), evidence.metric.regression)
    return {"brier": "Brier score", "squared_error": "squared error"}.get(metric.name, metric.name)


def proper_metric(predictions: Predictions, regression: bool) -> Metric:
    """Return the score by which gains are shrunken: proper where there are probabilities."""
    if regression:
        return get_metric("squared_error")
    return get_metric("error" if predictions.proba is None else "brier")


def score_moments(evidence: Evidence) -> Moments:
    """Mean gain in the proper score, its sum of squares, and rows, each of shape (m, C)."""
    metric = proper_metric(evidence.predictions(GENERIC), evidence.metric.regression)
    return _row_moments(evidence, metric)


def log_loss_moments(evidence: Evidence) -> Moments:
    """As `score_moments`, with the log loss of probabilities of at least 1e-6."""
    if evidence.predictions(GENERIC).proba is None:
        return score_moments(evidence)
    clipped = {
        name: replace(own, predictions=_clipped(own.predictions))
        for name, own in evidence.scores.items()
    }
    return _row_moments(replace(evidence, scores=clipped), get_metric("log_loss"))


def _clipped(p: Predictions) -> Predictions:
    """Predictions whose log loss is finite."""
    return Predictions(p.label, None if p.proba is None else np.clip(p.proba, _CLIP, 1 - _CLIP))


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


def auc_moments(evidence: Evidence) -> Moments:
    """As `score_moments`, with AUC gains and the DeLong variance of each."""
    columns = []
    for name in evidence.rivals:
        groups = evidence.rows_of(name).groups
        gain, se = delong_moments(
            evidence.rows.y,
            _proba(evidence, GENERIC),
            _proba(evidence, name),
            groups,
            evidence.rows.m,
            evidence.rows.weight,
            evidence.rows.clusters,
        )
        n = np.bincount(groups[groups >= 0], minlength=evidence.rows.m).astype(np.float64)
        columns.append((gain, (se * n) ** 2, n))
    gain, ss, n = (np.column_stack(part) for part in zip(*columns, strict=True))
    return gain, ss, n


def _proba(evidence: Evidence, name: str) -> Matrix:
    proba = evidence.predictions(name).proba
    assert proba is not None
    return proba

"""Policies: how a candidate is chosen for each group, from out-of-fold evidence alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fairuse_router.inference import delong_moments, group_moments, two_prior
from fairuse_router.metrics import Metric, Predictions, get_metric, row_losses
from fairuse_router.routing.table import GENERIC

Matrix = NDArray[np.float64]
POLICIES = ("shrunken", "best")


@dataclass(frozen=True)
class Evidence:
    """Predictions for rows that the models had not seen, and whose rows they are.

    Parameters
    ----------
    target : ndarray of shape (n,)
        Class indices; real numbers for a regression.
    groups : ndarray of shape (n,)
        Group of each row; -1 where it is evidence for none.
    n_groups : int
    predictions : dict of str to Predictions
        Per candidate, generic included.
    scored : dict of str to ndarray of bool, shape (n,)
        Rows for which a candidate's predictions count.
    unavailable : dict of str to dict of int to str
        Per candidate, the groups that it cannot serve, and why not.
    metric : Metric
        What is to be improved.
    min_group_size : int
        Fewest rows on which a group's route is chosen.
    weight, clusters : ndarray of shape (n,) or None
    """

    target: NDArray[np.float64] | NDArray[np.int64]
    groups: NDArray[np.int64]
    n_groups: int
    predictions: Mapping[str, Predictions]
    scored: Mapping[str, NDArray[np.bool_]]
    unavailable: Mapping[str, Mapping[int, str]]
    metric: Metric
    min_group_size: int
    weight: NDArray[np.float64] | None = None
    clusters: NDArray[np.int64] | None = None

    @property
    def rivals(self) -> list[str]:
        """The candidates other than generic."""
        return [name for name in self.predictions if name != GENERIC]

    def groups_of(self, name: str) -> NDArray[np.int64]:
        """Group of each row on which a candidate can be compared with generic, else -1."""
        both = self.scored[name] & self.scored[GENERIC]
        if self.weight is not None:
            both = both & (self.weight > 0)
        return np.where(both, self.groups, -1)

    def eligible(self) -> NDArray[np.bool_]:
        """Whether a rival may serve a group at all, shape (m, C)."""
        allowed = np.zeros((self.n_groups, len(self.rivals)), dtype=bool)
        for c, name in enumerate(self.rivals):
            groups = self.groups_of(name)
            counts = np.bincount(groups[groups >= 0], minlength=self.n_groups)
            allowed[:, c] = counts >= self.min_group_size
            allowed[list(self.unavailable.get(name, {})), c] = False
        return allowed


@dataclass(frozen=True)
class Choice:
    """The candidate that is to serve a group, and why, in a sentence."""

    candidate: str
    reason: str


def choose(policy: str, evidence: Evidence) -> list[Choice]:
    """Choose a candidate for every group.

    Parameters
    ----------
    policy : {"shrunken", "best"}
        ``"best"``: the largest out-of-fold gain in the metric, ties to generic. It promises
        nothing: with several candidates the largest gain is in part luck.

        ``"shrunken"``: the gain in a proper score (Brier; 0-1 loss without probabilities; squared
        error for a regression) is shrunken twice by empirical Bayes, once letting the groups lend
        each other evidence and once not lending any gain; a candidate must be better than generic
        with about 95% probability by the first, and by half a standard deviation by the second.
        For AUC the same is done with AUC gains and their DeLong standard errors, at one standard
        deviation, and the log loss must gain too. Promises P(gain > 0) of about 95% per group, for
        independent rows and an unchanged population; nothing under label shift.
    evidence : Evidence

    Returns
    -------
    list of Choice, one per group

    Raises
    ------
    ValueError
        For an unknown policy.
    """
    if policy not in POLICIES:
        raise ValueError(f"policy={policy!r} is not known. Allowed: {', '.join(POLICIES)}.")
    eligible = evidence.eligible()
    if not evidence.rivals:
        return [Choice(GENERIC, "no other candidate was asked for")] * evidence.n_groups
    rule = _best if policy == "best" else _shrunken
    chosen = rule(evidence, eligible)
    return [
        choice if eligible[g].any() else Choice(GENERIC, _why_none(evidence, g))
        for g, choice in enumerate(chosen)
    ]


def _why_none(evidence: Evidence, g: int) -> str:
    """Why no candidate but generic may serve a group."""
    rows = int(((evidence.groups == g) & evidence.scored[GENERIC]).sum())
    if rows < evidence.min_group_size:
        return f"too few rows to choose: {rows}, min_group_size is {evidence.min_group_size}"
    reasons = {evidence.unavailable.get(name, {}).get(g) for name in evidence.rivals} - {None}
    return "no other candidate can serve the group: " + "; ".join(sorted(map(str, reasons)))


def _best(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    gains = np.column_stack(
        [_metric_gains(evidence, evidence.metric, name) for name in evidence.rivals]
    )
    gains = np.where(eligible & np.isfinite(gains), gains, -np.inf)
    choices = []
    for row in gains:
        top = int(row.argmax())
        if row[top] > 0:
            choices.append(Choice(evidence.rivals[top], "the largest gain out of fold"))
        else:
            choices.append(Choice(GENERIC, "no other candidate gains out of fold"))
    return choices


def _metric_gains(evidence: Evidence, metric: Metric, name: str) -> Matrix:
    """Gain of one rival over generic in every group, shape (m,); nan where undefined."""
    groups = evidence.groups_of(name)
    gains = np.full(evidence.n_groups, np.nan)
    for g in np.unique(groups[groups >= 0]):
        rows = np.flatnonzero(groups == g)
        weight = None if evidence.weight is None else evidence.weight[rows]
        risks = [
            metric.risk(evidence.target[rows], evidence.predictions[n][rows], weight)
            for n in (GENERIC, name)
        ]
        gains[g] = risks[0] - risks[1]
    return gains


def proper_metric(predictions: Predictions, regression: bool) -> Metric:
    """Return the score by which gains are shrunken: proper where there are probabilities."""
    if regression:
        return get_metric("squared_error")
    return get_metric("error" if predictions.proba is None else "brier")


def _shrunken(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    by_auc = evidence.metric.name == "auc"
    moments = _auc_moments(evidence) if by_auc else _score_moments(evidence)
    gain, ss, n = (np.where(eligible, part, np.nan) for part in moments)
    posterior = two_prior(gain, ss, n)
    z = 1.0 if by_auc else 1.645
    with np.errstate(invalid="ignore", divide="ignore"):
        sure = posterior.m1 > z * posterior.sd1
        own = posterior.m2 > 0.5 * posterior.sd2
        probability = stats.norm.cdf(posterior.m1 / posterior.sd1)
    allowed = eligible & sure & own
    if by_auc:
        log_loss = get_metric("log_loss")
        rows = [_metric_gains(evidence, log_loss, name) for name in evidence.rivals]
        allowed &= np.column_stack(rows) > 0
    needed = float(stats.norm.cdf(z))
    value = np.where(eligible, np.nan_to_num(posterior.m1, nan=-np.inf), -np.inf)
    return [
        _shrunken_choice(evidence.rivals, allowed[g], sure[g], value[g], probability[g], needed)
        for g in range(evidence.n_groups)
    ]


def _shrunken_choice(
    names: Sequence[str],
    allowed: NDArray[np.bool_],
    sure: NDArray[np.bool_],
    value: Matrix,
    probability: Matrix,
    needed: float,
) -> Choice:
    if allowed.any():
        c = int(np.where(allowed, value, -np.inf).argmax())
        return Choice(names[c], f"better than generic with probability {probability[c]:.2f}")
    c = int(value.argmax())
    if sure[c]:
        return Choice(
            GENERIC, f"{names[c]} gains in other groups, but this one shows too little of it"
        )
    chance = 0.5 if np.isnan(probability[c]) else probability[c]
    return Choice(
        GENERIC,
        f"no gain is sure enough: {names[c]} is better with probability {chance:.2f}, "
        f"{needed:.2f} is needed",
    )


def _score_moments(evidence: Evidence) -> tuple[Matrix, Matrix, Matrix]:
    """Mean gain in the proper score, its sum of squares, and rows, each of shape (m, C)."""
    metric = proper_metric(evidence.predictions[GENERIC], evidence.metric.regression)
    generic = row_losses(metric, evidence.target, evidence.predictions[GENERIC])
    columns = []
    for name in evidence.rivals:
        gain = generic - row_losses(metric, evidence.target, evidence.predictions[name])
        columns.append(
            group_moments(
                gain,
                evidence.groups_of(name),
                evidence.n_groups,
                weight=evidence.weight,
                clusters=evidence.clusters,
            )
        )
    mean, ss, n = (np.column_stack(part) for part in zip(*columns, strict=True))
    return mean, ss, n


def _auc_moments(evidence: Evidence) -> tuple[Matrix, Matrix, Matrix]:
    """As `_score_moments`, with AUC gains and the DeLong variance of each."""
    columns = []
    for name in evidence.rivals:
        groups = evidence.groups_of(name)
        gain, se = delong_moments(
            evidence.target,
            _proba(evidence, GENERIC),
            _proba(evidence, name),
            groups,
            evidence.n_groups,
            evidence.weight,
            evidence.clusters,
        )
        n = np.bincount(groups[groups >= 0], minlength=evidence.n_groups).astype(np.float64)
        columns.append((gain, (se * n) ** 2, n))
    gain, ss, n = (np.column_stack(part) for part in zip(*columns, strict=True))
    return gain, ss, n


def _proba(evidence: Evidence, name: str) -> Matrix:
    proba = evidence.predictions[name].proba
    assert proba is not None
    return proba

"""The slope policy: as much of the personal correction as is surely real in the group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC, MULTILEVEL
from fairuse_router.inference import (
    SLOPES,
    STRENGTHS,
    group_moments,
    slope_evidence,
    slope_posterior,
)
from fairuse_router.metrics import row_losses
from fairuse_router.routing.display import part_in_words
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix
from fairuse_router.routing.policies.shrunken import proper_metric

_POOL_RISK = 0.005
_SCEPTIC_MEAN = 0.2
_NOMINEE_RISK = 0.2  # a test on other rows follows
_STRAY = 0.2
_STEADY = 0.05


@dataclass(frozen=True)
class _Weighed:
    """Every strength in every group: what it should gain, and how likely it harms.

    Parameters
    ----------
    expected, risk, sceptical : ndarray of shape (m, 4)
        Expected Brier gain, probability of harm, and that probability for a sceptic.
    mean, low, high : ndarray of shape (m,)
        Posterior of the slope: how much of the correction is real.
    level : float
        Of the interval from `low` to `high`.
    """

    expected: Matrix
    risk: Matrix
    sceptical: Matrix
    mean: Matrix
    low: Matrix
    high: Matrix
    level: float

    def best(self, allowed: NDArray[np.bool_]) -> Matrix:
        """The allowed strength that should gain most in each group; 0 where none should."""
        value = np.where(allowed & (self.expected > 0), self.expected, -np.inf)
        return np.where(value.max(axis=1) > 0, STRENGTHS[value.argmax(axis=1)], 0.0)

    def real(self, g: int) -> tuple[float, float, float]:
        """How much of the correction is real in a group: mean and interval."""
        return float(self.mean[g]), float(self.low[g]), float(self.high[g])

    def words(self, g: int) -> str:
        """The same in words."""
        mean, low, high = map(_number, self.real(g))
        return f"{mean} real here, {100 * self.level:.0f}% interval {low} to {high}"


def slope(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    """Use as much of the multilevel candidate's correction as is surely real in each group.

    A strength is allowed if it harms with probability of at most 0.5% by what all groups say of the
    correction's slope, and of at most ``max_harmed / m`` by a sceptic, who lets no group borrow a
    gain, and if it looks better out of fold in the metric, about which a Brier score may be
    wrong where the truth is not linear. The largest expected Brier gain wins.
    """
    column = _eligible_column(evidence, eligible)
    if not column.any():
        return [Choice(GENERIC, _why_none(evidence, g)) for g in range(evidence.rows.m)]
    weighed = _weigh(evidence, column, stray=0.0)
    sure = column[:, None] & (weighed.risk <= _POOL_RISK)
    own = sure & (weighed.sceptical <= evidence.settings.max_harmed / evidence.rows.m)
    strength = weighed.best(own & ~(_gains(evidence, own) <= 0))  # undefined is no loss
    hopes = [weighed.best(allowed) > 0 for allowed in (own, sure)]
    return [
        replace(
            _choice(evidence, weighed, g, float(strength[g]), *(bool(hope[g]) for hope in hopes)),
            real=weighed.real(g),
        )
        if column[g]
        else Choice(GENERIC, _why_none(evidence, g))
        for g in range(evidence.rows.m)
    ]


def slope_nominees(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    """Nominate strengths for a test on other rows: bolder, as the test guards the groups.

    A fifth of the prior of every slope is N(0, 1), harm may be 20% likely, and the Brier gain of
    the strength must be above a standard error out of fold.
    """
    column = _eligible_column(evidence, eligible)
    weighed = _weigh(evidence, column, stray=_STRAY)
    strength = weighed.best((weighed.risk <= _NOMINEE_RISK) & column[:, None])
    choices = [Choice(MULTILEVEL, "", s) if s else Choice(GENERIC, "") for s in strength.tolist()]
    shown = _standard_errors_gained(evidence.served(choices)) > 1
    return [
        replace(_nominee(evidence, weighed, column, g, choice, shown[g]), real=weighed.real(g))
        for g, choice in enumerate(choices)
    ]


def _nominee(
    evidence: Evidence,
    weighed: _Weighed,
    column: NDArray[np.bool_],
    g: int,
    choice: Choice,
    shown: bool,
) -> Choice:
    """A choice with its reason, if the gain is worth a test."""
    if not column[g]:
        return Choice(GENERIC, _why_none(evidence, g))
    real = f"the personal correction is {weighed.words(g)}"
    if choice.candidate == GENERIC:
        return Choice(GENERIC, f"no gain is expected: {real}")
    if not shown:
        return Choice(GENERIC, f"too small a gain to test: {real}")
    part = part_in_words(choice.strength)
    return Choice(MULTILEVEL, f"{part} of the personal correction; {real}", choice.strength)


def _why_none(evidence: Evidence, g: int) -> str:
    """Why the correction cannot serve a group."""
    return evidence.unavailable.get(MULTILEVEL, {}).get(g) or evidence.why_none(g)


def _eligible_column(evidence: Evidence, eligible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether multilevel may serve each group."""
    if MULTILEVEL not in evidence.rivals:
        raise ValueError(
            f"policy 'slope' weighs the candidate {MULTILEVEL!r}, which is not among "
            f"{[GENERIC, *evidence.rivals]}. Add it to the predictions."
        )
    return eligible[:, evidence.rivals.index(MULTILEVEL)]


def _weigh(evidence: Evidence, column: NDArray[np.bool_], stray: float) -> _Weighed:
    groups = evidence.rows_of(MULTILEVEL).groups
    groups = np.where((groups >= 0) & column[groups], groups, -1)
    margins = evidence.scores[MULTILEVEL].margins
    if margins is None:
        margins = np.zeros((len(groups), 2))
    rows = slope_evidence(
        evidence.rows.y,
        margins[:, 0],
        margins[:, 1],
        groups,
        evidence.rows.m,
        weight=evidence.rows.weight,
        clusters=evidence.rows.clusters,
        squared=evidence.metric.regression,
    )
    pool = slope_posterior(rows.log_lik, stray=stray)
    sceptic = slope_posterior(rows.log_lik, highest_mean=_SCEPTIC_MEAN, stray=stray)
    low, high = (
        _quantile(pool, q) for q in (evidence.settings.alpha / 2, 1 - evidence.settings.alpha / 2)
    )
    return _Weighed(
        np.einsum("glr,gr->gl", rows.gain, pool),
        np.einsum("glr,gr->gl", rows.gain < 0, pool),
        np.einsum("glr,gr->gl", rows.gain < 0, sceptic),
        pool @ SLOPES,
        low,
        high,
        1 - evidence.settings.alpha,
    )


def _quantile(posterior: Matrix, q: float) -> Matrix:
    """Quantile of each row, the mass of a grid point spread evenly around it."""
    step = SLOPES[1] - SLOPES[0]
    ends = np.append(SLOPES - step / 2, SLOPES[-1] + step / 2)
    mass = np.concatenate([np.zeros((len(posterior), 1)), posterior.cumsum(axis=1)], axis=1)
    return np.array([np.interp(q, row, ends) for row in mass])


def _gains(evidence: Evidence, wanted: NDArray[np.bool_]) -> Matrix:
    """Out-of-fold gain in the metric of the strengths that are wanted, shape (m, 4); else 0."""
    gains = np.zeros(wanted.shape)
    for j in np.flatnonzero(wanted.any(axis=0)).tolist():
        some = [
            Choice(MULTILEVEL, "", float(STRENGTHS[j])) if w else Choice(GENERIC, "")
            for w in wanted[:, j]
        ]
        gains[:, j] = evidence.served(some).gains(evidence.metric, "nominee")
    return gains


def _choice(
    evidence: Evidence, weighed: _Weighed, g: int, strength: float, own: bool, borrowed: bool
) -> Choice:
    real = weighed.words(g)
    if strength:
        part = part_in_words(strength)
        reason = f"{part} of the personal correction; the correction is {real}"
        return Choice(MULTILEVEL, reason, strength)
    if own:
        return Choice(
            GENERIC,
            f"the personal correction looks no better out of fold in {evidence.metric.name}, "
            f"though it is {real}",
        )
    if borrowed:
        return Choice(
            GENERIC,
            "the personal correction helps in other groups, but this one shows too little of it: "
            f"it is {real}",
        )
    return Choice(
        GENERIC,
        f"no part of the personal correction is {1 - _POOL_RISK:.1%} sure to help: it is {real}",
    )


def _standard_errors_gained(evidence: Evidence) -> Matrix:
    """Gain of the nominees in the proper score, in standard errors steadied by 0.05 a row."""
    metric = proper_metric(evidence.predictions(GENERIC), evidence.metric.regression)
    losses = [
        row_losses(metric, evidence.rows.y, evidence.predictions(name))
        for name in (GENERIC, "nominee")
    ]
    mean, ss, n = group_moments(
        losses[0] - losses[1],
        evidence.rows_of("nominee").groups,
        evidence.rows.m,
        weight=evidence.rows.weight,
        clusters=evidence.rows.clusters,
    )
    # a Brier score is 0.25 where nothing is known; a squared error is then the variance of y
    unit = float(np.var(evidence.rows.y)) / 0.25 if evidence.metric.regression else 1.0
    sd = np.sqrt(ss / np.maximum(n, 1))
    return np.nan_to_num(np.sqrt(n) * mean / (sd + _STEADY * unit))


def _number(value: float) -> str:
    text = f"{value:.1f}"
    return "0.0" if text == "-0.0" else text

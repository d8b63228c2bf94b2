"""The priced policy: gains in the metric, traded against the probability of harm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from fairuse_router.candidates.names import GENERIC, MULTILEVEL
from fairuse_router.inference.calibration_slope import SLOPES
from fairuse_router.inference.priced import HARM, LEAST
from fairuse_router.metrics import get_metric
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix
from fairuse_router.routing.policies.options import Flags, Foresight, Judge, Option, weigh
from fairuse_router.routing.policies.shrinkage import posterior_gains, score_moments
from fairuse_router.routing.policies.ways import ways

_MORE = (2.0, 4.0, 8.0, 16.0)


def priced(evidence: Evidence, eligible: Flags) -> list[Choice]:
    """Choose the option with the largest expected gain less the price of harm, in every group.

    Options are parts of the multilevel correction and, where generic is not linear, the other
    candidates. Gain and harm are in the metric, see `measure_of`. An option that looks worse out of
    fold in the metric, by more than half a standard error, is out, whatever the model says.
    """
    options: list[Option] = []
    foresights: list[Foresight] = []
    for way in ways(evidence, eligible):
        found, foresight = weigh(evidence, way)
        options += found
        foresights.append(foresight)
    if not options:
        options = _by_labels(evidence, eligible)
    judge = Judge(evidence, options)
    value = np.column_stack([option.value for option in options])
    value = np.where(np.isnan(value), -np.inf, value)
    best = judge.best(value)
    more: dict[int, int] = {}
    if (best < 0).any():
        more = rows_that_might_show(evidence, foresights, value.max(axis=1) <= 0)
    return [
        _chosen(evidence, options[b], g)
        if b >= 0
        else Choice(GENERIC, why_generic(judge, value[g], g, more.get(g)))
        for g, b in enumerate(best.tolist())
    ]


def with_small_groups(evidence: Evidence, eligible: Flags) -> Flags:
    """Let the multilevel correction serve groups of half the size that other candidates need.

    Groups lend each other what it is made of.
    """
    if MULTILEVEL not in evidence.rivals:
        return eligible
    column, groups = evidence.rivals.index(MULTILEVEL), evidence.rows_of(MULTILEVEL).groups
    counts = np.bincount(groups[groups >= 0], minlength=evidence.rows.m)
    enough = counts >= evidence.settings.min_group_size / 2
    enough[list(evidence.unavailable.get(MULTILEVEL, {}))] = False
    return np.where(np.arange(eligible.shape[1]) == column, enough[:, None], eligible)


def _by_labels(evidence: Evidence, eligible: Flags) -> list[Option]:
    """Every rival, by the gains in error that labels alone show, shrunken towards each other."""
    posterior = posterior_gains(evidence, eligible, score_moments)
    weight = (
        np.ones(len(evidence.rows.groups)) if evidence.rows.weight is None else evidence.rows.weight
    )
    known = evidence.rows.groups >= 0
    share = np.bincount(evidence.rows.groups[known], weight[known], evidence.rows.m) / weight.sum()
    harm = ndtr((-HARM - posterior.m2) / np.maximum(posterior.sd2, np.finfo(float).tiny))
    counted = np.where(posterior.m1 < LEAST, np.minimum(posterior.m1, 0.0), posterior.m1)
    value = 100 * share[:, None] * counted - evidence.price * harm
    value = np.where(eligible & ~np.isnan(value), value, -np.inf)
    return [
        Option(
            name,
            1.0,
            evidence.predictions(name),
            evidence.rows_of(name).groups,
            posterior.m1[:, c],
            harm[:, c],
            value[:, c],
            get_metric("error"),
        )
        for c, name in enumerate(evidence.rivals)
    ]


def _chosen(evidence: Evidence, option: Option, g: int) -> Choice:
    gain = option.metric.format_gain(float(option.gain[g]))
    inside = "" if option.metric == evidence.metric else f" in {option.metric.name}"
    reason = (
        f"expected gain {gain}{inside}, probability of harm {chance(option.harm[g])}: worth it at "
        f"{evidence.price_in_words}"
    )
    real = real_part(option, g, evidence.settings.alpha)
    return Choice(option.candidate, reason, option.strength, real)


def real_part(option: Option, g: int, alpha: float) -> tuple[float, float, float] | None:
    """How much of the multilevel correction is real in a group: posterior mean and interval."""
    if option.posterior is None:
        return None
    posterior = option.posterior[g]
    step = SLOPES[1] - SLOPES[0]
    ends = np.append(SLOPES - step / 2, SLOPES[-1] + step / 2)
    low, high = np.interp([alpha / 2, 1 - alpha / 2], np.append(0.0, posterior.cumsum()), ends)
    return float(posterior @ SLOPES), float(low), float(high)


def why_generic(judge: Judge, value: Matrix, g: int, more: int | None) -> str:
    """What was missing, and how many rows might show it."""
    evidence, metric = judge.evidence, judge.evidence.metric
    column = int(value.argmax())
    if np.isneginf(value[column]):
        return evidence.why_none(g)
    option = judge.options[column]
    gain = option.metric.format_gain(float(option.gain[g]))
    inside = "" if option.metric == metric else f" in {option.metric.name}"
    if value[column] > 0:
        shown, se = (float(part[g]) for part in judge.shown(column))
        if np.isnan(shown):
            return f"{option.name} cannot be judged in {metric.name}: a class has too few rows here"
        return (
            f"{option.name} should gain {gain}{inside}, but out of fold it gains "
            f"{metric.format_gain(shown)} (standard error {metric.format_gain(se).lstrip('+')}): "
            "the labels speak against it"
        )
    if option.gain[g] < option.least:
        return f"no gain to speak of is expected of {option.candidate}: at best {gain}{inside}"
    rows = int(((evidence.rows.groups == g) & evidence.scores[GENERIC].scored).sum())
    told = f"; {more:,} rows like these {rows:,} might show it" if more else ""
    return (
        f"{option.name} should gain {gain}{inside}, but may harm with probability "
        f"{chance(option.harm[g])}: not worth it at {evidence.price_in_words}{told}"
    )


def rows_that_might_show(
    evidence: Evidence, foresights: Sequence[Foresight], wanted: Flags
) -> dict[int, int]:
    """Rows at which a group would be routed if further ones were like those at hand."""
    found: dict[int, int] = {}
    rows = np.bincount(evidence.rows.groups[evidence.rows.groups >= 0], minlength=evidence.rows.m)
    for factor in _MORE:
        for foresight in foresights:
            for g in np.flatnonzero(wanted & (foresight(factor) > 0)).tolist():
                found.setdefault(g, int(factor * rows[g]))
    return found


def chance(probability: float) -> str:
    """A probability in whole percent, without claiming certainty."""
    percent = 100 * float(probability)
    return "below 1%" if percent < 1 else f"{percent:.0f}%"

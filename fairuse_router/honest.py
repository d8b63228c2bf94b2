"""Honest gains: what the routing gains, corrected for having been chosen on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.metrics import METRICS, get_metric
from fairuse_router.routing.evidence import Evidence
from fairuse_router.routing.policies import choose
from fairuse_router.routing.table import GENERIC


@dataclass(frozen=True)
class HonestGain:
    """One gain of the routing over generic: as it looked to the policy, and corrected.

    Parameters
    ----------
    naive : float or None
        Out-of-fold gain of the chosen routes, on the rows that chose them.
    gain, low, high : float or None
        Corrected gain, and its interval at level ``1 - alpha``; None where undefined.
    """

    naive: float | None
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class HonestGains:
    """Gains of the routing over generic, corrected for choosing.

    Parameters
    ----------
    overall : HonestGain
    worst : HonestGain
        Of the group that gains least.
    groups : dict of str to HonestGain
        By the name of the group.
    metric : str
    n_resamples : int
    alpha : float
    """

    overall: HonestGain
    worst: HonestGain
    groups: Mapping[str, HonestGain] = field(default_factory=dict)
    metric: str = "error"
    n_resamples: int = 0
    alpha: float = 0.1

    def __str__(self) -> str:
        metric = get_metric(self.metric) if self.metric in METRICS else None

        def show(value: float | None) -> str:
            if value is None:
                return "n/a"
            return metric.format_gain(value) if metric else f"{value:+.3f}"

        level = f"{100 * (1 - self.alpha):.0f}%"
        lines = [
            f"Gain of the routing over generic ({self.metric}), as it looked when the routes were",
            f"chosen, and corrected for choosing (BBC-CV, {self.n_resamples} resamples):",
            f"{'':<30} {'naive':>9} {'honest':>9} {level + ' interval':>20}",
        ]
        named = {"all groups": self.overall, "group that gains least": self.worst, **self.groups}
        for name, gain in named.items():
            name = name if len(name) <= 30 else name[:29] + "…"
            interval = f"{show(gain.low)} {show(gain.high)}"
            lines.append(f"{name:<30} {show(gain.naive):>9} {show(gain.gain):>9} {interval:>20}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def honest_gains(
    policy: str,
    evidence: Evidence,
    group_names: list[str],
    *,
    n_resamples: int = 200,
    seed: int = 0,
) -> HonestGains:
    """Correct the gain of chosen routes by bootstrapping the choice.

    BBC-CV (Tsamardinos, Greasidou & Borboudakis 2018): choose on a bootstrap sample of the
    out-of-fold rows, drawn within groups, and evaluate that choice on the rows left out of the
    sample; no model is fitted again. The corrected gain is the mean over resamples, the interval
    their quantiles. The worst group is named in the sample and judged outside it.

    Parameters
    ----------
    policy : str
        As for `choose`.
    evidence : Evidence
        Out-of-fold predictions.
    group_names : list of str
        One per group.
    n_resamples : int, default=200
    seed : int, default=0

    Returns
    -------
    HonestGains
        Assumes independent rows; with clusters, whole clusters are drawn.
    """
    rng = np.random.default_rng(seed)
    rows = np.flatnonzero(evidence.scored[GENERIC] & (evidence.groups >= 0))
    units = _units(evidence, rows)
    naive = _gains(evidence, rows, choose(policy, evidence))
    draws = np.full((n_resamples, evidence.n_groups + 2), np.nan)
    for b in range(n_resamples):
        sample, rest = _draw(units, rng)
        chosen = choose(policy, evidence.take(sample))
        seen, unseen = _gains(evidence, sample, chosen), _gains(evidence, rest, chosen)
        draws[b, :-1] = unseen
        if np.isfinite(seen[1:]).any():
            draws[b, -1] = unseen[1 + int(np.nanargmin(seen[1:]))]
    results = [
        _summary(value, draws[:, i], evidence.alpha)
        for i, value in enumerate([*naive, np.nanmin(naive[1:])])
    ]
    return HonestGains(
        results[0],
        results[-1],
        dict(zip(group_names, results[1:-1], strict=True)),
        evidence.metric.name,
        n_resamples,
        evidence.alpha,
    )


def _units(evidence: Evidence, rows: NDArray[np.int64]) -> list[list[NDArray[np.int64]]]:
    """What is drawn, stratum by stratum: rows within groups, or whole clusters."""
    if evidence.clusters is None:
        groups = evidence.groups[rows]
        return [[rows[groups == g]] for g in np.unique(groups)]
    clusters = evidence.clusters[rows]
    order = np.argsort(clusters, kind="stable")
    cuts = np.flatnonzero(np.diff(clusters[order])) + 1
    return [np.split(rows[order], cuts)]


def _draw(
    strata: list[list[NDArray[np.int64]]], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw a bootstrap sample and the rows it leaves out."""
    inside, outside = [], []
    for units in strata:
        if len(units) == 1:
            (rows,) = units
            taken = rng.integers(0, len(rows), len(rows))
            left = np.ones(len(rows), dtype=bool)
            left[taken] = False
            inside.append(rows[taken])
            outside.append(rows[left])
        else:
            taken = rng.integers(0, len(units), len(units))
            inside += [units[i] for i in taken]
            outside += [units[i] for i in np.setdiff1d(np.arange(len(units)), taken)]
    empty = np.empty(0, dtype=np.int64)
    return np.concatenate([empty, *inside]), np.concatenate([empty, *outside])


def _gains(evidence: Evidence, rows: NDArray[np.int64], choices: list[Any]) -> NDArray[np.float64]:
    """Gain of the chosen routes on some rows: overall, then in every group."""
    part = evidence.take(rows).served([c.candidate for c in choices])
    each = part.gains(evidence.metric, "nominee")
    weight = part.weight
    risks = [
        evidence.metric.risk(part.target, part.predictions[name], weight) if len(rows) else np.nan
        for name in (GENERIC, "nominee")
    ]
    return np.array([risks[0] - risks[1], *each])


def _summary(naive: float, draws: NDArray[np.float64], alpha: float) -> HonestGain:
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return HonestGain(_number(naive), None, None, None)
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return HonestGain(_number(naive), float(draws.mean()), float(low), float(high))


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

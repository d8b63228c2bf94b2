"""Honest gains: what the routing gains, corrected for having been chosen on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Document
from fairuse_router.grids import Column, Grid
from fairuse_router.inference import bbc
from fairuse_router.metrics import named_metric
from fairuse_router.routing.policies.evidence import Evidence
from fairuse_router.routing.policies.rules import choose


@dataclass(frozen=True)
class HonestGain:
    """One gain of the routing over generic: as it looked to the policy, and corrected.

    Parameters
    ----------
    naive : float or None
        Out-of-fold gain of the chosen routes, on the rows that chose them.
    gain, low, high : float or None
        Corrected gain, the mean over bootstrap samples of what their choices gain on the rows left
        out, and its interval at level ``1 - alpha``: percentiles of the same gains, widened to hold
        the mean where they do not. None where undefined.
    """

    naive: float | None
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class HonestGains(Document):
    """Gains of the routing over generic, corrected for choosing.

    An interval is for routes chosen like these from the models at hand. It describes this fitted
    router: models fitted again, on other rows, gain otherwise, and more widely so.

    Parameters
    ----------
    overall : HonestGain
    groups : dict of str to HonestGain
        By the name of the group.
    metric : str
    n_resamples : int
    alpha : float
    """

    _KIND = "honest gains"
    _LATER = frozenset({"metric", "n_resamples", "alpha"})

    overall: HonestGain
    groups: Mapping[str, HonestGain] = field(default_factory=dict)
    metric: str = "error"
    n_resamples: int = 0
    alpha: float = 0.1

    @property
    def least(self) -> str | None:
        """The group whose corrected gain is least; None where none is defined.

        The least of several noisy gains is in part bad luck; its interval is its own.
        """
        known = {name: g.gain for name, g in self.groups.items() if g.gain is not None}
        return min(known, key=known.__getitem__, default=None)

    def named(self) -> dict[str, HonestGain]:
        """All gains in the order in which they are shown: overall, the least group, every group."""
        first = {"all groups": self.overall}
        if self.least is not None:
            first[f"least: {self.least}"] = self.groups[self.least]
        return first | dict(self.groups)

    def __str__(self) -> str:
        show = named_metric(self.metric).format_gain

        columns = [
            Column("", 31, left=True),
            Column("naive", 9),
            Column("honest", 9, gap=1),
            Column(f"{100 * (1 - self.alpha):.0f}% interval", 20, gap=1),
        ]
        rows = [
            [name, show(gain.naive), show(gain.gain), f"{show(gain.low)} {show(gain.high)}"]
            for name, gain in self.named().items()
        ]
        lines = [
            f"Gain of the routing over generic ({self.metric}), as it looked when the routes were",
            f"chosen, and corrected for choosing (BBC-CV, {self.n_resamples} resamples):",
            *Grid(columns, rows).lines(),
            "The intervals describe this fitted router; models fitted again on other rows",
            "gain otherwise. The least of several noisy gains is in part bad luck.",
        ]
        return "\n".join(lines)


def honest_gains(
    policy: str,
    evidence: Evidence,
    group_names: list[str],
    *,
    n_resamples: int = 200,
    seed: int = 0,
) -> HonestGains:
    """Correct the gain of chosen routes by bootstrapping the choice.

    The policy chooses anew on bootstrap samples of the out-of-fold rows, drawn within groups, and
    each choice is evaluated on the rows that its sample left out (BBC-CV, see
    `fairuse_router.inference.bbc`); no model is fitted again.

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
    rows = np.flatnonzero(evidence.scores[GENERIC].scored & (evidence.rows.groups >= 0))
    usable = evidence.take(rows)
    result = bbc(
        lambda drawn: choose(policy, usable.take(drawn)),
        lambda choices, drawn: _gains(usable, drawn, choices),
        usable.rows.groups,
        clusters=usable.rows.clusters,
        n_resamples=n_resamples,
        seed=seed,
        alpha=evidence.settings.alpha,
    )
    parts = zip(result.naive, result.gain, result.low, result.high, strict=True)
    overall, *groups = (HonestGain(*map(_number, part)) for part in parts)
    return HonestGains(
        overall,
        dict(zip(group_names, groups, strict=True)),
        evidence.metric.name,
        n_resamples,
        evidence.settings.alpha,
    )


def _gains(evidence: Evidence, rows: NDArray[np.int64], choices: list[Any]) -> NDArray[np.float64]:
    """Gain of the chosen routes on some rows: overall, then in every group."""
    part = evidence.take(rows).served(choices)
    each = part.gains(evidence.metric, "nominee")
    y, weight = part.rows.y, part.rows.weight
    risks = [
        evidence.metric.risk(y, part.predictions(name), weight) if len(rows) else np.nan
        for name in (GENERIC, "nominee")
    ]
    return np.array([risks[0] - risks[1], *each])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None

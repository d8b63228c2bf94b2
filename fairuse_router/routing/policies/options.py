"""Options: what may serve groups, what each is worth, and what labels say of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import MULTILEVEL
from fairuse_router.inference.priced import LEAST, direction_evidence, worth
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.display import server_in_words
from fairuse_router.routing.policies.evidence import Evidence, Matrix
from fairuse_router.routing.policies.measures import measure_of, shown_gain, unit_of
from fairuse_router.routing.policies.shrinkage import proper_metric
from fairuse_router.routing.policies.ways import Way

_AGAINST = 0.5  # standard errors below zero at which labels speak against an option

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Option:
    """What may serve groups, and what it is worth in each.

    Parameters
    ----------
    candidate, strength, served
        Who serves, by how much of it, and what it says of every row.
    groups : ndarray of int, shape (n,)
        Group of each row that speaks for it, else -1.
    gain, harm, value : ndarray of shape (m,)
        Expected gain, probability of harm, and value of everybody's gain less the price of harm;
        the value is minus infinity where it may not serve.
    metric : Metric
        Of the gains: the one that was asked for, or a proper score in its place.
    least : float
        A gain in it that is worth anything.
    posterior : ndarray of shape (m, 33) or None
        Of the slope of the multilevel correction.
    over : Predictions or None
        What it is to be better than; None: generic as it is deployed.
    """

    candidate: str
    strength: float
    served: Predictions
    groups: NDArray[np.int64]
    gain: Matrix
    harm: Matrix
    value: Matrix
    metric: Metric
    least: float = LEAST
    posterior: Matrix | None = None
    over: Predictions | None = None

    def with_harm(self, harm: Matrix, price: float) -> Option:
        """The same if groups are harmed with at least these probabilities."""
        more = np.maximum(harm - self.harm, 0.0)
        return replace(self, harm=self.harm + more, value=self.value - price * more)

    @property
    def name(self) -> str:
        """In words."""
        return server_in_words(self.candidate, self.strength)


# value of the best of some options in each group, if there were so many times as many rows
Foresight = Callable[[float], Matrix]


def weigh(evidence: Evidence, way: Way) -> tuple[list[Option], Foresight]:
    """What the options of a way are worth; in a proper score if the metric cannot tell."""
    metric, proper = evidence.metric, proper_metric(way.without, evidence.metric.regression)
    for metric in (evidence.metric, proper):
        seen = direction_evidence(
            way.direction,
            way.groups,
            evidence.rows.m,
            measure_of(metric, way, evidence.rows.weight),
            weight=evidence.rows.weight,
            clusters=evidence.rows.clusters,
        )
        if np.isfinite(seen.gain).all():
            break
    unit = unit_of(metric, way, evidence.rows.weight)
    found = worth(seen, evidence.price, unit)
    value = np.where(way.allowed[:, None], found.value, -np.inf)

    def foresight(factor: float) -> Matrix:
        then = worth(seen.times(factor), evidence.price, unit).value.max(axis=1)
        return np.where(way.allowed, then, -np.inf)

    options = [
        Option(
            way.candidate,
            float(strength),
            served,
            way.groups,
            found.gain[:, i],
            found.harm[:, i],
            value[:, i],
            metric,
            LEAST * unit,
            found.posterior if way.candidate == MULTILEVEL else None,
            way.over,
        )
        for i, (strength, served) in enumerate(zip(way.strengths, way.options, strict=True))
    ]
    return options, foresight


@dataclass(frozen=True)
class Judge:
    """Asks labels about options, each once and only if it would be chosen."""

    evidence: Evidence
    options: Sequence[Option]
    asked: dict[int, tuple[Matrix, Matrix]] = field(default_factory=dict)

    def shown(self, column: int) -> tuple[Matrix, Matrix]:
        """Gain of an option out of fold in the metric, and its standard error, per group."""
        if column not in self.asked:
            option = self.options[column]
            self.asked[column] = shown_gain(
                self.evidence, option.served, option.groups, option.over
            )
        return self.asked[column]

    def against(self, column: int) -> Flags:
        """Groups in which the labels speak against an option; an AUC must be defined."""
        gain, se = self.shown(column)
        undefined = np.isnan(gain) & (self.evidence.metric.name == "auc")
        return undefined | np.isneginf(gain) | (gain < -_AGAINST * np.nan_to_num(se))

    def best(self, value: Matrix) -> NDArray[np.int64]:
        """Column of the most valuable option that labels allow, in every group; -1 for none."""
        value = value.copy()
        while True:
            best = np.where(value.max(axis=1) > 0, value.argmax(axis=1), -1)
            refused = False
            for column in np.unique(best[best >= 0]).tolist():
                out = (best == column) & self.against(column)
                value[out, column] = -np.inf
                refused |= bool(out.any())
            if not refused:
                return best

"""Ways to serve groups: directions from generic to a candidate, and the options along each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC, MEAN, MULTILEVEL, halves
from fairuse_router.candidates.scores import answer
from fairuse_router.inference import STRENGTHS
from fairuse_router.inference.directions import Direction, temperature
from fairuse_router.metrics import Cut, Predictions
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix

HALVES, _WHOLE = np.array([0.5, 1.0]), np.array([1.0])
_OTHERWISE = 0.02  # of the labels


@dataclass(frozen=True)
class Way:
    """A direction from generic to one candidate, with L options along it.

    Parameters
    ----------
    candidate : str
    strengths : ndarray of shape (L,)
        How much of the candidate's margin each option uses.
    direction : Direction
    groups : ndarray of int, shape (n,)
        Group of each row that speaks for it, else -1.
    allowed : ndarray of bool, shape (m,)
        Groups that it may serve.
    without : Predictions
        Generic's; where multilevel may serve, too, brought to the scale of log-odds as it is there:
        what that alone gains is no gain of knowing groups.
    options : tuple of Predictions
        Of each option, as they would be served.
    over : Predictions or None
        What they are to be better than, as it is served; None: generic.
    """

    candidate: str
    strengths: NDArray[np.float64]
    direction: Direction
    groups: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    without: Predictions
    options: tuple[Predictions, ...]
    over: Predictions | None = None

    def choice(self, option: int, reason: str = "") -> Choice:
        """The option as a choice."""
        return Choice(self.candidate, reason, float(self.strengths[option]))

    @property
    def classes(self) -> int:
        """Number of classes; 0 of a regression."""
        if self.direction.variance is not None:
            return 0
        return 2 if self.direction.base.ndim == 1 else self.direction.base.shape[1]

    @cached_property
    def everybody(self) -> tuple[Predictions, ...]:
        """Predictions without and with every option."""
        return (self.without, *self.options)


def ways(evidence: Evidence, eligible: NDArray[np.bool_]) -> Iterator[Way]:
    """Directions to all rivals whose margins are known.

    The multilevel correction is offered in quarters. Where generic is linear it is offered alone:
    it contains what the others know, and fewer directions mean less luck. Where generic is not,
    intersectional may know what no linear correction says: half and all of the mean of both is
    offered, too. Of several classes multilevel is a model of its own, there only where generic is
    linear, and offered alone as well. Without multilevel, quarters of all others are. Where models
    say labels by a threshold of their own, candidates are offered whole: a part of one has no such
    threshold.
    """
    names = evidence.rivals
    if says_otherwise(evidence):
        for name in names:
            if not evidence.corrects(name):
                yield _of_predictions(evidence, name, eligible[:, names.index(name)], _WHOLE)
        return
    if evidence.corrects(MULTILEVEL):
        yield _of_correction(evidence, MULTILEVEL, eligible, STRENGTHS)
        halves_known = set(halves(MEAN, names)) <= set(names)
        if halves_known and not is_linear(evidence):
            yield _of_correction(evidence, MEAN, eligible, HALVES)
        return
    if evidence.predictions(GENERIC).proba is None and not evidence.metric.regression:
        return
    for name in names:
        if (name == MULTILEVEL) == evidence.borrows:
            yield _of_predictions(evidence, name, eligible[:, names.index(name)])


def says_otherwise(evidence: Evidence) -> bool:
    """Whether labels of generic are not the likelier class: a `FixedThresholdClassifier`'s, say.

    A threshold of the router's own is another matter: every route has it.
    """
    generic = evidence.predictions(GENERIC)
    if (
        generic.proba is None
        or generic.proba.shape[1] != 2
        or isinstance(evidence.metric.risk, Cut)
    ):
        return False
    rows = evidence.scores[GENERIC].scored & ~generic.undefined
    other = (generic.proba[:, 1] > 0.5) != (generic.label == 1)
    return bool(rows.any()) and float(other[rows].mean()) > _OTHERWISE


def is_linear(evidence: Evidence) -> bool:
    """Whether generic is linear, so that multilevel knows all that its family can know."""
    return evidence.scores[MULTILEVEL].scale is None


def _of_correction(
    evidence: Evidence, name: str, eligible: NDArray[np.bool_], strengths: NDArray[np.float64]
) -> Way:
    """The direction to multilevel, or to the mean of it and another, from what it corrects."""
    columns = [evidence.rivals.index(part) for part in halves(name, evidence.scores)]
    allowed = np.asarray(eligible[:, columns].all(axis=1))
    groups = speaking(evidence, name, allowed)
    base, full = evidence.margins(name)
    direction = Direction(evidence.rows.y, base, full, variance_of(evidence, base, groups))
    without = answer(base, evidence.metric.regression)
    options = [evidence.predictions(name, s) for s in strengths]
    return Way(name, strengths, direction, groups, allowed, without, tuple(options))


def _of_predictions(
    evidence: Evidence,
    name: str,
    allowed: NDArray[np.bool_],
    strengths: NDArray[np.float64] = STRENGTHS,
) -> Way:
    """The direction from generic's predictions to another candidate's, on the labels' scale."""
    groups = speaking(evidence, name, allowed)
    generic = evidence.predictions(GENERIC)
    options = tuple(evidence.predictions(name, s) for s in strengths)
    base, full = evidence.margins(name)
    if evidence.metric.regression:
        direction = Direction(evidence.rows.y, base, full, variance_of(evidence, base, groups))
        return Way(name, strengths, direction, groups, allowed, generic, options)
    scored = np.flatnonzero(evidence.scores[GENERIC].scored)
    weight = None if evidence.rows.weight is None else evidence.rows.weight[scored]
    scale = temperature(evidence.rows.y[scored], base[scored], weight)
    direction = Direction(evidence.rows.y, scale * base, scale * full)
    return Way(name, strengths, direction, groups, allowed, generic, options)


def speaking(evidence: Evidence, name: str, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Group of each row on which a candidate that may serve it can be compared, else -1."""
    groups = evidence.rows_of(name).groups
    return np.where((groups >= 0) & allowed[groups], groups, -1)


def variance_of(evidence: Evidence, base: Matrix, groups: NDArray[np.int64]) -> float | None:
    """Variance of a regression's errors about generic; None for classes."""
    if not evidence.metric.regression:
        return None
    known = groups >= 0
    if not known.any():
        return 1.0
    weight = None if evidence.rows.weight is None else evidence.rows.weight[known]
    return float(np.average((evidence.rows.y[known] - base[known]) ** 2, weights=weight))

"""Ways to serve groups: directions from generic to a candidate, and the options along each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

from fairuse_router.candidates.names import GENERIC, MULTILEVEL
from fairuse_router.candidates.scores import CLIP, answer
from fairuse_router.inference import STRENGTHS
from fairuse_router.inference.directions import Direction, temperature
from fairuse_router.metrics import Predictions
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix

INTERSECTIONAL = "intersectional"
_ALIKE = 1e-3


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
    """

    candidate: str
    strengths: NDArray[np.float64]
    direction: Direction
    groups: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    without: Predictions
    options: tuple[Predictions, ...]

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
    intersectional may know what no linear correction says. Without multilevel, all others are
    offered. They are offered whole, as a part of one would have to be served by two models.
    """
    names = evidence.rivals
    if MULTILEVEL in names and evidence.corrects(MULTILEVEL):
        way = _of_margins(evidence, eligible[:, names.index(MULTILEVEL)])
        yield way
        names = [] if is_linear(evidence) else [n for n in names if n == INTERSECTIONAL]
    if evidence.predictions(GENERIC).proba is None and not evidence.metric.regression:
        return
    for name in names:
        if name != MULTILEVEL:
            yield _of_predictions(evidence, name, eligible[:, evidence.rivals.index(name)])


def is_linear(evidence: Evidence) -> bool:
    """Whether multilevel starts from generic's own margin, unscaled: a linear family.

    Margins of other classifiers are brought to the scale of log-odds. Of a regression it cannot be
    seen; multilevel is then offered alone, too.
    """
    proba = evidence.predictions(GENERIC).proba
    if proba is None:
        return True
    rows = evidence.scores[MULTILEVEL].scored & evidence.scores[GENERIC].scored
    base = _margins(evidence)[rows, 0]
    # margins and probabilities of rows that were scored twice are averaged, each by itself
    return not len(base) or float(np.median(np.abs(expit(base) - proba[rows, 1]))) < _ALIKE


def _margins(evidence: Evidence) -> Matrix:
    """Generic's margin and multilevel's, shape (n, 2)."""
    margins = evidence.scores[MULTILEVEL].margins
    assert margins is not None
    return margins


def _of_margins(evidence: Evidence, allowed: NDArray[np.bool_]) -> Way:
    base, full = _margins(evidence).T
    regression = evidence.metric.regression
    groups = _speaking(evidence, MULTILEVEL, allowed)
    options = [answer(base + s * (full - base), regression) for s in STRENGTHS]
    direction = Direction(evidence.rows.y, base, full, _variance(evidence, base, groups))
    without = answer(base, regression)
    return Way(MULTILEVEL, STRENGTHS, direction, groups, allowed, without, tuple(options))


def _of_predictions(evidence: Evidence, name: str, allowed: NDArray[np.bool_]) -> Way:
    """The direction from generic's predictions to another candidate's, on the labels' scale."""
    groups = _speaking(evidence, name, allowed)
    generic, own = evidence.predictions(GENERIC), evidence.predictions(name)
    if generic.proba is None or own.proba is None:
        base, full = generic.label, own.label
        direction = Direction(evidence.rows.y, base, full, _variance(evidence, base, groups))
        return Way(name, np.ones(1), direction, groups, allowed, generic, (own,))
    base, full = (_log_odds(p.proba) for p in (generic, own))
    scored = np.flatnonzero(evidence.scores[GENERIC].scored)
    weight = None if evidence.rows.weight is None else evidence.rows.weight[scored]
    scale = temperature(evidence.rows.y[scored], base[scored], weight)
    base, full = scale * base, scale * full
    corrected = evidence.corrects(MULTILEVEL)  # it starts from calm probabilities, so all must
    without = Predictions(generic.label, _probabilities(base)) if corrected else generic
    direction = Direction(evidence.rows.y, base, full)
    return Way(name, np.ones(1), direction, groups, allowed, without, (own,))


def _speaking(evidence: Evidence, name: str, allowed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Group of each row on which a candidate that may serve it can be compared, else -1."""
    groups = evidence.rows_of(name).groups
    return np.where((groups >= 0) & allowed[groups], groups, -1)


def _variance(evidence: Evidence, base: Matrix, groups: NDArray[np.int64]) -> float | None:
    """Variance of a regression's errors about generic; None for classes."""
    if not evidence.metric.regression:
        return None
    known = groups >= 0
    if not known.any():
        return 1.0
    weight = None if evidence.rows.weight is None else evidence.rows.weight[known]
    return float(np.average((evidence.rows.y[known] - base[known]) ** 2, weights=weight))


def _log_odds(proba: Matrix | None) -> Matrix:
    assert proba is not None
    clipped = np.clip(proba, CLIP, 1 - CLIP)
    return np.asarray(logit(clipped[:, 1]) if proba.shape[1] == 2 else np.log(clipped))


def _probabilities(margin: Matrix) -> Matrix:
    if margin.ndim == 2:
        return np.asarray(softmax(margin, axis=1))
    p = expit(margin)
    return np.column_stack([1 - p, p])

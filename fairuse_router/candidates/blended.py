"""Blended models: a weighted sum of several models' margins, for routes that use a part of one.

Recalibrated models are a sum of one margin and an intercept.

Margins are log-odds of the second of two classes, log-probabilities of several, or predictions of a
regression: see `scores.log_odds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate, ServedModel, as_classes
from fairuse_router.candidates.corrected import CorrectedClassifier, Further
from fairuse_router.candidates.names import GENERIC, MULTILEVEL, halves
from fairuse_router.candidates.scores import log_odds, mixed_answer
from fairuse_router.metrics import Predictions

Floats = NDArray[np.float64]
_CODE = "blended route"


@dataclass(frozen=True, eq=False)
class Blended:
    """Fitted models, and how much each route uses of their margins.

    It takes the features, and on their right one more column: the route.

    Parameters
    ----------
    parts : tuple of ServedModel
        What each model is told beside the features is told per route.
    weights : ndarray of shape (n_routes, n_parts)
        Of each model's margin.
    intercept : ndarray of shape (n_routes,) or None
        Added to the sum, which is then that of two classes or a regression; None: nothing.
    """

    parts: tuple[ServedModel, ...]
    weights: Floats = field(repr=False)
    intercept: Floats | None = field(default=None, repr=False)

    def _told(self, X: tables.Table) -> Predictions:
        width = tables.shape(X)[1] - 1
        codes = np.asarray(tables.column(X, width).values, dtype=np.float64).astype(np.int64)
        features = tables.take_columns(X, range(width))
        total: Any = 0.0
        for part, weight in zip(self.parts, self.weights[codes].T, strict=True):
            own = self._margin(part.estimator, part.complete(features, codes))
            total = total + (weight if own.ndim == 1 else weight[:, None]) * own
        if self.intercept is not None:
            total = total + self.intercept[codes]
        return mixed_answer(total, not hasattr(self, "classes_"))

    def _margin(self, estimator: Any, X: tables.Table) -> Floats:
        if not hasattr(self, "classes_"):
            return np.asarray(estimator.predict(X), dtype=np.float64).ravel()
        if isinstance(estimator, CorrectedClassifier):
            return np.asarray(estimator.decision_function(X))
        proba = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        proba = as_classes(estimator, proba, "predict_proba", self.classes_)
        return log_odds(proba)


class BlendedClassifier(Blended):
    """A `Blended` classifier, as scikit-learn knows them."""

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels."""
        first = self.parts[0].estimator  # generic, or a correction of it
        return np.asarray(first.classes_)

    def decision_function(self, X: tables.Table) -> Floats:
        """Log-odds of the second of two classes, (n,); log-probabilities of several, (n, K)."""
        proba = self.predict_proba(X)
        logs = np.log(proba)
        return logs[:, 1] - logs[:, 0] if proba.shape[1] == 2 else logs

    def predict_proba(self, X: tables.Table) -> Floats:
        """Probabilities of all classes, shape (n, K)."""
        proba = self._told(X).proba
        assert proba is not None
        return proba

    def predict(self, X: tables.Table) -> NDArray[Any]:
        """Label of the likeliest class, shape (n,)."""
        return self.classes_[self._told(X).label]


class BlendedRegressor(Blended):
    """A `Blended` regressor."""

    def predict(self, X: tables.Table) -> Floats:
        """Predictions, shape (n,)."""
        return np.asarray(self._told(X).label)


def is_blend(name: str, strength: float, candidates: Mapping[str, Candidate]) -> bool:
    """Whether a route asks more than one model."""
    own = halves(name, candidates)
    candidate = candidates[own[0]]
    if len(own) > 1 or isinstance(candidate.models[0], Blended):
        return True
    return strength < 1 and candidate.corrected is None


def blend(
    candidates: Mapping[str, Candidate],
    name: str,
    model: int,
    groups: NDArray[np.int64],
    strengths: Floats,
    more: Sequence[Further] = (),
) -> ServedModel:
    """Return the model that serves routes by a part of a candidate, or by the mean of two.

    With z0 the margin of generic and z that of the candidate, its margin is ``z0 + strength (z -
    z0)``. In a mean, z is the mean of the candidate's margin, multiplied by what makes log-odds of
    generic's, and of multilevel's; z0 is generic's so multiplied.

    Parameters
    ----------
    candidates : dict of str to Candidate
    name : str
        A candidate, or two, see `halves`.
    model : int
        Which of the candidate's models; of two, of the first.
    groups : ndarray of int64, shape (n_routes,)
    strengths : ndarray of shape (n_routes,)
    more : sequence of Further
        Corrections of coarser reports that a route by a mean starts from, in place of generic.

    Raises
    ------
    ValueError
        If there are no probabilities to make margins of.
    """
    own, *corrected = halves(name, candidates)
    generic, candidate = candidates[GENERIC].served_as(0, None), candidates[own]
    regression = is_regressor(generic.estimator)
    if not regression and not hasattr(generic.estimator, "predict_proba"):
        raise ValueError(
            f"A route uses {name!r} with strength {strengths.min():g}: parts of a model are mixed "
            "with generic by their log-odds, and the estimator has no predict_proba. Give the "
            "route strength 1."
        )
    added = None if candidate.added is None else tables.take_rows(candidate.added, groups)
    kind = BlendedRegressor if regression else BlendedClassifier
    codes = np.arange(len(groups), dtype=np.float64)[:, None]
    recalibrated = candidate.models[model]
    if isinstance(recalibrated, Blended):
        blended = _in_part(recalibrated, generic, groups, strengths)
        return ServedModel(name, blended, codes, (_CODE,))
    part = candidate.served_as(model, added)
    parts, weights = (generic, part), np.column_stack([1 - strengths, strengths])
    if corrected:
        half, correction = strengths / 2, candidates[MULTILEVEL]
        assert correction.corrected is not None
        # of generic and of half a correction, in one
        rest = [(r, row, weight / (1 - half[r])) for r, row, weight in more]
        parts = (correction.under_routes(0, groups, half / (1 - half), rest), part)
        weights = np.column_stack([1 - half, correction.corrected.scale * half])
    return ServedModel(name, kind(parts, weights), codes, (_CODE,))


def _in_part(
    model: Blended, generic: ServedModel, groups: NDArray[np.int64], strengths: Floats
) -> Blended:
    """A recalibrated model as routes with these groups use it, the rest being generic's margin."""
    own = model.parts[0]
    if own.added is not None:
        own = replace(own, added=tables.take_rows(own.added, groups))
    weights = strengths[:, None] * model.weights[groups]
    intercept = None if model.intercept is None else strengths * model.intercept[groups]
    if (strengths == 1).all():
        return replace(model, parts=(own,), weights=weights, intercept=intercept)
    weights = np.column_stack([1 - strengths, weights])
    return replace(model, parts=(generic, own), weights=weights, intercept=intercept)

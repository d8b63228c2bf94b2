"""The multilevel candidate: generic's margin, corrected per group, the groups lending each other.

Linear families: a logistic regression with shared and own slopes, fitted to all rows at once. Every
other family, and linear models that are penalized otherwise: the same on top of generic's margin,
which must then come from models that have not seen the row, and is brought to the scale of log-odds
first. What would be corrected if nothing were known of groups is taken off: that would be a better
generic given to those alone who report.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.corrected import (
    CorrectedClassifier,
    CorrectedRegressor,
    base_margin,
    final_step,
    has_log_odds,
)
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.multilevel_classes import fit_classes
from fairuse_router.candidates.reached import Standardized, is_linear, row_weight
from fairuse_router.candidates.recipes import Recipe, Unavailable, fit_model
from fairuse_router.candidates.scores import answer
from fairuse_router.inference import multilevel_bayes, multilevel_fit
from fairuse_router.rows import Places, TrainingRows

_TWO, _INNER_FOLDS = 2, 5
_LOOKED_AT = 1000
_SCALES = (0.2, 5.0)


def fit_multilevel(
    recipe: Recipe, generic: Candidate, data: TrainingRows, rows: Places
) -> Candidate:
    """Fit the multilevel candidate on some rows.

    Parameters
    ----------
    recipe : Recipe
        Its `added` are the dummies of the groups' main effects.
    generic : Candidate
        Fitted on the same rows.
    data : TrainingRows
    rows : ndarray of int

    Returns
    -------
    Candidate
        One model: generic, and a table of linear corrections; of several classes a linear model
        per group, see `fit_classes`.

    Raises
    ------
    Unavailable
        If the estimator, the classes or the features do not allow it.
    """
    part, model = data.take(rows), generic.models[0]
    if part.classes is not None and not hasattr(model, "predict_proba"):
        raise Unavailable("multilevel corrects log-odds, and the estimator has no predict_proba")
    if part.classes is not None and len(part.classes) > _TWO:
        return fit_classes(recipe, model, part)
    final, reached = final_step(model, part.features)
    features = Standardized.of(reached)
    regression = part.classes is None
    linear = is_linear(final, regression)
    if not regression and not has_log_odds(final):
        _check_labels(final, reached)
    weight = row_weight(final, part)
    offset, scale = (None, 1.0) if linear else _offset(recipe, part, weight)
    grouped = _Grouped(features, part, offset, weight)
    table = grouped.table(part.groups, recipe.added)
    if recipe.lattice is not None:
        layers = [layer for layer in recipe.lattice.fitted if layer is not recipe.lattice.full]
        cells = [grouped.table(layer.cells.of(part.codes), layer.main) for layer in layers]
        table = np.vstack([table, *cells])
    if offset is None:
        table = table - np.append(np.ravel(final.coef_), np.ravel(final.intercept_))
    kind = CorrectedRegressor if regression else CorrectedClassifier
    codes = np.arange(part.n_groups, dtype=np.float64)[:, None]
    return Candidate(
        recipe.name,
        (kind(model, table, features.mean, scale, linear),),
        np.zeros(part.n_groups, dtype=np.int64),
        codes,
        ("multilevel group",),
        lattice=recipe.lattice,
    )


@dataclass(frozen=True)
class _Grouped:
    """Rows as they are fitted, however they are grouped.

    Parameters
    ----------
    features : Standardized
    part : TrainingRows
    offset : ndarray of shape (n,) or None
        Margin that is corrected; None: the whole margin is fitted.
    weight : ndarray of shape (n,) or None
    """

    features: Standardized
    part: TrainingRows
    offset: NDArray[np.float64] | None
    weight: NDArray[np.float64] | None

    def table(
        self, groups: NDArray[np.int64], main: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Slopes and intercept of every group, shape (m, d + 1); rows of group -1 have none."""
        assert main is not None
        x = self.features.x
        joint = multilevel_bayes(
            x,
            groups,
            self.part.target,
            main,
            offset=self.offset,
            weight=self.weight,
            squared=self.part.classes is None,
        )
        if self.offset is not None:
            common = _Common.of(x, groups, self.part, main, self.offset, self.weight)
            joint = common.off(joint)
        return self.features.by_unit(joint)


@dataclass(frozen=True)
class _Common:
    """The correction that is due if nothing is known of groups.

    Parameters
    ----------
    slopes : ndarray of shape (d + 1,)
        The intercept comes last.
    score : ndarray of shape (d + 1,)
        What each of them gains at first.
    share : ndarray of shape (m,)
        Share of each group among the rows that have one.
    """

    slopes: NDArray[np.float64]
    score: NDArray[np.float64]
    share: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        x: NDArray[np.float64],
        groups: NDArray[np.int64],
        part: TrainingRows,
        main: NDArray[np.float64],
        offset: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
    ) -> _Common:
        """Fit it to standardized features, on top of an offset."""
        squared, d = part.classes is None, x.shape[1]
        fit = multilevel_fit(
            x,
            np.full(len(x), -1),
            part.target,
            main,
            1.0,  # on what no row has
            offset=offset,
            weight=weight,
            squared=squared,
        )
        error = part.target - (offset if squared else expit(offset))
        error = error if weight is None else weight * error
        known = groups >= 0
        count = np.bincount(groups[known], None if weight is None else weight[known], len(main))
        share = count / max(count.sum(), np.finfo(float).tiny)
        return cls(fit.shared[: d + 1], np.append(error @ x, error.sum()), share)

    def off(self, joint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Take it off a fit's slopes and intercepts, until their mean gains nothing by itself.

        Their mean is not taken off whole: where slopes differ, those who know the group can be
        surer than generic in all of them.
        """
        mean = self.share @ joint
        gain = self.slopes @ self.score
        return joint - self.slopes * ((mean @ self.score) / gain if gain > 0 else 1.0)


def _check_labels(final: Any, reached: Any) -> None:
    """Refuse labels that are not those of the likelier class, as of a tuned threshold."""
    first = np.arange(min(_LOOKED_AT, tables.shape(reached)[0]))
    some = reached[first] if hasattr(reached, "nnz") else tables.take_rows(reached, first)
    likelier = answer(base_margin(final, some), False).label
    differ = int((np.asarray(final.predict(some)) != np.asarray(final.classes_)[likelier]).sum())
    if differ > 0.01 * len(first):
        raise Unavailable(
            f"{type(final).__name__} does not label by the likelier class in {differ} of "
            f"{len(first)} rows, so that its labels cannot be corrected by log-odds"
        )


def _scale_of(
    margin: NDArray[np.float64], target: NDArray[np.int64], weight: NDArray[np.float64] | None
) -> float:
    """What makes log-odds of generic's margin: the slope of the labels on it, kept within bounds.

    Boosting on few rows claims twice the log-odds that are there, and corrections that took its
    word were half as large as needed to change a label. Generic's labels do not depend on it.
    """
    if np.ptp(margin) == 0:  # a constant says nothing of its scale
        return 1.0
    model = LogisticRegression(C=np.inf, solver="newton-cholesky")
    model.fit(margin[:, None], target, sample_weight=weight)
    return float(np.clip(model.coef_[0, 0], *_SCALES))


def _offset(
    recipe: Recipe, part: TrainingRows, weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], float]:
    """Generic's margin for its training rows, brought to the scale of log-odds, and that scale."""
    margin = _out_of_fold(recipe, part)
    scale = 1.0 if part.classes is None else _scale_of(margin, part.target, weight)
    return scale * margin, scale


def _out_of_fold(recipe: Recipe, part: TrainingRows) -> NDArray[np.float64]:
    """Generic's margin for each of its training rows, from models that have not seen the row."""
    folds = split_rows(_INNER_FOLDS, part, 0)
    margin = np.empty(len(part.y))
    for training, judging in folds:
        features = tables.take_rows(part.features, training)
        model = fit_model(recipe.estimator, features, part, training)
        margin[judging] = base_margin(*final_step(model, tables.take_rows(part.features, judging)))
    return margin

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
from sklearn.base import is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.utils.class_weight import compute_sample_weight

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.corrected import (
    CorrectedClassifier,
    CorrectedRegressor,
    as_matrix,
    base_margin,
    final_step,
    has_log_odds,
)
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.recipes import Recipe, Unavailable, fit_model
from fairuse_router.candidates.scores import answer
from fairuse_router.inference import multilevel_bayes, multilevel_fit
from fairuse_router.rows import Places, TrainingRows

_INNER_FOLDS = 5
_MOST_FEATURES = 500  # the fit needs m matrices of this size squared
_LOOKED_AT = 1000
_SCALES = (0.2, 5.0)
_MOST_RIDGE = 2.0  # in units of the multilevel fit's penalty on shared slopes


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
        One model: generic, and a table of linear corrections.

    Raises
    ------
    Unavailable
        If the estimator, the classes or the features do not allow it.
    """
    part, model = data.take(rows), generic.models[0]
    _check_classes(model, part)
    final, reached = final_step(model, part.features)
    matrix = _numbers(reached)
    mean, sd = _scale(matrix)
    x = np.nan_to_num((matrix - mean) / sd, nan=0.0)
    regression = part.classes is None
    linear = _is_linear(final, regression)
    if not regression and not has_log_odds(final):
        _check_labels(final, reached)
    weight = _weight(final, part)
    offset, scale = (None, 1.0) if linear else _offset(recipe, part, weight)
    standard = _Standardized(x, mean, sd, part, offset, weight)
    table = standard.table(part.groups, recipe.added)
    if recipe.lattice is not None:
        layers = [layer for layer in recipe.lattice.fitted if layer is not recipe.lattice.full]
        cells = [standard.table(layer.cells.of(part.codes), layer.main) for layer in layers]
        table = np.vstack([table, *cells])
    if offset is None:
        table = table - np.append(np.ravel(final.coef_), np.ravel(final.intercept_))
    kind = CorrectedRegressor if regression else CorrectedClassifier
    codes = np.arange(part.n_groups, dtype=np.float64)[:, None]
    return Candidate(
        recipe.name,
        (kind(model, table, mean, scale, linear),),
        np.zeros(part.n_groups, dtype=np.int64),
        codes,
        ("multilevel group",),
        lattice=recipe.lattice,
    )


@dataclass(frozen=True)
class _Standardized:
    """Rows as they are fitted, however they are grouped.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Standardized features, gaps at their mean.
    mean, sd : ndarray of shape (d,)
    part : TrainingRows
    offset : ndarray of shape (n,) or None
        Margin that is corrected; None: the whole margin is fitted.
    weight : ndarray of shape (n,) or None
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    part: TrainingRows
    offset: NDArray[np.float64] | None
    weight: NDArray[np.float64] | None

    def table(
        self, groups: NDArray[np.int64], main: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """Slopes and intercept of every group, shape (m, d + 1); rows of group -1 have none."""
        assert main is not None
        joint = multilevel_bayes(
            self.x,
            groups,
            self.part.target,
            main,
            offset=self.offset,
            weight=self.weight,
            squared=self.part.classes is None,
        )
        if self.offset is not None:
            common = _Common.of(self.x, groups, self.part, main, self.offset, self.weight)
            joint = common.off(joint)
        return _by_unit(joint, self.mean, self.sd)


def _by_unit(
    joint: NDArray[np.float64], mean: NDArray[np.float64], sd: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slopes and intercept, shape (m, d + 1), of features as they are, not standardized."""
    slopes = joint[:, :-1] / sd
    return np.column_stack([slopes, joint[:, -1] - slopes @ mean])


def _is_linear(final: Any, regression: bool) -> bool:
    """Whether the model is a linear one with a penalty of about that of the multilevel fit.

    Otherwise part of what looks like a correction is another penalty on what all groups share.
    """
    settings = final.get_params(deep=False)
    if not settings.get("fit_intercept", True):
        return False
    if regression:
        known = type(final) in (LinearRegression, Ridge) and np.ndim(final.coef_) == 1
        return known and settings.get("alpha", 0.0) <= _MOST_RIDGE
    if type(final) is LogisticRegression:
        sparse = settings.get("l1_ratio") or settings.get("penalty") in ("l1", "elasticnet")
        return not sparse and 1 / settings["C"] <= _MOST_RIDGE
    return type(final) is LinearDiscriminantAnalysis


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


def _check_classes(model: Any, part: TrainingRows) -> None:
    if part.classes is None:
        return
    if len(part.classes) != 2:
        raise Unavailable(
            f"multilevel corrects one margin, and there are {len(part.classes)} classes"
        )
    if not hasattr(model, "predict_proba"):
        raise Unavailable("multilevel corrects log-odds, and the estimator has no predict_proba")


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


def _numbers(reached: Any) -> NDArray[np.float64]:
    """Features at the final step as a dense array."""
    width = tables.shape(reached)[1]
    if width > _MOST_FEATURES:
        raise Unavailable(
            f"{width} features reach the final step; multilevel takes up to {_MOST_FEATURES}"
        )
    try:
        matrix = as_matrix(reached)
    except (ValueError, TypeError) as error:
        raise Unavailable(
            f"multilevel needs numbers at the final step, and a feature there is none ({error})"
        ) from error
    return np.asarray(matrix.toarray() if hasattr(matrix, "nnz") else matrix, dtype=np.float64)


def _scale(matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each feature; 0 and 1 where there is none."""
    known = ~np.isnan(matrix)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, matrix, 0.0).sum(axis=0) / count
    sd = np.sqrt((np.where(known, matrix - mean, 0.0) ** 2).sum(axis=0) / count)
    return mean, np.where(sd > 1e-12 * np.maximum(np.abs(mean), 1e-300), sd, 1.0)


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


def _weight(final: Any, part: TrainingRows) -> NDArray[np.float64] | None:
    """Row weights, and the class weights that the estimator balances by, of mean one.

    Their scale must not say how many rows there are.
    """
    balance = final.get_params(deep=False).get("class_weight")
    weight = part.weight
    if balance is not None and not is_regressor(final):
        balanced = compute_sample_weight(balance, part.y)
        weight = balanced if weight is None else balanced * weight
    if weight is None:
        return None
    return weight * ((weight > 0).sum() / max(weight.sum(), np.finfo(float).tiny))


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

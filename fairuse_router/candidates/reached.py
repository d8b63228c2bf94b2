"""What multilevel fits read of a fitted model and its rows: numbers, scales, weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.utils.class_weight import compute_sample_weight

from fairuse_router import tables
from fairuse_router.candidates.corrected import as_matrix, has_log_odds
from fairuse_router.candidates.recipes import Unavailable
from fairuse_router.rows import TrainingRows

_MOST_FEATURES = 500  # the fit needs m matrices of this size squared
_MOST_RIDGE = 2.0  # in units of the multilevel fit's penalty on shared slopes


def is_linear(final: Any, regression: bool) -> bool:
    """Whether the model is a linear one with a penalty of about that of the multilevel fit.

    Otherwise part of what looks like a correction is another penalty on what all groups share.
    """
    settings = final.get_params(deep=False)
    if not settings.get("fit_intercept", True):
        return False
    if regression:
        known = type(final) in (LinearRegression, Ridge) and np.ndim(final.coef_) == 1
        return known and settings.get("alpha", 0.0) <= _MOST_RIDGE
    if type(final) is LogisticRegression and has_log_odds(final):
        sparse = settings.get("l1_ratio") or settings.get("penalty") in ("l1", "elasticnet")
        return not sparse and 1 / settings["C"] <= _MOST_RIDGE
    return type(final) is LinearDiscriminantAnalysis


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


@dataclass(frozen=True)
class Standardized:
    """Features about standardized, as multilevel fits read them.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Gaps at their mean, 0.
    mean, sd : ndarray of shape (d,)
        0 and 1 where a feature has none.
    """

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    @classmethod
    def of(cls, reached: Any) -> Standardized:
        """Standardize features as they reach the final step.

        Raises
        ------
        Unavailable
            If they are too many, or no numbers.
        """
        matrix = _numbers(reached)
        known = ~np.isnan(matrix)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, matrix, 0.0).sum(axis=0) / count
        sd = np.sqrt((np.where(known, matrix - mean, 0.0) ** 2).sum(axis=0) / count)
        sd = np.where(sd > 1e-12 * np.maximum(np.abs(mean), 1e-300), sd, 1.0)
        return cls(np.nan_to_num((matrix - mean) / sd, nan=0.0), mean, sd)

    def by_unit(self, joint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes and, last, intercept, shape (..., d + 1), of features as they are."""
        slopes = joint[..., :-1] / self.sd
        intercept = joint[..., -1] - slopes @ self.mean
        return np.concatenate([slopes, intercept[..., None]], axis=-1)


def row_weight(final: Any, part: TrainingRows) -> NDArray[np.float64] | None:
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

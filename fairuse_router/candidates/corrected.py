"""Corrected models: a fitted model's margin, plus a linear correction that depends on the report.

The margin is the log-odds of the second class, or the prediction itself of a regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import is_regressor
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.pipeline import Pipeline

from fairuse_router import tables
from fairuse_router.candidates.scores import CLIP, answer
from fairuse_router.metrics import Predictions

Floats = NDArray[np.float64]
Further = tuple[int, int, float]  # a route, a row of the table of corrections, and its weight


@dataclass(frozen=True)
class Prepared:
    """Rows as far as they are the same under every report.

    Parameters
    ----------
    margin : ndarray of shape (n,)
        Of the uncorrected model, to scale.
    features : ndarray or sparse matrix of shape (n, d)
        As they reach its final step, without gaps.
    """

    margin: Floats
    features: Any

    def __getitem__(self, rows: NDArray[Any]) -> Prepared:
        return Prepared(self.margin[rows], self.features[rows])


@dataclass(frozen=True, eq=False)
class Corrected:
    """A fitted model and a table of linear corrections of its margin.

    It takes the model's own columns, and on their right one more: the row of the table to use. The
    margin of a row x with the code c is ``scale base margin + f(x)'table[c, :-1] + table[c, -1]``,
    f(x) being the features as they reach the final step of the base model.

    Parameters
    ----------
    base : fitted estimator
        A regressor, or a classifier of two classes with ``predict_proba``.
    table : ndarray of shape (R, d + 1)
        Slopes and intercept of each correction; a row of zeros leaves the labels as they are.
    fill : ndarray of shape (d,)
        What stands in for features that are missing at the final step.
    scale : float, default=1.0
        What the base model's margins are multiplied by: below 1 it is too sure of itself.
    linear : bool, default=False
        Whether the base model is itself linear: corrections then say all that its family can.
    """

    base: Any
    table: Floats = field(repr=False)
    fill: Floats = field(repr=False)
    scale: float = 1.0
    linear: bool = False

    def prepare(self, features: tables.Table) -> Prepared:
        """Do once what does not depend on the report; `features` are the base model's columns."""
        final, reached = final_step(self.base, features)
        margin = self.scale * base_margin(final, reached)
        return Prepared(margin, _filled(as_matrix(reached), self.fill))

    def margin(self, prepared: Prepared, codes: NDArray[np.int64]) -> Floats:
        """Margin of prepared rows, each under the code given for it, shape (n,)."""
        out = np.array(prepared.margin, dtype=np.float64)
        for code in np.unique(codes).tolist():
            rows = np.flatnonzero(codes == code)
            whole = len(rows) == len(codes)
            part = prepared.features if whole else prepared.features[rows]
            out[rows] += part @ self.table[code, :-1] + self.table[code, -1]
        return out

    def answer(self, prepared: Prepared, codes: NDArray[np.int64]) -> Predictions:
        """Labels and probabilities of prepared rows."""
        return answer(self.margin(prepared, codes), is_regressor(self.base))

    def answer_as(self, prepared: Prepared, code: int, proba: bool = True) -> Predictions:
        """Labels of prepared rows, all under one code, and probabilities where they are wanted."""
        slopes, intercept = self.table[code, :-1], self.table[code, -1]
        margin = prepared.margin + (prepared.features @ slopes + intercept)
        if proba or is_regressor(self.base):
            return answer(margin, is_regressor(self.base))
        return Predictions((margin > 0).astype(np.int64))

    def under_routes(
        self, codes: NDArray[np.int64], strengths: Floats, more: Sequence[Further] = ()
    ) -> Corrected:
        """Return the model of which code r means the correction `codes[r]` times `strengths[r]`.

        `more` adds, to the code named first, a row of the table by a weight.
        """
        table = self.table[codes] * strengths[:, None]
        for code, row, weight in more:
            table[code] += weight * self.table[row]
        return replace(self, table=table)

    def _own_margin(self, X: tables.Table) -> Floats:
        width = tables.shape(X)[1] - 1
        codes = np.asarray(tables.column(X, width).values, dtype=np.float64).astype(np.int64)
        return self.margin(self.prepare(tables.take_columns(X, range(width))), codes)


class CorrectedClassifier(Corrected):
    """A `Corrected` classifier of two classes, as scikit-learn knows them."""

    @property
    def classes_(self) -> NDArray[Any]:
        """Class labels."""
        return np.asarray(self.base.classes_)

    def decision_function(self, X: tables.Table) -> Floats:
        """Log-odds of the second class, shape (n,)."""
        return self._own_margin(X)

    def predict_proba(self, X: tables.Table) -> Floats:
        """Probabilities of both classes, shape (n, 2)."""
        proba = answer(self._own_margin(X), False).proba
        assert proba is not None
        return proba

    def predict(self, X: tables.Table) -> NDArray[Any]:
        """Label of the likelier class, shape (n,)."""
        return self.classes_[(self._own_margin(X) > 0).astype(np.int64)]


class CorrectedRegressor(Corrected):
    """A `Corrected` regressor."""

    def predict(self, X: tables.Table) -> Floats:
        """Predictions, shape (n,)."""
        return self._own_margin(X)


def final_step(estimator: Any, features: tables.Table) -> tuple[Any, Any]:
    """Return the final step of a fitted estimator, and the features as they reach it.

    Pipelines and fitted searches are followed to the end; any other estimator is a final step.
    """
    while True:
        if isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                if hasattr(step, "transform"):  # not "passthrough", nor None
                    features = step.transform(features)
            estimator = estimator.steps[-1][1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator, features


def has_log_odds(final: Any) -> bool:
    """Whether a fitted final step is linear, its decision function being log-odds."""
    if type(final) is SGDClassifier:  # a subclass may decide otherwise
        return final.loss == "log_loss"
    if type(final) is LinearDiscriminantAnalysis:
        return True
    doubled = getattr(final, "multi_class", None) == "multinomial"  # of two classes; before 1.8
    return type(final) in (LogisticRegression, LogisticRegressionCV) and not doubled


def base_margin(final: Any, reached: Any) -> Floats:
    """Margin of a fitted final step for features as they reach it.

    Probabilities are kept within [0.005, 0.995], but for linear models.

    Raises
    ------
    ValueError
        If a classifier knows but one class.
    """
    if is_regressor(final):
        return np.asarray(final.predict(reached), dtype=np.float64)
    if has_log_odds(final):
        return np.asarray(final.decision_function(reached), dtype=np.float64)
    proba = np.asarray(final.predict_proba(reached), dtype=np.float64)
    if proba.shape[1] != 2:
        raise ValueError(f"{type(final).__name__} knows {proba.shape[1]} class(es), not two")
    return np.asarray(logit(np.clip(proba[:, 1], CLIP, 1 - CLIP)))


def as_matrix(table: Any) -> Any:
    """Numbers of shape (n, d): a dense array, gaps as nan, or a sparse matrix of compressed rows.

    Raises
    ------
    ValueError
        If a column holds text.
    """
    if hasattr(table, "nnz"):
        return table.tocsr()
    return np.asarray(table, dtype=np.float64)


def _filled(matrix: Any, fill: Floats) -> Any:
    """The matrix with `fill` in place of nan."""
    if hasattr(matrix, "nnz"):
        return matrix
    gaps = np.isnan(matrix)
    return np.where(gaps, fill, matrix) if gaps.any() else matrix

"""Exact 0-1 empirical risk minimization over linear classifiers, for a handful of distinct points.

What a surrogate loss minimizes is not the error. The worked examples of
`fairuse_router.datasets.load_example` speak of the error itself, so here it is minimized by
enumeration: branch and bound over the labelings of the distinct points, where a linear program
tells which labelings a linear classifier can produce. Exponential in the worst case; for examples,
not for data.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import linprog
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted, validate_data

MAX_POINTS = 40


def separator(points: np.ndarray, signs: np.ndarray) -> np.ndarray | None:
    """Return weights (d,) with ``signs * (points @ weights) >= 1`` and the least sum of sizes.

    None if no linear function separates the points so; a constant column is the intercept.
    """
    signed = signs[:, None] * points
    found = linprog(
        np.ones(2 * points.shape[1]),
        A_ub=np.hstack([-signed, signed]),
        b_ub=-np.ones(len(points)),
        method="highs",
    )
    return None if found.x is None else np.subtract(*np.split(found.x, 2))


def best_labelings(
    points: np.ndarray, positives: np.ndarray, negatives: np.ndarray
) -> tuple[int, np.ndarray]:
    """Least number of errors of a linear classifier, and every labeling that attains it.

    Parameters
    ----------
    points : ndarray of shape (p, d)
        Distinct points, without a column for the intercept.
    positives, negatives : ndarray of int, shape (p,)
        Rows of each class at each point.

    Returns
    -------
    errors : int
    labelings : ndarray of bool, shape (L, p)
        True where the classifier says positive; the one with most positive rows first.

    Raises
    ------
    ValueError
        For more than 40 points.
    """
    if len(points) > MAX_POINTS:
        raise ValueError(
            f"{len(points)} distinct points are too many to enumerate; at most {MAX_POINTS} are "
            "allowed. Use a surrogate loss."
        )
    homogeneous = np.column_stack([points, np.ones(len(points))])
    order = np.argsort(-np.abs(positives - negatives), kind="stable")
    back = np.argsort(order)
    z, n_pos, n_neg = homogeneous[order], positives[order], negatives[order]
    unavoidable = np.append(np.cumsum(np.minimum(n_pos, n_neg)[::-1])[::-1], 0)
    best, found = int(positives.sum() + negatives.sum()), []
    for errors, signs in _search(z, n_pos, n_neg, unavoidable, limit := [best]):
        if errors < best:
            best, found = errors, []
        limit[0] = best
        found.append(signs[back] > 0)
    found.sort(key=lambda labels: (-int((positives + negatives)[labels].sum()), labels.tolist()))
    return best, np.array(found)


def _search(
    z: np.ndarray, n_pos: np.ndarray, n_neg: np.ndarray, unavoidable: np.ndarray, limit: list[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield linear labelings with at most ``limit[0]`` errors, which the caller lowers."""
    stack: list[tuple[int, np.ndarray, np.ndarray]] = [(0, np.zeros(0), np.zeros(z.shape[1]))]
    while stack:
        errors, signs, weights = stack.pop()
        i = len(signs)
        if errors + unavoidable[i] > limit[0]:
            continue
        if i == len(z):
            yield errors, signs
            continue
        likely = 1.0 if n_pos[i] >= n_neg[i] else -1.0
        for sign in (-likely, likely):  # the likely one is popped first
            more = errors + int(n_neg[i] if sign > 0 else n_pos[i])
            longer = np.append(signs, sign)
            known = weights if sign * (z[i] @ weights) >= 1 else separator(z[: i + 1], longer)
            if known is not None:
                stack.append((more, longer, known))


def _widest(points: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (1, d) and intercept (1,) of the widest margin that separates the labels."""
    if labels.all() or not labels.any():
        return np.zeros((1, points.shape[1])), np.where(labels[:1], 1.0, -1.0)
    hard = SVC(kernel="linear", C=1e9, tol=1e-6).fit(points, labels)
    if (hard.predict(points) != labels).any():
        raise ArithmeticError("the margin is too narrow for double precision; rescale X.")
    return hard.coef_, hard.intercept_


class LinearERM(ClassifierMixin, BaseEstimator):
    """Linear classifier with the fewest errors on its training rows, of two classes.

    Among labelings with equally few errors the one with most positive rows is taken, as
    sign(0) = + has it; among the weights that produce it, those of the widest margin.
    """

    def fit(self, X: Any, y: Any) -> LinearERM:
        """Find the best labeling of the distinct rows of X (n, d), and weights that produce it."""
        X, y = validate_data(self, X, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(f"y has the classes {self.classes_.tolist()}; two are needed.")
        points, which = np.unique(X, axis=0, return_inverse=True)
        positives = np.bincount(which, codes, len(points)).astype(int)
        negatives = np.bincount(which, minlength=len(points)) - positives
        self.errors_, labelings = best_labelings(points, positives, negatives)
        self.n_best_ = len(labelings)
        self.coef_, self.intercept_ = _widest(points, labelings[0])
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Signed values, shape (n,); positive for ``classes_[1]``."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return X @ self.coef_[0] + self.intercept_[0]

    def predict(self, X: Any) -> np.ndarray:
        """Labels, shape (n,)."""
        return self.classes_[(self.decision_function(X) >= 0).astype(int)]

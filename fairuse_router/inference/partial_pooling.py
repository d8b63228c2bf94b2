"""Multilevel regression: slopes and intercepts of groups that lean on each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairuse_router.inference.arrow_newton import ArrowProblem, minimize

__all__ = ["MultilevelFit", "multilevel_fit"]

_INTERCEPT_RIDGE = 4.0  # on each group's own intercept


@dataclass(frozen=True)
class MultilevelFit:
    """A fitted multilevel regression.

    Parameters
    ----------
    shared : ndarray of shape (p,)
        Shared slopes, intercept, main effects of the attributes.
    own : ndarray of shape (m, d + 1)
        What each group adds of its own: d slopes and an intercept.
    coef : ndarray of shape (m, d)
        Slopes in each group, shared and own together.
    intercept : ndarray of shape (m,)
        Intercept in each group, main effects and its own included.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, groups = rng.normal(size=(400, 1)), np.repeat([0, 1], 200)
    >>> y = (x[:, 0] * np.where(groups, -2, 2) + rng.logistic(size=400) > 0).astype(int)
    >>> fit = multilevel_fit(x, groups, y, np.eye(2), 3.0)
    >>> fit.coef.round(1).tolist(), fit.own.shape, fit.intercept.shape
    ([[2.1], [-1.6]], (2, 2), (2,))
    """

    shared: np.ndarray
    own: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray


def multilevel_fit(
    x: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    main: np.ndarray,
    ridge: float | np.ndarray,
    *,
    offset: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    squared: bool = False,
    tol: float = 1e-4,
    max_iter: int = 25,
) -> MultilevelFit:
    """Fit a multilevel logistic regression (or a linear one).

    The margin of a row of group g is ``offset + x'(u + v_g) + u0 + D_g'a + b_g``, with ridge
    penalties (half the sum of squares times) 1 on u and on the main effects a, 4 on the groups' own
    intercepts b_g, and `ridge` on their own slopes v_g; u0 is free. As it grows the groups' slopes
    become equal. Newton's method is exact and cheap here, see `arrow_newton`.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Features, about standardized.
    groups : ndarray of int, shape (n,)
        Group of each row in 0..m-1; rows of -1 speak for the shared part only, main effects zero.
    y : ndarray of shape (n,)
        0 or 1; any number if `squared`.
    main : ndarray of shape (m, k)
        Main effects: the dummies D_g of each group's levels.
    ridge : float, or ndarray of shape (m, d + 1)
        On the groups' own slopes; or on each slope and intercept of each group.
    offset : ndarray of shape (n,), default=None
        Margin of another model, to be corrected.
    weight : ndarray of shape (n,), default=None
        Weight of each row's log-likelihood.
    squared : bool, default=False
        Half the squared error in place of the log loss: a closed form.
    tol : float, default=1e-4
        A Newton step that promises less than this, in units of the objective, is the last.
    max_iter : int, default=25
        Most Newton steps.

    Returns
    -------
    MultilevelFit

    Raises
    ------
    ValueError
        If the shapes do not fit, or `x` holds numbers that are not finite.

    References
    ----------
    Gelman and Hill (2007), Data Analysis Using Regression and Multilevel/Hierarchical Models,
    chapter 13: varying intercepts and slopes. The penalties are variances of their priors, inverse.

    Examples
    --------
    Two groups with opposite slopes; with a large penalty they share one:

    >>> rng = np.random.default_rng(0)
    >>> x, groups = rng.normal(size=(400, 1)), np.repeat([0, 1], 200)
    >>> y = (x[:, 0] * np.where(groups, -2, 2) + rng.logistic(size=400) > 0).astype(int)
    >>> stiff, soft = (multilevel_fit(x, groups, y, np.eye(2), ridge) for ridge in (1e6, 3.0))
    >>> stiff.coef.ravel().round(2).tolist(), soft.coef.ravel().round(1).tolist()
    ([0.06, 0.06], [2.1, -1.6])
    """
    check_shapes(x, groups, y, main)
    problem = ArrowProblem(x, groups, y, main, offset, weight, squared)
    if np.ndim(ridge) == 0:
        row = np.append(np.full(problem.d, float(ridge)), _INTERCEPT_RIDGE)
        ridge = np.tile(row, (problem.m, 1))
    found = minimize(problem, np.asarray(ridge)[None], None, tol, max_iter)
    joint = problem.joint(found.shared, found.own)[0, :-1]
    return MultilevelFit(found.shared[0], found.own[0], joint[:, :-1], joint[:, -1])


def check_shapes(x: np.ndarray, groups: np.ndarray, y: np.ndarray, main: np.ndarray) -> None:
    """Refuse rows that cannot be fitted."""
    if x.ndim != 2 or main.ndim != 2 or not len(x) == len(groups) == len(y):
        raise ValueError(
            f"multilevel: x {x.shape}, groups {groups.shape}, y {y.shape}, main {main.shape}; "
            "give one row of x, group and label per row, and one row of main per group."
        )
    if len(groups) and not -1 <= groups.min() <= groups.max() < len(main):
        raise ValueError(
            f"multilevel: groups lie in {groups.min()}..{groups.max()}; allowed is "
            f"-1..{len(main) - 1}, main having {len(main)} rows."
        )
    if not np.isfinite(x).all():
        raise ValueError("multilevel: x holds numbers that are not finite; impute them first.")

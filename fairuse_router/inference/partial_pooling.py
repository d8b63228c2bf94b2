"""Multilevel regression: slopes and intercepts of groups that lean on each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

__all__ = ["MultilevelFit", "multilevel_path"]

_MAIN_RIDGE = 1.0  # on the shared slopes and on the main effects
_INTERCEPT_RIDGE = 4.0  # on each group's own intercept


@dataclass(frozen=True)
class MultilevelFit:
    """A fitted multilevel regression.

    Parameters
    ----------
    penalty : float
        Ridge on the groups' own slopes.
    shared : ndarray of shape (p,)
        Shared slopes, intercept, main effects of the attributes.
    own : ndarray of shape (m, d + 1)
        What each group adds of its own: d slopes and an intercept.
    coef : ndarray of shape (m, d)
        Slopes in each group, shared and own together.
    intercept : ndarray of shape (m,)
        Intercept in each group, main effects and its own included.
    """

    penalty: float
    shared: np.ndarray
    own: np.ndarray
    coef: np.ndarray
    intercept: np.ndarray


def multilevel_path(
    x: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    main: np.ndarray,
    penalties: Sequence[float],
    *,
    offset: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    squared: bool = False,
    tol: float = 1e-4,
    max_iter: int = 25,
) -> list[MultilevelFit]:
    """Fit a multilevel logistic regression (or a linear one) for several penalties.

    The margin of a row of group g is ``offset + x'(u + v_g) + u0 + D_g'a + b_g``, with ridge
    penalties (half the sum of squares times) 1 on u and on the main effects a, 4 on the groups' own
    intercepts b_g, and S on their own slopes v_g; u0 is free. As S grows the groups' slopes become
    equal.

    Newton's method is exact and cheap here: the Hessian is arrow-shaped, the groups being linked
    only through the shared part, so that eliminating group by group costs m (d + 1)^3 instead of
    (m d)^3. Each penalty starts where the previous one ended.

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
    penalties : sequence of float
        Values of S, best in falling order.
    offset : ndarray of shape (n,), default=None
        Margin of another model, to be corrected.
    weight : ndarray of shape (n,), default=None
        Weight of each row's log-likelihood.
    squared : bool, default=False
        Half the squared error in place of the log loss: a closed form.
    tol : float, default=1e-4
        A Newton step that promises less than this, in units of the objective, is the last.
    max_iter : int, default=25
        Most Newton steps for each penalty.

    Returns
    -------
    list of MultilevelFit
        In the order of `penalties`.

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
    >>> stiff, soft = multilevel_path(x, groups, y, np.eye(2), [1e6, 3.0])
    >>> stiff.coef.ravel().round(2).tolist(), soft.coef.ravel().round(1).tolist()
    ([0.06, 0.06], [2.1, -1.6])
    """
    _check(x, groups, y, main)
    problem = _Problem(x, groups, y, main, offset, weight, squared)
    shared = np.zeros(len(problem.shared_ridge))
    own = np.zeros((problem.m, problem.d + 1))
    fits = []
    for penalty in penalties:
        shared, own = _minimize(problem, float(penalty), shared, own, tol, max_iter)
        joint = problem.spread(shared)[: problem.m] + own
        fits.append(MultilevelFit(float(penalty), shared, own, joint[:, :-1], joint[:, -1]))
    return fits


def _check(x: np.ndarray, groups: np.ndarray, y: np.ndarray, main: np.ndarray) -> None:
    if x.ndim != 2 or main.ndim != 2 or not len(x) == len(groups) == len(y):
        raise ValueError(
            f"multilevel_path: x {x.shape}, groups {groups.shape}, y {y.shape}, main {main.shape}; "
            "give one row of x, group and label per row, and one row of main per group."
        )
    if len(groups) and not -1 <= groups.min() <= groups.max() < len(main):
        raise ValueError(
            f"multilevel_path: groups lie in {groups.min()}..{groups.max()}; allowed is "
            f"-1..{len(main) - 1}, main having {len(main)} rows."
        )
    if not np.isfinite(x).all():
        raise ValueError("multilevel_path: x holds numbers that are not finite; impute them first.")


class _Problem:
    """Rows sorted by group, and the objective: loss, gradient and curvature in every group.

    The last of the m + 1 groups is that of the rows without one. In a group all parameters act
    through its d + 1 joint coefficients, so that the moments of (x, 1) hold all that is needed.
    """

    def __init__(
        self,
        x: np.ndarray,
        groups: np.ndarray,
        y: np.ndarray,
        main: np.ndarray,
        offset: np.ndarray | None,
        weight: np.ndarray | None,
        squared: bool,
    ) -> None:
        self.m, self.d, self.squared = len(main), x.shape[1], squared
        order = np.argsort(np.where(groups < 0, self.m, groups), kind="stable")
        self.x1 = np.column_stack([x[order], np.ones(len(x))])
        self.y = np.asarray(y, dtype=np.float64)[order]
        self.offset = np.zeros(len(x)) if offset is None else offset[order]
        self.weight = np.ones(len(x)) if weight is None else weight[order]
        counts = np.bincount(np.where(groups < 0, self.m, groups), minlength=self.m + 1)
        ends = np.cumsum(counts)
        self.slices = [slice(end - c, end) for c, end in zip(counts, ends, strict=True)]
        constant = np.column_stack([np.ones(self.m), main])  # what multiplies (u0, a)
        none = np.concatenate([[1.0], np.zeros(main.shape[1])])
        self.constant = np.vstack([constant, none])
        self.n_slopes = self.d
        ridge = [
            np.full(self.n_slopes, _MAIN_RIDGE),
            np.zeros(1),
            np.full(main.shape[1], _MAIN_RIDGE),
        ]
        self.shared_ridge = np.concatenate(ridge)

    def spread(self, shared: np.ndarray) -> np.ndarray:
        """Joint coefficients that the shared part gives each group, shape (m + 1, d + 1)."""
        out = np.zeros((self.m + 1, self.d + 1))
        out[:, : self.n_slopes] = shared[: self.n_slopes]
        out[:, -1] = self.constant @ shared[self.n_slopes :]
        return out

    def collect(self, score: np.ndarray) -> np.ndarray:
        """Transpose of `spread`: from (m + 1, d + 1) to the shared part."""
        return np.concatenate([score[:, : self.n_slopes].sum(axis=0), score[:, -1] @ self.constant])

    def sandwich(self, k: np.ndarray) -> np.ndarray:
        """Sum over groups of `spread`' K_g `spread`, K_g of shape (m + 1, d + 1, d + 1)."""
        s = self.n_slopes
        cross = k[:, :s, -1].T @ self.constant
        corner = self.constant.T @ (k[:, -1, -1, None] * self.constant)
        return np.block([[k[:, :s, :s].sum(axis=0), cross], [cross.T, corner]])

    def margin(self, joint: np.ndarray) -> np.ndarray:
        """Margin of every row under joint coefficients of shape (m + 1, d + 1)."""
        out = self.offset.copy()
        for rows, coef in zip(self.slices, joint, strict=True):
            out[rows] += self.x1[rows] @ coef
        return out

    def loss(self, margin: np.ndarray) -> float:
        """Objective without the penalties."""
        if self.squared:
            return float(self.weight @ (self.y - margin) ** 2) / 2
        softplus = np.maximum(margin, 0) + np.log(1 + np.exp(-np.abs(margin)))
        return float(self.weight @ (softplus - self.y * margin))

    def moments(self, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score (m + 1, d + 1) and curvature (m + 1, d + 1, d + 1) of the joint coefficients."""
        p = margin if self.squared else expit(margin)
        residual = self.weight * (self.y - p)
        curvature = self.weight if self.squared else self.weight * p * (1 - p)
        score = np.zeros((self.m + 1, self.d + 1))
        second = np.zeros((self.m + 1, self.d + 1, self.d + 1))
        for g, rows in enumerate(self.slices):
            block = self.x1[rows]
            score[g] = residual[rows] @ block
            second[g] = (block * curvature[rows, None]).T @ block
        return score, second


def _minimize(
    problem: _Problem,
    penalty: float,
    shared: np.ndarray,
    own: np.ndarray,
    tol: float,
    max_iter: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method from a start, with steps halved while they do not help."""
    own_ridge = np.concatenate([np.full(problem.d, penalty), [_INTERCEPT_RIDGE]])

    def value(shared: np.ndarray, own: np.ndarray) -> tuple[float, np.ndarray]:
        joint = problem.spread(shared)
        joint[:-1] += own
        margin = problem.margin(joint)
        ridge = problem.shared_ridge @ shared**2 + (own_ridge * own**2).sum()
        return problem.loss(margin) + ridge / 2, margin

    now, margin = value(shared, own)
    for _ in range(max_iter):
        score, second = problem.moments(margin)
        d_shared, d_own, promise = _step(problem, own_ridge, shared, own, score, second)
        size = 1.0
        for _ in range(30):
            new, margin = value(shared + size * d_shared, own + size * d_own)
            if new <= now + 1e-12 * abs(now):
                break
            size /= 2
        shared, own, now = shared + size * d_shared, own + size * d_own, new
        if promise < tol or problem.squared:
            break
    return shared, own


def _step(
    problem: _Problem,
    own_ridge: np.ndarray,
    shared: np.ndarray,
    own: np.ndarray,
    score: np.ndarray,
    second: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Newton step by elimination of the groups, and the gain that it promises."""
    m, width = own.shape
    g_own = score[:-1] - own_ridge * own
    g_shared = problem.collect(score) - problem.shared_ridge * shared
    curvature = second[:-1] + np.diag(own_ridge)
    right = np.concatenate([second[:-1], g_own[:, :, None]], axis=2)
    solved = np.linalg.solve(curvature, right)
    # what the group leaves to the shared part: M - M C^-1 M
    left = second.copy()
    left[:-1] -= second[:-1] @ solved[:, :, :width]
    schur = problem.sandwich(left) + np.diag(problem.shared_ridge)
    known = np.zeros((m + 1, width))
    known[:-1] = np.einsum("gij,gj->gi", second[:-1], solved[:, :, width])
    d_shared = np.linalg.solve(schur, g_shared - problem.collect(known))
    moved = problem.spread(d_shared)[:-1]
    d_own = solved[:, :, width] - np.einsum("gij,gj->gi", solved[:, :, :width], moved)
    promise = float(g_shared @ d_shared + (g_own * d_own).sum()) / 2
    return d_shared, d_own, promise

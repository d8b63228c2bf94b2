"""Multilevel regression without knobs: how much groups may differ is learned from the rows."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from fairuse_router.inference.arrow_newton import ArrowProblem, Minimum, minimize
from fairuse_router.inference.partial_pooling import check_shapes

__all__ = ["evidence_shares", "multilevel_bayes"]

_SLOPE_RIDGES = (300.0, 100.0, 30.0, 10.0, 3.0)
_INTERCEPT_RIDGES = (8.0, 2.0)
_START = (30.0, 4.0)
_TAIL_RIDGE, _TAIL_INTERCEPT = 100.0, 3.0  # of the prior with heavy tails
_TAIL_START = 10.0
_TAIL_STEPS = 5
_SHARE_STEPS = 50
_ROUGH, _NEAR, _FINE = (
    10.0,
    1.0,
    0.1,
)  # promises of the last step; what is left then is their square
_INFORMATION = 4.0  # of a row of a regression, in rows with a label that is a toss-up


def multilevel_bayes(
    x: np.ndarray,
    groups: np.ndarray,
    y: np.ndarray,
    main: np.ndarray,
    *,
    offset: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    squared: bool = False,
) -> np.ndarray:
    """Fit a multilevel regression whose penalties are learned from the rows.

    The model is that of `multilevel_fit`. The result is the mean of two empirical Bayes fits, which
    differ in the prior of the groups' own slopes and err in different ways:

    - normal, its variance one of five and the intercepts' one of two: in every group the ten fits
      are averaged by the group's evidence for them, see `evidence_shares`;
    - Student's t with one degree of freedom, each slope of each group having a variance of its own:
      few slopes may be large while the others are almost nothing (EM).

    In a regression the variance of the noise is estimated, and priors are in its unit.

    Parameters
    ----------
    x, groups, y, main, offset, squared
        As for `multilevel_fit`.
    weight : ndarray of shape (n,), default=None
        Weight of each row. They are scaled to a mean of one over the rows that have any, so that
        their scale says nothing of how many rows there are.

    Returns
    -------
    ndarray of shape (m, d + 1)
        Slopes and, last, intercept of each group.

    Raises
    ------
    ValueError
        If the shapes do not fit, or `x` holds numbers that are not finite.

    References
    ----------
    MacKay (1992), Bayesian Interpolation, Neural Computation 4, 415-447, for the evidence; Tipping
    (2001), Sparse Bayesian Learning and the Relevance Vector Machine, JMLR 1, 211-244, for a
    variance of every coefficient's own.

    Examples
    --------
    Of three groups one has the opposite slope:

    >>> rng = np.random.default_rng(0)
    >>> x, groups = rng.normal(size=(900, 1)), np.repeat([0, 1, 2], 300)
    >>> y = (x[:, 0] * np.array([2, 2, -2])[groups] + rng.logistic(size=900) > 0).astype(int)
    >>> multilevel_bayes(x, groups, y, np.eye(3))[:, 0].round(1).tolist()
    [1.8, 1.6, -1.9]
    """
    check_shapes(x, groups, y, main)
    if weight is not None:
        weight = weight * ((weight > 0).sum() / max(weight.sum(), np.finfo(float).tiny))
    problem = ArrowProblem(x, groups, y, main, offset, weight, squared)
    unit = _INFORMATION if squared else 1.0
    start = minimize(problem, unit * _ridge(problem, *_START), tol=_ROUGH)
    normal, noise = _normal_priors(problem, start, unit)
    return (normal + _heavy_tails(problem, start, unit, noise)) / 2


def _ridge(problem: ArrowProblem, slope: float, intercept: float) -> np.ndarray:
    """The same ridge for all groups, shape (1, m, d + 1)."""
    row = np.append(np.full(problem.d, slope), intercept)
    return np.tile(row, (1, problem.m, 1))


@dataclass(frozen=True)
class _Posterior:
    """A fit, and the curvature of its penalized loss in what groups have of their own."""

    found: Minimum
    ridge: np.ndarray

    @property
    def curvature(self) -> np.ndarray:
        """Shape (K, m, d + 1, d + 1)."""
        width = self.ridge.shape[2]
        return self.found.second[:, :-1] + self.ridge[..., None] * np.eye(width)

    def noise(self, problem: ArrowProblem) -> float:
        """Variance of the noise of the last of K regressions, by its effective parameters."""
        if not problem.squared:
            return 1.0
        inner = self.found.second[-1, :-1]
        used = np.trace(np.linalg.solve(self.curvature[-1], inner), axis1=1, axis2=2).sum()
        rows = float(problem.weight.sum())
        left = max(rows - used - len(problem.shared_ridge), rows / 10)
        return max(2 * float(self.found.loss[-1].sum()) / max(left, 1e-300), 1e-300)

    def evidence(self, noise: float) -> np.ndarray:
        """Laplace's log evidence of each group given the shared part, shape (K, m)."""
        own = (self.ridge * self.found.own**2).sum(axis=2) / 2
        determinant = np.linalg.slogdet(self.curvature)[1]
        volume = (np.log(self.ridge).sum(axis=2) - determinant) / 2
        return volume - (self.found.loss[:, :-1] + own) / noise


def _normal_priors(problem: ArrowProblem, start: Minimum, unit: float) -> tuple[np.ndarray, float]:
    """Coefficients averaged over penalties by evidence, and the variance of the noise."""
    grid = itertools.product(_INTERCEPT_RIDGES, _SLOPE_RIDGES)
    ridge = unit * np.concatenate([_ridge(problem, s, b) for b, s in grid])
    found = minimize(problem, ridge, start, tol=_FINE)
    posterior = _Posterior(found, ridge)
    noise = posterior.noise(problem)
    shares = evidence_shares(posterior.evidence(noise))
    joint = problem.joint(found.shared, found.own)[:, :-1]
    return np.einsum("kg,kgj->gj", shares, joint), noise


def evidence_shares(evidence: np.ndarray) -> np.ndarray:
    """Share of each of K models in each group, by the group's evidence and how common a model is.

    How common each is among all groups is learned by EM from equal shares, one group's worth of
    which stays in the count.

    Parameters
    ----------
    evidence : ndarray of shape (K, m)
        Log evidence of each model in each group.

    Returns
    -------
    ndarray of shape (K, m)
        Columns sum to 1.

    Examples
    --------
    Two groups are sure, a third borrows from them:

    >>> evidence_shares(np.array([[9.0, 9.0, 0.0], [0.0, 0.0, 0.0]]))[0].round(2).tolist()
    [1.0, 1.0, 0.83]
    """
    models, groups = evidence.shape
    odds = np.exp(evidence - evidence.max(axis=0))
    common = np.full(models, 1 / models)
    for _ in range(_SHARE_STEPS):
        shares = common[:, None] * odds
        shares /= shares.sum(axis=0)
        common = (shares.sum(axis=1) + 1 / models) / (groups + 1)
    return shares


def _heavy_tails(problem: ArrowProblem, start: Minimum, unit: float, noise: float) -> np.ndarray:
    """Coefficients under t(1) priors of the own slopes, by EM over their variances."""
    ridge = unit * _ridge(problem, _TAIL_START, _TAIL_INTERCEPT)
    slopes = slice(0, problem.d)
    for _ in range(_TAIL_STEPS):
        start = minimize(problem, ridge, start, max_iter=1)
        inverse = np.linalg.inv(_Posterior(start, ridge).curvature)
        spread = start.own**2 / noise + np.diagonal(inverse, axis1=2, axis2=3)
        ridge[..., slopes] = unit * 2 / (1 / _TAIL_RIDGE + unit * spread[..., slopes])
    found = minimize(problem, ridge, start, tol=_NEAR)
    return problem.joint(found.shared, found.own)[0, :-1]

"""Two-prior empirical Bayes: what a group's gain is worth once groups lend each other evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairuse_router.inference.paired import row_sums

__all__ = ["TwoPrior", "group_moments", "two_prior"]

_PRIOR_ROWS = 10


@dataclass(frozen=True)
class TwoPrior:
    """Posterior mean and standard deviation of every gain under two priors.

    Parameters
    ----------
    m1, sd1 : ndarray of shape (m, C)
        POOL: gains scatter around their mean over the groups.
    m2, sd2 : ndarray of shape (m, C)
        SKEP: as POOL, but a positive mean is not believed; no group borrows a gain.

    Examples
    --------
    >>> gains = np.array([[0.10], [0.08], [-0.01]])  # of one candidate in three groups
    >>> post = two_prior(gains, np.full((3, 1), 20.0), np.array([100.0, 100.0, 100.0]))
    >>> post.m1.round(3).ravel(), post.sd1.round(3).ravel()
    (array([0.075, 0.066, 0.029]), array([0.035, 0.035, 0.035]))
    """

    m1: np.ndarray
    sd1: np.ndarray
    m2: np.ndarray
    sd2: np.ndarray


def group_moments(
    gain_rows: np.ndarray,
    group: np.ndarray,
    m: int,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean gain, its sum of squares and the effective number of rows, per group.

    Parameters
    ----------
    gain_rows : ndarray of shape (n,)
        Loss of the reference minus loss of the model.
    group : ndarray of int of shape (n,)
        Group of each row in 0..m-1; -1 belongs to none.
    m : int
        Number of groups.
    weight, clusters : ndarray of shape (n,), default=None
        Row weights; rows of one cluster are not independent.

    Returns
    -------
    mean : ndarray of shape (m,)
        nan for groups without rows.
    ss : ndarray of shape (m,)
        ``ss / n**2`` is the variance of the mean; the sum of squares about the mean without
        weights and clusters.
    n : ndarray of shape (m,)
        Effective number of independent rows, ``(sum v)^2 / sum v^2`` over rows or clusters.

    Examples
    --------
    >>> mean, ss, n = group_moments(np.array([1.0, 0.0, 0.5]), np.array([0, 0, 2]), 3)
    >>> mean, ss, n
    (array([0.5, nan, 0.5]), array([0.5, 0. , 0. ]), array([2., 0., 1.]))
    """
    sums = row_sums(gain_rows, group, m, weight, clusters)
    v, u, vv, uv, uu = sums[1:6]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = u / v
        n = np.where(v > 0, v**2 / vv, 0.0)
        about = np.maximum(uu - 2 * mean * uv + mean**2 * vv, 0.0)
        ss = np.where(v > 0, about * (n / v) ** 2, 0.0)
    return mean, np.where(about > 1e-12 * uu, ss, 0.0), n


def two_prior(d: np.ndarray, ss: np.ndarray, n: np.ndarray) -> TwoPrior:
    """Shrink the gains of each candidate over the groups, under two priors.

    With ``s2 = (ss + 10 v) / ((n + 10) n)``, ``v`` the pooled variance of one row, and weights
    ``w = 1 / s2``, the variance between groups ``tau2`` is DerSimonian and Laird's (1986).
    Under POOL a gain shrinks towards the mean over groups; under SKEP a positive mean is replaced
    by 0 and ``tau2`` by the weighted mean of ``d^2 - s2``.

    Parameters
    ----------
    d, ss : ndarray of shape (m, C)
        Mean gains of C candidates on m groups and their sums of squares (`group_moments`); a
        ``d`` that is not finite marks a candidate without evidence for that group.
    n : ndarray of shape (m, C) or (m,)
        Effective rows.

    Returns
    -------
    TwoPrior
        nan where there is no evidence.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> d = np.array([[0.10], [0.08], [-0.01]])
    >>> post = two_prior(d, np.full((3, 1), 20.0), np.array([100.0, 100.0, 100.0]))
    >>> post.m1.round(3).ravel(), post.m2.round(3).ravel()
    (array([0.075, 0.066, 0.029]), array([ 0.064,  0.051, -0.006]))
    """
    d, ss = np.asarray(d, float), np.asarray(ss, float)
    n = np.asarray(n, float)
    n = n[:, None] if n.ndim == 1 else n
    if d.ndim != 2 or ss.shape != d.shape or n.shape not in (d.shape, (len(d), 1)):
        raise ValueError(
            f"two_prior: d {d.shape}, ss {ss.shape}, n {n.shape}; give d and ss as (groups, "
            "candidates) and n alike or as (groups,)."
        )
    known = np.isfinite(d) & (n > 0)
    s2 = _steadied_variance(known, d, ss, n)
    d0 = np.where(known, d, 0.0)
    mu, vmu, tau2 = _random_effects(known, d0, s2)
    m1, sd1 = _posterior(d0, s2, mu, vmu, tau2)
    w = known / s2
    total = np.maximum(w.sum(axis=0), np.finfo(float).tiny)
    own = np.maximum(0.0, (w * (d0**2 - s2)).sum(axis=0) / total)
    doubt = mu > 0
    m2, sd2 = _posterior(
        d0, s2, np.where(doubt, 0.0, mu), np.where(doubt, 0.0, vmu), np.where(doubt, own, tau2)
    )
    return TwoPrior(*(np.where(known, x, np.nan) for x in (m1, sd1, m2, sd2)))


def _steadied_variance(
    known: np.ndarray, d: np.ndarray, ss: np.ndarray, n: np.ndarray
) -> np.ndarray:
    """Variance of each mean, steadied by ten pooled rows and kept above rounding."""
    count = np.where(known, n, 0.0)
    squares = np.where(known, ss, 0.0)
    pooled = squares.sum(axis=0) / np.maximum(count.sum(axis=0), 1e-300)
    rows = np.where(known, count, 1.0)
    s2 = (squares + _PRIOR_ROWS * pooled) / ((rows + _PRIOR_ROWS) * rows)
    floor = 1e-14 * np.where(known, d**2, 0.0).max(axis=0, initial=0.0) + 1e-100
    return np.maximum(s2, floor)


def _random_effects(
    known: np.ndarray, d: np.ndarray, s2: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over groups, its variance, and the variance between groups, per candidate."""
    w = known / s2
    groups = known.sum(axis=0)
    total = np.where(groups > 0, w.sum(axis=0), 1.0)
    q = (w * (d - (w * d).sum(axis=0) / total) ** 2).sum(axis=0)
    scale = total - (w**2).sum(axis=0) / total
    several = (groups > 1) & (scale > 0)
    tau2 = np.where(several, np.maximum(0.0, q - (groups - 1)) / np.where(several, scale, 1.0), 0.0)
    w = known / (s2 + tau2)
    total = np.where(groups > 0, w.sum(axis=0), 1.0)
    return (w * d).sum(axis=0) / total, 1.0 / total, tau2


def _posterior(
    d: np.ndarray, s2: np.ndarray, mu: np.ndarray, vmu: np.ndarray, tau2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Normal posterior of each gain given the prior of its candidate."""
    b = s2 / (s2 + tau2)
    return (1 - b) * d + b * mu, np.sqrt((1 - b) * s2 + b**2 * vmu)

"""How much of a correction is real in each group: the posterior of its calibration slope.

A correction moves the margin z0 of a model to z0 + delta. If in truth P(y = 1) = sigmoid(z0 + r
delta), r is the correction's *calibration slope* in the group: 1 where all of it is real, 0 where
none is, and below one half its full use harms (Brier score, small delta). Cox (1958), Two further
applications of a model for binary regression, Biometrika 45, 562-565, has the slope; here every
group has one of its own, and the groups lend each other evidence about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

__all__ = ["SLOPES", "STRENGTHS", "SlopeEvidence", "slope_evidence", "slope_posterior"]

SLOPES = np.linspace(-1.5, 2.5, 33)
STRENGTHS = np.array([0.25, 0.5, 0.75, 1.0])
_MEANS = np.linspace(-0.5, 1.5, 21)
_FAR = 40.0  # margins beyond it are certainties
_BLOCK = 2048
_SPREADS = np.array([0.05, 0.15, 0.3, 0.5, 0.8, 1.2])


@dataclass(frozen=True)
class SlopeEvidence:
    """What the rows of each group say of its slope, and what each strength would gain.

    Parameters
    ----------
    log_lik : ndarray of shape (m, 33)
        Log-likelihood of every slope in `SLOPES`.
    gain : ndarray of shape (m, 4, 33)
        Mean gain in Brier score (squared error for a regression) of each strength in `STRENGTHS`
        over the uncorrected model, if the slope were that; 0 in groups without rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> base, delta = rng.normal(size=500), rng.choice([-2.0, 2.0], 500)
    >>> y = base + delta + rng.logistic(size=500) > 0  # the correction is real
    >>> evidence = slope_evidence(y, base, base + delta, np.zeros(500, dtype=int), 1)
    >>> evidence.log_lik.shape, evidence.gain.shape
    ((1, 33), (1, 4, 33))
    >>> float(SLOPES[evidence.log_lik[0].argmax()])
    1.0
    """

    log_lik: np.ndarray
    gain: np.ndarray


def slope_evidence(
    y: np.ndarray,
    base: np.ndarray,
    corrected: np.ndarray,
    groups: np.ndarray,
    m: int,
    *,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    squared: bool = False,
) -> SlopeEvidence:
    """Reduce rows to the likelihood of the slope and the gain of every strength, per group.

    With p = sigmoid(base + r delta), q = sigmoid(base + strength delta) and q0 = sigmoid(base), the
    expected gain of a row is (q0 - q)(q0 + q - 2 p). For a regression sigmoid is the identity and
    errors are normal, with the variance that the uncorrected model leaves over all groups.

    Parameters
    ----------
    y : ndarray of shape (n,)
        0 or 1; any number if `squared`.
    base, corrected : ndarray of shape (n,)
        Margins without and with the full correction, for rows that neither model has seen.
    groups : ndarray of int, shape (n,)
        Group of each row in 0..m-1; rows of -1 are left out.
    m : int
        Number of groups.
    weight : ndarray of shape (n,), default=None
        Weights; a group counts as its effective number of rows, ``(sum w)^2 / sum w^2``.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are not independent: a group's likelihood is flattened until its
        curvature matches the variance of its score between clusters, at its likeliest slope
        (Pauli, Racugno, Ventura 2011, Statistica Sinica 21, 149-164).
    squared : bool, default=False
        A regression.

    Returns
    -------
    SlopeEvidence

    Examples
    --------
    Half of a correction of 2 is real:

    >>> rng = np.random.default_rng(0)
    >>> base = rng.normal(size=1000)
    >>> delta = np.where(rng.random(1000) < 0.5, 2.0, -2.0)
    >>> y = base + 0.5 * delta + rng.logistic(size=1000) > 0
    >>> evidence = slope_evidence(y, base, base + delta, np.zeros(1000, dtype=int), 1)
    >>> float(SLOPES[evidence.log_lik[0].argmax()])
    0.5
    """
    variance = 1.0
    if squared:
        known = groups >= 0
        error = (y[known] - base[known]) ** 2
        variance = float(np.average(error, weights=None if weight is None else weight[known]))
    log_lik = np.zeros((m, len(SLOPES)))
    gain = np.zeros((m, len(STRENGTHS), len(SLOPES)))
    for g in range(m):
        rows = np.flatnonzero(groups == g)
        w = np.ones(len(rows)) if weight is None else weight[rows]
        if not w.any():
            continue
        w = w * (w.sum() / (w @ w))
        z, delta = base[rows], corrected[rows] - base[rows]
        part = _squared_parts if squared else _logistic_parts
        log_lik[g], gain[g] = part(y[rows], z, delta, w)
        log_lik[g] /= max(variance, np.finfo(float).tiny)
        if clusters is not None:
            best = z + SLOPES[log_lik[g].argmax()] * delta
            error = y[rows] - (best if squared else expit(best))
            log_lik[g] *= flattening(w * delta * error, clusters[rows])
    return SlopeEvidence(log_lik, gain)


def _logistic_parts(
    y: np.ndarray, z: np.ndarray, delta: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood (33,) and gains (4, 33) of one group."""
    z, delta = np.clip(z, -_FAR, _FAR), np.clip(delta, -_FAR / 2, _FAR / 2)
    log_lik = ((y - 1) * w) @ z + SLOPES * (((y - 1) * w) @ delta)
    q0, q = expit(z), expit(z + STRENGTHS[:, None] * delta)
    share = w / w.sum()
    change = (q0 - q) * share
    gain = np.repeat((change * (q0 + q)).sum(axis=1)[:, None], len(SLOPES), axis=1)
    for start in range(0, len(y), _BLOCK):  # blocks that stay in the processor's cache
        rows = slice(start, start + _BLOCK)
        # exp(-margin) at every slope is a geometric series
        odds = np.empty((len(SLOPES), len(y[rows])))
        odds[0] = np.exp(-z[rows] - SLOPES[0] * delta[rows])
        odds[1:] = np.exp(-(SLOPES[1] - SLOPES[0]) * delta[rows])
        np.multiply.accumulate(odds, axis=0, out=odds)
        odds += 1
        log_lik -= np.log(odds) @ w[rows]
        np.reciprocal(odds, out=odds)  # now the probability
        gain -= 2 * change[:, rows] @ odds.T
    return log_lik, gain


def _squared_parts(
    y: np.ndarray, z: np.ndarray, delta: np.ndarray, w: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """As `_logistic_parts` for a regression, the log-likelihood still to be divided by variance."""
    fitted = z + SLOPES[:, None] * delta
    log_lik = -((y - fitted) ** 2 @ w) / 2
    scale = (w @ delta**2) / w.sum()
    lam = STRENGTHS[:, None]
    return log_lik, scale * lam * (2 * SLOPES - lam)


def flattening(score: np.ndarray, clusters: np.ndarray) -> float:
    """Variance of a sum of scores if rows were independent, over that between clusters; at most 1.

    1 where the scores all vanish.
    """
    _, index = np.unique(clusters, return_inverse=True)
    between = float((np.bincount(index, weights=score) ** 2).sum())
    return 1.0 if between == 0 else min(1.0, float(score @ score) / between)


def slope_posterior(
    log_lik: np.ndarray, *, highest_mean: float = np.inf, stray: float = 0.0
) -> np.ndarray:
    """Posterior of every group's slope on the grid, given the rows of all groups.

    The slopes of the groups are draws from N(mu, tau^2), cut to the grid; mu is flat on -0.5 (0.1)
    1.5, tau in {0.05, 0.15, 0.3, 0.5, 0.8, 1.2} has weight exp(-2 tau^2). All sums are exact.

    Parameters
    ----------
    log_lik : ndarray of shape (m, 33)
        From `slope_evidence`; zero where a group has no rows.
    highest_mean : float, default=inf
        Means above it are left out: at 0.2 no group borrows a gain from the others.
    stray : float, default=0
        Share of the prior that is N(0, 1) whatever the other groups say.

    Returns
    -------
    ndarray of shape (m, 33)
        Probabilities; every row sums to 1.

    Examples
    --------
    A group without rows has what the others lend:

    >>> seen = np.stack([-20 * (SLOPES - 1) ** 2] * 3 + [0 * SLOPES])
    >>> np.round(slope_posterior(seen) @ SLOPES, 2).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    means = _MEANS[highest_mean + 1e-9 >= _MEANS]
    mu, tau = (axis.ravel()[:, None] for axis in np.meshgrid(means, _SPREADS, indexing="ij"))
    log_prior = _normalized(-0.5 * ((SLOPES - mu) / tau) ** 2)
    if stray:
        log_stray = _normalized(-0.5 * SLOPES[None, :] ** 2)
        log_prior = np.logaddexp(np.log1p(-stray) + log_prior, np.log(stray) + log_stray)
    # the sums over the grid are two products of matrices; priors that underflow weigh nothing
    prior = np.exp(log_prior)
    likelihood = np.exp(log_lik - log_lik.max(axis=1, keepdims=True))
    evidence = prior @ likelihood.T
    with np.errstate(divide="ignore"):
        log_weight = -2 * tau[:, 0] ** 2 + np.log(evidence).sum(axis=1)
    weight = np.exp(log_weight - logsumexp(log_weight))
    used = weight > 0
    return likelihood * ((weight[used, None] / evidence[used]).T @ prior[used])


def _normalized(log_mass: np.ndarray) -> np.ndarray:
    return log_mass - logsumexp(log_mass, axis=1, keepdims=True)

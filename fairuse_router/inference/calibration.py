"""Calibration of probabilities: logistic recalibration, observed over expected, flexible curves.

Cox (1958), Steyerberg (2019, chapter 15), Van Calster et al. (2016): calibration in the large is
the intercept beside the log-odds as an offset, the slope what the log-odds must be multiplied by.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats
from scipy.special import expit

__all__ = ["Curve", "Recalibration", "calibration_curve", "observed_over_expected", "recalibrate"]

_STEPS, _SURE = 60, 25.0  # log-odds that nothing but separation brings about
_EDGE = 1e-9  # probabilities of 0 and 1 have no log-odds


class Recalibration(NamedTuple):
    """What makes probabilities calibrated; nan where the rows cannot tell.

    `intercept` is that beside log-odds as they are (calibration in the large), `slope` that of the
    log-odds with an intercept of its own. Intervals are at level ``1 - alpha``, by the likelihood
    (slope) or the score (intercept) of the rows. `p_slope` and `p_intercept` are two-sided
    p-values of a slope of 1, an intercept of 0, by the likelihood ratio and the score.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.02, 0.98, 5000)
    >>> y = (rng.random(5000) < p).astype(int)
    >>> found = recalibrate(expit(2 * log_odds_of(p)), y)  # twice too sure
    >>> round(found.slope, 1), found.slope_low < 0.5 < found.slope_high, found.p_slope < 0.001
    (0.5, True, True)
    """

    intercept: float
    intercept_low: float
    intercept_high: float
    slope: float
    slope_low: float
    slope_high: float
    p_intercept: float
    p_slope: float


class Curve(NamedTuple):
    """Probabilities that were told, and what came true: shape (k,) each, with a band."""

    told: np.ndarray
    observed: np.ndarray
    low: np.ndarray
    high: np.ndarray


def log_odds_of(p: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, which are kept off 0 and 1 by 1e-9."""
    return special.logit(np.clip(p, _EDGE, 1 - _EDGE))


def recalibrate(
    p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, alpha: float = 0.1
) -> Recalibration:
    """Fit the logistic recalibration of probabilities.

    Parameters
    ----------
    p : ndarray of shape (n,)
        Probabilities of y = 1.
    y : ndarray of shape (n,)
        0 or 1.
    weight : ndarray of shape (n,), default=None
        Counts of rows.
    alpha : float, default=0.1

    Returns
    -------
    Recalibration
        All nan without both classes; of the slope where the classes are separated or p is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.02, 0.98, 5000)
    >>> y = (rng.random(5000) < p).astype(int)
    >>> too_sure = expit(2 * log_odds_of(p))
    >>> round(recalibrate(p, y).slope, 1), round(recalibrate(too_sure, y).slope, 1)
    (1.0, 0.5)
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    used = w > 0
    z, y, w = log_odds_of(p[used]), np.asarray(y[used], float), w[used]
    if not 0 < w @ y < w.sum():
        return Recalibration(*(math.nan,) * 8)
    large = _in_the_large(z, y, w, alpha)
    if np.ptp(z) < 1e-9:
        return Recalibration(*large[:3], *(math.nan,) * 3, large[3], math.nan)
    return Recalibration(*large[:3], *(slope := _slope(z, y, w, alpha))[:3], large[3], slope[3])


def _in_the_large(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, alpha: float
) -> tuple[float, float, float, float]:
    """Intercept beside the offset z, its score interval, and the score test of 0."""
    seen, reach = float(w @ y), float(stats.norm.isf(alpha / 2))

    def excess(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        q = expit(z[:, None] + a)
        return seen - w @ q, np.sqrt(w @ (q * (1 - q)))

    ends = []
    for aim in (0.0, reach, -reach):  # the excess falls in a
        low, high = np.array([-_SURE * 2]), np.array([_SURE * 2])
        for _ in range(_STEPS):
            middle = (low + high) / 2
            more, sd = excess(middle)
            above = more > aim * sd
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        ends.append(float(low[0]))
    more, sd = excess(np.zeros(1))
    p = 2 * stats.norm.sf(abs(float(more[0]) / max(float(sd[0]), np.finfo(float).tiny)))
    return ends[0], ends[1], ends[2], float(p)


def _slope(
    z: np.ndarray, y: np.ndarray, w: np.ndarray, alpha: float
) -> tuple[float, float, float, float]:
    """Slope of z with an intercept, its likelihood interval, and the likelihood ratio test of 1."""
    X = np.column_stack([np.ones(len(z)), z])
    beta, _ = logistic(X, y, w)
    if not np.isfinite(beta).all():
        return (math.nan,) * 4
    best = _log_lik(X @ beta, y, w)

    def drop(slope: float) -> float:
        offset = slope * z
        a, _ = logistic(X[:, :1], y, w, offset)
        if not np.isfinite(a).all():  # so far off that no intercept helps
            return math.inf
        return 2 * (best - _log_lik(a[0] + offset, y, w))

    few = max(1 - 2 / float(w.sum() ** 2 / (w @ w)), 0.1)  # of few rows it is too large by that
    limit, step = float(stats.chi2.isf(alpha, 1)) / few, 0.5 + abs(float(beta[1]))
    ends = []
    for sign in (-1, 1):
        inside, outside = float(beta[1]), float(beta[1]) + sign * step
        for _ in range(12):
            if drop(outside) > limit:
                break
            inside, outside = outside, outside + sign * step * 2
        else:
            ends.append(sign * math.inf)
            continue
        root = optimize.brentq(lambda s: drop(s) - limit, inside, outside, xtol=1e-6)
        ends.append(float(root))
    p = float(stats.chi2.sf(max(drop(1.0), 0.0) * few, 1))
    return float(beta[1]), ends[0], ends[1], p


def _log_lik(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    return float(w @ (y * z - np.logaddexp(0, z)))


def logistic(
    X: np.ndarray, y: np.ndarray, w: np.ndarray, offset: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (d,) of a logistic regression and their covariance; nan where they diverge."""
    start = np.zeros(len(X)) if offset is None else offset
    beta, d = np.zeros(X.shape[1]), X.shape[1]
    lost = np.full(d, np.nan), np.full((d, d), np.nan)
    best = _log_lik(start, y, w)
    for _ in range(_STEPS):
        q = expit(start + X @ beta)
        information = (X * (w * q * (1 - q))[:, None]).T @ X
        try:
            change = np.linalg.solve(information, X.T @ (w * (y - q)))
        except np.linalg.LinAlgError:
            return lost
        half = 1.0
        while (
            half > 1e-8 and not (now := _log_lik(start + X @ (beta + half * change), y, w)) >= best
        ):
            half /= 2
        beta, best = beta + half * change, now
        if np.abs(half * change).max() < 1e-10 * (1 + np.abs(beta).max()):
            break
    else:
        return lost
    fitted = start + X @ beta
    if not np.isfinite(beta).all() or (np.abs(fitted) > _SURE).all():
        return lost
    if np.linalg.cond(information) > 1e14:
        return lost
    return beta, np.linalg.inv(information)


def observed_over_expected(
    p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, alpha: float = 0.1
) -> tuple[float, float, float]:
    """Return how many came true for each that was expected, with an interval.

    The interval is that of the observed share (Wilson's), over the expected one; nan without rows.

    Examples
    --------
    >>> told, came_true = np.full(100, 0.2), (np.arange(100) < 30).astype(int)
    >>> [round(v, 2) for v in observed_over_expected(told, came_true)]
    [1.5, 1.15, 1.9]
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    mass, expected = float(w.sum()), float(w @ p)
    if mass <= 0 or expected <= 0:
        return math.nan, math.nan, math.nan
    share, units = float(w @ y) / mass, mass**2 / float(w @ w)
    low, high = wilson(share, units, alpha)
    scale = mass / expected
    return share * scale, low * scale, high * scale


def wilson(share: float, n: float, alpha: float) -> tuple[float, float]:
    """Wilson's (1927) interval of a share of n rows."""
    z2 = float(stats.chi2.isf(alpha, 1))
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def calibration_curve(
    p: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray | None = None,
    alpha: float = 0.1,
    points: int = 60,
) -> Curve:
    """Fit a flexible curve of what came true: a logistic restricted cubic spline of the log-odds.

    Knots are at the 10th, 50th and 90th percentile (Harrell 2015); with fewer than 30 rows, or
    5 of a class, or where the spline diverges, the curve is the logistic recalibration, then the
    observed share.

    Parameters
    ----------
    p, y, weight
        As for `recalibrate`.
    alpha : float, default=0.1
        The band has the level ``1 - alpha`` at each point.
    points : int, default=60
        From the 2nd to the 98th percentile of p, even in log-odds.

    Returns
    -------
    Curve
        Empty without both classes.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = rng.uniform(0.02, 0.98, 5000)
    >>> found = calibration_curve(p, (rng.random(5000) < p**2).astype(int))
    >>> bool(np.abs(found.observed - found.told**2).max() < 0.05)
    True
    """
    w = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    used = w > 0
    z, y, w = log_odds_of(p[used]), np.asarray(y[used], float), w[used]
    nothing = np.zeros(0)
    if not len(y) or not 0 < w @ y < w.sum():
        return Curve(nothing, nothing, nothing, nothing)
    ends = np.quantile(z, [0.02, 0.98])
    at = np.linspace(float(ends[0]), float(ends[1]), points)
    knots = np.quantile(z, [0.1, 0.5, 0.9])
    few = len(y) < 30 or min(y.sum(), len(y) - y.sum()) < 5 or np.diff(knots).min() < 1e-6
    for basis in ([] if few else [_spline(knots)]) + [_line, _constant]:
        beta, covariance = logistic(basis(z), y, w)
        if np.isfinite(beta).all():
            break
    X = basis(at)
    middle = X @ beta
    half = stats.norm.isf(alpha / 2) * np.sqrt(np.einsum("ij,jk,ik->i", X, covariance, X))
    return Curve(expit(at), expit(middle), expit(middle - half), expit(middle + half))


def _constant(z: np.ndarray) -> np.ndarray:
    return np.ones((len(z), 1))


def _line(z: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(z)), z])


class _spline:
    """Basis of a restricted cubic spline with three knots."""

    def __init__(self, knots: np.ndarray) -> None:
        self.knots = knots

    def __call__(self, z: np.ndarray) -> np.ndarray:
        a, b, c = self.knots
        cube = [np.maximum(z - k, 0) ** 3 for k in (a, b, c)]
        bend = (cube[0] - cube[1] * (c - a) / (c - b) + cube[2] * (b - a) / (c - b)) / (c - a) ** 2
        return np.column_stack([np.ones(len(z)), z, bend])

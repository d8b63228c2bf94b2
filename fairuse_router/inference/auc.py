"""DeLong's test for two areas under the ROC curve on the same rows, in O(n log n).

DeLong, DeLong, Clarke-Pearson (1988), computed by ranks as in Sun and Xu (2014), and written with
the influence of each row on the area, so that weights, clusters (Obuchowski 1997) and more than
two classes (mean of one-vs-rest) need no formula of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from fairuse_router.inference.result import PairedTest, rows_needed

__all__ = [
    "AucParts",
    "auc_parts",
    "delong",
    "delong_from_moments",
    "delong_gains",
    "delong_moments",
]


@dataclass(frozen=True)
class AucParts:
    """The area under the ROC curve of one model in each group, and what each row adds to it.

    Parameters
    ----------
    area : ndarray of shape (m,)
        nan where a class is absent.
    influence : ndarray of shape (n,)
        Its squares sum to DeLong's variance of the area within each group; 0 for rows of no group
        or of a group without area.
    smallest : ndarray of shape (m,)
        (Effective) rows of the rarest class in each group.
    y : ndarray of int of shape (n,), default=None
        Class of each row, to count the clusters of each class.

    Examples
    --------
    >>> y, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9])
    >>> parts = auc_parts(y, score, np.zeros(4, int), 1)
    >>> parts.area, parts.smallest, parts.influence.shape
    (array([0.875]), array([2.]), (4,))
    """

    area: np.ndarray
    influence: np.ndarray
    smallest: np.ndarray
    y: np.ndarray | None = None


def auc_parts(
    y: np.ndarray,
    proba: np.ndarray,
    group: np.ndarray,
    m: int,
    weight: np.ndarray | None = None,
) -> AucParts:
    """Return the area and the influences of one model, per group.

    Parameters
    ----------
    y : ndarray of int of shape (n,)
        Class indices.
    proba : ndarray of shape (n,) or (n, K)
        Score of class 1, or scores of every class (then the mean of one-vs-rest for K > 2).
    group : ndarray of int of shape (n,)
        Group of each row in 0..m-1; -1 belongs to none.
    m : int
        Number of groups.
    weight : ndarray of shape (n,), default=None
        Row weights.

    Returns
    -------
    AucParts

    Examples
    --------
    >>> y, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.6, 0.9])
    >>> auc_parts(y, score, np.zeros(4, int), 1).area
    array([0.875])
    """
    if proba.ndim == 2 and proba.shape[1] == 2:
        proba = proba[:, 1]
    scores = [(1, proba)] if proba.ndim == 1 else list(enumerate(proba.T))
    area, smallest = np.full(m, np.nan), np.zeros(m)
    influence = np.zeros(len(y))
    for g, rows in enumerate(members(group, m)):
        w = np.ones(len(rows)) if weight is None else weight[rows].astype(float)
        parts = [_one_vs_rest(y[rows] == k, score[rows], w) for k, score in scores]
        smallest[g] = min(size for _, _, size in parts)
        area[g] = sum(a for a, _, _ in parts) / len(parts)
        if smallest[g] >= 2 - 1e-9:
            influence[rows] = np.sum([i for _, i, _ in parts], axis=0) / len(parts)
    return AucParts(area, influence, smallest, y)


def members(group: np.ndarray, m: int) -> list[np.ndarray]:
    """Index of the rows of each group, in order."""
    small = group.astype(np.int16) if m < 2**15 else group  # sorted by radix: 20 times faster
    order = np.argsort(small, kind="stable")
    bounds = np.searchsorted(small[order], np.arange(m + 1))
    return [order[bounds[g] : bounds[g + 1]] for g in range(m)]


def _one_vs_rest(
    positive: np.ndarray, score: np.ndarray, w: np.ndarray
) -> tuple[float, np.ndarray, float]:
    """Area of one class against the rest, influences, effective rows of the rarer side."""
    totals = [w[side].sum() for side in (positive, ~positive)]
    if min(totals) <= 0:
        return np.nan, np.zeros(len(w)), 0.0
    order = np.argsort(score)
    ranked = score[order]
    tie = np.cumsum(np.r_[False, ranked[1:] != ranked[:-1]])
    up = np.bincount(tie, weights=(w * positive)[order])
    down = np.bincount(tie, weights=(w * ~positive)[order])
    below = (np.cumsum(down) - down / 2)[tie] / totals[1]
    above = (totals[0] - np.cumsum(up) + up / 2)[tie] / totals[0]
    won = np.empty(len(w))
    won[order] = np.where(positive[order], below, above)
    area = float(w[positive] @ won[positive] / totals[0])
    sizes = [
        t**2 / (w[side] ** 2).sum() for side, t in zip((positive, ~positive), totals, strict=True)
    ]
    influence = w * (won - area)
    for side, t, size in zip((positive, ~positive), totals, sizes, strict=True):
        influence[side] *= np.sqrt(size / max(size - 1, 1e-9)) / t
    return area, influence, min(sizes)


def delong(
    reference: AucParts,
    model: AucParts,
    group: np.ndarray,
    clusters: np.ndarray | None = None,
    alpha: float = 0.1,
) -> PairedTest:
    """Compare the areas of two models in every group.

    Parameters
    ----------
    reference, model : AucParts
        Of the same rows and groups.
    group : ndarray of int of shape (n,)
        As given to `auc_parts`.
    clusters : ndarray of shape (n,), default=None
        Rows of one cluster are not independent.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.

    Returns
    -------
    PairedTest
        Arrays over groups; the gain is area of the model minus area of the reference. nan where a
        class has fewer than two rows or clusters, or where the areas differ without any variance.

    Notes
    -----
    The statistic is referred to Student's t with as many degrees of freedom as the rarest class has
    (effective) rows, or clusters if they are fewer, minus one: the conservative bound of Welch's
    problem (Hsu 1938). DeLong's normal reference rejects far too often when a class is rare, see
    `delong_from_moments`.

    Examples
    --------
    >>> y, group = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, int)
    >>> worse = auc_parts(y, np.array([0.1, 0.6, 0.2, 0.3, 0.9, 0.5]), group, 1)
    >>> better = auc_parts(y, np.array([0.1, 0.2, 0.4, 0.3, 0.9, 0.8]), group, 1)
    >>> test = delong(worse, better, group)
    >>> test.gain.round(3), test.se.round(3)
    (array([0.111]), array([0.314]))
    """
    m = len(reference.area)
    n = np.bincount(group[group >= 0], minlength=m)
    _, se = delong_gains(reference, model, group, clusters)
    units = np.minimum(reference.smallest, model.smallest)
    if clusters is not None and reference.y is not None:
        units = np.minimum(units, _rarest_clusters(reference.y, group, m, clusters))
    return delong_from_moments(model.area - reference.area, se, n, alpha, freedom=units - 1)


def _rarest_clusters(y: np.ndarray, group: np.ndarray, m: int, clusters: np.ndarray) -> np.ndarray:
    """Clusters that hold a row of the class that fewest of them hold, per group."""
    member = group >= 0
    label = np.unique(clusters[member], return_inverse=True)[1].reshape(-1)
    classes = int(y.max(initial=0)) + 1
    cell = group[member].astype(np.int64) * classes + y[member]
    held = np.unique(cell * (len(label) + 1) + label) // (len(label) + 1)
    holding = np.bincount(held, minlength=m * classes).reshape(m, classes)
    return np.where(holding > 0, holding, np.inf).min(axis=1)


def delong_from_moments(
    gain: np.ndarray,
    se: np.ndarray,
    n: np.ndarray,
    alpha: float = 0.1,
    *,
    freedom: np.ndarray | float = np.inf,
) -> PairedTest:
    """Test gains in AUC given their standard errors.

    Parameters
    ----------
    gain, se : ndarray
        As `delong_moments` returns them, or averaged over parts; a ``se`` of nan marks a group with
        fewer than two rows of a class.
    n : ndarray of int
        Rows compared.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.
    freedom : ndarray or float, default=inf
        Degrees of freedom of the standard error, see `delong`; inf is DeLong's normal reference,
        fit for a class with dozens of rows. Below 1 nothing can be tested.

    Returns
    -------
    PairedTest
        Without an interval where the models rank every pair alike: there is no variance to make
        one of.

    Notes
    -----
    Rejections in % at a one-sided 5% and 0.1% of two equally good models with 200 negatives, normal
    reference / ``freedom`` = positives - 1: 2 positives 11.9 / 1.3 and 5.4 / 0.0; 3: 9.4 / 2.1 and
    1.9 / 0.0; 5: 7.8 / 3.4 and 0.6 / 0.0; 10: 6.0 / 4.3 and 0.3 / 0.0; 50: 4.7 / 4.5 and 0.2 / 0.2.
    Satterthwaite's freedom still rejects 2.2% at 0.1% with 2 positives. With 50 rows of each class
    the t reference finds 0.97-0.99 of what the normal one does. ``python -m benchmarks.validity``
    has a line of rare classes.

    Examples
    --------
    >>> test = delong_from_moments(np.array([0.02]), np.array([0.01]), np.array([900]))
    >>> test.p_gain.round(3), test.rows_needed
    (array([0.023]), array([492.]))
    """
    freedom = np.broadcast_to(np.asarray(freedom, dtype=float), np.shape(gain))
    few = np.isnan(se) | (freedom < 1 - 1e-9)
    flat = ~few & (se <= 1e-12)
    reason = np.select(
        [n == 0, few, flat & (np.abs(gain) > 1e-12)],
        ["no rows", "fewer than two rows of a class", "areas differ without any variance"],
        "",
    )
    good, still = (reason == "") & ~flat, (reason == "") & flat
    se = np.where(reason == "", se, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(good, gain / se, np.nan)
    df = np.where(good, freedom, np.inf)
    half = np.where(good, special.stdtrit(df, 1 - alpha / 2) * se, np.nan)
    return PairedTest(
        gain=np.where(still, 0.0, gain),
        low=np.maximum(gain - half, -1),
        high=np.minimum(gain + half, 1),
        p_gain=np.where(still, 1.0, special.stdtr(df, -z)),
        p_violation=np.where(still, 1.0, special.stdtr(df, z)),
        n=n,
        test="DeLong",
        se=se,
        se_null=se,
        rows_needed=rows_needed(gain, np.where(good, se, np.nan), n, alpha / 2),
        reason=reason,
    )


def _variance(
    influence: np.ndarray, group: np.ndarray, m: int, clusters: np.ndarray | None
) -> np.ndarray:
    """Sum of squared influences per group, summed within clusters first."""
    member = group >= 0
    influence, group = influence[member], group[member]
    if clusters is None:
        return np.bincount(group, weights=influence**2, minlength=m)
    label = np.unique(clusters[member], return_inverse=True)[1].reshape(-1)
    key, unit = np.unique(group * (len(label) + 1) + label, return_inverse=True)
    group = key // (len(label) + 1)
    units = np.bincount(group, minlength=m)
    total = np.bincount(unit, weights=influence, minlength=len(key))
    grow = units / np.maximum(units - 1, 1)
    return grow * np.bincount(group, weights=total**2, minlength=m)


def delong_moments(
    y: np.ndarray,
    reference: np.ndarray,
    model: np.ndarray,
    group: np.ndarray,
    m: int,
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gain in AUC and its standard error, per group.

    Parameters
    ----------
    y : ndarray of int of shape (n,)
        Class indices.
    reference, model : ndarray of shape (n,) or (n, K)
        Scores of the two models, as in `auc_parts`.
    group, m, weight, clusters
        As in `auc_parts` and `delong`.

    Returns
    -------
    gain, se : ndarray of shape (m,)
        nan where a class has fewer than two rows; se may be 0 where the models rank alike.

    Examples
    --------
    >>> y, group = np.array([0, 0, 1, 1, 1]), np.zeros(5, int)
    >>> s = np.array([0.1, 0.6, 0.6, 0.9, 0.4])
    >>> delong_moments(y, s, s, group, 1)
    (array([0.]), array([0.]))
    """
    first = auc_parts(y, reference, group, m, weight)
    second = auc_parts(y, model, group, m, weight)
    return delong_gains(first, second, group, clusters)


def delong_gains(
    reference: AucParts, model: AucParts, group: np.ndarray, clusters: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """As `delong_moments`, from the parts of two models.

    Examples
    --------
    >>> y, group = np.array([0, 0, 0, 1, 1, 1]), np.zeros(6, int)
    >>> worse = auc_parts(y, np.array([0.1, 0.6, 0.2, 0.3, 0.9, 0.5]), group, 1)
    >>> better = auc_parts(y, np.array([0.1, 0.2, 0.4, 0.3, 0.9, 0.8]), group, 1)
    >>> gain, se = delong_gains(worse, better, group)
    >>> gain.round(3), se.round(3)
    (array([0.111]), array([0.314]))
    """
    m = len(reference.area)
    enough = np.minimum(reference.smallest, model.smallest) >= 2 - 1e-9
    se = np.sqrt(_variance(model.influence - reference.influence, group, m, clusters))
    gain = model.area - reference.area
    return np.where(enough, gain, np.nan), np.where(enough, se, np.nan)

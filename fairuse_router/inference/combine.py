"""Intervals of a weighted sum, from the intervals of its independent parts."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["combine_intervals"]


def combine_intervals(
    estimate: Any, low: Any, high: Any, weight: Any
) -> tuple[float, float, float]:
    """Return the estimate and interval of a weighted sum of independent quantities.

    Parameters
    ----------
    estimate, low, high : array_like of float, shape (k,)
        Estimates and their intervals, all of one level.
    weight : array_like of float, shape (k,)
        Not negative.

    Returns
    -------
    estimate, low, high : float
        The interval has the level of its parts; nan if a part is, or there is none.

    Notes
    -----
    The method of variance estimates recovery of Zou and Donner (2008): the distance to each limit
    is the root of the sum of squares of the parts' distances, so that skewed intervals stay skewed.

    Examples
    --------
    >>> [round(x, 3) for x in combine_intervals([0.1, 0.2], [0.0, 0.1], [0.3, 0.3], [0.5, 0.5])]
    [0.15, 0.079, 0.262]
    """
    estimate, low, high, weight = (
        np.asarray(v, dtype=float) for v in (estimate, low, high, weight)
    )
    if not len(estimate):
        return (np.nan, np.nan, np.nan)
    total = float(weight @ estimate)
    below, above = (np.sqrt(weight**2 @ (limit - estimate) ** 2) for limit in (low, high))
    return total, float(total - below), float(total + above)

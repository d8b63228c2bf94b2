"""Has a share moved between two samples? Fisher's exact test, many pairs at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

__all__ = ["fisher"]


def fisher(count_a: Any, n_a: Any, count_b: Any, n_b: Any) -> np.ndarray:
    """Compare pairs of shares ``count / n`` of independent rows, two-sided.

    Parameters
    ----------
    count_a, n_a, count_b, n_b : array_like of int, shape (k,)
        Rows of a kind and all rows, in the one sample and in the other.

    Returns
    -------
    ndarray of shape (k,)
        p-values of Fisher's exact test, whose level never exceeds its nominal one; nan where a
        sample is empty.

    Raises
    ------
    ValueError
        If a count is negative or larger than its n.

    Examples
    --------
    >>> fisher([8], [10], [1], [10]).round(4)
    array([0.0055])
    """
    a, n, b, m = np.broadcast_arrays(*(np.asarray(v) for v in (count_a, n_a, count_b, n_b)))
    if (np.minimum(a, b) < 0).any() or (a > n).any() or (b > m).any():
        raise ValueError("fisher: need counts with 0 <= count <= n in every sample.")
    return np.array(
        [
            stats.fisher_exact([[i, j - i], [k, q - k]]).pvalue if j and q else np.nan
            for i, j, k, q in zip(a.flat, n.flat, b.flat, m.flat, strict=True)
        ]
    )

"""Correct p-values for the number of tests made."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["CORRECTIONS", "adjust"]

CORRECTIONS: tuple[str, ...] = ("none", "bonferroni", "holm", "benjamini-hochberg")


def adjust(p: Any, correction: str = "holm", weight: Any = None) -> np.ndarray:
    """Return adjusted p-values: reject those at most alpha.

    Parameters
    ----------
    p : array_like of float
        One family of p-values; nan marks a test that could not be made and does not count.
    correction : {"none", "bonferroni", "holm", "benjamini-hochberg"}, default="holm"
        Bonferroni and Holm (1979) bound the chance of any false rejection under any dependence;
        Benjamini and Hochberg (1995) the expected share of false ones under positive dependence.
    weight : array_like of float, default=None
        Importance of each test, positive; for Bonferroni and Holm only. Weights must not depend
        on the outcomes: group sizes may serve.

    Returns
    -------
    ndarray
        Of the shape of p, nan where p is.

    Raises
    ------
    ValueError
        If the correction is unknown, or weights are given to Benjamini-Hochberg or not positive.

    Examples
    --------
    >>> adjust([0.01, 0.04, 0.03, float("nan")])
    array([0.03, 0.06, 0.06,  nan])
    """
    if correction not in CORRECTIONS:
        raise ValueError(
            f"correction={correction!r} is not known. Allowed: {', '.join(CORRECTIONS)}."
        )
    p = np.asarray(p, dtype=float)
    out = p.copy()
    tested = ~np.isnan(p)
    if correction == "none" or not tested.any():
        return out
    if weight is not None and correction == "benjamini-hochberg":
        raise ValueError("weight is for bonferroni and holm; benjamini-hochberg takes none.")
    w = np.ones(p.shape) if weight is None else np.broadcast_to(np.asarray(weight, float), p.shape)
    if not (w[tested] > 0).all():
        raise ValueError(
            "weight must be positive for every test made; leave other tests out (nan)."
        )
    step = {"bonferroni": _bonferroni, "holm": _holm, "benjamini-hochberg": _benjamini_hochberg}
    out[tested] = np.minimum(step[correction](p[tested], w[tested]), 1.0)
    return out


def _bonferroni(p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Divide alpha in proportion to the weights."""
    return p * (w.sum() / w)


def _holm(p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Step down: after a rejection its share of alpha goes to the rest."""
    order = np.argsort(p / w, kind="stable")
    left = np.cumsum(w[order][::-1])[::-1]
    out = np.empty_like(p)
    out[order] = np.maximum.accumulate(p[order] * left / w[order])
    return out


def _benjamini_hochberg(p: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Step up."""
    order = np.argsort(p, kind="stable")[::-1]
    out = np.empty_like(p)
    out[order] = np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1))
    return out

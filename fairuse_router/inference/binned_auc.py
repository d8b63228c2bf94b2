"""Areas under the ROC curve from counts of rows by rounded scores, which add up over parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairuse_router.inference.auc import delong_from_moments
from fairuse_router.inference.cells import Cells
from fairuse_router.inference.counts import Counts
from fairuse_router.inference.result import PairedTest

__all__ = ["BinnedAreas", "binned_areas", "binned_delong"]


@dataclass(frozen=True)
class BinnedAreas:
    """The area under the ROC curve of one model in each group, of rounded scores.

    Parameters
    ----------
    area : ndarray of shape (m,)
        Pairs whose rounded scores are equal count one half; nan where a class is absent.
    half : ndarray of shape (m,)
        The area of the scores as they were lies within ``area`` +- this: equal pairs may all have
        counted for, or all against.
    """

    area: np.ndarray
    half: np.ndarray


def binned_areas(cells: Cells | Counts, m: int) -> BinnedAreas:
    """Return the areas, and how far rounding may have moved them.

    Parameters
    ----------
    cells : Cells or Counts
        Intervals of one model's scores; the last two masses are those of the first class's rows
        and of the second's, see `fairuse_router.audit.AuditSums`.
    m : int
        Number of groups.

    Returns
    -------
    BinnedAreas

    Examples
    --------
    >>> counts = np.array([[3.0, 1.0], [1.0, 1.0], [0.0, 2.0]])  # of class 0, of class 1
    >>> found = binned_areas(Cells.of(1, np.zeros(3, int), np.array([4, 5, 6]), counts), 1)
    >>> found.area, found.half
    (array([0.8125]), array([0.125]))
    """
    won, ties, pairs = cells.pairs if isinstance(cells, Counts) else _pairs(cells, m)
    with np.errstate(divide="ignore", invalid="ignore"):
        return BinnedAreas((won + ties / 2) / pairs, ties / (2 * pairs))


def _pairs(cells: Cells, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `Counts.pairs`."""
    low = cells.spans()[0][:, 0]
    order = np.lexsort((low, cells.group))
    group, (down, up) = cells.group[order], cells.mass[order, -2:].T
    totals = [np.bincount(group, weights=x, minlength=m) for x in (down, up)]
    before = np.cumsum(totals[0]) - totals[0]
    below = np.cumsum(down) - down - before[group]
    won, ties = (np.bincount(group, weights=up * x, minlength=m) for x in (below, down))
    return won, ties, totals[0] * totals[1]


def binned_delong(
    reference: Cells | Counts,
    model: Cells | Counts,
    joint: Cells,
    n: np.ndarray,
    alpha: float = 0.1,
) -> PairedTest:
    """Compare two areas by DeLong's test of rounded scores, whatever rounding has done.

    Parameters
    ----------
    reference, model : Cells or Counts
        Intervals of both models' scores, fine: the gain is theirs.
    joint : Cells
        Squares of both, which may be coarser: the standard error is theirs. Masses are counts of
        both classes; or these, sums of squared weights, and sums of weights.
    n : ndarray of int of shape (m,)
        Rows.
    alpha : float, default=0.1
        The interval has level ``1 - alpha``.

    Returns
    -------
    PairedTest
        The gain is that of rounded scores. The interval is as much wider, and each p-value is taken
        as far from its own side, as rounding can have moved the gain: no verdict rests on rounding.

    Examples
    --------
    >>> from fairuse_router.inference.cells import place, squares
    >>> y, a = np.array([0, 0, 0, 1, 1, 1]), np.array([0.1, 0.6, 0.2, 0.3, 0.9, 0.5])
    >>> b, one = np.array([0.1, 0.2, 0.4, 0.3, 0.9, 0.8]), np.zeros(6, int)
    >>> counts = np.column_stack([y == 0, y == 1]).astype(float)
    >>> first, second = (Cells.of(1, one, 1024 + place(p, 1024), counts) for p in (a, b))
    >>> both = Cells.of(2, one, squares(place(a, 64), place(b, 64), 6), counts)
    >>> test = binned_delong(first, second, both, np.array([6]))
    >>> test.gain.round(3), test.se.round(3)
    (array([0.111]), array([0.314]))
    """
    m = len(n)
    sides = binned_areas(reference, m), binned_areas(model, m)
    gain, half = sides[1].area - sides[0].area, sides[0].half + sides[1].half
    se, smallest = _spread(reference, model, joint, m)
    # nothing differs where both scores are equal in every row, as equal bins then are
    half = np.where((se == 0) & (gain == 0), 0.0, half)
    alike, lower, upper = (
        delong_from_moments(g, se, n, alpha, freedom=smallest - 1)
        for g in (gain, gain - half, gain + half)
    )
    return replace(
        alike,
        low=lower.low,
        high=upper.high,
        p_gain=lower.p_gain,
        p_violation=upper.p_violation,
    )


def _spread(
    reference: Cells | Counts, model: Cells | Counts, joint: Cells, m: int
) -> tuple[np.ndarray, np.ndarray]:
    """Standard error of the gain, and (effective) rows of the rarer class, per group."""
    group = joint.group
    mass = joint.mass.reshape(len(group), -1, 2)  # counts, or counts, squared weights, weights
    weight, squared = mass[:, -1], mass[:, -2 if mass.shape[1] > 1 else -1]
    total, square = (
        np.stack([np.bincount(group, weights=x, minlength=m) for x in columns.T], axis=1)
        for columns in (weight, squared)
    )
    low, high = joint.spans()
    shifts = []
    for axis, cells in enumerate((reference, model)):
        first, last = (_mass_below(cells, group, at[:, axis], m) for at in (low, high))
        below = (first + last) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            won = np.stack([1 - below[:, 1], below[:, 0]], axis=1)
            mean = np.stack(
                [np.bincount(group, weights=x, minlength=m) for x in (weight * won).T], axis=1
            )
            shifts.append(won - (mean / total)[group])
    moved = shifts[1] - shifts[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        size = total**2 / square
        each = np.stack(
            [np.bincount(group, weights=x, minlength=m) for x in (squared * moved**2).T], axis=1
        )
        variance = (each / total**2 * size / np.maximum(size - 1, 1e-9)).sum(axis=1)
    smallest = np.where((total > 0).all(axis=1), np.nan_to_num(size).min(axis=1), 0.0)
    return np.where(smallest >= 2 - 1e-9, np.sqrt(variance), np.nan), smallest


def _mass_below(cells: Cells | Counts, group: np.ndarray, at: np.ndarray, m: int) -> np.ndarray:
    """Share of both classes' mass that lies below a score, within a group, shape (c, 2)."""
    if isinstance(cells, Counts):
        return cells.below(group, at)
    low, high = (x[:, 0] for x in cells.spans())
    order = np.lexsort((low, cells.group))
    owner, low, high = cells.group[order], low[order], high[order]
    ends = np.vstack([np.zeros((1, 2)), np.cumsum(cells.mass[order, -2:], axis=0)])
    first = np.searchsorted(owner, np.arange(m + 1))
    i = np.searchsorted(2 * owner + low, 2 * group + at, side="right") - 1  # last that begins below
    i = np.clip(i, first[group] - 1, first[group + 1] - 1)
    inside = i >= first[group]
    k = np.maximum(i, 0)
    part = np.where(inside, np.clip((at - low[k]) / (high[k] - low[k]), 0, 1), 0.0)
    mass = ends[np.where(inside, k, first[group])] - ends[first[group]]
    mass = mass + part[:, None] * (ends[k + 1] - ends[k])
    with np.errstate(divide="ignore", invalid="ignore"):
        return mass / (ends[first[group + 1]] - ends[first[group]])

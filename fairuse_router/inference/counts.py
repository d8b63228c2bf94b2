"""Rows counted by every equal step of one score: what sums of many rows hold for AUC."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairuse_router.inference.cells import Cells

__all__ = ["Counts", "add_scores", "read_scores"]


@dataclass(frozen=True)
class Counts:
    """Rows by group, class and step of a score; `Cells` of which none is left out.

    Where most cells hold rows this takes an eighth of the memory, and no sorting.

    Parameters
    ----------
    rows : ndarray of shape (m, 2, bins)
        `bins` is a power of 2.

    Examples
    --------
    >>> found = Counts(np.array([[[3, 1, 0, 0], [1, 1, 0, 2]]]))
    >>> found.pairs
    (array([11.]), array([4.]), array([16.]))
    >>> found.below(np.array([0, 0]), np.array([0.5, 1.0]))
    array([[1. , 0.5],
           [1. , 1. ]])
    """

    rows: np.ndarray

    def together(self) -> Counts:
        """All groups as one."""
        return Counts(self.rows.sum(axis=0, keepdims=True))

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of two classes that the score ranks right, that it ties, and all; each (m,)."""
        found = np.zeros((3, len(self.rows)))
        for g, classes in enumerate(self.rows):
            down, up = classes.astype(float)
            below = np.cumsum(down)
            found[2, g] = below[-1] * up.sum()
            below -= down
            found[:2, g] = up @ below, up @ down
        return found[0], found[1], found[2]

    def below(self, group: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Share of both classes below a score that begins a step, within a group, (c, 2)."""
        steps = 1
        while (at * steps % 1).any():
            steps *= 2
        m, _, bins = self.rows.shape
        wide = self.rows.reshape(m, 2, steps, bins // steps).sum(axis=3)
        ends = np.concatenate([np.zeros((m, 2, 1)), np.cumsum(wide, axis=2)], axis=2)
        with np.errstate(invalid="ignore"):
            return (ends / ends[:, :, -1:])[group, :, (at * steps).astype(np.int64)]


def read_scores(part: np.ndarray) -> Cells | Counts:
    """Counts of all steps, of three axes, or `Cells.packed`."""
    return Counts(part) if part.ndim == 3 else Cells.unpacked(1, part)


def add_scores(axes: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Add two parts, each packed cells or counts of all steps.

    Examples
    --------
    >>> every = np.array([[[1, 0], [0, 1]]], dtype=np.uint32)
    >>> add_scores(1, every, np.array([[0, 3, 5.0, 0]])).tolist()
    [[[1.0, 5.0], [0.0, 1.0]]]
    """
    if first.ndim == 2 and second.ndim == 3:
        first, second = second, first
    if first.ndim == 2:
        return (Cells.unpacked(axes, first) + Cells.unpacked(axes, second)).packed()
    bins = first.shape[2]
    if first.shape == second.shape:
        return np.add(first, second, dtype=_wide(first, second))
    some = Cells.unpacked(axes, second)
    if second.ndim == 3 or not ((some.node >= bins) & (some.node < 2 * bins)).all():
        return (Cells.unpacked(axes, first) + some).packed()
    total = first.astype(float)
    total[some.group, :, some.node - bins] += some.mass
    return total


def _wide(first: np.ndarray, second: np.ndarray) -> np.dtype:
    """The type of counts that holds their sums."""
    most = float(first.max(initial=0)) + float(second.max(initial=0))
    kinds = np.result_type(first, second)
    return np.dtype(float) if most > np.iinfo(np.uint32).max else kinds

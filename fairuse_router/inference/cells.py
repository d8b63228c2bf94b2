"""Rows counted by where their scores lie, in dyadic intervals or squares that add up over parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

__all__ = ["Cells", "place"]

_SMALL = 1 << 16
_GROUP = 40  # bits of a key that number the interval; a group comes before it


@dataclass(frozen=True)
class Cells:
    """Masses by group and by dyadic interval of one score, or square of two.

    Intervals are numbered as the nodes of a binary tree: 1 is all of [0, 1], the halves of a node
    k are 2k and 2k + 1 (of a square: quarters, 4k to 4k + 3). Cells may differ in size, as long as
    none lies within another of its group.

    Parameters
    ----------
    axes : int
        1: intervals, 2: squares.
    group, node : ndarray of int of shape (c,)
        In order of group, then node.
    mass : ndarray of shape (c, q)
        What the rows of each cell add up to.

    Examples
    --------
    >>> coarse = Cells.of(1, np.array([0]), np.array([1]), np.array([[5.0]]))
    >>> fine = Cells.of(1, np.array([0, 0]), np.array([4, 7]), np.array([[2.0], [1.0]]))
    >>> (fine + fine).mass.ravel(), (fine + coarse).node, (fine + coarse).mass
    (array([4., 2.]), array([1]), array([[8.]]))
    """

    axes: int
    group: np.ndarray
    node: np.ndarray
    mass: np.ndarray

    @classmethod
    def of(cls, axes: int, group: np.ndarray, node: np.ndarray, mass: np.ndarray) -> Self:
        """Add up what falls into one cell."""
        width = int(node.max(initial=0)) + 1
        key = np.asarray(group, np.int64) * width + node
        span = int(key.max(initial=0)) + 1
        if span > 8 * len(key) + _SMALL:
            distinct, cell = np.unique(key, return_inverse=True)
            sums = [np.bincount(cell, weights=m, minlength=len(distinct)) for m in mass.T]
        else:  # counting is ten times as fast as sorting
            distinct = np.flatnonzero(np.bincount(key, minlength=span))
            sums = [np.bincount(key, weights=m, minlength=span)[distinct] for m in mass.T]
        return cls(axes, distinct // width, distinct % width, np.stack(sums, axis=1))

    def __add__(self, other: Cells) -> Cells:
        """Add other cells; where these are coarser the finer ones are merged into them."""
        group, node, mass = (
            np.concatenate([getattr(c, name) for c in (self, other)])
            for name in ("group", "node", "mass")
        )
        level = depth(node, self.axes)
        for d in np.unique(level)[:-1]:
            coarse = (group[level == d] << _GROUP) | node[level == d]
            up = node >> self.axes * np.maximum(level - d, 0)
            within = (level > d) & np.isin((group << _GROUP) | up, coarse)
            node, level = np.where(within, up, node), np.where(within, d, level)
        return Cells.of(self.axes, group, node, mass)

    def coarser(self, fewest: int, counts: int) -> Cells:
        """Merge neighbours until no cell holds fewer than `fewest` rows of a class, but for none.

        Parameters
        ----------
        fewest : int
        counts : int
            How many of the masses, the first ones, are counts of rows.

        Returns
        -------
        Cells
            Groups that have too few rows of a class in all are left out.
        """
        group, node, mass = self.group, self.node, self.mass
        for d in range(int(depth(node, self.axes).max(initial=0)), -1, -1):
            held = mass[:, :counts]
            few = ((held > 0) & (held < fewest)).any(axis=1) & (depth(node, self.axes) == d)
            if not few.any():
                continue
            if d == 0:
                return Cells(self.axes, group[~few], node[~few], mass[~few])
            up = node >> self.axes * np.maximum(depth(node, self.axes) - d + 1, 0)
            bad = (group[few] << _GROUP) | up[few]
            below = (depth(node, self.axes) >= d) & np.isin((group << _GROUP) | up, bad)
            merged = Cells.of(self.axes, group, np.where(below, up, node), mass)
            group, node, mass = merged.group, merged.node, merged.mass
        return Cells(self.axes, group, node, mass)

    def packed(self) -> np.ndarray:
        """One array (c, 2 + q): group, node and masses."""
        return np.column_stack([self.group, self.node, self.mass])

    @classmethod
    def unpacked(cls, axes: int, packed: np.ndarray) -> Self:
        """Inverse of `packed`; also of counts of shape (m, 2, bins), of every interval."""
        if packed.ndim == 3:
            group, at = np.nonzero(packed.any(axis=1))
            return cls(axes, group, at + packed.shape[2], packed[group, :, at].astype(float))
        group, node = packed[:, :2].astype(np.int64).T
        return cls(axes, group, node, packed[:, 2:])

    def take(self, groups: np.ndarray) -> Cells:
        """Renumber the groups by this table, shape (m,); -1 leaves one out."""
        new = groups[self.group]
        kept = new >= 0
        return Cells.of(self.axes, new[kept], self.node[kept], self.mass[kept])

    def together(self) -> Cells:
        """All groups as one."""
        none = replace(self, group=self.group[:0], node=self.node[:0], mass=self.mass[:0])
        return replace(self, group=np.zeros_like(self.group)) + none

    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each cell begins and ends on every axis, in [0, 1], two arrays (c, axes)."""
        level = depth(self.node, self.axes)
        within = self.node - (np.int64(1) << self.axes * level)
        if self.axes == 1:
            low = (within * 2.0**-level)[:, None]
            return low, low + (2.0**-level)[:, None]
        low = np.zeros((len(self.node), self.axes))
        for bit in range(int(level.max(initial=0))):
            for axis in range(self.axes):
                shift = self.axes * bit + self.axes - 1 - axis
                low[:, axis] += ((within >> shift) & 1) * 2.0 ** (bit - level)
        return low, low + (2.0**-level)[:, None]


def depth(node: np.ndarray, axes: int) -> np.ndarray:
    """How often [0, 1] was cut to get to a node."""
    return (np.frexp(node.astype(float))[1] - 1) // axes


def place(score: np.ndarray, bins: int) -> np.ndarray:
    """Number of the bin of a probability, 0 to bins - 1, at most 2^24 of them, shape (n,).

    Bins are equal steps of ``sqrt(p) - sqrt(1 - p)``, which rises with p and is fine at both ends,
    where the probabilities of rare outcomes lie.

    Examples
    --------
    >>> place(np.array([0.0, 0.001, 0.5, 1.0]), 128).tolist()
    [0, 2, 64, 127]
    """
    rest = 1 - score
    np.sqrt(rest, out=rest)
    step = np.sqrt(score)
    step -= rest  # in place: this is what counting scores costs most time in
    step += 1
    step *= bins / 2
    found = step.astype(np.int32)
    return np.minimum(found, bins - 1, out=found)


def squares(first: np.ndarray, second: np.ndarray, cuts: int) -> np.ndarray:
    """Nodes of squares given two numbers of bins, each from 0 to 2^cuts - 1, their bits mixed."""
    spread = np.zeros(1 << cuts, dtype=np.int64)
    for bit in range(cuts):
        spread |= ((np.arange(1 << cuts) >> bit) & 1) << 2 * bit
    return (1 << 2 * cuts) + 2 * spread[first] + spread[second]

"""Limits: the thresholds of a tree as thresholds on the numbers that a bundle is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.families.columns import Column

_SPARE_BITS = 21  # at the end of a double: the middle of two float32 leaves them 0, near enough


class Limits:
    """The largest number that goes left, for splits on columns that steps have changed.

    Parameters
    ----------
    columns : sequence of Column
        What reaches the model; none falls where its source grows.
    doubles : bool
        Whether the bundle is fed doubles; else float32.

    Attributes
    ----------
    sources : ndarray of int64, shape (n_columns,)
    """

    def __init__(self, columns: Sequence[Column], doubles: bool) -> None:
        self._columns = columns
        self._doubles = doubles
        self.sources = np.array([column.source for column in columns], dtype=np.int64)
        self._at_missing = np.array([column.at_missing for column in columns])
        self._changed = np.array([any(op != "fill" for op, _ in c.steps) for c in columns])

    def are_changed(self, source: int) -> bool:
        """Whether steps have changed any column that comes from a source."""
        return any(c.steps for c in self._columns if c.source == source)

    def missing_left(
        self,
        feature: NDArray[np.int64],
        threshold: NDArray[np.float64],
        learned: NDArray[Any],
        leaf: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Where a missing source goes: where its filled-in value does, else as was learned."""
        at = self._at_missing[np.where(leaf, 0, feature)]
        return ~leaf & np.where(np.isnan(at), learned.astype(bool), at <= threshold)

    def of_rounded(
        self, feature: NDArray[np.int64], threshold: NDArray[np.float64], leaf: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Limits for a model that rounds its columns to float32 before it compares them."""
        feature, threshold = np.where(leaf, 0, feature), np.where(leaf, 0.0, threshold)
        limits = self._through_steps(feature, rounding_limit(threshold))
        if self._doubles:
            return limits
        same = float32_floor(threshold)
        return np.where(self._changed[feature], float32_limit(limits), same).astype(np.float64)

    def of_rounded_below(
        self, feature: NDArray[np.int64], threshold: NDArray[np.float32], leaf: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Limits for a model that rounds its columns to float32, of which smaller ones go left.

        Thresholds are data, as boosting on histograms chooses them: these stay right of them.
        """
        feature, threshold = np.where(leaf, 0, feature), np.where(leaf, np.float32(0), threshold)
        same = below(threshold)
        limits = self._through_steps(feature, rounding_limit(same))
        if self._doubles:
            return limits
        with np.errstate(over="ignore"):
            first = np.nextafter(limits, np.inf).astype(np.float32)
        return np.where(self._changed[feature], below(first), same).astype(np.float64)

    def of_doubles(
        self, feature: NDArray[np.int64], threshold: NDArray[np.float64], leaf: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Limits for a model that compares doubles."""
        feature, threshold = np.where(leaf, 0, feature), np.where(leaf, 0.0, threshold)
        limits = self._through_steps(feature, threshold)
        return limits if self._doubles else decimal_floor(limits).astype(np.float64)

    def _through_steps(
        self, feature: NDArray[np.int64], limits: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        limits = limits.copy()
        for j in np.flatnonzero(self._changed).tolist():
            here = feature == j
            if here.any():
                limits[here] = largest_source(self._columns[j], limits[here])
        return limits


def below(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """The float32 before each number."""
    return np.nextafter(numbers, np.float32(-np.inf)).astype(np.float64)


def float32_floor(numbers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Largest float32 that is not above each number."""
    with np.errstate(over="ignore"):
        nearest = numbers.astype(np.float32)
    return np.where(nearest <= numbers, nearest, np.nextafter(nearest, np.float32(-np.inf)))


def rounding_limit(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest double whose float32 rounding is not above each threshold.

    Examples
    --------
    >>> threshold = np.array([0.3])
    >>> limit = rounding_limit(threshold)
    >>> np.float32(limit) <= threshold, np.float32(np.nextafter(limit, 1)) <= threshold
    (array([ True]), array([False]))
    """
    below = float32_floor(thresholds)
    above = np.nextafter(below, np.float32(np.inf))
    middle = below.astype(np.float64) / 2 + above.astype(np.float64) / 2
    is_even = below.view(np.int32) % 2 == 0  # ties go to the even one
    return np.where(is_even, middle, np.nextafter(middle, -np.inf))


def float32_limit(limits: NDArray[np.float64]) -> NDArray[np.float32]:
    """Limits in float32 that split rounded numbers as limits, which are no data, split the numbers.

    Decimals of up to six digits stay on their side; so do numbers that float32 holds exactly,
    unless a limit lies between such a decimal and its rounding.

    Examples
    --------
    >>> float32_limit(np.array([0.37 - 1e-9, 0.37 + 1e-9])) >= np.float32(0.37)
    array([False,  True])
    >>> float32_limit(np.array([4 - 1e-9, 4 + 1e-9])) >= np.float32(4)
    array([False,  True])
    """
    nearest, short = _six_digits(limits)
    is_decimal = short.astype(np.float32) == nearest
    below = np.nextafter(nearest, np.float32(-np.inf))
    beside = np.where(short <= limits, nearest, below)
    return np.where(is_decimal, beside, float32_floor(limits)).astype(np.float32)


def _six_digits(
    numbers: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Numbers in float32, and the decimals of up to six digits next to those."""
    with np.errstate(over="ignore"):
        nearest = numbers.astype(np.float32)
    return nearest, np.array([float(f"{v:.6g}") for v in nearest], dtype=np.float64)


def decimal_floor(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Thresholds in float32 that split rounded numbers as the doubles split the numbers.

    The bundle compares float32 where scikit-learn compared doubles. A threshold that is a decimal
    of up to six digits, or a rounding error off, is where decimals lie: those stay on their side of
    it. A threshold of few bits, or half-way between two float32, lies in the middle of data that
    float32 holds exactly: it is rounded down, as these data need. Any other is rounded as the data
    are, so that data that are thresholds themselves stay left. So training data of up to six
    digits, and training data that float32 holds exactly, fall on the same side as before.

    Examples
    --------
    >>> decimal_floor(np.array([0.3, 0.3 - 1e-12])) >= np.float32(0.3)
    array([ True, False])
    >>> decimal_floor(np.array([1 / 3])) >= np.float32(1 / 3)
    array([ True])
    >>> below, above = np.float32([112.79999, 112.8])
    >>> middle = decimal_floor(np.array([(np.float64(below) + np.float64(above)) / 2]))
    >>> below <= middle, middle < above
    (array([ True]), array([ True]))
    """
    nearest, short = _six_digits(thresholds)
    decimal = np.isclose(short, thresholds, rtol=1e-10, atol=0)
    right = decimal & (short > thresholds) & (short.astype(np.float32) == nearest)
    rounded = np.where(right, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    below = float32_floor(thresholds)
    return np.where(_is_between_floats(thresholds, below), below, rounded).astype(np.float32)


def _is_between_floats(
    thresholds: NDArray[np.float64], below: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Whether a threshold is the middle of two float32, which has few bits, or next to it."""
    few_bits = thresholds.view(np.int64) % 2**_SPARE_BITS == 0
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.nextafter(below, np.float32(np.inf)).astype(np.float64) - below
        part = (thresholds - below) / step
    return few_bits | (np.abs(part - 0.5) < 1e-6)


def largest_source(column: Column, limits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest double that the steps of a column take to no more than each limit, by bisection.

    Examples
    --------
    >>> column = Column(0, (("sub", 0.1), ("div", 0.7)))
    >>> x = largest_source(column, np.array([1.0]))
    >>> column.apply(x) <= 1, column.apply(np.nextafter(x, 2)) <= 1
    (array([ True]), array([False]))
    """
    end = _rank(np.array([np.finfo(np.float64).max]))
    low, high = np.full(len(limits), -end[0] - 1), np.full(len(limits), end[0] + 1)
    with np.errstate(over="ignore"):
        for _ in range(64):  # ranks are 64-bit integers
            middle = (low >> 1) + (high >> 1) + (low & high & 1)
            goes_left = column.apply(_ranked(middle)) <= limits
            low, high = np.where(goes_left, middle, low), np.where(goes_left, high, middle)
    return _ranked(low)


def _rank(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of doubles in their order, as integers around 0."""
    bits = numbers.view(np.int64)
    return np.where(bits >= 0, bits, np.iinfo(np.int64).min - bits)


def _ranked(ranks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Inverse of `_rank`."""
    return np.where(ranks >= 0, ranks, np.iinfo(np.int64).min - ranks).view(np.float64)

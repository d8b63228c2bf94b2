"""The target of the command line: class labels, or measurements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.csvfile import to_number

_MOST_CLASSES = 100
_MEASUREMENT = "Cut it into classes, or predict its value with --metric squared_error."


def to_labels(cells: Sequence[str], target: str) -> NDArray[Any]:
    """Class labels: integers where all are whole numbers, else texts.

    Raises
    ------
    ValueError
        For one class, for fractions, or for more than 100 classes.

    Examples
    --------
    >>> to_labels(["0", "1.0"], "num"), to_labels(["yes", "1"], "num")
    (array([0, 1]), array(['yes', '1'], dtype='<U3'))
    """
    numbers = [to_number(cell) for cell in cells]
    classes = set(cells)
    labels = np.array(cells)
    if None not in numbers:
        values = np.array(numbers, dtype=np.float64)
        classes = set(values.tolist())
        whole = bool((values == np.round(values)).all() and np.abs(values).max() < 2**53)
        if not whole and len(classes) > 2:
            raise ValueError(
                f"the target {target!r} holds fractions such as {cells[0]}: it looks like a "
                f"measurement. {_MEASUREMENT}"
            )
        labels = values.astype(np.int64) if whole else labels
    if len(classes) > _MOST_CLASSES:
        raise ValueError(
            f"the target {target!r} has {len(classes)} classes; at most {_MOST_CLASSES} are "
            f"allowed. If it is a measurement: {_MEASUREMENT}"
        )
    if len(classes) == 1:
        raise ValueError(
            f"the target {target!r} has one class only, {cells[0]!r}; at least two are needed."
        )
    return labels


def to_measurements(cells: Sequence[str], target: str) -> NDArray[np.float64]:
    """Finite numbers.

    Raises
    ------
    ValueError
        For a cell that is no finite number, or one value only.

    Examples
    --------
    >>> to_measurements(["1", "2.5"], "weight")
    array([1. , 2.5])
    """
    numbers = [to_number(cell) for cell in cells]
    values = np.array([np.nan if number is None else number for number in numbers])
    if not np.isfinite(values).all():
        wrong = cells[int(np.argmin(np.isfinite(values)))]
        raise ValueError(
            f"the target {target!r} holds {wrong!r}, which is no finite number, and the metric is "
            "one of measurements. Correct the cell, or predict classes with --metric error."
        )
    if (values == values[0]).all():
        raise ValueError(
            f"the target {target!r} has one value only, {cells[0]!r}; there is nothing to predict."
        )
    return values

"""The target of the command line: class labels, or measurements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.cli.cells import decimal_of, to_number

_MOST_CLASSES = 100
_MEASUREMENT = "Cut it into classes, or predict its value with --metric squared_error."


_WHOLE = re.compile(r"(0|-?[1-9]\d{0,17})(?:\.0*)?", re.A)


def to_labels(cells: Sequence[str], target: str, decimal: str | None = None) -> NDArray[Any]:
    """Class labels: integers where all are whole numbers, else texts, to the letter.

    Raises
    ------
    ValueError
        For one class, for measurements, or for more than 100 classes.

    Examples
    --------
    >>> to_labels(["0", "1.0"], "num"), to_labels(["yes", "1"], "num")
    (array([0, 1]), array(['yes', '1'], dtype='<U3'))
    >>> to_labels(["01", "1"], "num")
    array(['01', '1'], dtype='<U2')
    """
    whole = [_WHOLE.fullmatch(cell) for cell in cells]
    labels: NDArray[Any] = np.array(cells)
    if None not in whole:
        labels = np.array([int(found[1]) for found in whole if found], dtype=np.int64)
    classes = set(labels.tolist())
    decimal = decimal or decimal_of(cells)
    numbers = [None if decimal is None else to_number(cell, decimal) for cell in cells]
    broken = [n is not None and n % 1 != 0 for n in numbers]
    if None not in numbers and any(broken) and len(classes) > 2:
        raise ValueError(
            f"the target {target!r} holds fractions such as {cells[broken.index(True)]}: it looks "
            f"like a measurement. {_MEASUREMENT}"
        )
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


def to_measurements(
    cells: Sequence[str], target: str, decimal: str | None = None
) -> NDArray[np.float64]:
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
    decimal = decimal or decimal_of(cells) or "."
    if decimal == "?":
        raise ValueError(
            f"the target {target!r} holds {cells[0]!r} and the like, whose commas may part "
            "decimals or thousands. Say --decimal , or write thousands without commas."
        )
    numbers = [to_number(cell, decimal) for cell in cells]
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

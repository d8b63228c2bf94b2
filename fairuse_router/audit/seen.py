"""Whether rows are among those that a router was fitted on: what it has seen is no claim."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.audit.records import OF_TRAINING
from fairuse_router.rows import TrainingRows

Prints = NDArray[np.uint64]
_FEW = 0.05
_ODD = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(data: TrainingRows) -> Prints:
    """A number for every row, the same for rows that are alike in all columns and the label."""
    with np.errstate(over="ignore"):
        out = np.full(len(data.y), 1469598103934665603, dtype=np.uint64)
        told = [_numbers(column) for column in tables.columns(data.features)]
        for values in (*told, *data.codes.T.astype(np.uint64), _bits(np.asarray(data.target))):
            out = (out ^ values) * _ODD
            out ^= out >> np.uint64(29)
    return out


def _numbers(column: tables.Column) -> Prints:
    values = column.values
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return _bits(values)
    if column.category_codes is not None and column.categories is not None:
        return np.append(_of_texts(column.categories), np.uint64(0))[column.category_codes]
    return _of_texts(values)


def _of_texts(values: Any) -> Prints:
    texts = (str(value).encode(errors="surrogatepass") for value in values)
    return np.fromiter(map(zlib.crc32, texts), dtype=np.uint64, count=len(values))


def _bits(values: NDArray[Any]) -> Prints:
    numbers = values.astype(np.float64) + 0.0  # one zero
    return np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)


def evidence_of(seen: Prints | None, data: TrainingRows, otherwise: str) -> str:
    """What rows these are, in words: `otherwise`, unless some of them are of training.

    Parameters
    ----------
    seen : ndarray of uint64 or None
        `fingerprints` of the rows that the router was fitted on.
    data : TrainingRows
    otherwise : str

    Returns
    -------
    str
        Rows that are equal by chance do not count: as many as twins among the rows of training.
    """
    if seen is None or not len(data.y):
        return otherwise
    share = float(np.isin(fingerprints(data), seen).mean())
    _, times = np.unique(seen, return_counts=True)
    twins = float(times[times > 1].sum() / max(len(seen), 1))
    if share <= _FEW + 2 * twins:
        return otherwise
    return f"rows, {100 * share:.0f}% {OF_TRAINING}"

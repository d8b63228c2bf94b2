"""Levels: the texts of the values in a group column, and their order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables


def is_missing(value: Any) -> bool:
    """Whether a cell holds None, NaN, NaT or ``pandas.NA``."""
    if isinstance(value, (float, np.floating)):
        return math.isnan(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def level_text(value: Any) -> str | None:
    """Return the one text of a level, or None for a missing value.

    The text is part of the bundle's file format: booleans are ``"True"`` and ``"False"``, integral
    numbers have no decimal point (``1`` and ``1.0`` are both ``"1"``, as a missing value turns an
    integer column into floats), everything else is ``str(value)``. Values that are equal have one
    text: an enumeration of texts that of its value, an instant that of its time in UTC, a duration
    that of pandas, decimals no zeros at their end. None, NaN, NaT, ``pandas.NA`` and the empty text
    are missing.

    Parameters
    ----------
    value : object
        One cell of a group column.

    Returns
    -------
    str or None

    Examples
    --------
    >>> level_text(True), level_text(1.0), level_text("60+"), level_text(float("nan"))
    ('True', '1', '60+', None)
    """
    if isinstance(value, str):  # to the letter, also that of an enumeration
        return str.__str__(value) or None
    if is_missing(value):
        return None
    if isinstance(value, np.datetime64):
        return _instant_text(value)
    if isinstance(value, (timedelta, np.timedelta64)):  # numpy's is an Integral
        return _duration_text(value)
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else str(value)
    if isinstance(value, bytes):
        return value.decode() or None
    if isinstance(value, Decimal):
        if value.is_nan():
            return None
        value = value.normalize() if value.is_finite() else value
        return f"{value:f}" if value != 0 else "0"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return str(value.astimezone(UTC))
    return str(value)


def _instant_text(value: np.datetime64) -> str:
    """Text of an instant of numpy's: that of pandas and Python, nanoseconds where it has some."""
    if np.datetime_data(value)[0] not in ("ns", "ps", "fs", "as"):
        return str(value.item())
    rounded = value.astype("datetime64[us]")
    text, rest = str(rounded.item()), int((value - rounded).astype("timedelta64[ns]").astype(int))
    if not rest:
        return text
    return f"{text}{'' if '.' in text else '.000000'}{rest:03}"


def _duration_text(value: timedelta | np.timedelta64) -> str:
    """Text of a duration, as pandas writes it.

    Examples
    --------
    >>> _duration_text(timedelta(days=1, hours=2)), _duration_text(np.timedelta64(-1, "ms"))
    ('1 days 02:00:00', '-1 days +23:59:59.999000')
    """
    if isinstance(value, timedelta):
        seconds = value.days * 86_400 + value.seconds
        nanoseconds = value.microseconds * 1_000 + getattr(value, "nanoseconds", 0)
    else:
        whole = int(value.astype("timedelta64[ns]").astype(np.int64))
        seconds, nanoseconds = divmod(whole, 10**9)
    days, seconds = divmod(seconds, 86_400)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{days} days {'+' if days < 0 else ''}{hours:02}:{minutes:02}:{seconds:02}"
    if not nanoseconds:
        return text
    return f"{text}.{nanoseconds:09}" if nanoseconds % 1000 else f"{text}.{nanoseconds // 1000:06}"


# equal values of one of these types have one text
_ONE_TEXT = {str, np.str_, int, float, bool, type(None), bytes, Decimal, date, datetime, timedelta}


def learn_levels(
    column: tables.Column, name: str, withheld: str | None, max_levels: int, argument: str
) -> tuple[str, ...]:
    """Texts of the levels of one column, in category order or else sorted by value."""
    found: dict[str, Any] = {}
    for value in _distinct(column):
        text = level_text(value)
        if text is None or text == withheld:
            continue
        if text in found and found[text] != value:
            raise ValueError(
                f"Group attribute {name!r}: the levels {found[text]!r} and {value!r} share the "
                f"text {text!r}. Give every level a text of its own."
            )
        found.setdefault(text, value)
        if len(found) > max_levels:
            raise ValueError(
                f"Group attribute {name!r} has more than max_levels={max_levels} levels; it looks "
                "continuous. Cut it into bands, or raise max_levels."
            )
    if not found:
        raise ValueError(
            f"Group attribute {name!r}: every training row withholds it, so it has no levels. "
            f"Drop it from {argument}, or train on rows that report it."
        )
    order = (
        found if column.categories is not None else sorted(found, key=lambda t: _order(t, found))
    )
    return tuple(order)


def alike(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """Texts that differ from each other by blanks or by letter case alone.

    Examples
    --------
    >>> alike(["Male", "male ", "female", "male"])
    [('Male', 'male ', 'male')]
    """
    found: dict[str, list[str]] = {}
    for text in texts:
        found.setdefault("".join(text.split()).casefold(), []).append(text)
    return [tuple(own) for own in found.values() if len(own) > 1]


def _order(text: str, values: Mapping[str, Any]) -> tuple[int, float, str]:
    """Sort key of a level: numbers by value, before texts by text."""
    value = values[text]
    if isinstance(value, (int, float, np.number, np.bool_)):
        return (0, float(value), text)
    return (1, 0.0, text)


def _distinct(column: tables.Column) -> Iterable[Any]:
    """Distinct values of a column; its categories, used or not, where the frame knows them."""
    if column.categories is not None:
        return column.categories
    values = column.values
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OUS":
        return _scalars(np.unique(values))
    return {(type(v), _key(v)): v for v in _hashable(values)}.values()


def _scalars(values: NDArray[Any]) -> list[Any]:
    """Entries as Python holds them; instants and durations as numpy does, which are no numbers."""
    return list(values) if values.dtype.kind in "mM" else values.tolist()


def _key(value: Any) -> Any:
    """What tells values of one type apart: their text, where equal ones may have two."""
    return value if type(value) in _ONE_TEXT else level_text(value)


def _hashable(values: Any) -> Any:
    for v in values if set(map(type, values)) - {str, int, float, bool, type(None)} else ():
        if getattr(v, "__hash__", None) is None:
            raise TypeError(
                f"A group column holds {v!r}, a {type(v).__name__}; levels must be text, numbers "
                "or booleans."
            )
    return values


def map_distinct(column: tables.Column, code: Any) -> NDArray[np.int64]:
    """Apply `code` to every cell, calling it once per distinct value."""
    if column.category_codes is not None and column.categories is not None:
        by_category = np.zeros(len(column.categories) + 1, dtype=np.int64)  # the last: missing
        for used in np.unique(column.category_codes[column.category_codes >= 0]):
            by_category[used] = code(column.categories[used])
        return by_category[column.category_codes]
    values = column.values
    if isinstance(values, np.ndarray) and values.dtype.kind not in "OUS":
        distinct, inverse = np.unique(values, return_inverse=True)
        return np.array([code(v) for v in _scalars(distinct)], dtype=np.int64)[inverse]
    if isinstance(values, np.ndarray):
        values = values.tolist()
    # 1, 1.0 and True are one dictionary key but may be different levels
    kinds = set(map(type, values)) - {str, np.str_, type(None)}
    if len(kinds) <= 1 and kinds <= _ONE_TEXT:
        table = {v: code(v) for v in set(_hashable(values))}
        return np.fromiter(map(table.__getitem__, values), np.int64, len(values))
    keys = [(type(v), _key(v)) for v in _hashable(values)]
    first = dict(zip(reversed(keys), reversed(values), strict=True))
    mixed = {key: code(value) for key, value in first.items()}
    return np.fromiter(map(mixed.__getitem__, keys), np.int64, len(keys))

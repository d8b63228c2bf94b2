"""Reading what users hold: labels, predictions and groups, as arrays of whatever kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router import tables
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Predictions, check_probabilities


def column(values: Any, name: str) -> np.ndarray:
    """One array of shape (n,) without missing values."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; give one value per row, (n,).")
    _refuse_missing(array, name)
    return array


def _refuse_missing(array: np.ndarray, name: str) -> None:
    """Refuse None and NaN among the values of rows."""
    missing = [_is_missing(v) for v in array.ravel()] if array.dtype.kind in "Of" else [False]
    if any(missing):
        raise ValueError(
            f"{name} is missing in {sum(missing)} of {len(array)} rows. Leave these rows out."
        )


def _is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA, whose comparisons have no truth."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def named(values: Any, name: str) -> dict[str, Any]:
    """Arrays by name: of a mapping, or the columns of a dataframe."""
    if isinstance(values, Mapping):
        return dict(values)
    columns = tables.column_names(values)
    if columns is None:
        raise TypeError(
            f"{name} is a {type(values).__name__}; pass a mapping of names to arrays, such as "
            "{'generic': p0, 'personalized': p1}, or a dataframe with one column each."
        )
    return {column: values[column] for column in columns}


def read_labels(values: Any, learned: bool) -> np.ndarray:
    """Class labels: those given, or those of y in order."""
    array = np.asarray(values)
    if array.ndim != 1 or not len(array):
        raise ValueError(
            f"classes has shape {array.shape}; give all labels in one sequence, or None to take "
            "those of y."
        )
    _refuse_missing(array, "y" if learned else "classes")
    try:
        unique = np.unique(array)
    except TypeError as error:
        kinds = sorted({type(v).__name__ for v in array.tolist()})
        raise ValueError(
            f"{'y' if learned else 'classes'} mixes labels of the types {', '.join(kinds)}, which "
            "have no order. Make them all of one type, e.g. text."
        ) from error
    return unique if learned else array


def codes_of(values: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    """Index of each value in the labels."""
    _refuse_missing(values, name)
    if values.dtype == object:
        index = {label: i for i, label in enumerate(labels.tolist())}
        known = np.array([value in index for value in values.tolist()], dtype=bool)
        _refuse_unknown(values[~known], labels, name)
        return np.array([index[value] for value in values.tolist()], dtype=np.int64)
    order = np.argsort(labels)
    place = np.minimum(np.searchsorted(labels[order], values), len(labels) - 1)
    codes = order[place]
    _refuse_unknown(values[labels[codes] != values], labels, name)
    return codes


def _refuse_unknown(unknown: np.ndarray, labels: np.ndarray, name: str) -> None:
    """Refuse labels that are none of the classes."""
    if len(unknown):
        raise ValueError(
            f"{name} holds {sorted(set(unknown.tolist()), key=str)[:5]}, which are not among the "
            f"classes {labels.tolist()[:10]}. Pass classes=[...] if y lacks some."
        )


def read_groups(groups: Any, n: int) -> tuple[GroupSchema, np.ndarray]:
    """Learn the groups and number the rows."""
    if n == 0:
        raise ValueError("y has no rows; an audit needs some.")
    names: Sequence[str] | None = None
    if isinstance(groups, Mapping):
        names = [str(name) for name in groups]
        groups = _side_by_side(groups)
    elif hasattr(groups, "to_frame") and not hasattr(groups, "columns"):  # a series keeps its order
        names = [str(getattr(groups, "name", None) or "group")]
        groups = groups.to_frame()
    single = not hasattr(groups, "columns") and np.ndim(groups) == 1
    table = np.asarray(groups, dtype=object).reshape(-1, 1) if single else tables.as_table(groups)
    rows, width = tables.shape(table)
    if rows != n:
        raise ValueError(f"groups has {rows} rows and y {n}; give the same rows to both.")
    schema = GroupSchema.from_table(table, list(range(width)), argument="groups")
    if single or names is not None:
        schema = replace(schema, attributes=tuple(names or ["group"]))
    schema.warn_of_alike_levels()
    return schema, schema.group_ids(schema.encode(table))


def _side_by_side(groups: Mapping[str, Any]) -> np.ndarray:
    """Columns given by name, as one array of objects."""
    columns = [np.asarray(column, dtype=object).reshape(-1) for column in groups.values()]
    if len({len(column) for column in columns}) != 1:
        raise ValueError("groups has columns of different lengths; give each the rows of y.")
    return np.column_stack(columns)


def read_predictions(value: Any, labels: np.ndarray | None, n: int, name: str) -> Predictions:
    """Read labels or probabilities."""
    if isinstance(value, Predictions):
        read = value
        if labels is not None and read.proba is not None:
            check_probabilities(read.proba, name)
    elif labels is None:
        read = Predictions(np.asarray(value, dtype=float).reshape(-1))
    else:
        read = _classification(np.asarray(value), labels, name)
    if len(read) != n:
        raise ValueError(f"{name} has {len(read)} rows and y {n}; give the same rows to both.")
    return read


def _classification(array: np.ndarray, labels: np.ndarray, name: str) -> Predictions:
    """Tell labels from probabilities."""
    if array.dtype == object and all(isinstance(v, float | np.floating) for v in array.ravel()):
        array = array.astype(float)
    if array.ndim == 1 and array.dtype.kind == "f" and len(labels) == 2:
        if np.isin(array, labels).all() and not np.isin(labels, (0, 1)).all():
            return Predictions(codes_of(array, labels, name))
        array = np.column_stack([1 - array, array])
    if array.ndim == 1:
        return Predictions(codes_of(array, labels, name))
    if array.ndim != 2 or array.shape[1] != len(labels):
        raise ValueError(
            f"{name} has shape {array.shape}; give labels (n,), probabilities of "
            f"{labels.tolist()[-1]!r} (n,), or of all classes (n, {len(labels)})."
        )
    array = array.astype(float)
    if not (np.isfinite(array).all() and array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
        raise ValueError(
            f"{name} holds values that are not probabilities in [0, 1] (or NaN). Pass labels, or "
            "apply the model's link function first."
        )
    check_probabilities(array, name)
    return Predictions.from_proba(array)

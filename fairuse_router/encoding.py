"""Encoding: the user's rows, split once into features and report codes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils.validation import validate_data

from fairuse_router import frames
from fairuse_router.auditing import Grouping
from fairuse_router.checks import (
    check_clusters,
    check_target,
    check_weight,
    learn_classes,
    to_target,
)
from fairuse_router.groups import GroupSchema
from fairuse_router.recipes import TrainingRows

Codes = NDArray[np.int64]


def check_columns(router: Any, X: Any, reset: bool) -> frames.Table:
    """Take the user's X as a table with the columns of the training data; `reset` learns them.

    Afterwards frames may lack the columns of ``audit_only``, which no prediction needs.

    Raises
    ------
    ValueError
        For other columns, or no rows.
    """
    table = frames.as_table(X)
    unused = None if reset else getattr(router, "audit_schema_", None)
    if unused is not None and hasattr(router, "feature_names_in_"):
        table = frames.fill_in(table, list(router.feature_names_in_), unused.attributes)
    validate_data(router, table, reset=reset, skip_check_array=True)
    n, d = frames.shape(table)
    if n < 1 or d < 1:
        what = "sample(s)" if n < 1 else "feature(s)"
        raise ValueError(
            f"Found array with 0 {what} (shape=({n}, {d})) while a minimum of 1 is required "
            f"by {type(router).__name__}."
        )
    return table


def learn_rows(
    router: Any, template: Any, table: frames.Table, y: Any, sample_weight: Any, clusters: Any
) -> tuple[TrainingRows, Codes]:
    """Learn the group attributes and classes, and split the rows by them.

    Sets ``schema_``, ``feature_columns_`` and, for a classification, ``classes_``.

    Parameters
    ----------
    router : FairUseRouter
    template : estimator
        The estimator to train, or the fitted generic.
    table : table of n rows
    y, sample_weight, clusters : array-like of shape (n,), or None
        As the user gave them.

    Returns
    -------
    rows : TrainingRows
    codes : ndarray of int64, shape (n, k)
        Their reports.
    """
    y = check_target(y, frames.shape(table)[0], router)
    router.schema_ = GroupSchema.from_table(
        table,
        router.group_attributes,
        withheld=router.withheld,
        handle_unknown=router.handle_unknown,
        max_levels=router.max_levels,
    )
    router.audit_schema_ = _learn_audit_only(router, table)
    d, kept_out = router.n_features_in_, kept_out_of_features(router)
    positions = [j for j in range(d) if j not in kept_out]
    if not positions:
        raise ValueError(
            f"X has {d} feature(s), all of them group_attributes or audit_only; generic needs at "
            "least one column that is neither."
        )
    router.feature_columns_ = frames.input_columns(table, positions)
    if not is_regressor(template):
        fitted = template if isinstance(router.cv, str) and router.cv == "prefit" else None
        router.classes_ = learn_classes(y, template, fitted)
    elif hasattr(router, "classes_"):
        del router.classes_  # of an earlier fit as a classifier
    rows, codes = _rows(router, table, y, sample_weight, clusters)
    largest = np.bincount(rows.groups + 1, minlength=2)[1:].max()
    if largest < router.min_group_size:
        warnings.warn(
            f"No group has min_group_size={router.min_group_size} rows (the largest has "
            f"{largest}): generic serves everyone.",
            UserWarning,
            stacklevel=3,
        )
    return rows, codes


def _learn_audit_only(router: Any, table: frames.Table) -> GroupSchema | None:
    """Groups by the attributes that are audited and never used."""
    if router.audit_only is None:
        return None
    schema = grouping(router, table, router.audit_only, "audit_only").schema
    both = sorted(set(schema.positions) & set(router.schema_.positions))
    if both:
        raise ValueError(
            f"audit_only={router.audit_only!r} names columns that are group_attributes too. An "
            "attribute is either used for predictions or only audited; name it once."
        )
    return schema


def audit_only_groups(router: Any, table: frames.Table) -> Grouping | None:
    """Group rows by the attributes that are only audited."""
    schema = router.audit_schema_
    return None if schema is None else Grouping(schema, schema.group_ids(schema.encode(table)))


def grouping(router: Any, table: frames.Table, columns: Any, argument: str) -> Grouping:
    """Group rows by any columns of X.

    Parameters
    ----------
    router : FairUseRouter
    table : table of n rows
    columns : str, int, or sequence of them
    argument : str
        What the user calls them, for messages.

    Raises
    ------
    ValueError
        If a column is unknown, named twice, or has more than ``max_levels`` levels.
    """
    schema = GroupSchema.from_table(
        table,
        columns,
        withheld=router.withheld,
        max_levels=router.max_levels,
        argument=argument,
    )
    return Grouping(schema, schema.group_ids(schema.encode(table)))


def kept_out_of_features(router: Any) -> tuple[int, ...]:
    """Positions in X of the columns that generic does not see."""
    only = () if router.audit_schema_ is None else router.audit_schema_.positions
    return (*router.schema_.positions, *only)


def split_columns(router: Any, X: Any) -> tuple[frames.Table, Codes]:
    """Split the rows of a fitted router's user into features and report codes."""
    return _split(router, check_columns(router, X, reset=False))


def labelled_rows(
    router: Any, X: Any, y: Any, sample_weight: Any, clusters: Any, by: Any = None
) -> tuple[TrainingRows, Codes, Grouping | None]:
    """Split rows with known labels, that `fit` never saw, into what an audit (by others) needs."""
    table = check_columns(router, X, reset=False)
    y = check_target(y, frames.shape(table)[0], router)
    others = None if by is None else grouping(router, table, by, "by")
    return *_rows(router, table, y, sample_weight, clusters), others


def _split(router: Any, table: frames.Table) -> tuple[frames.Table, Codes]:
    positions = [c.position for c in router.feature_columns_]
    features = frames.plain_features(frames.take_columns(table, positions))
    return features, router.schema_.encode(table)


def _rows(
    router: Any, table: frames.Table, y: NDArray[Any], sample_weight: Any, clusters: Any
) -> tuple[TrainingRows, Codes]:
    features, codes = _split(router, table)
    classes = getattr(router, "classes_", None)
    rows = TrainingRows(
        features,
        router.schema_.group_ids(codes),
        y,
        to_target(y, classes),
        classes,
        router.schema_.n_groups,
        check_weight(sample_weight, features),
        check_clusters(clusters, len(codes)),
    )
    return rows, codes

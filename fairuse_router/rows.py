"""Encoding: the user's rows, split once into features and report codes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, validate_data

from fairuse_router import tables
from fairuse_router.groups import GroupSchema
from fairuse_router.levels import is_missing

Codes = NDArray[np.int64]


def check_columns(router: Any, X: Any, reset: bool) -> tables.Table:
    """Take the user's X as a table with the columns of the training data; `reset` learns them.

    Afterwards frames may lack the columns of ``audit_only``, which no prediction needs.

    Raises
    ------
    ValueError
        For other columns, or no rows.
    """
    table = tables.as_table(X)
    unused = None if reset else getattr(router, "audit_schema_", None)
    if unused is not None and hasattr(router, "feature_names_in_"):
        table = tables.fill_in(table, list(router.feature_names_in_), unused.attributes)
    validate_data(router, table, reset=reset, skip_check_array=True)
    n, d = tables.shape(table)
    if n < 1 or d < 1:
        what = "sample(s)" if n < 1 else "feature(s)"
        raise ValueError(
            f"Found array with 0 {what} (shape=({n}, {d})) while a minimum of 1 is required "
            f"by {type(router).__name__}."
        )
    return table


def learn_rows(
    router: Any, template: Any, table: tables.Table, y: Any, sample_weight: Any, clusters: Any
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
    y = check_target(y, tables.shape(table)[0], router)
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
    router.feature_columns_ = tables.input_columns(table, positions)
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


def _learn_audit_only(router: Any, table: tables.Table) -> GroupSchema | None:
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


def audit_only_groups(router: Any, table: tables.Table) -> Grouping | None:
    """Group rows by the attributes that are only audited."""
    schema = router.audit_schema_
    return None if schema is None else Grouping(schema, schema.group_ids(schema.encode(table)))


def grouping(router: Any, table: tables.Table, columns: Any, argument: str) -> Grouping:
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


def split_columns(router: Any, X: Any) -> tuple[tables.Table, Codes]:
    """Split the rows of a fitted router's user into features and report codes."""
    return _split(router, check_columns(router, X, reset=False))


def labelled_rows(
    router: Any, X: Any, y: Any, sample_weight: Any, clusters: Any, by: Any = None
) -> tuple[TrainingRows, Codes, Grouping | None]:
    """Split rows with known labels, that `fit` never saw, into what an audit (by others) needs."""
    table = check_columns(router, X, reset=False)
    y = check_target(y, tables.shape(table)[0], router)
    others = None if by is None else grouping(router, table, by, "by")
    return *_rows(router, table, y, sample_weight, clusters), others


def _split(router: Any, table: tables.Table) -> tuple[tables.Table, Codes]:
    positions = [c.position for c in router.feature_columns_]
    features = tables.plain_features(tables.take_columns(table, positions))
    return features, router.schema_.encode(table)


def _rows(
    router: Any, table: tables.Table, y: NDArray[Any], sample_weight: Any, clusters: Any
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


Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingRows:
    """Training data, split once into features and groups.

    Parameters
    ----------
    features : table of n rows
        X without the group columns.
    groups : ndarray of shape (n,)
        Group of each row; -1 where it withholds something.
    y : ndarray of shape (n,)
        As the user gave it.
    target : ndarray of shape (n,)
        Class index of each row; `y` itself for a regression.
    classes : ndarray of shape (K,) or None
    n_groups : int
    weight, clusters : ndarray of shape (n,) or None
    """

    features: tables.Table
    groups: Rows
    y: NDArray[Any]
    target: NDArray[Any]
    classes: NDArray[Any] | None
    n_groups: int
    weight: NDArray[np.float64] | None = None
    clusters: NDArray[Any] | None = None

    def take(self, rows: Rows) -> TrainingRows:
        """Return some of the rows."""
        return replace(
            self,
            features=tables.take_rows(self.features, rows),
            groups=self.groups[rows],
            y=self.y[rows],
            target=self.target[rows],
            weight=None if self.weight is None else self.weight[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
        )


_SEMI_SUPERVISED = (SelfTrainingClassifier, LabelPropagation, LabelSpreading)


def check_target(y: Any, n: int, router: Any) -> NDArray[Any]:
    """Return y as a 1-D array of n values without gaps."""
    if y is None:
        raise ValueError(
            f"This {type(router).__name__} estimator requires y to be passed, but the target y is "
            "None."
        )
    y = column_or_1d(y, warn=True)
    if len(y) != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} rows, y has "
            f"{len(y)}."
        )
    gaps = [is_missing(v) for v in y.tolist()] if y.dtype.kind in "Of" else []
    if any(gaps):
        raise ValueError(
            f"Input y contains NaN or None in {sum(gaps)} of {n} rows. Drop the rows without a "
            "label."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains infinity. Drop or correct those rows.")
    return y


def learn_classes(y: NDArray[Any], template: Any, generic: Any) -> NDArray[Any]:
    """Return the class labels: of y, or of a generic model that was fitted elsewhere.

    Raises
    ------
    ValueError
        For a target that is no classes, or one class, or rows that are marked as unlabelled.
    """
    check_classification_targets(y)
    inside = [template, *template.get_params(deep=True).values()]
    semi = [type(e).__name__ for e in inside if isinstance(e, _SEMI_SUPERVISED)]
    if semi and generic is None and y.dtype.kind in "if" and (y == -1).any():
        raise ValueError(
            f"y is -1 in {int((y == -1).sum())} of {len(y)} rows, which {semi[0]} takes for rows "
            "without a label. A router is audited on labels: drop those rows, or give the class "
            "another label than -1."
        )
    if generic is not None:
        return np.asarray(generic.classes_)
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {classes[0]!r}; a classifier needs rows of at least two "
            "classes."
        )
    return classes


def to_target(y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any]:
    """Index of each label in the classes; y itself for a regression."""
    if classes is None:
        return y.astype(np.float64)
    index = {label: i for i, label in enumerate(classes.tolist())}
    unknown = sorted({str(v) for v in y.tolist() if v not in index})
    if unknown:
        raise ValueError(
            f"y has labels that the models do not know: {unknown[:5]}. Known: {classes.tolist()}."
        )
    return np.array([index[v] for v in y.tolist()], dtype=np.int64)


def check_weight(sample_weight: Any, features: tables.Table) -> NDArray[np.float64] | None:
    """Return sample weights as floats, non-negative and not all zero."""
    if sample_weight is None:
        return None
    n = tables.shape(features)[0]
    weight = _check_sample_weight(sample_weight, np.zeros((n, 1)), dtype=np.float64)
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            "sample_weight must be non-negative with at least one positive weight; got a minimum "
            f"of {weight.min()} and a sum of {weight.sum()}."
        )
    return weight


def check_clusters(clusters: Any, n: int) -> NDArray[np.int64] | None:
    """Return clusters as numbers from 0."""
    if clusters is None:
        return None
    shape = np.shape(clusters)
    if shape not in ((n,), (n, 1)):
        raise ValueError(f"clusters has the shape {shape} for {n} rows; give one entry per row.")
    clusters = column_or_1d(clusters)
    missing = sum(map(is_missing, clusters.tolist()))
    if missing:
        raise ValueError(
            f"clusters is missing in {missing} of {n} rows. Give rows without a cluster one each."
        )
    try:
        return np.unique(clusters, return_inverse=True)[1]
    except TypeError:
        raise TypeError(
            "clusters mixes types that have no order, such as text and numbers. Make them all text."
        ) from None


class Grouping(NamedTuple):
    """Groups to audit by that no model and no route knows of: their schema, the group of each row.

    Parameters
    ----------
    schema : GroupSchema
    ids : ndarray of shape (n,)
        -1 where the group is not known.
    """

    schema: GroupSchema
    ids: NDArray[np.int64]

"""Rows: X, y, weights and clusters, checked and split once."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.grids import told
from fairuse_router.groups import GroupSchema, grouped_by_values
from fairuse_router.inference.compare import Rows
from fairuse_router.levels import is_missing
from fairuse_router.tables import InputColumn

MAX_GROUPS = 5_000  # an audit compares every pair of them
Codes = NDArray[np.int64]
Places = NDArray[np.int64]  # rows by their place in a table


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


@dataclass(frozen=True)
class TrainingRows:
    """Labelled rows, split once into features and groups.

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
    codes : ndarray of int64, shape (n, k)
        The reports.
    by : Grouping or None
        Other groups to audit by.
    """

    features: tables.Table
    groups: Places
    y: NDArray[Any]
    target: NDArray[Any]
    classes: NDArray[Any] | None
    n_groups: int
    codes: Codes = field(kw_only=True)
    weight: NDArray[np.float64] | None = None
    clusters: NDArray[Any] | None = None
    by: Grouping | None = None

    def __sizeof__(self) -> int:
        """Bytes; Dask sends what is large once, and not with every task."""
        n, width = tables.shape(self.features)
        arrays = self.groups, self.y, self.target, self.codes, self.weight, self.clusters
        return 8 * n * width + sum(a.nbytes for a in arrays if a is not None)

    def take(self, rows: Places) -> Self:
        """Return some of the rows."""
        return replace(
            self,
            features=tables.take_rows(self.features, rows),
            groups=self.groups[rows],
            y=self.y[rows],
            target=self.target[rows],
            weight=None if self.weight is None else self.weight[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            codes=self.codes[rows],
            by=None if self.by is None else Grouping(self.by.schema, self.by.ids[rows]),
        )

    @property
    def outcomes(self) -> Rows:
        """The same rows without their features, as policies and audits take them."""
        return Rows(self.target, self.groups, self.n_groups, self.weight, self.clusters)

    @property
    def strata(self) -> Places | None:
        """What folds are balanced by, beside the groups: the classes."""
        return None if self.classes is None else self.target

    @property
    def group_sizes(self) -> Places:
        """Rows of each group, shape (m,)."""
        return np.bincount(self.groups[self.groups >= 0], minlength=self.n_groups)

    @property
    def class_counts(self) -> Places | None:
        """Rows per group and class, shape (m, K); None for a regression."""
        if self.classes is None:
            return None
        counts = np.zeros((self.n_groups, len(self.classes)), dtype=np.int64)
        known = self.groups >= 0
        np.add.at(counts, (self.groups[known], self.target[known].astype(np.int64)), 1)
        return counts


@dataclass(frozen=True)
class Columns:
    """What was learned of the columns of the user's X, and never changes after the fit.

    Parameters
    ----------
    schema : GroupSchema
        The group attributes.
    only_audited : GroupSchema or None
        Attributes that are audited and never used.
    features : tuple of InputColumn
        All other columns.
    max_levels : int
        Most levels of an attribute.
    """

    schema: GroupSchema
    only_audited: GroupSchema | None
    features: tuple[InputColumn, ...]
    max_levels: int

    @classmethod
    def learn(
        cls,
        table: tables.Table,
        group_attributes: Any,
        audit_only: Any,
        *,
        withheld: str | None,
        handle_unknown: str,
        max_levels: int,
    ) -> Self:
        """Learn the group attributes, and what is left as features.

        Raises
        ------
        ValueError
            For columns that are not there, named twice, or of more than `max_levels` levels, for
            more than 5,000 groups, and if no feature is left.
        """
        schema = GroupSchema.from_table(
            table,
            group_attributes,
            withheld=withheld,
            handle_unknown=handle_unknown,
            max_levels=max_levels,
        )
        if schema.n_groups > MAX_GROUPS:
            raise ValueError(
                f"group_attributes={list(schema.attributes)} span {schema.n_groups:,} groups; at "
                f"most {MAX_GROUPS:,} can be compared with each other. Use fewer attributes, or "
                "merge levels into bands or regions."
            )
        only = None
        if audit_only is not None:
            only = GroupSchema.from_table(
                table,
                audit_only,
                withheld=withheld,
                max_levels=max_levels,
                argument="audit_only",
            )
            if set(only.positions) & set(schema.positions):
                raise ValueError(
                    f"audit_only={audit_only!r} names columns that are group_attributes too. An "
                    "attribute is either used for predictions or only audited; name it once."
                )
        for known in filter(None, (schema, only)):
            known.warn_of_alike_levels()
        columns = cls(schema, only, (), max_levels)
        d = tables.shape(table)[1]
        positions = [j for j in range(d) if j not in columns.kept_out]
        if not positions:
            raise ValueError(
                f"X has {d} feature(s), all of them group_attributes or audit_only; generic needs "
                "at least one column that is neither."
            )
        return replace(columns, features=tables.input_columns(table, positions))

    @property
    def kept_out(self) -> tuple[int, ...]:
        """Positions in X of the columns that generic does not see."""
        only = () if self.only_audited is None else self.only_audited.positions
        return (*self.schema.positions, *only)

    def complete(self, table: tables.Table, names: Sequence[str] | None) -> tables.Table:
        """Fill in the columns of a dataframe that need not be told: lacking ones withhold."""
        if names is None:
            return table
        return tables.fill_in(table, list(names), self.optional)

    @property
    def optional(self) -> tuple[str, ...]:
        """Names of the columns that rows to predict may lack."""
        only = () if self.only_audited is None else self.only_audited.attributes
        return (*self.schema.attributes, *only)

    def read(self, X: Any, names: Sequence[str] | None) -> tables.Table:
        """Rows as a table; rows as JSON holds them take the training data's columns."""
        if not tables.are_records(X) or names is None:
            return self.complete(tables.as_table(X), names)
        numeric = [column.name for column in self.features if column.numeric]
        return tables.from_records(X, list(names), numeric, self.optional)

    def split(self, table: tables.Table) -> tuple[tables.Table, Codes]:
        """Split rows into features and the codes of their reports, shape (n, k)."""
        positions = [column.position for column in self.features]
        features = tables.plain_features(tables.take_columns(table, positions))
        return features, self.schema.encode(table)

    def grouping(self, table: tables.Table, columns: Any) -> Grouping:
        """Group rows by any columns of X, or by one value a row, which the user calls `by`."""
        if isinstance(columns, np.ndarray) or hasattr(columns, "to_numpy"):
            own = tables.shape(table)[0], self.schema.withheld, self.max_levels
            schema, ids = grouped_by_values(columns, *own)
            return Grouping(schema, ids)
        schema = GroupSchema.from_table(
            table,
            columns,
            withheld=self.schema.withheld,
            max_levels=self.max_levels,
            argument="by",
        )
        schema.warn_of_alike_levels()
        return Grouping(schema, schema.group_ids(schema.encode(table)))

    def encode(
        self,
        table: tables.Table,
        y: NDArray[Any],
        classes: NDArray[Any] | None,
        sample_weight: Any,
        clusters: Any,
    ) -> TrainingRows:
        """Split labelled rows, and check what comes with them."""
        features, codes = self.split(table)
        only = self.only_audited
        return TrainingRows(
            features,
            self.schema.group_ids(codes),
            y,
            to_target(y, classes),
            classes,
            self.schema.n_groups,
            check_weight(sample_weight, len(codes)),
            check_clusters(clusters, len(codes)),
            None if only is None else Grouping(only, only.group_ids(only.encode(table))),
            codes=codes,
        )


def check_not_empty(table: tables.Table, asker: str) -> None:
    """Refuse a table without rows or columns, in scikit-learn's words."""
    n, d = tables.shape(table)
    if n < 1 or d < 1:
        what = "sample(s)" if n < 1 else "feature(s)"
        raise ValueError(
            f"Found array with 0 {what} (shape=({n}, {d})) while a minimum of 1 is required "
            f"by {asker}."
        )


def check_target(y: Any, n: int, asker: str) -> NDArray[Any]:
    """Return y as a 1-D array of n values without gaps."""
    from sklearn.utils import column_or_1d  # here, as what only serves has no scikit-learn

    if y is None:
        raise ValueError(
            f"This {asker} estimator requires y to be passed, but the target y is None."
        )
    _refuse_several_outcomes(y)
    return check_outcomes(column_or_1d(y, warn=True), n)


def _refuse_several_outcomes(y: Any) -> None:
    """Refuse censored times and several outcomes, in words that say what to do."""
    kind = getattr(y, "dtype", None)
    fields = getattr(kind, "names", None)
    if fields:
        raise ValueError(
            f"y is a structured array of {', '.join(fields)}, as survival models take: times that "
            "may be censored. A router predicts classes or numbers. Fix a horizon, label who had "
            "the event by then, leave out who was censored before, and weight the others by the "
            "inverse probability of censoring: docs/clinic.md has a worked example."
        )
    shape: tuple[int, ...] = getattr(y, "shape", ())
    if len(shape) == 2 and shape[1] > 1:
        raise ValueError(
            f"y should be a 1d array, got an array of shape {shape}: {shape[1]} outcomes at once. "
            "A route is chosen for one outcome; fit a router for each column of y. (Of one-hot "
            "labels, pass y.argmax(axis=1).)"
        )


def check_outcomes(y: Any, n: int) -> NDArray[Any]:
    """Return y as a 1-D array of n values without gaps, whoever asks."""
    y = np.asarray(y)
    if y.ndim != 1:
        raise ValueError(f"y has the shape {y.shape}; pass one label per row of X, shape ({n},).")
    if len(y) != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} rows, y has "
            f"{len(y)}."
        )
    gaps = [is_missing(v) for v in y.tolist()] if y.dtype.kind in "Of" else []
    gaps = np.isnat(y).tolist() if y.dtype.kind in "mM" else gaps
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
    from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier
    from sklearn.utils.multiclass import check_classification_targets, type_of_target

    if y.dtype == object and type_of_target(y) == "unknown":
        kinds = sorted({type(label).__name__ for label in y.tolist()})
        raise ValueError(
            f"Unknown label type: y holds labels of the type {' and '.join(kinds)}. Give all "
            "labels one type, text or number, such as by y.astype(str)."
        )
    check_classification_targets(y)
    unlabelled = (SelfTrainingClassifier, LabelPropagation, LabelSpreading)
    inside = [template, *template.get_params(deep=True).values()]
    semi = [type(e).__name__ for e in inside if isinstance(e, unlabelled)]
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
            f"y has one class only, {told(classes[0])}; a classifier needs rows of at least two "
            "classes."
        )
    return classes


def to_target(y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any]:
    """Index of each label in the classes; y itself for a regression."""
    if classes is None:
        return _numbers(y)
    index = {label: i for i, label in enumerate(classes.tolist())}
    unknown = sorted({str(v) for v in y.tolist() if v not in index})
    if unknown:
        raise ValueError(
            f"y has labels that the models do not know: {unknown[:5]}. Known: {classes.tolist()}."
        )
    return np.array([index[v] for v in y.tolist()], dtype=np.int64)


def _numbers(y: NDArray[Any]) -> NDArray[np.float64]:
    """The target of a regression."""
    what = {"m": "durations", "M": "dates", "c": "complex numbers"}.get(y.dtype.kind)
    try:
        if what is None:
            return y.astype(np.float64)
    except (TypeError, ValueError):
        what = f"{y.tolist()[0]!r}, a {type(y.tolist()[0]).__name__}"
    raise ValueError(
        f"y holds {what}; a regression predicts numbers. Convert y, such as to the days since a "
        "date, or pass a classifier."
    )


def check_weight(sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    """Return sample weights as floats, non-negative and not all zero."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    weight = np.full(n, weight) if weight.ndim == 0 else weight
    if weight.shape != (n,):
        raise ValueError(
            f"sample_weight has the shape {weight.shape} for {n} rows; give one number per row."
        )
    if not np.isfinite(weight).all():
        raise ValueError("sample_weight contains NaN or infinity. Give every row a finite weight.")
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            "sample_weight must be non-negative, with at least one weight above zero; got a "
            f"minimum of {weight.min()} and a sum of {weight.sum()}."
        )
    return weight


def check_clusters(clusters: Any, n: int) -> NDArray[np.int64] | None:
    """Return clusters as numbers from 0."""
    if clusters is None:
        return None
    shape = np.shape(clusters)
    if shape not in ((n,), (n, 1)):
        raise ValueError(f"clusters has the shape {shape} for {n} rows; give one entry per row.")
    clusters = np.asarray(clusters).reshape(-1)
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


def warn_of_small_groups(rows: TrainingRows, min_group_size: int) -> None:
    """Say that generic serves everyone where no group is large enough."""
    largest = rows.group_sizes.max()
    if largest < min_group_size:
        warnings.warn(
            f"No group has min_group_size={min_group_size} rows (the largest has {largest}): "
            "generic serves every group that no coarser report serves.",
            UserWarning,
            stacklevel=4,
        )

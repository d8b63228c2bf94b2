"""Audit the predictions of any models at all, ours or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

import numpy as np

from fairuse_router import tables
from fairuse_router.audit.arguments import AuditSettings, read_metrics
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.build import audit_rows
from fairuse_router.audit.summing import audit_sums
from fairuse_router.candidates.scores import Scores
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.compare import Rows
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Metric, Predictions, check_probabilities, settle
from fairuse_router.routing.policies.evidence import Evidence

__all__ = ["audit_predictions"]


class MoreSettings(TypedDict, total=False):
    """Settings of `audit_predictions` that are seldom changed."""

    n_resamples: int
    random_state: int
    evidence: str
    frame: Any


def audit_predictions(
    y: Any,
    predictions: Any,
    groups: Any,
    sample_weight: Any = None,
    *,
    clusters: Any = None,
    metrics: Sequence[Any] | str = ("error",),
    baseline: str = "generic",
    misreports: Mapping[str, Any] | None = None,
    classes: Any = None,
    alpha: float = 0.1,
    correction: str = "holm",
    tests: Mapping[str, str] | None = None,
    **more: Unpack[MoreSettings],
) -> Audit:
    """Audit predictions of any models on rows that the models have not seen.

    Parameters
    ----------
    y : array-like of shape (n,)
        True labels, or the target of a regression.
    predictions : mapping of str to array-like, or DataFrame
        Per model (of a pandas, polars or pyarrow table: per column), for the n rows under their own
        reports: labels (n,), probabilities of the second of two classes (n,), probabilities of all
        classes (n, K) in sorted order, or `Predictions`.
    groups : DataFrame, Series or array-like of shape (n,) or (n, k)
        Group attributes, one column each. Rows with a missing or withheld (``"?"``) value belong to
        no group and do not count.
    sample_weight : array-like of shape (n,), default=None
    clusters : array-like of shape (n,), default=None
        Rows of one cluster (patient, site) are not independent.
    metrics : str, callable, or sequence of them, default=("error",)
        See `fairuse_router.metrics`.
    baseline : str, default="generic"
        The model that gains are over.
    misreports : mapping, default=None
        For envy-freeness: per model, per group (its text, levels joined by ``", "``; or a
        DataFrame of such columns), predictions for all n rows were they to report that group.
    classes : array-like, default=None
        All labels in the order of the probabilities; None takes the sorted labels in y.
    alpha : float, default=0.1
        Chance of any wrong verdict in a family of tests.
    correction : {"holm", "bonferroni", "benjamini-hochberg", "none"}, default="holm"
    tests : mapping of metric name to test name, default=None
        Overrides the test of a metric; `fairuse_router.audit.audit_rows` lists them.
    n_resamples : int, default=1000
        Of bootstrap and permutation; more are drawn where the correction needs smaller p-values.
    evidence : str, default="held-out rows"
        What rows these are.
    random_state : int, default=0
        Seed of bootstrap and permutation.
    frame : lazy frame or dataframe, default=None
        Of polars, DuckDB, Dask or PySpark; y, predictions, groups, sample_weight, clusters and
        misreports then name its columns, and its rows are added up where they are: see
        `fairuse_router.audit.audit_sums`, which says what sums can and cannot tell.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError, TypeError
        If shapes do not fit, labels or probabilities are none, or the baseline is missing.

    Examples
    --------
    >>> y = np.array([0, 1] * 30)
    >>> sex = np.repeat(["F", "M"], 30)
    >>> guess = np.where(np.arange(60) % 5 == 0, 1 - y, y)
    >>> audit = audit_predictions(y, {"generic": guess, "personalized": y}, sex)
    >>> [(r.group, round(r.gain, 2), r.verdict) for r in audit.rationality]
    [('F', 0.2, 'gain'), ('M', 0.2, 'gain')]
    """
    frame = more.pop("frame", None)
    testing = _testing(more, alpha=alpha, correction=correction, tests=tests, baseline=baseline)
    if frame is not None:
        sums = audit_sums(
            frame,
            y=y,
            predictions=predictions,
            groups=groups,
            sample_weight=sample_weight,
            clusters=clusters,
            metrics=metrics,
            baseline=baseline,
            misreports=misreports,
            classes=classes,
        )
        return sums.audit(alpha=alpha, correction=correction, tests=tests, evidence=testing.rows)
    y = _column(y, "y")
    chosen = read_metrics(metrics)
    labels = None
    if not _is_regression(chosen, y, classes):
        labels = _labels(y if classes is None else classes, classes is None)
    target = y.astype(float) if labels is None else _codes(y, labels, "y")
    schema, ids = _groups(groups, len(y))
    read = {
        name: _predictions(value, labels, len(y), f"predictions[{name!r}]")
        for name, value in _named(predictions, "predictions").items()
    }
    weight = (
        None if sample_weight is None else _column(sample_weight, "sample_weight").astype(float)
    )
    unit = None if clusters is None else _column(clusters, "clusters")
    rows = Rows(target, ids, schema.n_groups, weight, unit)
    chosen = [settle(metric, target, labels, weight) for metric in chosen]
    measure = _Misreports(rows, labels, schema.group_names(), chosen, read)
    moments = {
        name: measure.of(name, _named(given, f"misreports[{name!r}]"))
        for name, given in _of_models(misreports).items()
    }
    everybody = np.ones(len(y), dtype=bool)
    scores = {name: Scores(p, everybody, moments.get(name)) for name, p in read.items()}
    return audit_rows(Evidence(rows, scores, chosen), schema, testing)


def _is_regression(chosen: Sequence[Metric], y: np.ndarray, classes: Any) -> bool:
    """Whether y are measurements: as the metrics say, or fractions under those of one's own."""
    told = {metric.regression for metric in chosen if not metric.any_target}
    if told:
        return told == {True}
    return classes is None and y.dtype.kind == "f" and bool((y % 1 != 0).any())


def _testing(more: Mapping[str, Any], **settings: Any) -> AuditSettings:
    """Return how to test, by the names that users know."""
    names = {"n_resamples": "n_resamples", "random_state": "seed", "evidence": "rows"}
    unknown = sorted(set(more) - set(names))
    if unknown:
        raise TypeError(
            f"audit_predictions has no argument {unknown[0]!r}. Allowed besides those of its "
            f"signature: {', '.join(names)}, frame."
        )
    return AuditSettings(**settings, **{names[name]: value for name, value in more.items()})


def _column(values: Any, name: str) -> np.ndarray:
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


def _named(values: Any, name: str) -> dict[str, Any]:
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


def _of_models(misreports: Any) -> Mapping[str, Any]:
    """Misreports by model."""
    if not isinstance(misreports, Mapping | None):
        raise TypeError(
            f"misreports is a {type(misreports).__name__}; pass a mapping of models to predictions "
            "by group, such as {'personalized': {'F': p, 'M': q}}, or None."
        )
    return misreports or {}


def _labels(values: Any, learned: bool) -> np.ndarray:
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


def _codes(values: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
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


def _groups(groups: Any, n: int) -> tuple[GroupSchema, np.ndarray]:
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
    return schema, schema.group_ids(schema.encode(table))


def _side_by_side(groups: Mapping[str, Any]) -> np.ndarray:
    """Columns given by name, as one array of objects."""
    columns = [np.asarray(column, dtype=object).reshape(-1) for column in groups.values()]
    if len({len(column) for column in columns}) != 1:
        raise ValueError("groups has columns of different lengths; give each the rows of y.")
    return np.column_stack(columns)


def _predictions(value: Any, labels: np.ndarray | None, n: int, name: str) -> Predictions:
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
            return Predictions(_codes(array, labels, name))
        array = np.column_stack([1 - array, array])
    if array.ndim == 1:
        return Predictions(_codes(array, labels, name))
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


@dataclass(frozen=True)
class _Misreports:
    """What is needed to read predictions under other groups' reports."""

    rows: Rows
    labels: np.ndarray | None
    names: Sequence[str]
    metrics: Sequence[Metric]
    own: Mapping[str, Predictions]

    def of(self, name: str, given: Mapping[str, Any]) -> MisreportMoments:
        """Reduce one model's predictions under other groups' reports."""
        unknown = sorted(set(given) - set(self.names))
        if name not in self.own or unknown:
            raise ValueError(
                f"misreports[{name!r}]: the model must be among {sorted(self.own)}, its reports "
                f"{unknown or ''} among {list(self.names)}."
            )

        def under(h: int) -> Predictions:
            what = f"misreports[{name!r}][{self.names[h]!r}]"
            return _predictions(given[self.names[h]], self.labels, len(self.rows.y), what)

        asked = [h for h, text in enumerate(self.names) if text in given]
        return MisreportMoments.measure(self.rows, self.own[name], under, self.metrics, asked)

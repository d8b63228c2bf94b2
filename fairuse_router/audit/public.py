"""Audit the predictions of any models at all, ours or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np

from fairuse_router.audit.arguments import AuditSettings, read_metrics
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.build import audit_rows
from fairuse_router.audit.reading import (
    codes_of,
    column,
    named,
    read_groups,
    read_labels,
    read_predictions,
)
from fairuse_router.audit.summing import audit_sums
from fairuse_router.candidates.scores import Scores
from fairuse_router.inference.compare import Rows
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Metric, Predictions, settle
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
    y = column(y, "y")
    chosen = read_metrics(metrics)
    labels = None
    if not _is_regression(chosen, y, classes):
        labels = read_labels(y if classes is None else classes, classes is None)
    target = y.astype(float) if labels is None else codes_of(y, labels, "y")
    schema, ids = read_groups(groups, len(y))
    read = {
        name: read_predictions(value, labels, len(y), f"predictions[{name!r}]")
        for name, value in named(predictions, "predictions").items()
    }
    weight = None if sample_weight is None else column(sample_weight, "sample_weight").astype(float)
    unit = None if clusters is None else column(clusters, "clusters")
    rows = Rows(target, ids, schema.n_groups, weight, unit)
    chosen = [settle(metric, target, labels, weight) for metric in chosen]
    measure = _Misreports(rows, labels, schema.group_names(), chosen, read)
    moments = {
        name: measure.of(name, named(given, f"misreports[{name!r}]"))
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


def _of_models(misreports: Any) -> Mapping[str, Any]:
    """Misreports by model."""
    if not isinstance(misreports, Mapping | None):
        raise TypeError(
            f"misreports is a {type(misreports).__name__}; pass a mapping of models to predictions "
            "by group, such as {'personalized': {'F': p, 'M': q}}, or None."
        )
    return misreports or {}


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
            return read_predictions(given[self.names[h]], self.labels, len(self.rows.y), what)

        asked = [h for h, text in enumerate(self.names) if text in given]
        return MisreportMoments.measure(self.rows, self.own[name], under, self.metrics, asked)

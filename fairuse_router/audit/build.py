"""Make an audit from predictions: arithmetic on arrays, no models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairuse_router.audit.arguments import check_testing, read_metrics, read_tests
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.judge import Comparisons, judge
from fairuse_router.audit.records import GainRecord, RiskRecord, number
from fairuse_router.candidates.names import ROUTED
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import PairedTest
from fairuse_router.inference.compare import Rows, compare, default_test
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Metric, Predictions

__all__ = ["audit_rows", "count_rows"]

_TABLES = ("risks", "overall", "rationality", "envy_freeness", "truthfulness")


@dataclass(frozen=True)
class _Settings:
    """How to test, for every comparison alike."""

    names: tuple[str, ...]
    baseline: str
    alpha: float
    correction: str
    tests: Mapping[str, str]
    n_resamples: int
    seed: int

    def options(self, comparisons: int) -> dict[str, Any]:
        """Arguments of `compare`, resamples enough for a corrected p-value below alpha."""
        needed = int(np.ceil(4 * comparisons / self.alpha))
        resamples = min(max(self.n_resamples, needed), 10_000) - 1
        return {"alpha": self.alpha, "n_resamples": resamples, "seed": self.seed}


def audit_rows(
    y: np.ndarray,
    candidates: Mapping[str, Predictions],
    groups: np.ndarray,
    schema: GroupSchema,
    *,
    routed: Predictions | None = None,
    metrics: Any = ("error",),
    baseline: str = "generic",
    weight: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    misreports: Mapping[str, MisreportMoments] | None = None,
    truthfulness: Mapping[str, Predictions] | None = None,
    available: Mapping[str, np.ndarray] | None = None,
    scored: Mapping[str, np.ndarray] | None = None,
    alpha: float = 0.1,
    correction: str = "holm",
    tests: Mapping[str, str] | None = None,
    n_resamples: int = 1000,
    seed: int = 0,
    evidence: str = "held-out rows",
    n_partial: int | None = None,
) -> Audit:
    """Audit predictions that were made under each row's own report.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class indices, or the target of a regression.
    candidates : mapping of str to Predictions
        Predictions of n rows each.
    groups : ndarray of int of shape (n,)
        Group of each row; -1 belongs to none and does not count.
    schema : GroupSchema
        Names the m groups.
    routed : Predictions, default=None
        Of the deployed routing; it is shown as candidate ``"routed"``.
    metrics : sequence of str, callable or Metric, default=("error",)
    baseline : str, default="generic"
        The candidate that gains are over.
    weight, clusters : ndarray of shape (n,), default=None
        Row weights; rows of one cluster are not independent.
    misreports : mapping of str to MisreportMoments, default=None
        Per candidate, for envy-freeness.
    truthfulness : mapping of str to Predictions, default=None
        Per report, what the routing predicts for all n rows when everybody files that report.
    available : mapping of str to ndarray of bool of shape (m,), default=None
        Groups that a candidate can serve; all where not given.
    scored : mapping of str to ndarray of bool of shape (n,), default=None
        Rows whose predictions of a candidate count; all where not given.
    alpha : float, default=0.1
        Chance of any wrong verdict in a family.
    correction : {"holm", "bonferroni", "benjamini-hochberg", "none"}, default="holm"
    tests : mapping of metric name to test name, default=None
        Overrides the test of a metric, in every comparison: ``"mid-p McNemar"`` for error (others:
        ``"exact McNemar"``, ``"exact bootstrap"``, ``"paired t"``), ``"DeLong"`` for AUC, ``"swap
        permutation"`` for ECE, ``"paired t"`` for other row losses; ``"paired bootstrap"`` for
        callables, and for any metric where there are no `misreports` of it: of these only sums are
        kept, from which nothing can be resampled. With weights or clusters, error is tested by
        paired t.
    n_resamples : int, default=1000
        Of bootstrap and permutation; more are drawn where the correction needs smaller p-values.
    seed : int, default=0
        Of bootstrap and permutation.
    evidence : str, default="held-out rows"
        What rows these are.
    n_partial : int, default=None
        Rows that withhold something; None: all that belong to no group.

    Returns
    -------
    Audit

    Raises
    ------
    ValueError, TypeError
        If arrays do not fit each other, or the baseline, a test or a correction is unknown.

    Examples
    --------
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> y, groups = np.array([0, 1] * 40), np.repeat([0, 1], 40)
    >>> wrong = np.arange(80) < 30
    >>> audit = audit_rows(y, {"generic": Predictions(np.where(wrong, 1 - y, y)),
    ...                        "onehot": Predictions(y)}, groups, schema)
    >>> [(r.group, r.gain, r.verdict) for r in audit.rationality]
    [('F', 0.75, 'gain'), ('M', 0.0, 'undetermined')]
    """
    named = dict(candidates) if routed is None else {**candidates, ROUTED: routed}
    _check(y, named, groups, schema, baseline, weight, clusters)
    check_testing(alpha, n_resamples, correction)
    chosen = read_metrics(metrics)
    wanted = read_tests(tests, chosen)
    if n_partial is None:
        n_partial = count_rows(groups < 0, weight)
    if weight is not None:
        groups = np.where(weight > 0, groups, -1)
    rows = Rows(y, groups, schema.n_groups, weight, clusters)
    used = {
        name: _served(rows, (available or {}).get(name), (scored or {}).get(name)) for name in named
    }
    for name, predictions in named.items():
        _check_answers(name, predictions, used[name])
    settings = _Settings(
        tuple(schema.group_names()), baseline, alpha, correction, wanted, n_resamples, seed
    )
    tables: dict[str, list[Any]] = {kind: [] for kind in _TABLES}
    for metric in chosen:
        for name, predictions in named.items():
            tables["risks"] += _risk_records(metric, name, predictions, used[name], settings)
            if name == baseline:
                continue
            part = _audit_candidate(
                metric,
                name,
                named[baseline],
                predictions,
                used[name].only(used[baseline].groups >= 0),
                (misreports or {}).get(name),
                settings,
            )
            for kind, records in part.items():
                tables[kind] += records
        if routed is not None and truthfulness:
            tables["truthfulness"] += _truthfulness(
                metric, routed, truthfulness, used[ROUTED], settings
            )
    return Audit(
        metrics=tuple(metric.name for metric in chosen),
        candidates=tuple(named),
        baseline=baseline,
        attributes=tuple(schema.attributes),
        groups=settings.names,
        n=int((groups >= 0).sum()),
        alpha=alpha,
        correction=correction,
        evidence=evidence,
        n_partial=n_partial,
        **{kind: tuple(records) for kind, records in tables.items()},
    )


def count_rows(mask: np.ndarray, weight: np.ndarray | None) -> int:
    """How many rows a mask keeps; rows of weight 0 do not exist."""
    return int((mask if weight is None else mask & (weight > 0)).sum())


def _check(
    y: np.ndarray,
    named: Mapping[str, Predictions],
    groups: np.ndarray,
    schema: GroupSchema,
    baseline: str,
    weight: np.ndarray | None,
    clusters: np.ndarray | None,
) -> None:
    """Refuse arrays that do not fit each other."""
    if not isinstance(baseline, str) or baseline not in named:
        raise ValueError(f"baseline={baseline!r} is not among the candidates {sorted(named)}.")
    sizes = {name: len(p) for name, p in named.items()} | {"groups": len(groups)}
    sizes |= {
        k: len(v) for k, v in (("sample_weight", weight), ("clusters", clusters)) if v is not None
    }
    wrong = {name: size for name, size in sizes.items() if size != len(y)}
    if wrong:
        raise ValueError(f"y has {len(y)} rows, but these have others: {wrong}.")
    if len(groups) and groups.max() >= schema.n_groups:
        raise ValueError(f"groups runs to {groups.max()}; the schema has {schema.n_groups} groups.")
    if weight is not None and not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("sample_weight must be finite and not negative in every row.")


def _check_answers(name: str, predictions: Predictions, rows: Rows) -> None:
    """Refuse NaN among the predictions that count."""
    lost = int((predictions.undefined & (rows.groups >= 0)).sum())
    if lost:
        raise ValueError(
            f"The predictions of {name!r} hold NaN in {lost} rows. Find why the model returns NaN, "
            "or leave these rows out of every model's predictions."
        )


def _served(rows: Rows, available: np.ndarray | None, scored: np.ndarray | None) -> Rows:
    """Return the rows for which a candidate's predictions count."""
    keep = np.ones(len(rows.y), dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    if available is None:
        return rows if keep.all() else rows.only(keep)
    can = np.asarray(available, dtype=bool)
    rows = replace(rows, unserved=frozenset(np.flatnonzero(~can).tolist()))
    return rows.only(keep & np.append(can, False)[rows.groups])


def _risk_records(
    metric: Metric, name: str, predictions: Predictions, rows: Rows, settings: _Settings
) -> list[RiskRecord]:
    """Risks of one candidate: all groups together, then each."""
    records = []
    for part, groups in ((rows.together, (None,)), (rows, settings.names)):
        risks = part.risks(metric, predictions)
        for group, n, risk in zip(groups, part.sizes, risks, strict=True):
            records.append(RiskRecord(metric.name, name, group, int(n), number(risk)))
    return records


def _audit_candidate(
    metric: Metric,
    name: str,
    reference: Predictions,
    model: Predictions,
    rows: Rows,
    moments: MisreportMoments | None,
    settings: _Settings,
) -> dict[str, list[GainRecord]]:
    """Gains of one candidate over the baseline, and of truth over misreports."""
    test = default_test(metric, rows, settings.tests.get(metric.name))
    level, base = (settings.alpha, settings.correction), settings.baseline
    whole = compare(metric, reference, model, rows.together, test, **settings.options(1))
    groups = compare(metric, reference, model, rows, test, **settings.options(rows.m))
    family = [Comparisons(settings.names, [base] * rows.m, _explain(groups, rows))]
    if moments is not None and metric.name in moments.sums:
        family.append(_envy(moments.test(metric.name, test, alpha=settings.alpha), settings))
    judged = judge(metric.name, name, family, *level)
    (overall,) = judge(metric.name, name, [Comparisons([None], [base], whole)], *level)
    return {
        "overall": overall,
        "rationality": judged[0],
        "envy_freeness": judged[1] if len(judged) > 1 else [],
    }


def _explain(test: PairedTest, rows: Rows) -> PairedTest:
    """Say of groups without rows whether it is the candidate that is missing."""
    missing = np.isin(np.arange(rows.m), list(rows.unserved)) & (np.asarray(test.n) == 0)
    return replace(test, reason=np.where(missing, "no model for this group", test.reason))


def _envy(test: PairedTest, settings: _Settings) -> Comparisons:
    """All ordered pairs of different groups."""
    g, h = np.nonzero(~np.eye(len(settings.names), dtype=bool))
    pairs = test.at((g, h))
    no_model = (np.asarray(test.n).sum(axis=0) == 0)[h] & (np.asarray(test.n).sum(axis=1) > 0)[g]
    reason = np.where(no_model, "no model for the other report", pairs.reason)
    return Comparisons(
        [settings.names[i] for i in g],
        [settings.names[i] for i in h],
        replace(pairs, reason=reason),
    )


def _truthfulness(
    metric: Metric,
    routed: Predictions,
    under: Mapping[str, Predictions],
    rows: Rows,
    settings: _Settings,
) -> list[GainRecord]:
    """Gains of telling the truth to the deployed routing, over every other report.

    Reports in succession whose predictions are one and the same object share one comparison.
    """
    test = default_test(metric, rows, settings.tests.get(metric.name))
    options = settings.options(rows.m * max(len(under) - 1, 1))
    family: list[Comparisons] = []
    last, all_groups = None, None
    for report, predictions in under.items():
        if all_groups is None or predictions is not last:
            last = predictions
            all_groups = compare(metric, predictions, routed, rows, test, **options)
        others = np.array([g for g, name in enumerate(settings.names) if name != report], dtype=int)
        family.append(
            Comparisons(
                [settings.names[g] for g in others], [report] * len(others), all_groups.at(others)
            )
        )
    judged = judge(metric.name, ROUTED, family, settings.alpha, settings.correction)
    return [record for records in judged for record in records]

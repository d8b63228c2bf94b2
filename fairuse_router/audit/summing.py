"""Add up the rows of a frame, of whatever engine, for an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairuse_router.audit.added import misreport
from fairuse_router.audit.arguments import read_metrics
from fairuse_router.audit.lazy import Names, Wanted, as_lazy, learn, read_parts
from fairuse_router.audit.parts import Parts, Plan, part_name
from fairuse_router.audit.sums import AuditSums, models_and_pairs
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.paired import powers
from fairuse_router.levels import level_text
from fairuse_router.metrics import Metric, get_metric

__all__ = ["audit_sums"]


def audit_sums(
    frame: Any,
    *,
    y: str,
    predictions: Mapping[str, Names],
    groups: Sequence[str] | str,
    sample_weight: str | None = None,
    clusters: str | None = None,
    metrics: Sequence[Any] | str = ("error",),
    baseline: str = GENERIC,
    misreports: Mapping[str, Mapping[str, Names]] | None = None,
    classes: Sequence[Any] | None = None,
    bins: int | None = None,
) -> AuditSums:
    """Add up what an audit needs of the rows of a frame, where they are.

    Parameters
    ----------
    frame : lazy frame or dataframe
        Of polars (``pl.scan_parquet``), DuckDB (a relation), Dask or PySpark: rows are read batch
        by batch, or added up on the workers. Also pandas, polars and pyarrow in memory.
    y : str
        Column of labels, or of the target of a regression.
    predictions : mapping of str to str or sequence of str
        Per model its column: labels, probabilities of the second of two classes (a column of
        fractions), or numbers; or the columns of the probabilities of all classes, in their order.
    groups : sequence of str
        Columns of the group attributes. Rows with a missing or withheld (``"?"``) value belong to
        no group.
    sample_weight, clusters : str, default=None
        Columns. All rows of a cluster must be in this frame.
    metrics : sequence of str, default=("error",)
        Built-in means over rows, ECE, and AUC of two classes.
    baseline : str, default="generic"
    misreports : mapping, default=None
        Per model and report, the columns of its predictions were everybody to file it. Reports are
        texts, levels joined by ``", "``. Those of ``"routed"`` are for truthfulness and may
        withhold, others are for envy-freeness.
    classes : sequence, default=None
        All labels in order; None takes the sorted ones in y, which reads that column once more.
    bins : int, default=None
        Steps of the scores for AUC, a power of 2 from 128 on. The bracket of a gain halves as they
        double, and should stay below a tenth of its standard error, see `AuditSums.brackets`. None:
        about 200 times the square root of the rows, at least 65,536 and at most 4,194,304. Sums of
        fewer steps and of more add up to those of fewer.

    Returns
    -------
    AuditSums

    Raises
    ------
    ValueError, TypeError
        If columns are missing, hold NaN, or are no labels and no probabilities; for metrics that do
        not add up.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.LazyFrame({"sex": ["F", "M", "?"], "y": [0, 1, 1], "p": [0.2, 0.9, 0.4]})
    >>> sums = audit_sums(frame, y="y", predictions={"generic": "p"}, groups="sex",
    ...                   metrics=("error", "brier"))
    >>> [(r.metric, r.group, round(r.risk, 2)) for r in sums.audit().risks if r.group]
    [('error', 'F', 0.0), ('error', 'M', 0.0), ('brier', 'F', 0.04), ('brier', 'M', 0.01)]
    """
    chosen = read_metrics(metrics)
    regression = all(metric.regression for metric in chosen)
    _check_summable(chosen, bins)
    if baseline not in predictions:
        raise ValueError(f"baseline={baseline!r} is not among the models {sorted(predictions)}.")
    asked = {name: tuple(given) for name, given in (misreports or {}).items()}
    columns = _all_columns(predictions, misreports or {})
    attributes = (groups,) if isinstance(groups, str) else tuple(groups)
    wanted = Wanted(y, columns, attributes, sample_weight, clusters)
    lazy = as_lazy(frame)
    schema, labels, values, n = learn(lazy, wanted, classes, regression)
    _check_reports(asked, schema)
    if labels is not None and len(labels) > 2 and "auc" in {m.name for m in chosen}:
        raise ValueError("metric='auc' adds up for two classes only; audit the rows themselves.")
    bins = _enough_bins(n) if bins is None else bins
    models, pairs = models_and_pairs(list(predictions), baseline, asked)
    plan = Plan(
        m=schema.n_groups,
        metrics=tuple(metric.name for metric in chosen),
        models=tuple(models),
        pairs=tuple(pairs),
        classes=None if labels is None else len(labels),
        bins=bins,
        weighted=sample_weight is not None,
        clustered=clusters is not None,
    )
    parts = read_parts(lazy, wanted, schema, labels, values, plan)
    if "n" not in parts:
        raise ValueError("No row of the frame belongs to a group.")
    parts, numbers = _settled(parts, plan)
    return AuditSums(
        schema=schema,
        classes=None if labels is None else tuple(str(level_text(v)) for v in labels),
        metrics=plan.metrics,
        candidates=tuple(predictions),
        baseline=baseline,
        reports=asked,
        bins=bins,
        weighted=plan.weighted,
        clustered=plan.clustered,
        parts=parts,
        clusters=numbers,
    )


def _check_summable(metrics: Sequence[Any], bins: Any) -> None:
    """Refuse metrics that are no sums, and bins that are no power of 2."""
    own = [metric.name for metric in metrics if not _adds_up(metric)]
    if own:
        raise ValueError(
            f"metrics names {own}, which do not add up over rows. Use AUC, ECE or a built-in mean "
            "over rows such as 'error' or 'net_benefit@0.2', or audit the rows themselves."
        )
    if bins is None:
        return
    if not isinstance(bins, int) or not 128 <= bins <= 1 << 24 or bins & (bins - 1):
        raise ValueError(f"bins={bins!r} is not allowed: give a power of 2 from 128 to {1 << 24}.")


def _all_columns(
    predictions: Mapping[str, Names], misreports: Mapping[str, Mapping[str, Names]]
) -> dict[str, Names]:
    """Columns of all models, under people's own and under other reports."""
    columns = {str(name): given for name, given in predictions.items()}
    for name, given in misreports.items():
        if name not in columns:
            raise ValueError(f"misreports[{name!r}]: the model must be among {sorted(columns)}.")
        columns |= {misreport(name, report): column for report, column in given.items()}
    return columns


def _enough_bins(n: int) -> int:
    """Steps that keep the bracket of a gain in AUC small beside its standard error."""
    wanted = 200 * max(n, 1) ** 0.5
    return 1 << min(max(int(wanted - 1).bit_length(), 16), 22)


def _adds_up(metric: Metric) -> bool:
    """Whether a metric is built in, and a mean over rows, AUC or ECE."""
    try:
        built_in = get_metric(metric.name)
    except ValueError:
        return False
    return built_in == metric and (metric.rowwise is not None or metric.name in ("auc", "ece"))


def _check_reports(asked: Mapping[str, Sequence[str]], schema: GroupSchema) -> None:
    """Refuse reports that nobody can file."""
    full = set(schema.group_names())
    every = {schema.report_name(code) for code in schema.report_codes}
    for name, reports in asked.items():
        unknown = sorted(set(reports) - (every if name == ROUTED else full))
        if unknown:
            raise ValueError(
                f"misreports[{name!r}] names the reports {unknown[:5]}, which are none of "
                f"{sorted(full)[:10]}."
            )


def _settled(parts: Parts, plan: Plan) -> tuple[Parts, np.ndarray]:
    """Sums over whole clusters in place of sums within them; and the clusters' numbers."""
    if not plan.clustered:
        return parts, np.array([], dtype=np.int64)
    parts = dict(parts)
    keys, sums = parts.pop("unit_key"), parts.pop("unit_sum")
    clusters, unit = np.unique(keys[:, 1], return_inverse=True)
    unit = unit.reshape(-1)
    whole = np.stack([np.bincount(unit, x, len(clusters)) for x in sums.T], axis=1)
    column, one = 0, np.zeros(len(whole), dtype=int)
    for metric in plan.rowwise:
        mass, rows = column, parts.get(part_name("n", metric), parts["n"])
        n = np.append(rows, rows.sum())[None]
        for pair in plan.pairs:
            column += 1
            by_group = powers(sums[:, column], sums[:, mass], keys[:, 0], plan.m)
            together = powers(whole[:, column], whole[:, mass], one, 1)
            both = np.concatenate([by_group, together], axis=1)
            parts[part_name("gain", metric, *pair)] = np.concatenate([n, both])
        column += 1
    return parts, clusters

"""What moved between training and deployment: shares of groups and reports, and class rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.records import number
from fairuse_router.inference import adjust, fisher
from fairuse_router.routing.paying import sent_as_they_are
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows

Counts = NDArray[np.int64] | Sequence[Sequence[int] | None] | None  # rows per group and class


@dataclass(frozen=True)
class Shift:
    """A share that was compared between training and deployment.

    Parameters
    ----------
    kind : {"group size", "class rate", "report share", "class rate if withheld"}
        The last two are of partial reports that have routes of their own: how many sent each, and
        whether those who withhold have the outcomes of all whom the report may come from in
        training, as is taken for granted when its route is chosen.
    group : str
        Or report.
    label : object
        The class, for a class rate.
    then, now : float or None
        The share in training and in deployment.
    n_then, n_now : int
        Rows it is a share of.
    p : float or None
        Fisher's exact test, two-sided, corrected (Holm) over all shares.
    moved : bool
        Whether p is at most alpha.
    """

    kind: str
    group: str
    label: Any
    then: float | None
    now: float | None
    n_then: int
    n_now: int
    p: float | None
    moved: bool


def find_shifts(
    table: RoutingTable,
    data: TrainingRows,
    class_counts: Counts,
    alpha: float,
) -> list[Shift]:
    """Compare group sizes, shares of reports and class rates in training and in deployment.

    Parameters
    ----------
    table : RoutingTable
        Its records hold the rows of each group in training; groups whose rows a bundle leaves out
        are not compared.
    data : TrainingRows
        Rows from deployment. Rows of one cluster are not independent, so that with clusters
        nothing can be told.
    class_counts : sequence of m sequences of K int, or None
        Training rows per group and class; None for a regression, and for a group whose counts a
        bundle leaves out.
    alpha : float
        Level of the family of all comparisons (Holm).
    """
    m = table.schema.n_groups
    mine = data.groups >= 0
    if data.weight is not None:
        mine &= data.weight > 0
    rows = [record.rows for record in table.groups]
    known = [g for g in range(m) if rows[g] is not None]
    now = np.bincount(data.groups[mine], minlength=m)
    total, total_now = sum(rows[g] or 0 for g in known), int(now[known].sum())
    names = table.schema.group_names()
    parts: list[tuple[Any, ...]] = [
        ("group size", names[g], None, rows[g] or 0, total, now[g], total_now) for g in known
    ]
    if class_counts is not None and data.classes is not None:
        counts = np.zeros((m, len(data.classes)), dtype=np.int64)
        np.add.at(counts, (data.groups[mine], data.target[mine].astype(np.int64)), 1)
        labels = data.classes.tolist()
        parts += [
            ("class rate", names[g], labels[c], then[c], sum(then), counts[g, c], now[g])
            for g, then in enumerate(class_counts)
            if then is not None
            for c in (range(len(labels)) if len(labels) > 2 else (1,))
        ]
    if table.partial:
        parts += _of_partial_reports(table, data, class_counts)
    if not parts:
        return []
    before, n_before, after, n_after = np.array([part[3:] for part in parts]).T
    p = fisher(before, n_before, after, n_after)
    if data.clusters is not None:
        p = np.full_like(p, np.nan)
    p = adjust(p, "holm")
    return [
        Shift(
            kind,
            name,
            label,
            number(a / n) if n else None,
            number(b / k) if k else None,
            int(n),
            int(k),
            number(p[i]),
            bool(p[i] <= alpha),
        )
        for i, (kind, name, label, a, n, b, k) in enumerate(parts)
    ]


def _of_partial_reports(
    table: RoutingTable, data: TrainingRows, class_counts: Counts
) -> Iterator[tuple[Any, ...]]:
    """How many sent each partial report that has a route, and the outcomes of those who did."""
    schema, then = table.schema, sent_as_they_are(table).ravel()
    used = np.ones(len(data.y), dtype=bool) if data.weight is None else data.weight > 0
    sent = schema.report_ids(data.codes)
    now = np.bincount(sent[used], minlength=schema.n_reports)
    labels = [] if data.classes is None else data.classes.tolist()
    for report in np.flatnonzero(table.grid.ravel() != 0).tolist():
        code = schema.report_codes[report]
        record = table.record(code)
        if code.all() or record is None or record.rows is None:
            continue
        name = schema.report_name(code)
        yield "report share", name, None, then[report], then.sum(), now[report], now.sum()
        known = (
            [class_counts[g] for g in schema.completions(code)] if class_counts is not None else []
        )
        if not labels or not known or any(counts is None for counts in known):
            continue
        trained = np.sum([list(counts) for counts in known if counts is not None], axis=0)
        mine = data.target[used & (sent == report)].astype(np.int64)
        counted = np.bincount(mine, minlength=len(labels))
        for c in range(len(labels)) if len(labels) > 2 else (1,):
            kind = "class rate if withheld"
            yield kind, name, labels[c], trained[c], trained.sum(), counted[c], len(mine)

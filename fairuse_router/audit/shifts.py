"""What moved between training and deployment: group sizes and class rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.records import number
from fairuse_router.inference import adjust, fisher
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows

Counts = NDArray[np.int64] | Sequence[Sequence[int] | None] | None  # rows per group and class


@dataclass(frozen=True)
class Shift:
    """A share that was compared between training and deployment.

    Parameters
    ----------
    kind : {"group size", "class rate"}
    group : str
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
    """Compare group sizes and class rates in training and in deployment.

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
    parts = [("group size", g, None, rows[g] or 0, total, now[g], total_now) for g in known]
    if class_counts is not None and data.classes is not None:
        counts = np.zeros((m, len(data.classes)), dtype=np.int64)
        np.add.at(counts, (data.groups[mine], data.target[mine].astype(np.int64)), 1)
        labels = data.classes.tolist()
        parts += [
            ("class rate", g, labels[c], then[c], sum(then), counts[g, c], now[g])
            for g, then in enumerate(class_counts)
            if then is not None
            for c in (range(len(labels)) if len(labels) > 2 else (1,))
        ]
    if not parts:
        return []
    before, n_before, after, n_after = np.array([part[3:] for part in parts]).T
    p = fisher(before, n_before, after, n_after)
    if data.clusters is not None:
        p = np.full_like(p, np.nan)
    p = adjust(p, "holm")
    names = table.schema.group_names()
    return [
        Shift(
            kind,
            names[g],
            label,
            number(a / n) if n else None,
            number(b / k) if k else None,
            int(n),
            int(k),
            number(p[i]),
            bool(p[i] <= alpha),
        )
        for i, (kind, g, label, a, n, b, k) in enumerate(parts)
    ]

"""What moved between training and deployment: group sizes and class rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.records import number
from fairuse_router.inference import adjust, fisher
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows


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
    class_counts: NDArray[np.int64] | None,
    alpha: float,
) -> list[Shift]:
    """Compare group sizes and class rates in training and in deployment.

    Parameters
    ----------
    table : RoutingTable
        Its records hold the rows of each group in training.
    data : TrainingRows
        Rows from deployment. Rows of one cluster are not independent, so that with clusters
        nothing can be told.
    class_counts : ndarray of int64, shape (m, K), or None
        Training rows per group and class; None for a regression.
    alpha : float
        Level of the family of all comparisons (Holm).
    """
    m = table.schema.n_groups
    mine = data.groups >= 0
    if data.weight is not None:
        mine &= data.weight > 0
    then = np.array([record.rows or 0 for record in table.groups])
    now = np.bincount(data.groups[mine], minlength=m)
    parts = [("group size", g, None, then[g], then.sum(), now[g], now.sum()) for g in range(m)]
    if class_counts is not None and data.classes is not None:
        counts = np.zeros_like(class_counts)
        np.add.at(counts, (data.groups[mine], data.target[mine].astype(np.int64)), 1)
        labels = data.classes.tolist()
        parts += [
            ("class rate", g, labels[c], class_counts[g, c], then[g], counts[g, c], now[g])
            for g in range(m)
            for c in (range(len(labels)) if len(labels) > 2 else (1,))
        ]
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

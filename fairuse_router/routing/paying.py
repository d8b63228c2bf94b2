"""Whether a further answer pays: what telling more gains in the mean, report by report."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from fairuse_router.routing.asking import settled, spread
from fairuse_router.routing.grid import RoutingGrid

_NOTHING = 1e-12


def gains_of_reports(table: RoutingGrid) -> NDArray[np.float64]:
    """Gain of every report's route, on the grid; 0 where it is not known, or infinite."""
    found = np.array([table.standing(code)[1] for code in table.schema.report_codes])
    return np.where(np.isfinite(found), found, 0.0).reshape(table.grid.shape)


def may_stop(table: RoutingGrid, declined: Collection[int] = ()) -> NDArray[np.bool_]:
    """Where nothing more need be asked: nothing changes the route, or no further answer pays.

    An answer pays if those who give it, or who then tell everything, gain more by it in the mean,
    out of fold. Without records of partial reports only the first counts.

    Parameters
    ----------
    table : RoutingGrid
    declined : collection of int, default=()
        Attributes that are withheld for good; they have length 1 in the result.
    """
    free = settled(table.grid, declined)
    if not table.partial:
        return free
    axes = range(table.grid.ndim)
    gain = gains_of_reports(table)[
        tuple(slice(0, 1) if j in declined else slice(None) for j in axes)
    ]
    groups = table.weights().reshape([n - 1 for n in table.grid.shape])
    for axis in declined:
        groups = groups.sum(axis=axis, keepdims=True)
    weight = spread(groups, np.sum, declined)
    told = tuple(slice(None) if j in declined else slice(1, None) for j in axes)
    best = spread(groups * gain[told], np.sum, declined)
    for j in (j for j in axes if j not in declined):
        rest = (*(slice(None) for _ in range(j)), slice(1, None))
        first = (*(slice(None) for _ in range(j)), slice(0, 1))
        total = (weight * gain)[rest].sum(axis=j, keepdims=True)
        best[first] = np.maximum(best[first], total)
    return free | (best <= weight * gain + _NOTHING * max(float(weight.max()), 1.0))


def sent_as_they_are(table: RoutingGrid) -> NDArray[np.float64]:
    """Training rows that sent exactly each report, on the grid; 0 where small counts are hidden."""
    rows = np.array([table.standing(code)[0] for code in table.schema.report_codes])
    rows = np.nan_to_num(rows).reshape(table.grid.shape)
    for axis in range(rows.ndim):
        rest = (*(slice(None) for _ in range(axis)), slice(1, None))
        first = (*(slice(None) for _ in range(axis)), slice(0, 1))
        rows[first] -= rows[rest].sum(axis=axis, keepdims=True)
    return np.maximum(rows, 0.0)

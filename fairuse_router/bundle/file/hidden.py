"""What a file or a page leaves out: numbers that rest on so few people that they point at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.bounded import bounded
from fairuse_router.routing.honest import HonestGain, HonestGains
from fairuse_router.routing.records import GroupRecord
from fairuse_router.routing.table import RoutingTable


def small_groups(table: RoutingTable, min_cell: int) -> frozenset[str]:
    """Names of the groups, and of the partial reports, whose numbers are left out of the file.

    Groups below `min_cell` rows; and if that is one group only, the next smallest as well, as
    totals would give the one away. Partial reports that may come from such a group, so that no
    difference of what is shown gives it away, and those that so few people sent as they are.
    """
    rows = [record.rows or 0 for record in table.groups]
    order = np.argsort(rows, kind="stable")
    hidden = [g for g in order.tolist() if rows[g] < min_cell]
    if len(hidden) == 1:
        hidden = order[:2].tolist()
    names = table.schema.group_names()
    few = _partial_beside(table, set(hidden), min_cell)
    return frozenset(names[g] for g in hidden) | few


def _partial_beside(table: RoutingTable, hidden: set[int], min_cell: int) -> frozenset[str]:
    """Names of the partial reports from whose numbers those of few people could be worked out."""
    schema, names = table.schema, set()
    if not table.partial:
        return frozenset()
    withheld = schema.report_codes[(schema.report_codes == 0).any(axis=1)]
    for code, record in zip(withheld, table.partial, strict=True):
        below = schema.completions(code).tolist()
        silent = [_withholding(table, code, j, record) for j in np.flatnonzero(code == 0).tolist()]
        if hidden & set(below) or any(0 < rows < min_cell for rows in silent):
            names.add(schema.report_name(code))
    return frozenset(names)


def _withholding(table: RoutingTable, code: NDArray[np.int64], j: int, record: GroupRecord) -> int:
    """Training rows that tell a partial report, and withhold one attribute more."""
    finer = np.repeat(code[None, :], len(table.schema.levels[j]), axis=0)
    finer[:, j] = np.arange(1, len(finer) + 1)
    found = [table.record(one) for one in finer]
    return (record.rows or 0) - sum((own.rows or 0) for own in found if own is not None)


def write_table(table: RoutingTable, hidden: frozenset[str], min_cell: int) -> dict[str, Any]:
    """Routing table for the file, without the numbers of hidden groups."""
    data = table.to_dict()
    del data["schema"]
    schema, records = table.schema, (*table.groups, *table.partial)
    codes = schema.report_codes
    withheld = codes[(codes == 0).any(axis=1)] if table.partial else codes[:0]
    names = {
        record.report: schema.report_name(code)
        for record, code in zip(records, [*schema.group_codes, *withheld], strict=True)
    }
    nothing: dict[str, Any] = dict.fromkeys(("rows", "gain", "low", "high"))
    described = [*data["groups"], *data.get("partial", [])]
    for group in described:
        if names[tuple(group["report"])] in hidden:
            reason = f"not shown: the group, or one next to it, has fewer than {min_cell} rows"
            group.update(nothing, reason=reason, risks={}, unavailable={})
            group.pop("real", None)
            group.pop("further", None)
    for change in data["history"]:
        few = change["rows"] is not None and change["rows"] < min_cell
        if few or names[tuple(change["report"])] in hidden:
            reason = (
                f"not shown: it rests on fewer than {min_cell} rows, or on a group next to such"
            )
            for group in described:
                if group["reason"] == change["reason"]:
                    group["reason"] = reason
            change.update(nothing, reason=reason)
    return data


def suppress(data: Any, hidden: frozenset[str], min_cell: int) -> Any:
    """Leave out the numbers of records of hidden groups, or on fewer than `min_cell` rows.

    A record is a dictionary with the entries ``group`` and ``n``, as an audit has them.

    Examples
    --------
    >>> records = [{"group": "F", "n": 3, "risk": 0.2}, {"group": "M", "n": 9, "risk": 0.1}]
    >>> suppress(records, frozenset(), 5)
    [{'group': 'F', 'n': None, 'risk': None}, {'group': 'M', 'n': 9, 'risk': 0.1}]
    """
    if isinstance(data, (list, tuple)):
        return [suppress(v, hidden, min_cell) for v in data]
    if not isinstance(data, Mapping):
        return data
    is_small = data.get("group") in hidden or ("group" in data and (data.get("n") or 0) < min_cell)
    if is_small:
        return {key: _without_number(key, value) for key, value in data.items()}
    return {key: suppress(value, hidden, min_cell) for key, value in data.items()}


def _without_number(key: str, value: Any) -> Any:
    if key == "verdict":
        return "undetermined"
    if key == "reason":
        return "not shown: too few rows"
    return value if isinstance(value, str) else None


def write_audit(audit: Audit | None, hidden: frozenset[str], min_cell: int) -> Any:
    """An audit for the file, without the numbers of small groups: of training, or of its own rows.

    As totals would give a single one away, the next smallest goes with it.
    """
    if audit is None:
        return None
    small: set[str] = set()
    for part in (audit, audit.everybody, audit.withheld):
        small |= _small_ones(part, min_cell)
    hidden = hidden | frozenset(small)
    withheld = None if audit.withheld is None else bounded(audit.withheld, sorted(hidden))
    short = replace(bounded(audit, sorted(hidden)), withheld=withheld)
    return suppress(short.to_dict(), hidden, min_cell)


def _small_ones(audit: Audit | None, min_cell: int) -> set[str]:
    """Groups of an audit with few rows; with one such, the next smallest as well."""
    rows: dict[str, int] = {}
    for record in () if audit is None else audit.risks:
        if record.group is not None and record.n is not None:
            rows[record.group] = max(rows.get(record.group, 0), record.n)
    order = sorted(rows, key=rows.__getitem__)
    small = [name for name in order if rows[name] < min_cell]
    return set(order[:2] if len(small) == 1 else small)


def write_honest(honest: HonestGains | None, hidden: frozenset[str]) -> Any:
    """Corrected gains for the file, without those of hidden groups."""
    if honest is None:
        return None
    nothing = HonestGain(None, None, None, None)
    groups = {name: nothing if name in hidden else g for name, g in honest.groups.items()}
    return replace(honest, groups=groups).to_dict()


def write_counts(counts: NDArray[np.int64] | None, min_cell: int) -> list[list[int] | None] | None:
    """Training rows per group and class for the file; None for a group with too few of a class.

    Examples
    --------
    >>> write_counts(np.array([[40, 30], [20, 2]]), 5)
    [[40, 30], None]
    """
    if counts is None:
        return None
    return [None if min(row) < min_cell else row for row in counts.tolist()]

"""Audits of several sites that share sums and no rows, and how their gains differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.merging import add_parts
from fairuse_router.audit.records import number
from fairuse_router.audit.sums import AuditSums
from fairuse_router.documents import Written
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.heterogeneity import cochran_q
from fairuse_router.metrics import get_metric, named_metric

__all__ = ["Federation", "SiteRecord", "federate"]

_ALIKE = 0.1  # Q has little power with few sites (Higgins et al. 2003)


@dataclass(frozen=True)
class SiteRecord:
    """One gain over the baseline, compared between the sites.

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group.
    gain : float or None
        Of all sites together.
    lowest, highest : float or None
        Of a site.
    lowest_site, highest_site : str or None
    gains, violations, sites : int
        Sites whose own audit, corrected on its own, says gain or violation; and sites with rows.
    q, p, i2 : float or None
        See `fairuse_router.inference.heterogeneity`; None with fewer than two sites.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairuse_router.audit import audit_sums
    >>> frame = pd.DataFrame({"sex": ["F", "M"] * 60, "y": [0, 1, 1] * 40})
    >>> frame["p"], frame["q"] = 0, frame.y
    >>> def sums(part):
    ...     return audit_sums(part, y="y", predictions={"generic": "p", "own": "q"}, groups="sex")
    >>> found = federate({"north": sums(frame[:60]), "south": sums(frame[60:])})
    >>> record = found.comparisons[0]
    >>> record.candidate, round(record.gain, 2), record.gains, record.sites
    ('own', 0.67, 2, 2)
    """

    metric: str
    candidate: str
    group: str | None
    gain: float | None
    lowest: float | None
    lowest_site: str | None
    highest: float | None
    highest_site: str | None
    gains: int
    violations: int
    sites: int
    q: float | None
    p: float | None
    i2: float | None


@dataclass(frozen=True)
class Federation(Written):
    """The audit of all sites, each site's own, and how they differ.

    Print it for the comparison in 80 columns.

    Parameters
    ----------
    overall : Audit
        As if the rows lay in one place.
    sites : mapping of str to Audit
    comparisons : tuple of SiteRecord
        Per metric and candidate: all groups together, then each.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairuse_router.audit import audit_sums
    >>> frame = pd.DataFrame({"sex": ["F", "M"] * 60, "y": [0, 1, 1] * 40})
    >>> frame["p"], frame["q"] = 0, frame.y
    >>> def sums(part):
    ...     return audit_sums(part, y="y", predictions={"generic": "p", "own": "q"}, groups="sex")
    >>> found = federate({"north": sums(frame[:60]), "south": sums(frame[60:])})
    >>> found.overall.n, {name: audit.n for name, audit in found.sites.items()}
    (120, {'north': 60, 'south': 60})
    """

    overall: Audit
    sites: Mapping[str, Audit]
    comparisons: tuple[SiteRecord, ...]

    def __str__(self) -> str:
        lines = wrap(
            f"Gains over {self.overall.baseline} at {len(self.sites)} sites with "
            f"{self.overall.n:,} rows in all. Verdicts are the sites' own (gain/violation of sites "
            "with rows). I2 is the share of the differences between sites that chance does not "
            f"explain; * marks where they differ (Cochran's Q, p < {_ALIKE:g})."
        )
        for metric in self.overall.metrics:
            for name in self.overall.candidates:
                own = [r for r in self.comparisons if (r.metric, r.candidate) == (metric, name)]
                if own:
                    lines += ["", f"{name}, {metric}", *_lines(own)]
        return "\n".join(lines)


def federate(
    sites: Mapping[str, AuditSums], *, alpha: float = 0.1, correction: str = "holm"
) -> Federation:
    """Audit several sites by their sums.

    Parameters
    ----------
    sites : mapping of str to AuditSums
        Of rows that no two of them share.
    alpha, correction
        As in `AuditSums.audit`.

    Returns
    -------
    Federation

    Raises
    ------
    ValueError
        If there are none, or their sums cannot be added.

    Notes
    -----
    A gain that is certain overall may be a loss at one site: that is what to look for. With few
    sites Q finds only large differences, and I2 is uncertain: "no difference shown" is not "none".

    Examples
    --------
    >>> import pandas as pd
    >>> from fairuse_router.audit import audit_sums
    >>> frame = pd.DataFrame({"sex": ["F", "M"] * 60, "y": [0, 1, 1] * 40})
    >>> frame["p"], frame["q"] = 0, frame.y
    >>> def sums(part):
    ...     return audit_sums(part, y="y", predictions={"generic": "p", "own": "q"}, groups="sex")
    >>> found = federate({"north": sums(frame[:60]), "south": sums(frame[60:])})
    >>> [(r.group, r.gains, r.sites, round(r.i2, 2)) for r in found.comparisons]
    [(None, 2, 2, 0.0), ('F', 2, 2, 0.0), ('M', 2, 2, 0.0)]
    """
    if not sites:
        raise ValueError("sites is empty; give the sums of at least one.")
    total = reduce(add, sites.values())
    whole = total.audit(alpha=alpha, correction=correction)
    audits = {name: own.audit(alpha=alpha, correction=correction) for name, own in sites.items()}
    aligned = {name: _aligned(own, total) for name, own in sites.items()}
    records = []
    for metric in total.metrics:
        for candidate in total.candidates:
            if candidate != total.baseline:
                spread = _spread(aligned, metric, candidate)
                groups = (None, *total.schema.group_names())
                records += [
                    _record((metric, candidate, group), whole, audits, spread, i)
                    for i, group in enumerate(groups)
                ]
    return Federation(whole, audits, tuple(records))


def _aligned(own: AuditSums, total: AuditSums) -> AuditSums:
    """A site's sums with the groups of all sites."""
    parts = add_parts((own.schema, own.parts), (own.schema, {}), total.schema)
    return replace(own, schema=total.schema, parts=parts)


def _spread(sites: Mapping[str, AuditSums], metric: str, candidate: str) -> Any:
    """Heterogeneity of all groups together, then of each."""
    gains: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    for own in sites.values():
        found = own.source().compared(get_metric(metric), candidate)
        for into, name in ((gains, "gain"), (errors, "se")):
            into.append(np.concatenate([getattr(t, name) for t in (found.whole, found.groups)]))
    return cochran_q(gains, errors)


def _record(
    wanted: tuple[str, str, str | None],
    whole: Audit,
    audits: Mapping[str, Audit],
    spread: Any,
    i: int,
) -> SiteRecord:
    def of(audit: Audit) -> Any:
        kind = audit.overall if wanted[2] is None else audit.rationality
        return next((r for r in kind if (r.metric, r.candidate, r.group) == wanted), None)

    own = {name: r for name, audit in audits.items() if (r := of(audit)) and r.gain is not None}
    order = sorted(own, key=lambda name: own[name].gain)
    verdicts = [r.verdict for r in own.values()]
    return SiteRecord(
        metric=wanted[0],
        candidate=wanted[1],
        group=wanted[2],
        gain=of(whole).gain,
        lowest=own[order[0]].gain if order else None,
        lowest_site=order[0] if order else None,
        highest=own[order[-1]].gain if order else None,
        highest_site=order[-1] if order else None,
        gains=verdicts.count("gain"),
        violations=verdicts.count("violation"),
        sites=len(own),
        q=number(spread.q[i]),
        p=number(spread.p[i]),
        i2=number(spread.i2[i]),
    )


def _lines(records: list[SiteRecord]) -> list[str]:
    """The table of one candidate by one metric."""
    metric = named_metric(records[0].metric)
    columns = [
        Column("group", 21, left=True),
        *numbers({"gain": 8, "lowest": 8}),
        Column("at", 12, left=True, gap=1),
        *numbers({"highest": 8, "sites": 9, "I2": 7}),
    ]
    rows = [
        [
            r.group or "all",
            metric.format_gain(r.gain),
            metric.format_gain(r.lowest),
            r.lowest_site or "",
            metric.format_gain(r.highest),
            f"{r.gains}/{r.violations} of {r.sites}",
            "n/a" if r.i2 is None else f"{100 * r.i2:.0f}%{'*' if (r.p or 0) < _ALIKE else ' '}",
        ]
        for r in records
    ]
    return list(Grid(columns, rows).lines())

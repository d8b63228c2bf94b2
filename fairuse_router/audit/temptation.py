"""Truthfulness seen from each group: the best it could do by misreporting or withholding."""

from __future__ import annotations

from dataclasses import dataclass

from fairuse_router.audit.display import MOST_GROUPS, interval_text
from fairuse_router.audit.records import AuditRecords, GainRecord
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.metrics import named_metric

__all__ = ["Temptation", "temptation_text", "temptations"]


@dataclass(frozen=True)
class Temptation:
    """The best report that is not a group's own, under the deployed routing.

    Parameters
    ----------
    metric, group : str
    n : int or None
        Rows of the group; None where a bundle leaves small counts out.
    report : str or None
        The other report; None where none can be compared.
    as_good : int
        How many other reports are exactly as good as this one.
    gain : float or None
        What the group gains by filing it; negative or 0: it is best off telling the truth. The
        largest of many, so that it flatters the untruth.
    low, high : float or None
        Interval of that gain, for this comparison alone.
    p_corrected : float or None
        Of the comparison, corrected over all of the audit's family.
    kind : {"none", "noise", "gain left"}
        No temptation on these rows; one that sampling may explain; one that is shown: another
        group's model still brings this group a gain that its own route does not.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    >>> y = X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0
    >>> router = FairUseRouter(LogisticRegression(), [1], cv=2).fit(X[:100], y[:100])
    >>> found = temptations(router.audit(X[100:], y[100:]))[0]
    >>> found.group, found.report, found.as_good, round(found.gain, 2), found.kind
    ('0', '?', 0, -0.83, 'none')
    """

    metric: str
    group: str
    n: int | None
    report: str | None
    as_good: int
    gain: float | None
    low: float | None
    high: float | None
    p_corrected: float | None
    kind: str


def temptations(audit: AuditRecords, candidate: str = "routed") -> tuple[Temptation, ...]:
    """Return the temptation of every group, by every metric.

    Parameters
    ----------
    audit : Audit
        Of a deployed router, ``router.audit(X_test, y_test)``.
    candidate : str, default="routed"

    Returns
    -------
    tuple of Temptation

    Raises
    ------
    ValueError
        If the audit has not compared reports, as ``router.audit_``, of out-of-fold rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=400), rng.integers(0, 2, 400)])
    >>> y = X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0
    >>> router = FairUseRouter(LogisticRegression(), [1]).fit(X[:200], y[:200])
    >>> [t.kind for t in temptations(router.audit(X[200:], y[200:]))]
    ['none', 'none']
    """
    records: dict[tuple[str, str], list[GainRecord]] = {}
    for record in audit.truthfulness:
        if record.candidate == candidate and record.group is not None:
            records.setdefault((record.metric, record.group), []).append(record)
    if not records:
        raise ValueError(
            f"audit has no truthfulness: it compares no other reports of {candidate!r}. That of "
            "fit, router.audit_, never does; use router.audit(X, y) on other rows: pass "
            "router.audit(X_test, y_test)."
        )
    keys = [(metric, group) for metric in audit.metrics for group in audit.groups]
    return tuple(_of_group(*key, records[key]) for key in keys if key in records)


def _of_group(metric: str, group: str, records: list[GainRecord]) -> Temptation:
    """The strongest temptation of one group; one that is shown before one that is not."""
    known = [r for r in records if r.gain is not None]
    if not known:
        return Temptation(metric, group, records[0].n, None, 0, None, None, None, None, "none")
    shown = [r for r in known if r.verdict == "violation"] or known
    best = min(shown, key=lambda r: r.gain or 0.0)
    gain = 0.0 - (best.gain or 0.0)  # not -0.0
    kind = "gain left" if best.verdict == "violation" else "noise" if gain > 0 else "none"
    return Temptation(
        metric,
        group,
        best.n,
        best.other,
        sum(r.gain == best.gain for r in known) - 1,
        gain,
        None if best.high is None else -best.high,
        None if best.low is None else -best.low,
        best.p_corrected,
        kind,
    )


def temptation_text(audit: AuditRecords, candidate: str = "routed") -> str:
    """Return the table of `temptations`, which has the same arguments, in 80 columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    >>> y = X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0
    >>> router = FairUseRouter(LogisticRegression(), [1], cv=2).fit(X[:100], y[:100])
    >>> print(temptation_text(router.audit(X[100:], y[100:])))
    What each group could gain in error by another report than its own, withholding
    included: the best of them, on 100 held-out rows...
    """
    found = temptations(audit, candidate)
    lines = []
    for name in audit.metrics:
        own = [t for t in found if t.metric == name]
        if own:
            lines += [*_metric_lines(audit, name, own), ""]
    return "\n".join(lines[:-1])


def _metric_lines(audit: AuditRecords, name: str, own: list[Temptation]) -> list[str]:
    """The table of one metric."""
    metric = named_metric(name)
    head = (
        f"What each group could gain in {metric.name} by another report than its own, withholding "
        f"included: the best of them, on {audit.n:,} {audit.evidence}. Shown means at "
        f"{100 * audit.alpha:g}%, correction: {audit.correction}."
    )
    columns = [
        Column("group", 20, left=True),
        Column("best other report", 22, left=True),
        *numbers({"gain": 8, "interval": 16}),
        Column("what it is", left=True, gap=1),
    ]
    order = {"gain left": 0, "noise": 1, "none": 2}
    rows = []
    for t in sorted(own, key=lambda t: (order[t.kind], -(t.gain or 0.0)))[:MOST_GROUPS]:
        if t.report is None:
            rows.append([t.group, "cannot be compared", "", "", ""])
            continue
        interval = interval_text(metric, t.low, t.high)
        what = "noise?" if t.kind == "noise" else t.kind
        rows.append([t.group, t.report, metric.format_gain(t.gain), interval, what])
    lines = [*wrap(head), *Grid(columns, rows).lines()]
    if len(own) > MOST_GROUPS:
        lines.append(f"... and {len(own) - MOST_GROUPS} groups that could gain less")
    counts = [sum(t.kind == kind for t in own) for kind in order]
    lines += wrap(
        f"A gain still to be had, by the model of another report, is shown in {counts[0]} of "
        f"{len(own)} groups. In {counts[1]} it may be sampling noise, as the best of many is the "
        f"luckiest; in {counts[2]} nothing beats the truth."
    )
    return lines

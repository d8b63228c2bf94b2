"""Consistency: an audit that is read must not contradict itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

_VERDICTS = ("gain", "violation", "undetermined", "same")


def check_audit(audit: Any) -> None:
    """Refuse an audit whose records and whose parts contradict each other.

    Parameters
    ----------
    audit : AuditRecords
        Numbers of small groups may be None.

    Raises
    ------
    ValueError
        The message names what does not fit.
    """
    for name in ("metrics", "candidates", "groups"):
        texts = getattr(audit, name)
        _require(len(texts) > 0, f"it has no {name}")
        _require(len(set(texts)) == len(texts), f"its {name} repeat themselves")
    _require(audit.baseline in audit.candidates, f"its baseline is {audit.baseline[:40]!r}")
    _require(0 < audit.alpha < 1, f"alpha is {audit.alpha}")
    _require(min(audit.n, audit.n_partial) >= 0, "it has fewer rows than none")
    _check_risks(audit)
    for found in audit.counted:
        known = found.metric in audit.metrics and found.candidate in audit.candidates
        _require(known, "verdicts are counted of what it does not have")
        least = min(vars(found.counts).values())
        _require(least >= 0, "fewer verdicts than none are counted")
    for name in ("overall", "rationality", "envy_freeness", "truthfulness"):
        records = getattr(audit, name)
        _check_subjects(audit, records)
        keys = [(r.metric, r.candidate, r.group, r.other) for r in records]
        _require(len(set(keys)) == len(keys), f"{name} compares the same twice")
        for record in records:
            _check_record(record, audit.alpha)
            if name == "envy_freeness":
                _require(record.other in audit.groups, f"nobody is {record.other[:40]!r}")
            elif name in ("overall", "rationality"):
                _require(record.other == audit.baseline, "gains are not over the baseline")
            if name == "overall":
                _require(record.group is None, "a gain of all is of one group")


def _check_risks(audit: Any) -> None:
    """Every candidate has one risk on all rows, by every metric."""
    _check_subjects(audit, audit.risks)
    found = Counter((r.metric, r.candidate, r.group) for r in audit.risks)
    _require(max(found.values(), default=1) == 1, "a risk is there twice")
    for metric in audit.metrics:
        for candidate in audit.candidates:
            whole = found[metric, candidate, None] == 1
            _require(whole, f"it has no {metric[:40]!r} of {candidate[:40]!r} on all rows")
    for risk in audit.risks:
        _require(risk.n is None or risk.n >= 0, "a group has fewer rows than none")


def _check_subjects(audit: Any, records: Iterable[Any]) -> None:
    """Records are of metrics, candidates and groups that the audit has."""
    for record in records:
        _require(record.metric in audit.metrics, f"{record.metric[:40]!r} is none of its metrics")
        known = record.candidate in audit.candidates
        _require(known, f"{record.candidate[:40]!r} is none of its candidates")
        known = record.group is None or record.group in audit.groups
        _require(known, f"{str(record.group)[:40]!r} is none of its groups")


def _check_record(record: Any, alpha: float) -> None:
    """One comparison: its interval, its p-values and its verdict."""
    _require(record.verdict in _VERDICTS, f"a verdict is {record.verdict[:40]!r}")
    for count in (record.n, record.rows_needed):
        _require(count is None or count >= 0, "a comparison has fewer rows than none")
    low, high = record.low, record.high
    _require(low is None or high is None or low <= high, "an interval ends before it begins")
    for p in (record.p_gain, record.p_violation, record.p_corrected):
        _require(p is None or 0 <= p <= 1, f"a p-value is {p}")
    if record.verdict in ("gain", "violation"):
        p = record.p_corrected
        _require(p is not None and p <= alpha, f"a {record.verdict} has the p-value {p}")
        either = record.p_gain, record.p_violation
        by = either if record.verdict == "gain" else either[::-1]
        told = by[0] is not None and (by[1] is None or by[0] <= by[1])
        _require(told, f"a {record.verdict} speaks for the other side")
    elif record.verdict == "same":
        tested = record.p_gain is not None or record.gain not in (None, 0.0)
        _require(not tested, "a model gains over itself")


def _require(holds: bool, problem: str) -> None:
    if not holds:
        raise ValueError(f"the audit contradicts itself: {problem}.")

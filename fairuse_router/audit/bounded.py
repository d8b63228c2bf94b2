"""An audit of many groups, short enough for a bundle: counts of all, and the worst."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.gain_table import GainRecord, count_verdicts, distinct, of_model
from fairuse_router.audit.records import Counted

__all__ = ["bounded"]

_FEW = 400  # comparisons that are listed one and all: those of 20 groups
_WORST = 20


def bounded(audit: Audit, hidden: Collection[str] = ()) -> Audit:
    """Return an audit that grows with the groups, not with their pairs.

    Parameters
    ----------
    audit : Audit
    hidden : collection of str, default=()
        Groups of which nothing is told; their comparisons count as not tested.

    Returns
    -------
    Audit
        The same up to about 20 groups. Of more, envy-freeness lists the 20 worst violations of each
        candidate by each metric and its worst comparison, truthfulness also the worst of every
        group; `Audit.summary` counts them all.
    """
    hidden = frozenset(hidden)
    kept: dict[str, list[GainRecord]] = {}
    counted = list(audit.counted)
    for kind in ("envy_freeness", "truthfulness"):
        records: Sequence[GainRecord] = getattr(audit, kind)
        kept[kind] = []
        for metric, candidate in distinct(records, "metric", "candidate"):
            own = of_model(records, metric, candidate)
            if len(own) <= _FEW:
                kept[kind] += own
                continue
            own = list(own)
            told = [_untold(r) if r.group in hidden or r.other in hidden else r for r in own]
            groups = set(audit.groups)
            families = [(kind, told)]
            if kind == "truthfulness":
                families.append(("misreports", [r for r in told if r.other in groups]))
            for name, family in families:
                counts = count_verdicts(family)
                if counts is not None:
                    counted.append(Counted(name, metric, candidate, counts))
            kept[kind] += _worst(told, each=kind == "truthfulness")
    if len(counted) == len(audit.counted):
        return audit
    lists: dict[str, Any] = {kind: tuple(records) for kind, records in kept.items()}
    return replace(audit, counted=tuple(counted), **lists)


def _untold(record: GainRecord) -> GainRecord:
    """A comparison of which nothing is told."""
    nothing: dict[str, Any] = dict.fromkeys(("gain", "low", "high"))
    nothing |= dict.fromkeys(("p_gain", "p_violation", "p_corrected"))
    return replace(record, verdict="undetermined", **nothing)


def _worst(records: list[GainRecord], each: bool) -> list[GainRecord]:
    """The worst of a family, in its own order."""
    order = sorted(
        (i for i, r in enumerate(records) if r.gain is not None),
        key=lambda i: (records[i].verdict != "violation", records[i].gain or 0.0),
    )
    bad = [i for i in order if records[i].verdict == "violation"]
    chosen = {*order[:1], *bad[:_WORST]}
    if each:
        first: dict[str | None, int] = {}
        for i in order:
            first.setdefault(records[i].group, i)
        chosen |= set(first.values())
    return [records[i] for i in sorted(chosen)]

"""An audit of many groups, short enough for a bundle: counts of all, and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.gain_table import Block, GainTable, by_model, count_verdicts, joined
from fairuse_router.audit.records import Counted

__all__ = ["bounded"]

_FEW = 400  # comparisons that are listed one and all: those of 20 groups
_WORST = 20


def bounded(audit: Audit, hidden: Sequence[str] = ()) -> Audit:
    """Return an audit that grows with the groups, not with their pairs.

    Parameters
    ----------
    audit : Audit
    hidden : sequence of str, default=()
        Groups of which nothing is told; their comparisons count as not tested.

    Returns
    -------
    Audit
        The same up to about 20 groups. Of more, envy-freeness lists the 20 worst violations of each
        candidate by each metric and its worst comparison, truthfulness also the worst of every
        group; `Audit.summary` counts them all.
    """
    kept: dict[str, list[Block]] = {}
    counted = list(audit.counted)
    for kind in ("envy_freeness", "truthfulness"):
        kept[kind] = []
        for metric, candidate, blocks in by_model(getattr(audit, kind)):
            whole = joined(blocks)
            if len(whole) <= _FEW:
                kept[kind] += blocks
                continue
            told = whole.untold(_among(whole.groups, hidden) | _among(whole.others, hidden))
            families = {kind: told}
            if kind == "truthfulness":
                among = np.flatnonzero(_among(told.others, audit.groups))
                families["misreports"] = told.take(among)
            for name, family in families.items():
                counts = count_verdicts(GainTable([family]))
                if counts is not None:
                    counted.append(Counted(name, metric, candidate, counts))
            kept[kind].append(told.take(_worst(told, each=kind == "truthfulness")))
    if len(counted) == len(audit.counted):
        return audit
    lists: dict[str, Any] = {kind: GainTable(blocks) for kind, blocks in kept.items()}
    return replace(audit, counted=tuple(counted), **lists)


def _among(names: Sequence[str | None], some: Sequence[str]) -> np.ndarray:
    """Which names are among some."""
    return np.isin(np.asarray(names, dtype=str), np.asarray(some, dtype=str))


def _worst(block: Block, each: bool) -> np.ndarray:
    """Index of the worst of a family, in its own order."""
    gain, bad = block.numbers["gain"], block.verdict == "violation"
    order = np.lexsort((gain, ~bad))
    order = order[~np.isnan(gain[order])]
    chosen = [order[:1], order[bad[order]][:_WORST]]
    if each:
        names = np.asarray(block.groups, dtype=str)[order]
        chosen.append(order[np.unique(names, return_index=True)[1]])
    return np.unique(np.concatenate(chosen))

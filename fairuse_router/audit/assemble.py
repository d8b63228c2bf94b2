"""Put an audit together from a source of tests, whatever that knows of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fairuse_router.audit.arguments import AuditSettings
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.gain_table import Block, GainTable
from fairuse_router.audit.judge import Comparisons, judge
from fairuse_router.audit.records import GAIN_TABLES, RiskRecord, number
from fairuse_router.candidates.names import ROUTED
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import PairedTest
from fairuse_router.metrics import Metric

__all__ = ["Compared", "Source", "assemble"]


@dataclass(frozen=True)
class Compared:
    """One candidate over the baseline.

    Parameters
    ----------
    whole, groups : PairedTest
        On all groups as one, shape (1,), and on each, shape (m,).
    same : tuple of (ndarray of bool or None)
        Of both, where candidate and baseline are known to be one model.
    envy : PairedTest or None
        Of shape (m, m): gains of the own report over that of another group.
    """

    whole: PairedTest
    groups: PairedTest
    same: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
    envy: PairedTest | None = None


class Source(Protocol):
    """What an audit asks of rows, or of sums over them."""

    @property
    def candidates(self) -> Sequence[str]:
        """Everything that is audited, the baseline among it."""

    @property
    def counts(self) -> tuple[int, int]:
        """Rows that belong to a group, and rows that do not."""

    def risks(self, metric: Metric, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows and risk, all groups together first, two arrays (1 + m,)."""

    def compared(self, metric: Metric, name: str) -> Compared:
        """Compare a candidate with the baseline."""

    def truthfulness(self, metric: Metric) -> list[Comparisons]:
        """Compare truth to the deployed routing with every other report, if it was asked."""


@dataclass(frozen=True)
class Named:
    """Groups that are no cells of a schema, by their names.

    Parameters
    ----------
    attributes, names : tuple of str
    """

    attributes: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def n_groups(self) -> int:
        """Number of groups m."""
        return len(self.names)

    def group_names(self) -> list[str]:
        """One line per group."""
        return list(self.names)


def assemble(
    source: Source, metrics: Sequence[Metric], schema: GroupSchema | Named, testing: AuditSettings
) -> Audit:
    """Ask the source for every comparison, and draw the verdicts.

    Parameters
    ----------
    source : Source
    metrics : sequence of Metric
    schema : GroupSchema or Named
    testing : AuditSettings

    Returns
    -------
    Audit
    """
    names = tuple(schema.group_names())
    records: dict[str, list[Any]] = {kind: [] for kind in ("risks", *GAIN_TABLES)}

    def judged(metric: Metric, name: str, family: list[Comparisons]) -> list[Block]:
        return judge(metric.name, name, family, testing.alpha, testing.correction)

    for metric in metrics:
        for name in source.candidates:
            sizes, risks = source.risks(metric, name)
            records["risks"] += [
                RiskRecord(metric.name, name, group, int(n), number(risk))
                for group, n, risk in zip((None, *names), sizes, risks, strict=True)
            ]
            if name != testing.baseline:
                found = source.compared(metric, name)
                base, same = [testing.baseline], found.same
                family = [Comparisons(names, base * len(names), found.groups, same[1])]
                if found.envy is not None:
                    family.append(_envy(names, found.envy))
                rationality, *envy = judged(metric, name, family)
                whole = Comparisons([None], base, found.whole, same[0])
                records["overall"] += judged(metric, name, [whole])
                records["rationality"].append(rationality)
                records["envy_freeness"] += envy
        if family := source.truthfulness(metric):
            records["truthfulness"] += judged(metric, ROUTED, family)
    n, n_partial = source.counts
    return Audit(
        metrics=tuple(metric.name for metric in metrics),
        candidates=tuple(source.candidates),
        baseline=testing.baseline,
        attributes=tuple(schema.attributes),
        groups=names,
        n=n,
        alpha=testing.alpha,
        correction=testing.correction,
        evidence=testing.rows,
        n_partial=n_partial,
        risks=tuple(records.pop("risks")),
        **{kind: GainTable(blocks) for kind, blocks in records.items()},  # type: ignore[arg-type]
    )


def _envy(names: Sequence[str], test: PairedTest) -> Comparisons:
    """All ordered pairs of different groups."""
    g, h = np.nonzero(~np.eye(len(names), dtype=bool))
    pairs, n = test.at((g, h)), np.asarray(test.n)
    no_model = (n.sum(axis=0) == 0)[h] & (n.sum(axis=1) > 0)[g]
    reason = np.where(no_model, "no model for the other report", pairs.reason)
    others = [names[i] for i in h.tolist()]
    return Comparisons([names[i] for i in g.tolist()], others, replace(pairs, reason=reason))

"""What an audit is made of: frozen records, None where a number cannot be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from fairuse_router.audit.consistent import check_audit
from fairuse_router.documents import Document, number

__all__ = [
    "OUT_OF_FOLD",
    "REAUDIT",
    "AuditRecords",
    "Counts",
    "GainRecord",
    "InterventionRecord",
    "RiskRecord",
    "SummaryRecord",
    "number",
]

HELD_OUT = "held-out rows"  # evidence that supports a claim
OUT_OF_FOLD = "out-of-fold rows"  # evidence that has also chosen the routes
GAIN_TABLES = ("overall", "rationality", "envy_freeness", "truthfulness")
OPENED = "rows opened once to certify"  # evidence that certified routes chosen on others
REAUDIT = "re-audit rows"  # evidence by which routes were withdrawn


@dataclass(frozen=True)
class RiskRecord:
    """The risk of one candidate on one group.

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group.
    n : int or None
        Rows; None where a bundle leaves small counts out.
    risk : float or None
        Lower is better; AUC enters as 1 - AUC.
    """

    metric: str
    candidate: str
    group: str | None
    n: int | None
    risk: float | None


@dataclass(frozen=True)
class GainRecord:
    """One comparison: what a group gains, how sure that is, and the verdict.

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group.
    other : str
        What it is compared with. Rationality: the baseline. Envy-freeness: the group whose report
        is filed instead. Truthfulness: the report that is filed instead.
    n : int or None
        Rows; None where a bundle leaves small counts out.
    gain : float or None
        Positive is better: for rationality the candidate over the baseline, for envy-freeness and
        truthfulness the true report over the other.
    low, high : float or None
        Interval of the gain at level 1 - alpha, for this comparison alone.
    p_gain, p_violation : float or None
        One-sided p-values, for this comparison alone.
    p_corrected : float or None
        The smaller of the two, corrected over the family; the verdict is drawn at alpha.
    verdict : {"gain", "violation", "undetermined", "same"}
        ``"same"``: both sides are one model, so the gain is 0 and there was nothing to test.
    test : str
    rows_needed : int or None
        Rows still needed to tell the observed gain from none with 80% power within the family; 0
        where the verdict is drawn; None where nothing can be said.
    reason : str
        Why nothing could be tested; empty otherwise.
    """

    metric: str
    candidate: str
    group: str | None
    other: str
    n: int | None
    gain: float | None
    low: float | None
    high: float | None
    p_gain: float | None
    p_violation: float | None
    p_corrected: float | None
    verdict: str
    test: str
    rows_needed: int | None
    reason: str


@dataclass(frozen=True)
class Counts:
    """How many comparisons were a gain, a violation, undetermined; not testable; and no test.

    The first three sum to the comparisons that could be tested; `same` are those of a model with
    itself, whose gain is 0.
    """

    gains: int
    violations: int
    undetermined: int
    untested: int = 0
    same: int = 0

    def __str__(self) -> str:
        tested = f"{self.gains}/{self.violations}/{self.undetermined}"
        return f"{tested} ={self.same}" if self.same else tested


@dataclass(frozen=True)
class SummaryRecord:
    """One candidate by one metric (the block of Table 1 of Suriyakumar et al. 2023).

    Parameters
    ----------
    metric, candidate : str
    n : int
        Rows that belong to a group the candidate serves.
    risk : float or None
        On these rows.
    gain : float or None
        Over the baseline, on these rows.
    best_gain, worst_gain : float or None
        Over the groups.
    best_group, worst_group : str or None
    rationality, envy_freeness, truthfulness : Counts or None
        None where nothing of the kind was asked.
    """

    metric: str
    candidate: str
    n: int | None
    risk: float | None
    gain: float | None
    best_gain: float | None
    best_group: str | None
    worst_gain: float | None
    worst_group: str | None
    rationality: Counts | None
    envy_freeness: Counts | None
    truthfulness: Counts | None


@dataclass(frozen=True)
class InterventionRecord:
    """What remedies would bring one group (a row of Table 2 of Suriyakumar et al. 2023).

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group; remedies are then left out, as in that table.
    n : int or None
        Rows; None where a bundle leaves small counts out.
    risk : float or None
        Of the candidate.
    gain : float or None
        Of the candidate over the baseline; positive is better, like all that follow.
    violated : bool
        Whether the rule in use says that the candidate harms the group.
    assign_generic : float or None
        Gain over the baseline if the baseline serves the group where it is violated, and the
        candidate where not.
    assign_decoupled : float or None
        The same, but where it is violated the best of the three serves.
    best_of_three : float or None
        Gain over the baseline if the best of the three serves every group.
    best : str or None
        Which of the three that is: the baseline, the candidate or the decoupled model.
    """

    metric: str
    candidate: str
    group: str | None
    n: int | None
    risk: float | None
    gain: float | None
    violated: bool
    assign_generic: float | None
    assign_decoupled: float | None
    best_of_three: float | None
    best: str | None


@dataclass(frozen=True)
class AuditRecords(Document):
    """What an audit holds; `Audit` says what each of it is, and shows it."""

    _KIND = "an audit"
    _LATER = frozenset({"n_partial"})

    metrics: tuple[str, ...]
    candidates: tuple[str, ...]
    baseline: str
    attributes: tuple[str, ...]
    groups: tuple[str, ...]
    n: int
    alpha: float
    correction: str
    evidence: str
    risks: tuple[RiskRecord, ...]
    overall: tuple[GainRecord, ...]
    rationality: tuple[GainRecord, ...]
    envy_freeness: tuple[GainRecord, ...]
    truthfulness: tuple[GainRecord, ...]
    n_partial: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; refuses what contradicts itself, too."""
        audit = super().from_dict(data)
        check_audit(audit)
        return audit

    def summary(self) -> tuple[SummaryRecord, ...]:
        """Return one record per metric and candidate: the block of the paper's Table 1.

        Returns
        -------
        tuple of SummaryRecord
            Counts of gains, violations and undetermined sum to the comparisons that could be made.
        """
        return tuple(
            self._summarize(metric, candidate)
            for metric in self.metrics
            for candidate in self.candidates
        )

    def _summarize(self, metric: str, candidate: str) -> SummaryRecord:
        """Sum up one candidate by one metric."""

        def mine(records: Sequence[Any]) -> list[Any]:
            return [r for r in records if (r.metric, r.candidate) == (metric, candidate)]

        (whole,) = (r for r in mine(self.risks) if r.group is None)
        gain = next((r.gain for r in mine(self.overall)), None)
        envy = mine(self.envy_freeness)
        if not envy:  # of the routing: misreports of a whole group, among all reports
            envy = [r for r in mine(self.truthfulness) if r.other in self.groups]
        known = [r for r in mine(self.rationality) if r.gain is not None]
        best = max(known, key=lambda r: r.gain, default=None)
        worst = min(known, key=lambda r: r.gain, default=None)
        return SummaryRecord(
            metric=metric,
            candidate=candidate,
            n=whole.n,
            risk=whole.risk,
            gain=gain,
            best_gain=best and best.gain,
            best_group=best and best.group,
            worst_gain=worst and worst.gain,
            worst_group=worst and worst.group,
            rationality=_count(mine(self.rationality)),
            envy_freeness=_count(envy),
            truthfulness=_count(mine(self.truthfulness)),
        )


def _count(records: Sequence[GainRecord]) -> Counts | None:
    """Count verdicts; None if nothing was asked."""
    if not records:
        return None
    same = sum(record.verdict == "same" for record in records)
    verdicts = [record.verdict for record in records if record.p_gain is not None]
    gains, violations, open_ = (verdicts.count(v) for v in ("gain", "violation", "undetermined"))
    return Counts(gains, violations, open_, len(records) - len(verdicts) - same, same)

"""What an audit is made of: frozen records, None where a number cannot be said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from fairuse_router.audit.consistent import check_audit
from fairuse_router.audit.gain_table import Counts, GainRecord, count_verdicts, of_model
from fairuse_router.documents import Document, number

__all__ = [
    "OUT_OF_FOLD",
    "REAUDIT",
    "AuditRecords",
    "Counted",
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
OF_TRAINING = "of training"  # how evidence ends that the models have seen in part
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

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> [(r.group, r.n, r.risk) for r in audit.risks if r.candidate == "generic"]
    [(None, 40, 0.5), ('F', 20, 0.5), ('M', 20, 0.5)]
    """

    metric: str
    candidate: str
    group: str | None
    n: int | None
    risk: float | None


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

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> record = audit.summary()[1]
    >>> record.candidate, record.risk, record.gain, record.worst_group, str(record.rationality)
    ('own', 0.0, 0.5, 'F', '2/0/0')
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

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0] * 40, ["F"] * 20 + ["M"] * 20
    >>> def errs(women, men):
    ...     return [1] * women + [0] * (20 - women) + [1] * men + [0] * (20 - men)
    >>> models = {"generic": errs(6, 6), "onehot": errs(2, 8), "decoupled": errs(4, 3)}
    >>> audit = audit_predictions(y, models, sex, classes=[0, 1])
    >>> record = audit.interventions("onehot")[1]
    >>> record.group, record.violated, record.assign_generic, record.best
    ('M', True, 0.0, 'decoupled')
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
class Counted:
    """Verdicts of a family of comparisons of which only the worst are listed.

    Parameters
    ----------
    kind : {"envy_freeness", "truthfulness", "misreports"}
    metric, candidate : str
    counts : Counts
        Of all of them.
    """

    kind: str
    metric: str
    candidate: str
    counts: Counts


@dataclass(frozen=True)
class AuditRecords(Document):
    """What an audit holds; `Audit` says what each of it is, and shows it."""

    _KIND = "an audit"
    _LATER = frozenset({"n_partial", "counted"})

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
    counted: tuple[Counted, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`; refuses what contradicts itself, too."""
        audit = super().from_dict(data)
        check_audit(audit)
        return audit

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it; `counted` only where something is."""
        data = super().to_dict()
        if not self.counted:
            del data["counted"]
        return data

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

    def tally(self, kind: str, metric: str, candidate: str) -> Counts | None:
        """Return the verdicts of a kind of comparison, also where only the worst are listed.

        Parameters
        ----------
        kind : {"rationality", "envy_freeness", "truthfulness", "misreports"}
            Misreports are those of a whole group, among the reports of truthfulness.
        metric, candidate : str
        """
        for found in self.counted:
            if (found.kind, found.metric, found.candidate) == (kind, metric, candidate):
                return found.counts
        table = self.truthfulness if kind == "misreports" else getattr(self, kind)
        records = of_model(table, metric, candidate)
        if kind == "misreports":
            groups = set(self.groups)
            records = [r for r in records if r.other in groups]
        return count_verdicts(records)

    def _summarize(self, metric: str, candidate: str) -> SummaryRecord:
        """Sum up one candidate by one metric."""
        wanted = (metric, candidate, None)
        (whole,) = (r for r in self.risks if (r.metric, r.candidate, r.group) == wanted)
        gain = next((r.gain for r in of_model(self.overall, metric, candidate)), None)
        known = [r for r in of_model(self.rationality, metric, candidate) if r.gain is not None]
        best = max(known, key=lambda r: r.gain or 0.0, default=None)
        worst = min(known, key=lambda r: r.gain or 0.0, default=None)

        def tally(kind: str) -> Counts | None:
            return self.tally(kind, metric, candidate)

        return SummaryRecord(
            metric=metric,
            candidate=candidate,
            n=whole.n,
            risk=whole.risk,
            gain=gain,
            best_gain=None if best is None else best.gain,
            best_group=None if best is None else best.group,
            worst_gain=None if worst is None else worst.gain,
            worst_group=None if worst is None else worst.group,
            rationality=tally("rationality"),
            # of the routing: misreports of a whole group, among all reports
            envy_freeness=tally("envy_freeness") or tally("misreports"),
            truthfulness=tally("truthfulness"),
        )

"""The audit as people and programs read it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from fairuse_router import tables
from fairuse_router.audit import display, temptation
from fairuse_router.audit.gain_table import without_candidate
from fairuse_router.audit.interventions import intervene
from fairuse_router.audit.records import (
    GAIN_TABLES,
    AuditRecords,
    InterventionRecord,
    SummaryRecord,
)
from fairuse_router.audit.temptation import Temptation
from fairuse_router.candidates.names import ROUTED

__all__ = ["Audit"]


@dataclass(frozen=True)
class Audit(AuditRecords):
    """Gains of every group under every candidate, with intervals, tests and verdicts.

    Print it for a view in 80 columns. A verdict is a *gain*, a *violation*, or *undetermined*:
    the rows do not tell. For each metric and candidate, the tests of rationality and envy-freeness
    are one family, those of truthfulness another; the chance of any wrong verdict in a family, in
    either direction, is at most alpha (Bonferroni, Holm).

    Parameters
    ----------
    metrics, candidates : tuple of str
    baseline : str
        The candidate that gains are over.
    attributes : tuple of str
        Group attributes.
    groups : tuple of str
        One text per group.
    n : int
        Rows that belong to a group.
    alpha : float
    correction : str
        One of `fairuse_router.inference.CORRECTIONS`.
    evidence : str
        What rows these are: ``"held-out rows"`` support a claim; ``"out-of-fold rows"`` have also
        served to choose the routes, and flatter them.
    risks : tuple of RiskRecord
        Every metric, candidate and group, and all groups together.
    overall : tuple of GainRecord
        Gains over the baseline on all groups together, each a family of its own.
    rationality : tuple of GainRecord
        Gains over the baseline, per group.
    envy_freeness : tuple of GainRecord
        Gains of a group's own report over that of another group, for all ordered pairs.
    truthfulness : tuple of GainRecord
        Gains, under the deployed routing, of a group's own report over every other, withholding
        included; empty where nobody was asked under other reports, as in ``router.audit_``.
    n_partial : int, default=0
        Rows that withhold something, which are left out of all the above.
    counted : tuple of Counted, default=()
        Verdicts of all comparisons of a family of which only the worst are listed, as in a bundle
        of many groups; `summary` is by these.
    everybody : Audit or None
        If there are any: generic and the routing on all rows, by whether they tell everything.
    withheld : Audit or None
        Generic and the routing on the rows that withhold something, by the report that was sent;
        its truthfulness is over all other reports.

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, group = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, group)
    >>> [(record.group, record.gain, record.verdict) for record in audit.rationality]
    [('F', 0.5, 'gain'), ('M', 0.5, 'gain')]
    """

    _LATER = AuditRecords._LATER | {"everybody", "withheld"}

    everybody: Audit | None = None
    withheld: Audit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; without rows that withhold where there are none."""
        data = super().to_dict()
        return {
            k: v for k, v in data.items() if v is not None or k not in ("everybody", "withheld")
        }

    def __str__(self) -> str:
        return display.audit_text(self, self.everybody, self.withheld)

    def interventions(
        self, candidate: str | None = None, *, decoupled: str = "decoupled", rule: str = "estimate"
    ) -> tuple[InterventionRecord, ...]:
        """Return what remedies would bring every group: Table 2 of the paper.

        Parameters
        ----------
        candidate : str, default=None
            The personalized candidate to remedy, for example ``"onehot"``; None: each but the
            baseline.
        decoupled : str, default="decoupled"
            The candidate with a model per group; where it is not known, the best is of the others.
        rule : {"estimate", "verdict"}, default="estimate"
            When a group counts as violated: ``"estimate"``, the paper's, when its gain on these
            rows is negative, which may be chance; ``"verdict"`` when the corrected test says so.

        Returns
        -------
        tuple of InterventionRecord
            For each metric and candidate one per group, then one for all rows.

        Raises
        ------
        ValueError
            If the candidate or the rule is unknown.

        Notes
        -----
        Suriyakumar et al. (2023, section 5 and Table 2). "Assign generic" gives violated groups the
        baseline; "assign decoupled" gives them the best of baseline, candidate and decoupled;
        "best of three" gives it to every group. The best is chosen on the very rows that it is
        shown on, so its gain flatters it, most in small groups: a bound on what to hope for, not a
        claim. The paper's own column "Assign decoupled" holds entries below the gain of the
        candidate (8.1 then 3.7 points), so it is none of the two.

        Examples
        --------
        >>> import numpy as np
        >>> from fairuse_router import audit_predictions
        >>> y, sex = np.zeros(40, int), np.repeat(["F", "M"], 20)
        >>> def errs(women, men):
        ...     return np.array([1] * women + [0] * (20 - women) + [1] * men + [0] * (20 - men))
        >>> audit = audit_predictions(
        ...     y, {"generic": errs(6, 6), "onehot": errs(2, 8), "decoupled": errs(4, 3)}, sex,
        ...     classes=[0, 1])
        >>> for r in audit.interventions("onehot")[:2]:
        ...     print(r.group, *(round(x, 2) for x in (r.gain, r.assign_generic)), r.best)
        F 0.2 0.2 onehot
        M -0.1 0.0 decoupled
        """
        return tuple(intervene(self, candidate, decoupled, rule))

    def interventions_text(
        self, candidate: str | None = None, *, decoupled: str = "decoupled", rule: str = "estimate"
    ) -> str:
        """Return the table of `interventions`, which has the same arguments, in 80 columns."""
        return display.interventions_text(self, candidate, decoupled, rule)

    def temptations(self, candidate: str = "routed") -> tuple[Temptation, ...]:
        """Return the best that each group could do by another report than its own.

        Parameters
        ----------
        candidate : str, default="routed"

        Returns
        -------
        tuple of Temptation
            By every metric, one per group; see `fairuse_router.audit.temptations`.

        Raises
        ------
        ValueError
            If the audit has no truthfulness, as ``router.audit_``; ``router.audit(X, y)`` has.
        """
        return temptation.temptations(self, candidate)

    def temptation_text(self, candidate: str = "routed") -> str:
        """Return the table of `temptations`, which has the same arguments, in 80 columns."""
        return temptation.temptation_text(self, candidate)

    def to_frame(self, backend: str = "pandas", table: str = "gains") -> Any:
        """Return a table of the audit as a dataframe.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
        table : {"gains", "risks", "summary", "interventions"}, default="gains"
            ``"gains"``: every comparison, one per row, its kind in the first column.
            ``"interventions"``: as the method of that name, by its default rule.

        Returns
        -------
        DataFrame

        Raises
        ------
        ValueError
            For an unknown table or backend.
        ModuleNotFoundError
            If the backend is not installed.
        """
        if table == "gains":
            rows = [{"kind": k, **asdict(r)} for k in GAIN_TABLES for r in getattr(self, k)]
        elif table == "risks":
            rows = [asdict(r) for r in self.risks]
        elif table == "summary":
            rows = [_flat(r) for r in self.summary()]
        elif table == "interventions":
            rows = [asdict(r) for r in self.interventions()]
        else:
            raise ValueError(
                f"table={table!r}: give one of 'gains', 'risks', 'summary', 'interventions'."
            )
        names = list(rows[0]) if rows else []
        return tables.from_columns({name: [row[name] for row in rows] for name in names}, backend)


def _flat(record: SummaryRecord) -> dict[str, Any]:
    """One row per summary, counts in columns of their own."""
    row = {name: getattr(record, name) for name in record.__dataclass_fields__}
    for name in ("rationality", "envy_freeness", "truthfulness"):
        counts = row.pop(name)
        for kind in ("gains", "violations", "undetermined", "untested", "same"):
            row[f"{name}_{kind}"] = None if counts is None else getattr(counts, kind)
    return row


def without_routing(audit: Audit) -> Audit:
    """What an audit still says once another table serves: all but what it says of the routing."""
    kept: dict[str, Any] = {
        name: without_candidate(getattr(audit, name), ROUTED) for name in GAIN_TABLES
    }
    kept |= {
        name: tuple(r for r in getattr(audit, name) if r.candidate != ROUTED)
        for name in ("risks", "counted")
    }
    candidates = tuple(name for name in audit.candidates if name != ROUTED)
    return replace(audit, candidates=candidates, everybody=None, withheld=None, **kept)

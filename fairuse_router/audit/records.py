"""What an audit is made of: frozen records, None where a number cannot be said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

__all__ = [
    "OUT_OF_FOLD",
    "REAUDIT",
    "Counts",
    "GainRecord",
    "InterventionRecord",
    "RiskRecord",
    "SummaryRecord",
    "from_plain",
    "number",
    "to_plain",
]

Record = TypeVar("Record")
OUT_OF_FOLD = "out-of-fold rows"  # evidence that has also chosen the routes
REAUDIT = "re-audit rows"  # evidence by which routes were withdrawn


@dataclass(frozen=True)
class RiskRecord:
    """The risk of one candidate on one group.

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group.
    n : int
        Rows.
    risk : float or None
        Lower is better; AUC enters as 1 - AUC.
    """

    metric: str
    candidate: str
    group: str | None
    n: int
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
    n : int
        Rows.
    gain : float or None
        Positive is better: for rationality the candidate over the baseline, for envy-freeness and
        truthfulness the true report over the other.
    low, high : float or None
        Interval of the gain at level 1 - alpha, for this comparison alone.
    p_gain, p_violation : float or None
        One-sided p-values, for this comparison alone.
    p_corrected : float or None
        The smaller of the two, corrected over the family; the verdict is drawn at alpha.
    verdict : {"gain", "violation", "undetermined"}
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
    n: int
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
    """How many comparisons were a gain, a violation, undetermined; and how many not testable.

    The first three sum to the comparisons that could be tested.
    """

    gains: int
    violations: int
    undetermined: int
    untested: int = 0

    def __str__(self) -> str:
        return f"{self.gains}/{self.violations}/{self.undetermined}"


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
    n: int
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
    n : int
        Rows.
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
    n: int
    risk: float | None
    gain: float | None
    violated: bool
    assign_generic: float | None
    assign_decoupled: float | None
    best_of_three: float | None
    best: str | None


def number(value: Any) -> float | None:
    """Return a float, None for nan."""
    value = float(value)
    return None if math.isnan(value) else value


def to_plain(record: Any) -> dict[str, Any]:
    """Return a record as JSON can hold it: infinities become the texts ``inf``, ``-inf``."""
    plain = asdict(record)
    return {
        name: str(value) if isinstance(value, float) and math.isinf(value) else value
        for name, value in plain.items()
    }


def from_plain(kind: type[Record], plain: Mapping[str, Any]) -> Record:
    """Inverse of `to_plain`.

    Raises
    ------
    ValueError
        If fields are missing or unknown.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    if set(names) != set(plain):
        raise ValueError(
            f"{kind.__name__}: got fields {sorted(plain)}, expected {sorted(names)}; the file was "
            "written by another version or is damaged."
        )
    infinite = {"inf": math.inf, "-inf": -math.inf}
    texts = {"metric", "candidate", "group", "other", "reason", "test", "verdict"}
    return kind(
        **{
            name: infinite.get(value, value)
            if isinstance(value, str) and name not in texts
            else value
            for name, value in plain.items()
        }
    )

"""Records of a routing table: its routes, what is known of its groups, and what was changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Route:
    """Where a report is sent.

    Parameters
    ----------
    candidate : str
        The candidate that serves it.
    group : int or None
        Group under whose codes the candidate is evaluated; None for generic.
    strength : float, default=1.0
        In (0, 1]: how much of the candidate's margin is used, the rest being generic's.
    """

    candidate: str
    group: int | None = None
    strength: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"candidate": self.candidate, "group": self.group, "strength": self.strength}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Route:
        """Inverse of `to_dict`."""
        return cls(data["candidate"], data["group"], data["strength"])


@dataclass(frozen=True)
class GroupRecord:
    """What is known of one group: its rows, its risks, its route, and why.

    Parameters
    ----------
    report : tuple of str
        Levels of the group, one per group attribute.
    rows : int or None
        Training rows of the group; None where a bundle leaves small counts out.
    candidate : str
        The candidate that serves it.
    reason : str
        Why, in a sentence.
    risks : dict of str to float or None
        Risk of each candidate and of ``"routed"``, out of fold; None where undefined.
    gain, low, high : float or None
        Gain of the route over generic, and its interval; None where undefined.
    unavailable : dict of str to str
        Candidates that cannot serve the group, and why not.
    strength : float, default=1.0
        How much of the candidate's margin the route uses, see `Route`.
    real : tuple of float or None, default=None
        How much of the multilevel correction is real in the group, if a policy weighed it: 1 is
        all; posterior mean, and its interval.
    """

    report: tuple[str, ...]
    rows: int | None
    candidate: str
    reason: str
    risks: Mapping[str, float | None] = field(default_factory=dict)
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    unavailable: Mapping[str, str] = field(default_factory=dict)
    strength: float = 1.0
    real: tuple[float, float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; without `real` where no policy weighed it."""
        return {
            "report": list(self.report),
            "rows": self.rows,
            "candidate": self.candidate,
            "reason": self.reason,
            "risks": {name: _to_plain(risk) for name, risk in self.risks.items()},
            "gain": _to_plain(self.gain),
            "low": _to_plain(self.low),
            "high": _to_plain(self.high),
            "unavailable": dict(self.unavailable),
            "strength": self.strength,
            **({} if self.real is None else {"real": list(self.real)}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GroupRecord:
        """Inverse of `to_dict`."""
        numbers = {name: _from_plain(data[name]) for name in ("gain", "low", "high")}
        risks = {name: _from_plain(risk) for name, risk in data["risks"].items()}
        real = data.get("real")
        known = {"report": tuple(data["report"]), "risks": risks, "real": real and tuple(real)}
        return cls(**{**data, **numbers, **known})


@dataclass(frozen=True)
class Change:
    """One group that was sent back to generic after the routes had been chosen.

    Parameters
    ----------
    event : {"collapsed", "withdrawn"}
        To ask less, or because rows from deployment showed a violation.
    report : tuple of str
        Levels of the group.
    candidate : str
        The candidate that had served it.
    reason : str
        Why, in a sentence.
    rows : int or None
        Rows that this rests on; None where a bundle leaves small counts out.
    gain, low, high : float or None
        Gain over generic that was given up, and its interval, on those rows.
    """

    event: str
    report: tuple[str, ...]
    candidate: str
    reason: str
    rows: int | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            **{name: getattr(self, name) for name in ("event", "candidate", "reason", "rows")},
            "report": list(self.report),
            "gain": _to_plain(self.gain),
            "low": _to_plain(self.low),
            "high": _to_plain(self.high),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Change:
        """Inverse of `to_dict`."""
        numbers = {name: _from_plain(data[name]) for name in ("gain", "low", "high")}
        return cls(**{**data, **numbers, "report": tuple(data["report"])})


def _to_plain(value: float | None) -> float | str | None:
    """A number as JSON can hold it: infinities become the texts ``inf``, ``-inf``."""
    return str(value) if value is not None and math.isinf(value) else value


def _from_plain(value: float | str | None) -> float | None:
    """Inverse of `_to_plain`."""
    return None if value is None else float(value)

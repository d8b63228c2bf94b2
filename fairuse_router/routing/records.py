"""Records of a routing table: its routes, what is known of its groups, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairuse_router.documents import Document


@dataclass(frozen=True)
class Route(Document):
    """Where a report is sent.

    Parameters
    ----------
    candidate : str
        The candidate that serves it; ``"intersectional+multilevel"`` is the mean of two margins.
    group : int or None
        Group under whose codes the candidate is evaluated; None for generic.
    strength : float, default=1.0
        In (0, 1]: how much of the candidate's margin is used, the rest being generic's.
    """

    _KIND = "a route"

    candidate: str
    group: int | None = None
    strength: float = 1.0


@dataclass(frozen=True)
class GroupRecord(Document):
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

    _KIND = "a group's record"
    _LATER = frozenset({"unavailable", "strength", "real"})

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
        plain = super().to_dict()
        if self.real is None:
            del plain["real"]
        return plain


@dataclass(frozen=True)
class Change(Document):
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

    _KIND = "a change"

    event: str
    report: tuple[str, ...]
    candidate: str
    reason: str
    rows: int | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None

"""Records of a routing table: its routes, what is known of its groups, and what was changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairuse_router.documents import Document


@dataclass(frozen=True)
class Part(Document):
    """The correction of a coarser report, as a part of a route.

    Parameters
    ----------
    report : int
        Number of that report in the grid.
    weight : float
        In (0, 1): how much of it is used.

    Examples
    --------
    >>> Route("multilevel", group=2, parts=(Part(report=3, weight=0.25),)).to_dict()["parts"]
    [{'report': 3, 'weight': 0.25}]
    """

    _KIND = "a part of a route"

    report: int
    weight: float


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
        In (0, 1]: how much of the candidate's margin is used, the rest being generic's, or that of
        the coarser report whose `parts` it starts from.
    report : int or None
        Number in the grid of the partial report whose own correction serves; None for a group.
    parts : tuple of Part
        Corrections of coarser reports that are used as well.

    Examples
    --------
    >>> half = Route("multilevel", group=2, strength=0.5)
    >>> half.to_dict()
    {'candidate': 'multilevel', 'group': 2, 'strength': 0.5}
    """

    _KIND = "a route"
    _LATER = frozenset({"report", "parts"})

    candidate: str
    group: int | None = None
    strength: float = 1.0
    report: int | None = None
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; without what only partial reports have, where there is none."""
        return _without(super().to_dict(), report=None, parts=[])


@dataclass(frozen=True)
class GroupRecord(Document):
    """What is known of one group, or of a partial report: rows, risks, route, and why.

    Parameters
    ----------
    report : tuple of str
        Levels of the group, one per group attribute; the withheld mark where nothing is told.
    rows : int or None
        Training rows of the group, or of all that tell at least as much; None where a bundle leaves
        small counts out.
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
    base : tuple of str or None
        The coarser report whose route it starts from; None: generic.
    keeps : bool, default=False
        Whether it keeps that route, and what else it tells adds nothing.
    further : dict of str to tuple of float or None
        Of a partial report: what its people gain, in the mean, by telling one attribute more, and
        its interval; by the attribute.

    Examples
    --------
    >>> record = GroupRecord(("F", "<60"), 80, "onehot", "gains most", gain=0.04)
    >>> record.report, record.candidate, record.gain, record.strength
    (('F', '<60'), 'onehot', 0.04, 1.0)
    """

    _KIND = "a group's record"
    _LATER = frozenset({"unavailable", "strength", "real", "base", "keeps", "further"})

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
    base: tuple[str, ...] | None = None
    keeps: bool = False
    further: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; without what was not weighed."""
        return _without(super().to_dict(), real=None, base=None, keeps=False, further={})


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

    Examples
    --------
    >>> change = Change("withdrawn", ("F",), "onehot", "a re-audit showed a violation", rows=80)
    >>> Change.from_json(change.to_json()) == change
    True
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


def _without(data: dict[str, Any], **nothing: Any) -> dict[str, Any]:
    """Leave out entries that hold nothing: older readers know none of them."""
    return {name: v for name, v in data.items() if name not in nothing or v != nothing[name]}

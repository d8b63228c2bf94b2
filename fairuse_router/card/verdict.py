"""The verdict of a card: in one paragraph, who gains from telling, and whether anybody loses."""

from __future__ import annotations

from fairuse_router.audit import Audit
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.grids import count
from fairuse_router.routing.grid import RoutingGrid

_SMALL = "no one two three four five six seven eight nine ten eleven twelve"
_WORDS = dict(enumerate(_SMALL.split()))


def verdict(table: RoutingGrid, audit: Audit | None, is_claim: bool) -> str:
    """The paragraph.

    Parameters
    ----------
    table : RoutingTable
    audit : Audit or None
        The claim, or the evidence of the choice; None where there is neither.
    is_claim : bool
        Whether it is of rows that no model has seen.

    Examples
    --------
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord, RoutingTable
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> records = [GroupRecord((t,), 50, "generic", "forced") for t in "FM"]
    >>> table = RoutingTable.from_choices(
    ...     schema, records, policy="best", metric="error", alpha=0.1)
    >>> verdict(table, None, False)
    'Both groups are served as if they had told nothing, so that nobody need be asked for sex.'
    """
    m = len(table.groups)
    told = [record.candidate != GENERIC for record in table.groups]
    if not any(told):
        groups = "Both groups" if m == 2 else f"All {_number(m)} groups" if m > 1 else "The group"
        asked = " or ".join(table.schema.attributes)
        verb, they = ("are", "they") if m > 1 else ("is", "it")
        return (
            f"{groups} {verb} served as if {they} had told nothing, so that nobody need be asked "
            f"for {asked}."
        )
    parts = _served(table, audit, told)
    silent = m - sum(told)
    if silent:
        parts.append(f"{_number(silent)} {_be(silent)} served as if {_they(silent)} had not told")
    text = f"{'; '.join(parts)}."
    if not _verdicts(table, audit, told):  # none of this routing
        return f"{text[0].upper()}{text[1:]}"
    return f"{text[0].upper()}{text[1:]} {_loss(table, audit, told)} {_of(audit, is_claim)}".strip()


def _served(table: RoutingGrid, audit: Audit | None, told: list[bool]) -> list[str]:
    """What is shown of the groups that another model than generic serves."""
    m, k = len(table.groups), sum(told)
    verdicts = _verdicts(table, audit, told)
    shown = verdicts.count("gain")
    if audit is None or not verdicts:
        return [f"{_number(k)} of {_number(m)} groups {_be(k)} served by what {_they(k)} tell"]
    who, verb = (_number(shown), _be(shown)) if shown else ("none", "is")
    parts = [f"{who} of {_number(m)} groups {verb} shown to gain from telling"]
    more = " more" if shown else ""
    open_ = len(verdicts) - shown - verdicts.count("violation")
    if open_:
        use = "uses what it tells" if open_ == 1 else "use what they tell"
        sure = "its gain" if open_ == 1 else "their gains"
        parts.append(f"{_number(open_)}{more} {use}, and the rows do not show {sure}")
    return parts


def _verdicts(table: RoutingGrid, audit: Audit | None, told: list[bool]) -> list[str]:
    """Verdicts on the routes of the groups that tell, by the metric of the choice if that is in."""
    if audit is None:
        return []
    metric = table.metric if table.metric in audit.metrics else audit.metrics[0]
    names = [name for name, own in zip(table.schema.group_names(), told, strict=True) if own]
    return [
        r.verdict
        for r in audit.rationality
        if (r.metric, r.candidate) == (metric, ROUTED) and r.group in names
    ]


def _loss(table: RoutingGrid, audit: Audit | None, told: list[bool]) -> str:
    """Whether anybody is shown to lose."""
    lost = _verdicts(table, audit, told).count("violation")
    if not lost:
        return "Nobody is shown to lose."
    return f"{_number(lost).capitalize()} {_be(lost)} shown to lose by it."


def _of(audit: Audit | None, is_claim: bool) -> str:
    """Which rows say so."""
    if audit is None:
        return ""
    if is_claim:
        return f"That is by {count(audit.n, 'row')} that no model has seen."
    return (
        f"That is by the {count(audit.n, 'row')} that chose the routes, which flatters them; no "
        "audit on held-out rows is at hand."
    )


def _number(number: int) -> str:
    """A small number as a word."""
    return _WORDS.get(number, f"{number:,}")


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _they(number: int) -> str:
    return "it" if number == 1 else "they"

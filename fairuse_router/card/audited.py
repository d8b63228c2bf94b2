"""The card of an audit: what any models, ours or not, bring each group, on one page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Self

from fairuse_router.audit import Audit
from fairuse_router.bundle.file.hidden import write_audit
from fairuse_router.candidates.names import GENERIC
from fairuse_router.card.origin import LIMITS, WORDS, today
from fairuse_router.card.page import Page, Section
from fairuse_router.card.paged import Paged
from fairuse_router.card.sections import audit_sections, remedies, rows_of
from fairuse_router.grids import count

_OTHERS = (
    "Whether the rows are held out from the models is theirs to say who brought the predictions: "
    "rows of training flatter a model, and most the one that knows most.",
    LIMITS[0],
    "Gains are those of people drawn as these rows were. A change of population, of outcome rates "
    "above all, can turn a gain into a loss; only new labelled rows show it.",
    *LIMITS[2:],
)


@dataclass(frozen=True)
class AuditCard(Paged):
    """An audit on one page; `Card` is that of a router.

    Parameters
    ----------
    audit : Audit
    title : str
    description : str
        What the predictions are of, where the data come from, who is meant to use them.
    date : str
        When the card was made; empty: it does not say.
    version : str
        Of this package, when it was made.

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> card = AuditCard.of(audit, title="Own against generic")
    >>> card.verdict()
    ['own, in error: 2 of 2 groups are shown to gain over generic. No group is shown to lose.']
    >>> [section.title for section in card.page().sections][2:4]
    ['Audit: error', 'Each group: error']
    """

    _KIND = "an audit's card"

    audit: Audit
    title: str = "Audit"
    description: str = ""
    date: str = ""
    version: str = ""

    @classmethod
    def of(
        cls,
        audit: Audit,
        *,
        title: str = "Audit",
        description: str = "",
        min_cell: int = 5,
        date: str | None = None,
    ) -> Self:
        """Make the card of an audit, such as `audit_predictions` returns.

        Parameters
        ----------
        audit : Audit
        title, description : str
        min_cell : int, default=5
            Numbers that rest on fewer rows are hidden, as `Card.of` does.
        date : str, default=None
            Of the card; None: today's. The empty text leaves it out.

        Raises
        ------
        TypeError
            If `audit` is no Audit.
        """
        if not isinstance(audit, Audit):
            raise TypeError(
                f"audit is a {type(audit).__name__}; pass an Audit, such as audit_predictions "
                "returns. Card.of(router) makes the card of a router."
            )
        short = Audit.from_dict(write_audit(audit, frozenset(), min_cell))
        made = today() if date is None else date
        return cls(short, title, description, made, version("fairuse-router"))

    def verdict(self) -> list[str]:
        """Who gains by each model, and whether anybody is shown to lose: one sentence pair each."""
        return [
            self._verdict(metric, candidate)
            for metric in self.audit.metrics
            for candidate in self._compared
        ]

    def page(self) -> Page:
        """Return the page that Markdown and HTML are written from."""
        return Page(self.title, list(self._sections()))

    @property
    def _compared(self) -> list[str]:
        return [name for name in self.audit.candidates if name != self.audit.baseline]

    def _sections(self) -> Iterator[Section]:
        audit = self.audit
        yield Section("Verdict", points=self.verdict())
        if self.description:
            yield Section("What it is for", [self.description])
        yield Section("The words", points=list(self._words()))
        yield from audit_sections(audit, f"{rows_of(audit)}.", self._compared)
        yield from remedies(audit)
        yield Section("Limits", points=_OTHERS)
        made = f"Card of {self.date}." if self.date else ""
        version = f"Made with fairuse-router {self.version}." if self.version else ""
        yield Section("Where it comes from", points=[p for p in (made, version) if p])

    def _words(self) -> Iterator[str]:
        """The words that this audit has."""
        what, rationality, envy, truth, verdict = WORDS
        base = self.audit.baseline
        yield what
        yield (
            rationality
            if base == GENERIC
            else rationality.replace("generic model", f"model {base}")
        )
        if self.audit.envy_freeness:
            yield envy
        if self.audit.truthfulness:
            yield truth
        yield verdict

    def _verdict(self, metric: str, candidate: str) -> str:
        told = self.audit.tally("rationality", metric, candidate)
        if told is None or not told.asked:
            return f"{candidate}, in {metric}: no group could be compared."
        gain, loss = told.gains, told.violations
        lost = count(loss, "group") if loss else "No group"
        verb, be = ("is" if gain == 1 else "are"), ("are" if loss > 1 else "is")
        groups = f"{gain} of {count(told.asked, 'group')}"
        return (
            f"{candidate}, in {metric}: {groups} {verb} shown to gain over {self.audit.baseline}. "
            f"{lost} {be} shown to lose."
        )

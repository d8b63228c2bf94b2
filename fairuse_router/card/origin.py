"""Where a card comes from, what its words mean, and what a reporting guideline asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from fairuse_router.card.page import Section
from fairuse_router.documents import Document
from fairuse_router.grids import Column, Grid

WORDS = (
    "Report: what a person tells of the group attributes; any of them may be withheld. Group: all "
    "who share a full report. Gain: how much lower the risk of a group is; positive is better.",
    "Rationality: no group is served worse by its report than by the generic model.",
    "Envy-freeness: no group would be served better by the predictions of another group.",
    "Truthfulness: no group would be served better by any other report, withholding included.",
    "A gain or a violation is a verdict that is shown, corrected for the number of tests; "
    "undetermined means that the rows do not tell.",
)
LIMITS = (
    "A gain is a mean over a group, on the chosen metric: no promise to each of its members, and "
    "no reason by itself to collect a sensitive attribute.",
    "Every promise is for people drawn as the training rows were. A change of population, of "
    "outcome rates above all, can turn a gain into a loss; only new labelled rows show it.",
    "Undetermined means that the rows do not tell, not that there is no difference.",
    "Numbers that rest on few people are hidden, and with a single such group the next smallest.",
)
# items of TRIPOD+AI (Collins et al. 2024, BMJ 385:e078378) that a router can answer, and where
_ITEMS = (
    ("3, 4", "background, intended use, objectives", "What it is for"),
    ("12", "analytical methods: how models were chosen", "What the policy promises"),
    ("14", "fairness: approaches and their rationale", "Verdict; What the policy promises"),
    ("15", "model output", "Where it comes from"),
    ("20, 21", "participants and development rows, by group", "Who is served by what"),
    ("22", "model specification", "Where it comes from: the file holds the models"),
    ("23", "performance with intervals, in key subgroups", "Audit; Each group"),
    ("24", "model updating", "Who is served by what: what was changed since"),
    ("26", "limitations", "Limits"),
    ("27", "missing input, use in care", "What people are asked"),
)
_MISSING = (
    "To be told by the authors, as no file knows it: title and abstract (1, 2), sources and dates "
    "of the data (5), setting and eligibility (6), outcome and predictors (8, 9), sample size "
    "(10), missing data (11), ethics (17), funding, protocol and code (18), involvement of "
    "patients (19), interpretation (25)."
)


@dataclass(frozen=True)
class Origin(Document):
    """Where a card comes from.

    Parameters
    ----------
    date : str
        When the card was made; empty: it does not say.
    versions : dict of str to str
        Packages that wrote what it speaks of.
    output : str, default=""
        What the model gives.
    digest : str or None, default=None
        SHA-256 that the bundle carries; None where there is no file yet.
    certificate : str, default=""
        How the file was compared with the router, in words.
    """

    _KIND = "an origin"

    date: str
    versions: Mapping[str, str] = field(default_factory=dict)
    output: str = ""
    digest: str | None = None
    certificate: str = ""

    def section(self) -> Section:
        """It as a part of a page."""
        versions = ", ".join(f"{name} {v}" for name, v in sorted(self.versions.items()))
        file = f"File: the bundle of digest (SHA-256) {self.digest}." if self.digest else ""
        made = f"Card of {self.date}." if self.date else ""
        points = [made, self.output, f"Made with {versions}.", file]
        return Section("Where it comes from", points=[p for p in (*points, self.certificate) if p])


def today() -> str:
    """The date, as a card tells it."""
    return date.today().isoformat()


def closing(origin: Origin | None) -> Iterator[Section]:
    """Yield limits, origin, and where a reader of TRIPOD+AI finds what."""
    yield Section("Limits", points=LIMITS)
    if origin is not None:
        yield origin.section()
    columns = [Column("item"), Column("what it asks", left=True), Column("where it is", left=True)]
    yield Section(
        "By TRIPOD+AI",
        [
            "Where the items of the reporting guideline (Collins et al. 2024) are answered here.",
            _MISSING,
        ],
        grid=Grid(columns, [list(item) for item in _ITEMS]),
    )

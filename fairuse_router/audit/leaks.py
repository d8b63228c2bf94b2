"""What leakage was found: how well features give away what a person withheld."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap

__all__ = ["Leak", "Leakage"]

_WORDS = ((0.9, "given away"), (0.75, "half given away"), (0.6, "hinted at"), (0.0, "kept"))


@dataclass(frozen=True)
class Leak:
    """How well the features tell one attribute.

    Parameters
    ----------
    attribute : str
    n : int
        Rows that report it.
    auc : float or None
        Cross-fitted; over more than two levels the mean of one against the rest, weighted by rows.
        0.5: the features know nothing; 1: withholding is fiction.
    low, high : float or None
        DeLong's interval, where there are two levels.
    features : tuple of str
        Those whose shuffling costs most, most first.
    falls : tuple of float
        By how much the AUC falls when each of them is shuffled.
    reason : str
        Why it could not be measured; empty otherwise.
    """

    attribute: str
    n: int
    auc: float | None
    low: float | None
    high: float | None
    features: tuple[str, ...]
    falls: tuple[float, ...]
    reason: str = ""

    @property
    def word(self) -> str:
        """What the AUC means for somebody who withholds."""
        if self.auc is None:
            return "unknown"
        return next(word for least, word in _WORDS if self.auc >= least)


@dataclass(frozen=True)
class Leakage(Printed):
    """How well the features give away what a person withheld. Print it.

    Parameters
    ----------
    leaks : tuple of Leak
        One per attribute.
    alpha : float
    """

    leaks: tuple[Leak, ...]
    alpha: float

    def grid(self) -> Grid:
        """Attribute, AUC, interval, word and features as a table."""
        columns = [
            Column("attribute", 16, left=True),
            *numbers({"AUC": 6, "interval": 11}),
            Column("withheld it is", 18, left=True, gap=2),
            Column("most by", 25, left=True, gap=1),
        ]
        rows = [
            [
                leak.attribute,
                "n/a" if leak.auc is None else f"{leak.auc:.2f}",
                "" if leak.low is None else f"{leak.low:.2f} {leak.high:.2f}",
                leak.word,
                ", ".join(leak.features[: min(3, sum(fall > 0.005 for fall in leak.falls))]),
            ]
            for leak in self.leaks
        ]
        return Grid(columns, rows)

    def _lines(self) -> Iterator[str]:
        yield from wrap(
            "How well the features give away an attribute that is withheld: cross-fitted AUC, 0.5 "
            f"is nothing, 1 makes withholding fiction; intervals {100 * (1 - self.alpha):g}%."
        )
        yield from ("", *self.grid().lines())

"""The card of a router: what it is, whom it serves by what, what it promises, what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Self

from fairuse_router.audit import Audit
from fairuse_router.audit.claim import check_claim
from fairuse_router.audit.leaks import Leakage
from fairuse_router.bundle import Bundle
from fairuse_router.bundle.certified import certified
from fairuse_router.bundle.file.digest import KEY
from fairuse_router.bundle.file.hidden import small_groups, write_audit, write_honest, write_table
from fairuse_router.card.origin import Origin, closing, today
from fairuse_router.card.page import Page
from fairuse_router.card.paged import Paged
from fairuse_router.card.sections import leaks_section, sections
from fairuse_router.card.verdict import verdict
from fairuse_router.documents import plain, read, reading
from fairuse_router.routing.honest import HonestGains
from fairuse_router.routing.table import RoutingTable

if TYPE_CHECKING:  # it loads scikit-learn, which the card of a file does not need
    from fairuse_router.routing.deployed import Deployed


@dataclass(frozen=True)
class Card(Paged):
    """A router on one page.

    Parameters
    ----------
    table : RoutingTable
    audit : Audit or None
        Of rows that fit never saw: the claim. None where there are none.
    selection : Audit or None
        Of the rows that chose the routes: evidence of the choice, shown if there is no claim.
    honest : HonestGains or None
    title : str
    description : str
        What the predictions are of, where the data come from, who is meant to use them.
    leakage : Leakage or None
        How well the features give away what is withheld: ``router.leakage(X)``.
    origin : Origin or None
        Date, versions, and the digest of the file.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import FairUseRouter
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=200), rng.integers(0, 2, 200)])
    >>> router = FairUseRouter(LogisticRegression(), [1]).fit(X, X[:, 0] > 0)
    >>> print(Card.of(router, title="Positive or not").to_markdown()[:17])
    # Positive or not
    """

    _KIND = "a card"

    table: RoutingTable
    audit: Audit | None = None
    selection: Audit | None = None
    honest: HonestGains | None = None
    title: str = "FairUseRouter"
    description: str = ""

    origin: Origin | None = None
    leakage: Leakage | None = None

    @classmethod
    def of(
        cls,
        router: Deployed | Bundle,
        audit: Audit | None = None,
        *,
        title: str = "FairUseRouter",
        description: str = "",
        min_cell: int = 5,
        date: str | None = None,
        leakage: Leakage | None = None,
    ) -> Card:
        """Make the card of a fitted router, or of a bundle from the file alone.

        Parameters
        ----------
        router : FairUseRouter or Bundle
        audit : Audit, default=None
            ``router.audit(X_test, y_test)`` on rows that `fit` never saw; None: that of a bundle.
        title, description : str
        min_cell : int, default=5
            Numbers that rest on fewer rows are hidden, as `export_bundle` does.
        date : str, default=None
            Of the card; None: today's. The empty text leaves it out.
        leakage : Leakage, default=None
            ``router.leakage(X)``: whether withholding is real.

        Raises
        ------
        TypeError
            If `router` is neither FairUseRouter nor Bundle, or `audit` no Audit.
        ValueError
            If the audit is of other group attributes than the router's, or of the rows that chose.
        """
        if isinstance(router, Bundle):
            table, selection, honest = router.routing_table, router.audit_, router.honest_gains_
            origin = _origin_of_file(router)
            claim = router.held_out_ if audit is None else audit
        else:
            from fairuse_router.routing.deployed import check_router

            check_router(router)
            table, selection, honest = router.routing_table_, router.audit_, router.honest_gains_
            origin = _origin_of_router(router)
            claim = audit
        if audit is not None:
            check_claim(audit, table, selection)
        hidden = small_groups(table, min_cell)
        data = {
            "routing_table": {**table.to_dict(), **write_table(table, hidden, min_cell)},
            "audit": write_audit(claim, hidden, min_cell),
            "selection": write_audit(selection, hidden, min_cell),
            "honest_gains": write_honest(honest, hidden),
            "title": title,
            "description": description,
            "origin": replace(origin, date=today() if date is None else date).to_dict(),
            "leakage": None if leakage is None else leakage.to_dict(),
        }
        return cls.from_dict(data)

    def verdict(self) -> str:
        """Who gains from telling, and whether anybody is shown to lose, in one paragraph."""
        return verdict(self.table, self.audit or self.selection, self.audit is not None)

    def page(self) -> Page:
        """Return the page that Markdown and HTML are written from."""
        told = self.table, self.audit, self.selection, self.honest, self.description
        leaks = () if self.leakage is None else (leaks_section(self.leakage),)
        return Page(self.title, [*sections(*told), *leaks, *closing(self.origin)])

    def to_dict(self) -> dict[str, Any]:
        """Return all that the card's numbers come from, as JSON can hold it."""
        names = {"table": "routing_table", "honest": "honest_gains"}
        return plain({names.get(name, name): value for name, value in vars(self).items()})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Inverse of `to_dict`.

        Raises
        ------
        ValueError
            If parts are missing or malformed.
        """
        with reading("data", cls._KIND):
            return cls(
                RoutingTable.from_dict(data["routing_table"]),
                read(Audit | None, data["audit"]),
                read(Audit | None, data["selection"]),
                read(HonestGains | None, data["honest_gains"]),
                data["title"],
                data["description"],
                read(Origin | None, data.get("origin")),
                read(Leakage | None, data.get("leakage")),
            )


def _origin_of_router(router: Deployed) -> Origin:
    """Of a router in memory."""
    packages = ("fairuse-router", "scikit-learn", "numpy")
    classes = getattr(router, "classes_", None)
    output = _output(None if classes is None else classes.tolist())
    return Origin("", {name: version(name) for name in packages}, output)


def _origin_of_file(bundle: Bundle) -> Origin:
    """Of a router in a file."""
    labels = None if bundle.classes_ is None else bundle.classes_.tolist()
    return Origin(
        "",
        bundle.certificate["versions"],
        _output(labels),
        bundle.metadata.get(KEY),
        certified(bundle.certificate),
    )


def _output(labels: list[Any] | None) -> str:
    """What the model gives, in words."""
    if labels is None:
        return "It predicts a number."
    told = ", ".join(str(label) for label in labels[:10])
    more = f" and {len(labels) - 10} more" if len(labels) > 10 else ""
    return f"It predicts one of the classes {told}{more}."

"""The card of a router: what it is, whom it serves by what, what it promises, what was measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from fairuse_router.audit import Audit
from fairuse_router.card.page import Page
from fairuse_router.card.sections import sections
from fairuse_router.documents import (
    Document,
    check_path,
    check_target,
    plain,
    read,
    reading,
    write_whole,
)
from fairuse_router.routing.deployed import Deployed, check_router
from fairuse_router.routing.honest import HonestGains
from fairuse_router.routing.table import RoutingTable


@dataclass(frozen=True)
class Card(Document):
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

    @classmethod
    def of(
        cls,
        router: Deployed,
        audit: Audit | None = None,
        *,
        title: str = "FairUseRouter",
        description: str = "",
    ) -> Card:
        """Make the card of a fitted router.

        Parameters
        ----------
        router : FairUseRouter
        audit : Audit, default=None
            ``router.audit(X_test, y_test)`` on rows that `fit` never saw.
        title, description : str

        Raises
        ------
        TypeError
            If `router` is no FairUseRouter, or `audit` no Audit.
        ValueError
            If the audit is of other group attributes than the router's, or of the rows that chose.
        """
        check_router(router)
        table = router.routing_table_
        if audit is not None:
            _check(audit, table, router.audit_)
        return cls(table, audit, router.audit_, router.honest_gains_, title, description)

    def page(self) -> Page:
        """Return the page that Markdown and HTML are written from."""
        return Page(
            self.title,
            [*sections(self.table, self.audit, self.selection, self.honest, self.description)],
        )

    def to_markdown(self) -> str:
        """Return the card as Markdown."""
        return self.page().to_markdown()

    def to_html(self) -> str:
        """Return the card as one HTML page."""
        return self.page().to_html()

    def _repr_html_(self) -> str:
        return self.to_html()

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
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the card as its file's ending says: .md, .html or .json.

        Raises
        ------
        ValueError
            For another ending.
        """
        json = partial(self.to_json, indent=1)
        writers: dict[str, Callable[[], str]] = {
            ".md": self.to_markdown,
            ".html": self.to_html,
            ".json": json,
        }
        ending = check_path(path).suffix.lower()
        if ending not in writers:
            raise ValueError(
                f"path={os.fspath(path)!r} ends in {ending!r}; allowed: {', '.join(writers)}."
            )
        write_whole(writers[ending]().encode("utf-8", "backslashreplace"), check_target(path))


def _check(audit: Audit, table: RoutingTable, selection: Audit) -> None:
    """Refuse an audit that cannot be the claim of this router."""
    if not isinstance(audit, Audit):
        raise TypeError(
            f"audit is a {type(audit).__name__}; pass router.audit(X_test, y_test), or None."
        )
    names = tuple(table.schema.group_names())
    if audit.groups != names:
        raise ValueError(
            f"audit has the groups {list(audit.groups)}; the router's are {list(names)}. Pass "
            "router.audit(X_test, y_test)."
        )
    if audit == selection:
        raise ValueError(
            "audit is router.audit_, whose rows chose the routes; the card shows it anyway. Pass "
            "router.audit(X_test, y_test) on other rows, or nothing."
        )

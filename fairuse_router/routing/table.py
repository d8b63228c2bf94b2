"""The routing table as people use it: printed, explained, collapsed, planned from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.routing import display
from fairuse_router.routing.collapse import collapsed, give_up
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.plan import DisclosurePlan
from fairuse_router.routing.routed import RoutedRows, Unknown, say_unknown


@dataclass(frozen=True, eq=False)
class RoutingTable(RoutingGrid):
    """Report -> route, with the evidence per group and partial report.

    Parameters
    ----------
    schema : GroupSchema
        Group attributes and levels.
    routes : tuple of Route
        The distinct routes; the first is generic.
    grid : ndarray of int64, shape ``schema.shape``
        Index into `routes` for every report; code 0 of an attribute is "withheld".
    groups : tuple of GroupRecord
        Evidence, in group order.
    policy, metric : str
        How the routes were chosen, and the metric of the risks.
    alpha : float, default=0.1
        The intervals are at level ``1 - alpha``.
    history : tuple of Change, default=()
        What has been changed since the routes were chosen, oldest first.
    partial : tuple of GroupRecord, default=()
        Evidence on every report that withholds something, in the order of the grid, where these
        have routes of their own.
    note : str, default=""
        Why they have none.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from fairuse_router import FairUseRouter
    >>> from fairuse_router.datasets import make_population
    >>> X, y, groups = (p := make_population(500)).to_frame(), p.y, p.group_attributes
    >>> table = FairUseRouter(GaussianNB(), groups, random_state=0).fit(X, y).routing_table_
    >>> table.routes[0].candidate, len(table.groups)
    ('generic', 6)
    >>> RoutingTable.from_json(table.to_json()) == table
    True
    """

    def explain(self, codes: NDArray[np.int64], unknown: Unknown | None = None) -> RoutedRows:
        """Which route serves each report of [n, k], why (`unknown_levels` named), and gain."""
        ids, inverse = np.unique(self.schema.report_ids(codes), return_inverse=True)
        distinct = self.schema.report_codes[ids]
        routes = self.look_up(distinct)
        texts = [self.schema.report_texts(code) for code in distinct]
        reasons = np.array([self.reason(code) for code in distinct], dtype=str)
        candidates = np.array([self.routes[r].candidate for r in routes], dtype=str)
        numbers = np.array([self.standing(code) for code in distinct]).reshape(-1, 4)
        names = np.array([self.schema.report_name(code) for code in distinct], dtype=str)
        return RoutedRows(
            [texts[i] for i in inverse],
            routes[inverse],
            candidates[inverse],
            say_unknown(reasons[inverse], unknown or {}),
            names[inverse],
            numbers[inverse],
            self.metric,
            self.alpha,
        )

    def disclosure_plan(
        self, collapse: float | None = None, per: str = "everyone"
    ) -> DisclosurePlan:
        """Which attributes each person needs to be asked, in which order, and where to stop.

        Parameters
        ----------
        collapse : float or None, default=None
            None asks as little as possible at no loss. Else gain may be given up, in the unit of
            the metric, to ask less: see `collapse`.
        per : {"everyone", "group"}, default="everyone"
            As in `collapse`.

        Returns
        -------
        DisclosurePlan
            Print it, plot it, or ask it for the next question. With `collapse` it is for the
            collapsed table, ``plan.table``.
        """
        return DisclosurePlan(self if collapse is None else self.collapse(collapse, per), self)

    def collapse(self, tolerance: float, per: str = "everyone") -> RoutingTable:
        """Give up gains to ask less: send groups back to generic where that saves questions.

        Parameters
        ----------
        tolerance : float
            Most gain to give up, in the unit of the metric: 0.01 is one point of error. It is held
            against the upper limit of the interval of what is lost, not against the estimate.
        per : {"everyone", "group"}, default="everyone"
            ``"everyone"``: the mean loss over all people is within the tolerance. ``"group"``: that
            of every group is.

        Returns
        -------
        RoutingTable
            Deploy it by ``router.with_table(table)``. `history` names what was given up. Partial
            reports all of whose groups go back to generic go with them, and what those lose who
            sent them counts.

        Raises
        ------
        ValueError
            For a negative tolerance or another `per`.
        """
        return collapsed(self, give_up(self, tolerance, per))

    def __str__(self) -> str:
        return display.as_text(self)

    def to_html(self) -> str:
        """Return the groups as an HTML table."""
        return display.as_html(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_frame(self, backend: str = "pandas", reports: str = "groups") -> Any:
        """Return one row per group as a dataframe (pandas, polars or pyarrow).

        Columns: the group attributes, ``rows``, ``candidate``, ``strength``, ``risk_*`` per
        candidate and routed, ``gain``, ``low``, ``high``, ``reason``.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default="pandas"
        reports : {"groups", "partial", "all"}, default="groups"
            ``"partial"``: one row per report that withholds something, where these have routes of
            their own; a person counts for each report that tells no more than theirs.

        Raises
        ------
        ValueError
            For other `reports`.
        """
        kinds = {"groups": self.groups, "partial": self.partial}
        kinds["all"] = (*self.groups, *self.partial)
        if reports not in kinds:
            raise ValueError(f"reports={reports!r} is not allowed: pass one of {', '.join(kinds)}.")
        return tables.from_columns(display.as_columns(self, kinds[reports]), backend)

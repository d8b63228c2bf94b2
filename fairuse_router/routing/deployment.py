"""What is deployed: models, and the table that says which of them serves which report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.candidates.blended import blend, is_blend
from fairuse_router.candidates.candidate import Candidate, ServedModel, evaluate, predict_rows
from fairuse_router.candidates.corrected import Further
from fairuse_router.candidates.names import MULTILEVEL, halves
from fairuse_router.candidates.pool import Pool
from fairuse_router.metrics import Metric, Predictions, cut
from fairuse_router.routing.explanation import Explanation, explain_rows
from fairuse_router.routing.routed import Unknown
from fairuse_router.routing.serving import Scored
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import Codes, TrainingRows


class Deployment:
    """Fitted candidates and a routing table: all that answers a report.

    Parameters
    ----------
    candidates : dict of str to Candidate
    table : RoutingTable
    classes : ndarray of shape (K,) or None
        Class labels, columns of the probabilities; None for a regression.
    threshold : float or None, default=None
        The second of two classes is said from this probability on; None: as the models say.

    Attributes
    ----------
    models : list of ServedModel
        The distinct models that the table uses.
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `models`.
    """

    def __init__(
        self,
        candidates: Mapping[str, Candidate],
        table: RoutingTable,
        classes: NDArray[Any] | None,
        threshold: float | None = None,
    ) -> None:
        self.candidates, self.table, self.classes = candidates, table, classes
        self.threshold = threshold
        self.models, self.model_of_route = served_models(candidates, table)

    def serving(self, table: RoutingTable) -> Deployment:
        """Return the same models under another table.

        Raises
        ------
        TypeError, ValueError
            For something else than a table, other group attributes, or models that are not there.
        """
        if not isinstance(table, RoutingTable):
            raise TypeError(f"table is a {type(table).__name__}; pass a RoutingTable.")
        own = self.table.schema
        if table.schema != own:
            raise ValueError(
                f"table is for {list(table.schema.attributes)} with the levels "
                f"{[list(v) for v in table.schema.levels]}; the router was fitted on "
                f"{list(own.attributes)} with {[list(v) for v in own.levels]}. "
                "Change the router's own routing_table_."
            )
        _check_routes(self.candidates, table)
        return Deployment(self.candidates, table, self.classes, self.threshold)

    def answer(self, features: tables.Table, codes: Codes, method: str) -> NDArray[Any]:
        """What one method says of features under reports of codes [n, k]."""
        routes = self.table.look_up(codes)
        if method == "predict" and self.threshold is not None and self.classes is not None:
            return np.asarray(self.classes[self.predictions(features, routes).label])
        asked = self.models, self.model_of_route, features, routes, [method], self.classes
        return evaluate(*asked)[0]

    def predictions(self, features: tables.Table, routes: NDArray[np.int64]) -> Predictions:
        """Class indices and probabilities of rows under the route given for each."""
        asked = self.models, self.model_of_route, features, routes, self.classes
        return cut(predict_rows(*asked), self.threshold)

    def scores(self, data: TrainingRows, envy: Sequence[Metric]) -> Scored:
        """Scores of every candidate on rows that it has not seen, and whom each cannot serve."""
        pool = Pool.of_fitted(self.candidates, data, envy)
        return pool.scores, pool.unavailable

    def explain(
        self, features: tables.Table, codes: Codes, unknown: Unknown, proba: bool
    ) -> Explanation:
        """Explain the answers to the people they are about; `proba`: whether to tell chances."""
        answer = partial(self.answer, features)
        return explain_rows(answer, codes, self.table, self.classes, proba, unknown)


def _check_routes(candidates: Mapping[str, Candidate], table: RoutingTable) -> None:
    """Refuse a table that these candidates cannot serve."""
    for route in table.routes:
        for name in halves(route.candidate, candidates):
            candidate = candidates.get(name)
            if candidate is None:
                raise ValueError(
                    f"table routes to {route.candidate!r}; the router has {list(candidates)}."
                )
            partial = [part.report for part in route.parts]
            partial += [] if route.report is None else [route.report]
            lattice = candidates[MULTILEVEL].lattice if MULTILEVEL in candidates else None
            if partial and (lattice is None or (lattice.row_of_report[partial] < 0).any()):
                raise ValueError(
                    "table routes partial reports by corrections that the router does not have. "
                    "Change the router's own routing_table_."
                )
            if route.group is not None and candidate.model_of_group[route.group] < 0:
                raise ValueError(
                    f"table routes group {route.group} to {route.candidate!r}, which has no model "
                    "for it. Send the group to another candidate."
                )


def served_models(
    candidates: Mapping[str, Candidate], table: RoutingTable
) -> tuple[list[ServedModel], NDArray[np.int64]]:
    """Return the distinct models that a routing table uses, and the model of every route.

    Returns
    -------
    models : list of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `models`.
    """
    models: list[ServedModel] = []
    index: dict[tuple[str, int, bool], int] = {}
    of_route = np.zeros(len(table.routes), dtype=np.int64)
    groups = np.array([route.group or 0 for route in table.routes], dtype=np.int64)
    rows, more = _corrections(candidates, table, groups)
    blended = [is_blend(route.candidate, route.strength, candidates) for route in table.routes]
    for r, route in enumerate(table.routes):
        candidate = candidates[halves(route.candidate, candidates)[0]]
        which = 0 if route.group is None else int(candidate.model_of_group[route.group])
        key = (route.candidate, which, blended[r])
        if key not in index:
            index[key] = len(models)
            own = np.array([s.candidate == route.candidate for s in table.routes])
            strengths = np.where(own, [s.strength for s in table.routes], 1.0)
            if blended[r]:
                models.append(blend(candidates, route.candidate, which, groups, strengths, more))
            else:
                own_rows = groups if candidate.corrected is None else rows
                models.append(candidate.under_routes(which, own_rows, strengths, more))
        of_route[r] = index[key]
    return models, of_route


def _corrections(
    candidates: Mapping[str, Candidate], table: RoutingTable, groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], list[Further]]:
    """Row of multilevel's corrections under every route, and those of the reports it starts from.

    Rows of groups have the groups' numbers; those of partial reports follow.
    """
    rows, more = groups.copy(), list[Further]()
    lattice = candidates[MULTILEVEL].lattice if MULTILEVEL in candidates else None
    if lattice is not None:
        of_report = lattice.row_of_report
        for r, route in enumerate(table.routes):
            if route.report is not None:
                rows[r] = of_report[route.report]
            more += [(r, int(of_report[part.report]), part.weight) for part in route.parts]
    return rows, more

"""A bundle as audits ask it: rows under any route, and every candidate that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import REPORT, ROUTES, Layout
from fairuse_router.bundle.file.metadata import onnx_labels
from fairuse_router.bundle.file.places import route_places
from fairuse_router.candidates.names import GENERIC
from fairuse_router.candidates.scores import Scores
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.records import Route
from fairuse_router.routing.serving import Scored
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import Places, TrainingRows

Tensors = Mapping[str, NDArray[Any]]


class Answers(Protocol):
    """What is asked of a bundle here."""

    classes_: NDArray[Any] | None
    routing_table: RoutingTable
    layout: Layout

    def ask(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name, of tensors by name."""
        ...


@dataclass(frozen=True)
class Served:
    """The models of a bundle behind its routing table; rows are tensors by input.

    Parameters
    ----------
    bundle : Bundle
    compared : tuple of str
        The candidates that it holds for every group, in the router's order.
    """

    bundle: Answers
    compared: tuple[str, ...]

    @property
    def table(self) -> RoutingTable:
        """The routing table."""
        return self.bundle.routing_table

    def answer(self, features: Tensors, codes: NDArray[np.int64], method: str) -> NDArray[Any]:
        """Labels or numbers (``"predict"``), or probabilities, of rows under reports of codes."""
        answer = self._ask(features, codes)
        if method == "predict_proba":
            return answer["probabilities"]
        if self.bundle.classes_ is None:
            return answer["prediction"]
        return answer["label"].astype(self.bundle.classes_.dtype)

    def predictions(self, features: Tensors, routes: NDArray[np.int64]) -> Predictions:
        """Class indices and probabilities of rows under the route given for each."""
        parts = [
            (rows, self._predicted(answer)) for rows, answer in self._by_route(features, routes)
        ]
        if len(parts) == 1:
            return parts[0][1]
        order = np.argsort(np.concatenate([rows for rows, _ in parts]))
        label = np.concatenate([part.label for _, part in parts])[order]
        probas = [part.proba for _, part in parts if part.proba is not None]
        return Predictions(label, np.concatenate(probas)[order] if probas else None)

    def scores(self, data: TrainingRows, envy: Sequence[Metric]) -> Scored:
        """Scores of every candidate on rows that it has not seen, and whom each cannot serve."""
        everybody = np.ones(len(data.y), dtype=bool)
        generic = self.predictions(data.features, np.zeros(len(data.y), dtype=np.int64))
        scores = {GENERIC: Scores(generic, everybody)}
        unavailable: dict[str, dict[int, str]] = {GENERIC: {}}
        route_of = {route: i for i, route in enumerate(self.table.routes)}
        for name in self.compared:
            if name == GENERIC:
                continue
            of_group = np.array([route_of.get(Route(name, g), -1) for g in range(data.n_groups)])
            scores[name] = self._score(data, of_group, envy)
            lacking = np.flatnonzero(of_group < 0).tolist()
            unavailable[name] = dict.fromkeys(lacking, "the router had no model for it")
        return scores, unavailable

    def _score(self, data: TrainingRows, of_group: Places, envy: Sequence[Metric]) -> Scores:
        """Scores of one candidate, whose route for every group is given, -1 for none."""
        rows = np.flatnonzero((data.groups >= 0) & (of_group[data.groups] >= 0))
        features = {name: tensor[rows] for name, tensor in data.features.items()}
        own = self.predictions(features, of_group[data.groups[rows]])
        misreports = None
        if envy and len(rows):
            misreports = MisreportMoments.measure(
                data.outcomes.take(rows),
                own,
                lambda h: self.predictions(features, np.full(len(rows), of_group[h])),
                envy,
                columns=np.flatnonzero(of_group >= 0).tolist(),
            )
        scored = np.zeros(len(data.y), dtype=bool)
        scored[rows] = True
        label = np.zeros(len(data.y), dtype=own.label.dtype)
        label[rows] = own.label
        if own.proba is None:
            return Scores(Predictions(label), scored, misreports)
        proba = np.zeros((len(data.y), own.proba.shape[1]))
        proba[rows] = own.proba
        return Scores(Predictions(label, proba), scored, misreports)

    def _by_route(
        self, features: Tensors, routes: NDArray[np.int64]
    ) -> Iterator[tuple[Places, dict[str, NDArray[Any]]]]:
        """Answers to rows under the route of each, in as few runs as there are reports for."""
        codes, grid = self.table.schema.report_codes, self.table.grid
        served, first = np.unique(grid.ravel(), return_index=True)
        told = np.isin(routes, served)
        if told.all():  # the reports that lead there are asked
            reports = first[np.searchsorted(served, routes)]
            yield np.arange(len(routes)), self._ask(features, codes[reports])
            return
        wanted = np.unique(routes)
        for start in range(0, len(wanted), len(codes)):
            some = wanted[start : start + len(codes)]
            other = np.resize(some, grid.size).reshape(grid.shape)  # a report for each route
            rows = np.flatnonzero(np.isin(routes, some))
            reports = np.searchsorted(some, routes[rows])
            places = route_places(self.table, self.bundle.layout, other)[0]
            part = {name: tensor[rows] for name, tensor in features.items()}
            yield rows, self._ask(part, codes[reports], {ROUTES: places})

    def _ask(
        self, features: Tensors, codes: NDArray[np.int64], more: Tensors | None = None
    ) -> dict[str, NDArray[Any]]:
        report = self.bundle.layout.reports(self.table.schema, codes)
        return self.bundle.ask({**features, **(more or {}), REPORT: report})

    def _predicted(self, answer: dict[str, NDArray[Any]]) -> Predictions:
        """Outputs as class indices and probabilities."""
        if self.bundle.classes_ is None:
            return Predictions(answer["prediction"].astype(np.float64))
        labels = onnx_labels({"labels": self.bundle.classes_.tolist()})
        order = np.argsort(labels, kind="stable")
        index = order[np.searchsorted(labels[order], answer["label"])]
        proba = answer.get("probabilities")
        return Predictions(index, None if proba is None else proba.astype(np.float64))

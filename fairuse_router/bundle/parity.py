"""Parity: the bundle must answer as the router does, for every row under every report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.bundle.file.layout import REPORT, ROUTES, Layout
from fairuse_router.bundle.file.places import route_places

if TYPE_CHECKING:  # it loads scikit-learn, which verifying a file does not need
    from fairuse_router.routing.deployed import Deployed
    from fairuse_router.routing.table import RoutingTable

_BATCH = 50_000
_WRONG_NUMBER = 0.01
METHODS = {
    "predict_proba": "probabilities",
    "decision_function": "scores",
    "predict": "prediction",  # of a regression
}


@dataclass(frozen=True)
class Parity:
    """Differences between a bundle and its router, per model.

    Parameters
    ----------
    rows, reports, rows_per_report, checks : int
        Rows given, reports of the grid, rows that were asked under every report, and answers
        compared in all.
    flips : ndarray of int64, shape (n_models,)
        Labels that differ; of a regression, numbers whose gap is above a hundredth.
    gaps : ndarray of float64, shape (n_models,)
        Largest difference of probabilities; of scores s, relative to 1 + abs(s); of the numbers
        that a regression predicts, relative to the larger of the number and their mean size.
    """

    rows: int
    reports: int
    rows_per_report: int
    checks: int
    flips: NDArray[np.int64]
    gaps: NDArray[np.float64]

    def failing(self, tolerance: float) -> list[int]:
        """Models with a label that differs, or a gap above the tolerance."""
        return np.flatnonzero((self.flips > 0) | (self.gaps > tolerance)).tolist()

    @property
    def is_rounding(self) -> bool:
        """Whether as few answers are wrong as rounding on boundaries explains."""
        return int(self.flips.sum()) <= most_flips(self.checks)

    @property
    def largest_gap(self) -> float:
        """The largest gap, rounded up to one digit, so that threads do not change the file."""
        return self.gap_of(int(np.argmax(self.gaps)))

    def gap_of(self, model: int) -> float:
        """The gap of one model, rounded up to one digit."""
        gap = float(self.gaps[model])
        if gap == 0 or not math.isfinite(gap):
            return gap
        digit = 10.0 ** math.floor(math.log10(gap))
        return float(f"{math.ceil(gap / digit) * digit:.0e}")


@dataclass(frozen=True, eq=False)
class Answering:
    """A bundle's graph as it is asked.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
    layout : Layout
    labels : ndarray of shape (K,) or None
        The classes as the bundle gives them; None for a regression.
    method : {"predict_proba", "decision_function", "predict"} or None
        The router's method that it answers beside the label.
    """

    session: Any
    layout: Layout
    labels: NDArray[Any] | None
    method: str | None

    def ask(self, feed: dict[str, Any]) -> dict[str, Any]:
        """Outputs by name."""
        names = [output.name for output in self.session.get_outputs()]
        try:
            return dict(zip(names, self.session.run(None, feed), strict=True))
        except Exception as error:  # of a kind that ONNX Runtime does not make public
            raise ValueError(_no_answer(str(error))) from error


def measure_parity(
    bundle: Answering, router: Deployed, X: Any, model_of_route: NDArray[np.int64], max_checks: int
) -> Parity:
    """Ask the bundle and the router for all rows, under their own report and under every report.

    Parameters
    ----------
    bundle : Answering
    router : fitted FairUseRouter
    X : table of n rows
    model_of_route : ndarray of int64, shape (n_routes,)
    max_checks : int
        Above this many answers, evenly spaced rows are asked under every report, at least one.
    """
    features, codes = router.columns_.split(tables.as_table(X))
    layout, labels, method = bundle.layout, bundle.labels, bundle.method
    if layout.number == "float64":  # scikit-learn computes in single precision what is given in it
        features = tables.in_doubles(features)
    tensors = layout.features(tables.as_table(X))
    table = router.routing_table_
    n, grid = len(codes), table.schema.report_codes
    sample = spaced_rows(n, len(grid), max_checks)
    n_models = int(model_of_route.max()) + 1
    flips, gaps, checks = np.zeros(n_models, np.int64), np.zeros(n_models), 0
    for rows, asked in _questions(codes, grid, sample):
        feed = {name: tensor[rows] for name, tensor in tensors.items()}
        answer = bundle.ask({**feed, REPORT: layout.reports(table.schema, asked)})
        routes = table.look_up(asked)
        if not np.array_equal(answer["route"], routes):
            raise RuntimeError("the bundle routes reports otherwise than the routing table")
        part = tables.take_rows(features, rows)
        model = model_of_route[routes]
        if labels is not None:
            said = np.searchsorted(
                router.classes_, router.deployment_.answer(part, asked, "predict")
            )
            flips += np.bincount(model, labels[said] != answer["label"], n_models).astype(np.int64)
        if method is not None:
            expected = router.deployment_.answer(part, asked, method)
            gap = gap_of_rows(answer[METHODS[method]], expected, method)
            np.maximum.at(gaps, model, gap)
            if labels is None:
                flips += np.bincount(model, gap > _WRONG_NUMBER, n_models).astype(np.int64)
        checks += len(rows)
    return Parity(n, len(grid), len(sample), checks, flips, gaps)


def measure_beside(
    bundle: Answering,
    router: Deployed,
    wider: RoutingTable,
    X: Any,
    model_of_route: NDArray[np.int64],
    parity: Parity,
) -> Parity:
    """Compare the routes that no report takes as well, on as many rows as reports were asked.

    Parameters
    ----------
    bundle : Answering
        Whose graph takes other routes.
    router : fitted FairUseRouter
    wider : RoutingTable
        The router's own with routes that no report takes.
    X : table of n rows
    model_of_route : ndarray of int64, shape (n_routes,)
    parity : Parity
        Of the routes that reports take.
    """
    features = router.columns_.split(tables.as_table(X))[0]
    layout, method = bundle.layout, bundle.method
    if layout.number == "float64":
        features = tables.in_doubles(features)
    rows = spaced_rows(parity.rows, 1, parity.rows_per_report)
    part = tables.take_rows(features, rows)
    feed = {name: tensor[rows] for name, tensor in layout.features(tables.as_table(X)).items()}
    silent = np.zeros((len(rows), len(wider.schema.levels)), dtype=np.int64)
    feed[REPORT] = layout.reports(wider.schema, silent)
    deployment = router.deployment_.serving(wider)
    flips, gaps, checks = parity.flips.copy(), parity.gaps.copy(), parity.checks
    for route in sorted(set(range(len(wider.routes))) - set(wider.grid.ravel().tolist())):
        everybody = np.full_like(wider.grid, route)
        try:
            answer = bundle.ask({**feed, ROUTES: route_places(wider, layout, everybody)[0]})
            expected = deployment.predictions(part, np.full(len(rows), route))
        except Exception as error:
            to = wider.routes[route]
            raise ValueError(
                f"candidates='all' cannot be stored: {to.candidate!r} of group {to.group} does not "
                f"answer all rows ({error}) Pass candidates='routed'."
            ) from error
        model = model_of_route[route]
        if bundle.labels is not None:
            flips[model] += int((bundle.labels[expected.label] != answer["label"]).sum())
        values = expected.proba if method == "predict_proba" else expected.label
        if method in ("predict_proba", "predict") and values is not None:
            gap = gap_of_rows(answer[METHODS[method]], values, method)
            gaps[model] = max(gaps[model], float(gap.max()))
        checks += len(rows)
    return replace(parity, checks=checks, flips=flips, gaps=gaps)


def most_flips(checks: int) -> int:
    """Labels that may differ under ``precision="fast"``: one in 200 answers, or one."""
    return max(1, checks // 200)


def spaced_rows(n: int, n_reports: int, max_checks: int) -> NDArray[np.int64]:
    """Rows to ask under every report: all of n, or evenly spaced ones, at least one."""
    per_report = n if n * n_reports <= max_checks else max(1, max_checks // n_reports)
    return np.linspace(0, n - 1, min(n, per_report)).round().astype(np.int64)


def _questions(
    codes: NDArray[np.int64], grid: NDArray[np.int64], sample: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of row numbers, and the report codes to ask for each."""
    for start in range(0, len(codes), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(codes)))
        yield rows, codes[rows]
    pairs = len(grid) * len(sample)
    for start in range(0, pairs, _BATCH):
        report, row = np.divmod(np.arange(start, min(start + _BATCH, pairs)), len(sample))
        yield sample[row], grid[report]


def _no_answer(text: str) -> str:
    if "unknown_category" in text:
        return (
            "The bundle cannot answer all rows under all reports: the model that serves a report "
            "refuses a category that its own group never had in training, and other groups have. "
            "Give the encoder all categories, or handle_unknown='ignore' or 'use_encoded_value'."
        )
    return f"ONNX Runtime cannot answer rows of X: {text.splitlines()[0]}"


def gap_of_rows(found: NDArray[Any], expected: NDArray[Any], method: str) -> NDArray[np.float64]:
    """Largest difference of each row; NaN agrees with NaN only."""
    expected = np.asarray(expected, dtype=np.float64).reshape(len(expected), -1)
    found = found.reshape(len(found), -1)
    gap = np.abs(found.astype(np.float64) - expected)
    if method == "decision_function":
        gap /= 1 + np.abs(expected)
    elif method == "predict":
        size = np.abs(expected)
        usual = np.mean(size, where=np.isfinite(size)) if np.isfinite(size).any() else 0.0
        gap = np.divide(gap, np.maximum(size, usual), out=gap, where=gap > 0)
    gap[np.isnan(found) & np.isnan(expected)] = 0
    return np.where(np.isnan(gap), np.inf, gap).max(axis=1)

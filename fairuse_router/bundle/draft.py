"""Drafts: the graph of a router, and how far its answers are from the router's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.base import is_classifier

from fairuse_router import tables
from fairuse_router.bundle.families.boosters import is_xgboost
from fairuse_router.bundle.families.converted import estimators_inside
from fairuse_router.bundle.families.request import Request, Routed
from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.arguments import NUMBERS, OPSETS
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.bundle.file.session import open_session
from fairuse_router.bundle.graph.override import let_routes_be_given
from fairuse_router.bundle.parity import (
    METHODS,
    Answering,
    Parity,
    measure_beside,
    measure_parity,
    most_flips,
)
from fairuse_router.bundle.plans.assemble import assemble
from fairuse_router.bundle.plans.dispatch import choose_plan
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.routing.deployed import Deployed
from fairuse_router.routing.deployment import served_models
from fairuse_router.routing.table import RoutingTable


class Coarse(ValueError):
    """Single precision does not do; double precision does."""


class Draft:
    """A bundle in the making: the models of a router, and the graph around them.

    Parameters
    ----------
    router : fitted FairUseRouter
    layout : Layout
    opsets : dict of str to int
    table : RoutingTable, default=None
        The router's own, or that with more routes, which no report takes; None: the router's.

    Attributes
    ----------
    routed : Routed
    request : Request
    classes : dict or None
        Classes as the file tells them; None for a regression.
    method : str or None
        The router's method that the bundle answers beside the label; None if only labels exist.
    """

    def __init__(
        self,
        router: Deployed,
        layout: Layout,
        opsets: Mapping[str, int],
        table: RoutingTable | None = None,
    ) -> None:
        self.router = router
        self.table = router.routing_table_ if table is None else table
        self.layout = layout
        self.method = _method(router)
        classes = np.asarray(router.classes_) if is_classifier(router) else None
        self.classes: dict[str, Any] | None = None
        self.labels: NDArray[Any] | None = None
        if classes is not None:
            self.classes = metadata.write_classes(classes)
            self.labels = metadata.onnx_labels(self.classes)
        self.request = Request(classes, self.method, np.dtype(layout.number), opsets)
        self.routed = Routed(*served_models(router.candidates_, self.table), layout)

    @property
    def computes_in_single(self) -> bool:
        """Whether a model computes in single precision whatever it is given."""
        models = self.routed.served
        return any(is_xgboost(e) for m in models for e in estimators_inside(m.estimator))

    def settle(
        self, table: tables.Table, tolerance: float, max_checks: int
    ) -> tuple[onnx.ModelProto, Parity]:
        """Assemble the graph, and refuse it where it disagrees with the router.

        In single precision, what double precision would cure is rounding, and only warned of, as
        long as it is rare.

        Raises
        ------
        ValueError
        """
        model, parity = self.measure(table, max_checks)
        failing = parity.failing(tolerance)
        if not failing:
            return model, parity
        if self.layout.number == NUMBERS["exact"]:
            raise ValueError(
                _not_exact(self.routed.served[failing[0]], parity, failing[0], tolerance)
            )
        doubles = replace(self.layout, number=NUMBERS["exact"])
        wide = Draft(self.router, doubles, OPSETS["exact"], self.table)
        why_not = ""
        try:
            cured = wide.measure(table, max_checks)[1]
        except ValueError as error:
            cured, why_not = parity, str(error).partition(" Use estimators")[0]
        left = [m for m in failing if m in cured.failing(tolerance)]
        if left:
            told = _difference(self.routed.served[left[0]], parity, left[0], tolerance)
            raise ValueError(_disagreement(told, why_not))
        if not parity.is_rounding:
            raise Coarse(_too_coarse(parity, self.method))
        warnings.warn(self._rounding(parity, failing), UserWarning, stacklevel=4)
        return model, parity

    def assemble(self) -> onnx.ModelProto:
        """Write the graph."""
        model = assemble(
            choose_plan(self.routed, self.request),
            self.table,
            self.layout,
            self.labels,
            None if self.method is None else METHODS[self.method],
            self.request.opsets,
            self.router.deployment_.threshold,
        )
        if self.table is not self.router.routing_table_:
            let_routes_be_given(model.graph, self.layout, self.table)
        return model

    def measure(self, table: tables.Table, max_checks: int) -> tuple[onnx.ModelProto, Parity]:
        """Assemble the graph, and compare it with the router."""
        model = self.assemble()
        session = open_session(model.SerializeToString())
        bundle = Answering(session, self.layout, self.labels, self.method)
        parity = measure_parity(bundle, self.router, table, self.routed.model_of_route, max_checks)
        if self.table is not self.router.routing_table_:
            parity = measure_beside(
                bundle, self.router, self.table, table, self.routed.model_of_route, parity
            )
        return model, parity

    def rounded(self, parity: Parity, tolerance: float) -> list[dict[str, Any]]:
        """Models that rounding takes beyond the tolerance, for the certificate."""
        return [
            {
                "candidate": self.routed.served[m].candidate,
                "label_flips": int(parity.flips[m]),
                "max_difference": parity.gap_of(m),
            }
            for m in parity.failing(tolerance)
        ]

    def _rounding(self, parity: Parity, failing: list[int]) -> str:
        names = sorted({self.routed.served[m].candidate for m in failing})
        found = f"values differ from the router's by up to {parity.largest_gap:g}"
        if self.method != "predict":
            flips = f"{int(parity.flips.sum())} of {parity.checks} labels differ from the router's"
            found = f"{flips}, and values by up to {parity.largest_gap:g}"
        return (
            f"In single precision, {found} (candidates {names}): rows so close to a split or to "
            "the boundary that float32 puts them on its other side. The certificate says so. Pass "
            "precision='exact' to have none."
        )


def _method(router: Deployed) -> str | None:
    if not is_classifier(router):
        return "predict"
    return next((m for m in ("predict_proba", "decision_function") if hasattr(router, m)), None)


def _difference(served: ServedModel, parity: Parity, m: int, tolerance: float) -> str:
    flips = f"gives another label for {parity.flips[m]} of {parity.checks} answers, and "
    return (
        f"the candidate {served.candidate!r} ({_kind(served.estimator)}) "
        f"{flips if parity.flips[m] else ''}gives values that differ by up to {parity.gaps[m]:.1e} "
        f"(tolerance={tolerance:g})"
    )


def _kind(estimator: Any) -> str:
    """Name of an estimator; of a Pipeline, that of its final step."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return type(estimator).__name__


def _not_exact(served: ServedModel, parity: Parity, m: int, tolerance: float) -> str:
    return (
        f"The bundle would not be exact: {_difference(served, parity, m, tolerance)}. ONNX Runtime "
        "or the converter computes some of it otherwise, most often in single precision. Pass "
        "precision='fast', whose certificate names what differs, or leave the candidate out of "
        "the router. No file was written."
    )


def _too_coarse(parity: Parity, method: str | None) -> str:
    what = (
        "numbers differ from the router's by more than 1%"
        if method == "predict"
        else ("labels differ from the router's")
    )
    return (
        f"In single precision {int(parity.flips.sum())} of {parity.checks} {what}, more than the "
        f"{most_flips(parity.checks)} that a fast bundle may have: float32 holds seven digits, too "
        "few for some feature. Pass precision='exact', or train on features of fewer digits, such "
        "as the days since a date near those at hand. No file was written."
    )


def _disagreement(difference: str, why_not: str) -> str:
    """What helps depends on whether double precision was no cure, or could not be had."""
    if why_not:
        return (
            f"The bundle would disagree with the router: {difference}. Double precision may cure "
            f"it, but cannot be written here ({why_not[:300]}). Replace the step in front of the "
            "model (StandardScaler, MinMaxScaler, RobustScaler, SimpleImputer and PCA are written "
            "in double precision), apply it to the table before the router, or leave the candidate "
            "out of the router. No file was written."
        )
    return (
        f"The bundle would disagree with the router: {difference}, and double precision does not "
        "cure it: a converter computes something else than the estimator. Leave the candidate out "
        "of the router, or use another step or estimator in its place. No file was written."
    )

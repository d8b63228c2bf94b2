"""What a clinic asks of a router beside gains: decision curves, calibration, gaps, one queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router.audit.audited import Audited
from fairuse_router.audit.between import Between, between_of
from fairuse_router.audit.calibrating import Calibration, calibration_of
from fairuse_router.audit.net_benefit import _THRESHOLDS as THRESHOLDS
from fairuse_router.audit.net_benefit import DecisionCurve, decision_curve_of
from fairuse_router.audit.queue import Ranking, ranking_of
from fairuse_router.audit.told import EVERYBODY, Told
from fairuse_router.candidates.names import GENERIC, ROUTED


class Clinical(Audited):
    """What a fitted router says of labelled rows of two classes that it never saw."""

    def calibration(
        self, X: Any, y: Any, sample_weight: Any = None, *, by: Any = None, alpha: float = 0.1
    ) -> Calibration:
        """Calibration of generic and of the routing, for everybody and in every group.

        Before and after routing: observed over expected, intercept and slope of the logistic
        recalibration, flexible curves. See `fairuse_router.audit.calibration`; `by` names columns
        of X to group by in place of the group attributes.
        """
        return calibration_of(self._told(X, y, sample_weight, by), alpha)

    def decision_curve(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        by: Any = None,
        thresholds: Sequence[float] = THRESHOLDS,
        alpha: float = 0.1,
    ) -> DecisionCurve:
        """Net benefit of the routing over generic at every threshold, with paired intervals.

        For everybody and in every group, see `fairuse_router.audit.decision_curve`.
        """
        return decision_curve_of(self._told(X, y, sample_weight, by), thresholds, GENERIC, alpha)

    def between_groups(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        by: Any = None,
        metrics: Any = ("fnr", "fpr", "selection_rate"),
        alpha: float = 0.1,
    ) -> Between:
        """Gaps between groups under generic and under the routing: equalized odds and its kin.

        Another question than fair use, see `fairuse_router.audit.between_groups`.
        """
        return between_of(self._told(X, y, sample_weight, by), metrics, alpha)

    def ranking(
        self, X: Any, y: Any, sample_weight: Any = None, *, by: Any = None, alpha: float = 0.1
    ) -> Ranking:
        """How people of different groups are ranked against each other: routed against generic.

        Where scores of all groups stand in one queue, see `fairuse_router.audit.ranking`.
        """
        return ranking_of(self._told(X, y, sample_weight, by), GENERIC, alpha)

    def _told(self, X: Any, y: Any, sample_weight: Any, by: Any = None) -> Told:
        """What generic and the routing say of labelled rows; of two classes.

        Raises
        ------
        ValueError
            For a regression, or more than two classes.
        """
        table, data = self._labelled(X, y, sample_weight, None)
        if self._classes is None or len(self._classes) != 2:
            what = "a regression" if self._classes is None else f"{len(self._classes)} classes"
            raise ValueError(f"This is for two classes; the router was fitted on {what}.")
        rows, names = data.outcomes, tuple(self.schema_.group_names())
        if by is not None:
            grouping = self.columns_.grouping(table, by)
            rows = replace(rows, groups=grouping.ids, m=grouping.schema.n_groups)
            names = tuple(grouping.schema.group_names())
        routes = self.routing_table_.look_up(data.codes)
        predictions = {
            GENERIC: self.deployment_.predictions(data.features, np.zeros_like(routes)),
            ROUTED: self.deployment_.predictions(data.features, routes),
        }
        other = rows.groups[(rows.groups >= 0) & (routes != 0)]
        same = {name for g, name in enumerate(names) if not (other == g).any()}
        return Told(rows, names, predictions, frozenset(same if len(other) else {*same, EVERYBODY}))

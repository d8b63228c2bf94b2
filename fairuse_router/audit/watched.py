"""What is asked of a router over time and place: monitoring, sites, periods, proxies."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from fairuse_router import tables
from fairuse_router.audit.arguments import check_level, check_target_kind
from fairuse_router.audit.clinical import Clinical
from fairuse_router.audit.leakage import leakage_of
from fairuse_router.audit.leaks import Leakage
from fairuse_router.audit.monitor import Monitoring, Reference, look_at
from fairuse_router.audit.places import Places, Stability, places_of, stability_of
from fairuse_router.metrics import Predictions, at_threshold, get_metric, settle
from fairuse_router.routing.display import server_in_words
from fairuse_router.routing.table import RoutingTable


class Watched(Clinical):
    """What a fitted router says of other places and later times."""

    def monitor(self, X: Any, *, looks: int = 52, alpha: float | None = None) -> Monitoring:
        """Look at rows from deployment without labels: reports, withholding, scores by route.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            Rows since the last look, or of the last weeks: looks may overlap.
        looks : int, default=52
            How often one means to look in all; 52 for a year of weekly looks.
        alpha : float, default=None
            Chance of any false alarm in all looks together; None: the router's own.

        Returns
        -------
        Monitoring
            ``alarms`` are the shares of groups, of withheld attributes, and the scores by route
            that moved since training. Whether that costs anything, only labels tell: `reaudit`.
        """
        level = self.alpha if alpha is None else alpha
        check_level(level)
        features, codes = self._split(X)
        routes = self.routing_table_.look_up(codes)
        predictions = self.deployment_.predictions(features, routes)
        now = Reference.of(
            self.schema_.group_ids(codes),
            codes,
            routes,
            score_of(predictions),
            np.ones(len(codes), dtype=bool),
            self.schema_,
        )
        servers = dict(enumerate(_servers(self.routing_table_)))
        return look_at(self.reference_, now, self.schema_, servers, looks, level)

    def by_place(
        self, X: Any, y: Any, places: Any, *, metric: Any = None, alpha: float | None = None
    ) -> Places:
        """Gains of the routing over generic by site or by period, on rows `fit` never saw.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
        y : array-like of shape (n,)
        places : array-like of shape (n,)
            Site or period of each row; two to 100 of them.
        metric : str, callable or Metric, default=None
            None: the router's own.
        alpha : float, default=None
            Of the intervals; None: the router's own.

        Returns
        -------
        Places
            For everybody and in every group: the gain at each place, the mean over places, and
            Cochran's Q and I2.
        """
        level = self.alpha if alpha is None else alpha
        check_level(level)
        chosen = at_threshold(
            get_metric(self.metric if metric is None else metric), self.threshold_
        )
        check_target_kind([chosen], regression=self._classes is None)
        _, data = self._labelled(X, y, None, None)
        chosen = settle(chosen, data.target, data.classes, None)
        routes = self.routing_table_.look_up(data.codes)
        generic, routed = (
            self.deployment_.predictions(data.features, r) for r in (np.zeros_like(routes), routes)
        )
        names = self.schema_.group_names()
        return places_of(data.outcomes, names, (generic, routed), places, chosen, level)

    def without_each(self, X: Any, y: Any, places: Any, **fit_params: Any) -> Stability:
        """Would these routes have been chosen without site A? Fits again without each place.

        Parameters
        ----------
        X, y
            The rows that the router was fitted on.
        places : array-like of shape (n,)
            Site or period of each row; two to 100 of them, and as many fits.
        **fit_params
            What `fit` was given beside: ``sample_weight``, ``clusters``, ``order``.

        Returns
        -------
        Stability
        """
        table = tables.as_table(X)
        y = np.asarray(y)

        def refit(keep: NDArray[np.bool_]) -> RoutingTable:
            rows = np.flatnonzero(keep)
            given = {
                name: None if value is None else np.asarray(value)[rows]
                for name, value in fit_params.items()
            }
            with warnings.catch_warnings():  # the router's own fit has said it
                warnings.simplefilter("ignore", UserWarning)
                other = clone(self).fit(tables.take_rows(table, rows), y[rows], **given)
            return other.routing_table_

        return stability_of(self.routing_table_, places, tables.shape(table)[0], refit)

    def leakage(self, X: Any, *, alpha: float = 0.1, random_state: int = 0) -> Leakage:
        """How well the features of X give away the group attributes: whether withholding is real.

        Cross-fitted AUC for every attribute and the features behind it, on rows that report it; a
        router is fitted, but its models are not asked: any rows will do, training rows as well.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
        alpha : float, default=0.1
        random_state : int, default=0

        Returns
        -------
        Leakage
        """
        check_level(alpha)
        features, codes = self._split(X)
        names = [str(column.name) for column in self.feature_columns_]
        return leakage_of(features, names, self.schema_, codes, alpha, random_state)


def score_of(predictions: Predictions) -> NDArray[np.float64]:
    """What is watched of predictions: the second class, of several the largest; or the number."""
    if predictions.proba is None:
        return np.asarray(predictions.label, dtype=np.float64)
    if predictions.proba.shape[1] == 2:
        return np.asarray(predictions.proba[:, 1])
    return np.asarray(predictions.proba.max(axis=1))


def _servers(table: RoutingTable) -> list[str]:
    names = table.schema.group_names()
    return [
        server_in_words(r.candidate, r.strength)
        if r.group is None
        else f"{names[r.group]} by {server_in_words(r.candidate, r.strength)}"
        for r in table.routes
    ]

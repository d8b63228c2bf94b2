"""Candidates: fitted models that can serve reports, and the one pass that asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import frames
from fairuse_router.routing.table import RoutingTable


@dataclass(frozen=True)
class ServedModel:
    """A fitted estimator, and the columns that it is told beside the features.

    Parameters
    ----------
    candidate : str
        Name of the candidate it belongs to.
    estimator : fitted estimator
    added : ndarray or dataframe of shape (n_routes, k), or None
        Values of the added columns per route; rows of routes that it does not serve are unused.
        Dummies, or, with `positions`, the group columns as they stand in the user's X.
    added_names : tuple of str
        Names of the added columns.
    positions : tuple of int or None
        Where in the user's X those columns stand; None: on the right of the features.
    """

    candidate: str
    estimator: Any
    added: frames.Table | None = None
    added_names: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None

    def complete(self, features: frames.Table, routes: NDArray[np.int64]) -> frames.Table:
        """Features with the added columns of each row's route."""
        if self.added is None:
            return features
        values = frames.take_rows(self.added, routes)
        if self.positions is None:
            return frames.append_columns(features, values, self.added_names)
        return frames.insert_columns(features, values, self.positions)


@dataclass(frozen=True)
class Candidate:
    """One way to serve groups: one or several fitted models, and what they are told.

    Parameters
    ----------
    name : str
        ``"generic"``, ``"onehot"``, ``"intersectional"``, ``"decoupled"``, or a name of the user's.
    models : tuple of fitted estimators
        One, or one per group that has its own.
    model_of_group : ndarray of int64, shape (m,)
        Index into `models`; -1 where the candidate cannot serve the group.
    added : ndarray or dataframe of shape (m, k), or None
        Values of the columns that each group adds to the features; None if none are added.
    added_names : tuple of str
        Names of those columns.
    positions : tuple of int or None
        Where in the user's X those columns stand; None: on the right of the features.
    unavailable : dict of int to str
        Groups that it cannot serve, and why not.
    """

    name: str
    models: tuple[Any, ...]
    model_of_group: NDArray[np.int64]
    added: frames.Table | None = None
    added_names: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)

    def served_as(self, model: int, added: frames.Table | None) -> ServedModel:
        """Return one of its models with the added columns of some routes."""
        return ServedModel(self.name, self.models[model], added, self.added_names, self.positions)

    def evaluate(
        self, features: frames.Table, groups: NDArray[np.int64], method: str, classes: Any
    ) -> NDArray[Any]:
        """Predictions for rows under the group given for each, shape (n,) or (n, K)."""
        models = [self.served_as(i, self.added) for i in range(len(self.models))]
        return evaluate(models, self.model_of_group, features, groups, method, classes)


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
    index: dict[tuple[str, int], int] = {}
    of_route = np.zeros(len(table.routes), dtype=np.int64)
    groups = [route.group or 0 for route in table.routes]
    for r, route in enumerate(table.routes):
        candidate = candidates[route.candidate]
        which = 0 if route.group is None else int(candidate.model_of_group[route.group])
        key = (route.candidate, which)
        if key not in index:
            index[key] = len(models)
            added = candidate.added
            if added is not None:
                added = frames.take_rows(added, np.array(groups))
            models.append(candidate.served_as(which, added))
        of_route[r] = index[key]
    return models, of_route


def evaluate(
    models: Sequence[ServedModel],
    model_of_route: NDArray[np.int64],
    features: frames.Table,
    routes: NDArray[np.int64],
    method: str,
    classes: NDArray[Any] | None,
) -> NDArray[Any]:
    """Ask each model once, for the rows whose route it serves.

    Parameters
    ----------
    models : sequence of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
    features : table of n rows
        Without the group columns.
    routes : ndarray of int64, shape (n,)
    method : {"predict", "predict_proba", "decision_function"}
    classes : ndarray of shape (K,) or None
        Columns of the probabilities; None for a regression.

    Returns
    -------
    ndarray of shape (n,) or (n, K)
    """
    which = model_of_route[routes]
    used = np.flatnonzero(np.bincount(which, minlength=len(models)))
    if len(used) == 1:
        model = models[int(used[0])]
        return _ask(model.estimator, model.complete(features, routes), method, classes)
    parts = []
    for i in used.tolist():
        rows = np.flatnonzero(which == i)
        part = models[i].complete(frames.take_rows(features, rows), routes[rows])
        parts.append((rows, _ask(models[i].estimator, part, method, classes)))
    first = parts[0][1]
    out = np.empty((len(which), *first.shape[1:]), np.result_type(*(p for _, p in parts)))
    for rows, answer in parts:
        out[rows] = answer
    return out


def _ask(estimator: Any, X: frames.Table, method: str, classes: NDArray[Any] | None) -> Any:
    """Predictions of one estimator, with the probabilities' columns in the order of `classes`."""
    answer = np.asarray(getattr(estimator, method)(X))
    if method == "predict" and classes is not None:
        return answer.astype(classes.dtype, copy=False)
    if method == "predict_proba" and classes is not None:
        own = np.asarray(estimator.classes_)
        if not np.array_equal(own, classes):
            full = np.zeros((len(answer), len(classes)), dtype=answer.dtype)
            full[:, np.searchsorted(classes, own)] = answer
            return full
    return answer

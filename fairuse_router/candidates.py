"""Candidates: fitted models that can serve reports, and how a routing table calls on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.routing.table import RoutingTable


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
    added : ndarray of shape (m, k) or None
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
    added: NDArray[Any] | None = None
    added_names: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServedModel:
    """A fitted estimator to which a routing table sends rows.

    Parameters
    ----------
    candidate : str
        Name of the candidate it belongs to.
    estimator : fitted estimator
    added : ndarray of shape (n_routes, k) or None
        Values of the added columns per route; rows of routes that it does not serve are unused.
    added_names : tuple of str
        Names of the added columns.
    positions : tuple of int or None
        As in `Candidate`.
    """

    candidate: str
    estimator: Any
    added: NDArray[Any] | None
    added_names: tuple[str, ...]
    positions: tuple[int, ...] | None


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
    for r, route in enumerate(table.routes):
        candidate = candidates[route.candidate]
        which = 0 if route.group is None else int(candidate.model_of_group[route.group])
        key = (route.candidate, which)
        if key not in index:
            index[key] = len(models)
            added = None
            if candidate.added is not None:
                rows = [s.group if s.group is not None else 0 for s in table.routes]
                added = candidate.added[rows]
            models.append(
                ServedModel(
                    candidate.name,
                    candidate.models[which],
                    added,
                    candidate.added_names,
                    candidate.positions,
                )
            )
        of_route[r] = index[key]
    return models, of_route

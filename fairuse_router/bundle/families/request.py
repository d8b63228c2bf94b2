"""What is asked of the models of a bundle, and what they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.bundle.file.layout import Layout, cells
from fairuse_router.bundle.file.names import feature_text
from fairuse_router.candidates.candidate import ServedModel


@dataclass(frozen=True, eq=False)
class Request:
    """What every model is to answer, and how.

    Parameters
    ----------
    classes : ndarray of shape (K,) or None
        The router's classes; None for a regression.
    method : {"predict_proba", "decision_function", "predict"} or None
        What is wanted beside the label; ``"predict"`` of a regression.
    number : numpy dtype
        Type of the numbers inside: float32 or float64.
    opsets : dict of str to int
        Version of each operator domain.
    """

    classes: NDArray[Any] | None
    method: str | None
    number: np.dtype[Any]
    opsets: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Told:
    """A column that a model is told beside the features: one value per route.

    Parameters
    ----------
    values : ndarray of shape (n_routes,)
        Numbers, or strings of dtype object.
    """

    values: NDArray[Any]

    @property
    def numeric(self) -> bool:
        """Numbers; else text."""
        return self.values.dtype.kind != "O"


Source = int | Told  # a feature by position among the features, or a column told


@dataclass(frozen=True, eq=False)
class Routed:
    """The models that serve, and the route to each.

    Parameters
    ----------
    served : sequence of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
        Index into `served`.
    layout : Layout
        The features that they read.
    """

    served: Sequence[ServedModel]
    model_of_route: NDArray[np.int64]
    layout: Layout

    def sources(self, model: ServedModel) -> tuple[Source, ...]:
        """Where each column of a model's input comes from."""
        own: list[Source] = list(range(len(self.layout.columns)))
        if model.added is None:
            return tuple(own)
        told = [_told(model.added, j) for j in range(tables.shape(model.added)[1])]
        if model.positions is None:
            return (*own, *told)
        at = dict(zip(model.positions, told, strict=True))
        rest = iter(own)
        return tuple(at[j] if j in at else next(rest) for j in range(len(own) + len(told)))

    def are_numbers(self, sources: Sequence[Source]) -> list[bool]:
        """Which columns of a model's input are numbers; the others are texts."""
        features = self.layout.columns
        return [(s if isinstance(s, Told) else features[s]).numeric for s in sources]


def _told(table: tables.Table, position: int) -> Told:
    values = cells(tables.column(table, position))
    if tables.is_numeric(table, position):
        return Told(np.asarray(values, dtype=np.float64))
    return Told(np.array([feature_text(v) for v in values], dtype=object))

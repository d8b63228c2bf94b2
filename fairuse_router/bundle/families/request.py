"""What is asked of the models of a bundle, all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import Layout
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

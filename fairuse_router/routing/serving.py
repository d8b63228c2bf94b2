"""What an audit asks of whatever serves: a router in memory, or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.scores import Scores
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows

Scored = tuple[Mapping[str, Scores], Mapping[str, Mapping[int, str]]]


class Serving(Protocol):
    """Models behind a routing table."""

    @property
    def table(self) -> RoutingTable:
        """The table that serves."""
        ...

    def predictions(self, features: Any, routes: NDArray[np.int64]) -> Predictions:
        """Class indices and probabilities of rows under the route given for each."""
        ...

    def scores(self, data: TrainingRows, envy: Sequence[Metric]) -> Scored:
        """Scores of every candidate on rows that it has not seen, and whom each cannot serve."""
        ...

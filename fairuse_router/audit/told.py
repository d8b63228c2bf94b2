"""What models told of labelled rows of two classes, and in whose group each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairuse_router.audit.reading import (
    codes_of,
    column,
    named,
    read_groups,
    read_labels,
    read_predictions,
)
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Predictions

EVERYBODY = "everybody"


@dataclass(frozen=True)
class Told:
    """Labelled rows, and what models predicted for them.

    Parameters
    ----------
    rows : Rows
    groups : tuple of str
        Names of the m groups.
    predictions : dict of str to Predictions
    same : frozenset of str
        Groups, or everybody, whom one and the same model serves under generic and under routing:
        there is nothing to compare.
    """

    rows: Rows
    groups: tuple[str, ...]
    predictions: Mapping[str, Predictions]
    same: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, y: Any, predictions: Any, groups: Any, sample_weight: Any = None, clusters: Any = None
    ) -> Told:
        """Read arrays as `audit_predictions` does; of two classes.

        Raises
        ------
        ValueError, TypeError
            For arrays that do not fit each other, or other than two classes.
        """
        y = column(y, "y")
        labels = read_labels(y, True)
        if len(labels) != 2:
            raise ValueError(f"y has {len(labels)} classes; this is for two. Cut it into two.")
        schema, ids = read_groups(groups, len(y))
        read = {
            name: read_predictions(value, labels, len(y), f"predictions[{name!r}]")
            for name, value in named(predictions, "predictions").items()
        }
        weight = None if sample_weight is None else column(sample_weight, "sample_weight")
        unit = None if clusters is None else column(clusters, "clusters")
        rows = Rows(
            codes_of(y, labels, "y"),
            ids,
            schema.n_groups,
            None if weight is None else weight.astype(float),
            unit,
        )
        return cls(rows, tuple(schema.group_names()), read)

    def parts(self) -> list[tuple[str, np.ndarray]]:
        """Everybody who belongs to a group, then every group: names, and indices of rows."""
        used = self.rows.groups >= 0
        if self.rows.weight is not None:
            used = used & (self.rows.weight > 0)
        everybody = np.flatnonzero(used)
        return [
            (EVERYBODY, everybody),
            *(
                (name, everybody[self.rows.groups[everybody] == g])
                for g, name in enumerate(self.groups)
            ),
        ]

    def weight(self, rows: np.ndarray) -> np.ndarray | None:
        """Weights of some rows."""
        return None if self.rows.weight is None else self.rows.weight[rows]

    def chance(self, name: str) -> np.ndarray:
        """Probability of the second class that a model told, shape (n,).

        Raises
        ------
        ValueError
            If it told labels alone, or other than two classes.
        """
        proba = self.predictions[name].proba
        if proba is None or proba.shape[1] != 2:
            raise ValueError(
                f"predictions[{name!r}] are no probabilities of two classes, which this needs. Use "
                "an estimator with predict_proba, and two classes."
            )
        return np.asarray(proba[:, 1])

"""Scores: what a candidate predicted for rows that its models had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Predictions

CLIP = 0.005  # a forest's probabilities of 0 and 1 have no log-odds


@dataclass(frozen=True)
class Scores:
    """What one candidate predicted for rows that its models had not seen.

    Parameters
    ----------
    predictions : Predictions
        For all n rows; meaningful where `scored`.
    scored : ndarray of bool, shape (n,)
    misreports : MisreportMoments or None
        Its predictions under the reports of other groups, reduced.
    margins : ndarray of shape (n, 2) or None
        Generic's margin and its own, where it corrects generic's.
    """

    predictions: Predictions
    scored: NDArray[np.bool_]
    misreports: MisreportMoments | None = None
    margins: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Scores:
        """Return those of some rows, without misreports, which are sums over all."""
        margins = None if self.margins is None else self.margins[rows]
        return Scores(self.predictions[rows], self.scored[rows], None, margins)


def answer(margin: NDArray[np.float64], regression: bool) -> Predictions:
    """Predictions of a margin: log-odds of the second of two classes, or a number."""
    if regression:
        return Predictions(margin)
    p = expit(margin)
    return Predictions((margin > 0).astype(np.int64), np.column_stack([1 - p, p]))

"""Scores: what a candidate predicted for rows that its models had not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit, softmax

from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Predictions

CLIP = 0.005  # a forest's probabilities of 0 and 1 have no log-odds
EVEN = 1e-5  # mixed margins that are closer are one: the first class is said, whatever rounds how


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
    scale : ndarray of shape (n,) or None
        What generic's margin was multiplied by there; None if generic is linear: by one.
    told : ndarray of shape (n, 1 + layers) or None
        Where partial reports are corrected, too: generic's margin to scale, and that of each layer
        of the lattice; nan where a row tells less. Rows that withhold are among them.
    """

    predictions: Predictions
    scored: NDArray[np.bool_]
    misreports: MisreportMoments | None = None
    margins: NDArray[np.float64] | None = None
    scale: NDArray[np.float64] | None = None
    told: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Scores:
        """Return those of some rows, without misreports, which are sums over all."""
        margins = None if self.margins is None else self.margins[rows]
        scale = None if self.scale is None else self.scale[rows]
        told = None if self.told is None else self.told[rows]
        return Scores(self.predictions[rows], self.scored[rows], None, margins, scale, told)


def answer(margin: NDArray[np.float64], regression: bool) -> Predictions:
    """Predictions of a margin: log-odds of the second of two classes, or a number."""
    if regression:
        return Predictions(margin)
    p = expit(margin)
    return Predictions((margin > 0).astype(np.int64), np.column_stack([1 - p, p]))


def margin_of(predictions: Predictions) -> NDArray[np.float64]:
    """Margin that can be mixed with others: log-odds, or the prediction of a regression, (n,)."""
    if predictions.proba is None:
        return np.asarray(predictions.label, dtype=np.float64)
    return log_odds(predictions.proba)


def log_odds(proba: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-odds of the second of two classes, (n,), or log-probabilities of several, (n, K).

    Probabilities are kept within [0.005, 0.995].
    """
    clipped = np.clip(proba, CLIP, 1 - CLIP)
    return np.asarray(logit(clipped[:, 1]) if proba.shape[1] == 2 else np.log(clipped))


def mixed_answer(margin: NDArray[np.float64], regression: bool) -> Predictions:
    """Predictions of a mixture of margins as `margin_of` gives them.

    Margins can tie, as a forest's often do, up to rounding: the first of equal classes is said.
    """
    if regression:
        return Predictions(margin)
    if margin.ndim == 1:
        own = answer(margin, regression)
        return Predictions((margin > EVEN).astype(np.int64), own.proba)
    label = (margin >= margin.max(axis=1, keepdims=True) - EVEN).argmax(axis=1)
    return Predictions(label, np.asarray(softmax(margin, axis=1)))

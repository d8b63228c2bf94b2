"""Risks: what a prediction costs, lower is better.

Every metric is an instance of :class:`Metric`. AUC enters as ``1 - AUC`` so that a gain,
``risk(reference) - risk(model)``, is positive when the model is better, whatever the metric.

================== =============================================================== ==========
name               risk of ``n`` rows                                              per row
================== =============================================================== ==========
``error``          mean of ``y != label``                                          yes
``log_loss``       mean of ``-log proba[y]``, not clipped: may be infinite         yes
``brier``          mean of ``(p - y)**2``, ``p = proba[:, 1]``; with K > 2         yes
                   classes, of the sum over classes of ``(proba[k] - 1[y=k])**2``
``auc``            1 - area under the ROC curve, ties count one half; K > 2:       no
                   one-vs-rest, mean over classes; undefined if a class is absent
``ece``            ten equal-width bins ``((k-1)/10, k/10]``, the first closed     no
                   at 0; sum over bins of ``|sum(p - 1[y = 1])| / n``; K > 2:
                   the largest probability against whether that class is right
``squared_error``  mean of ``(y - prediction)**2`` (regression)                    yes
``absolute_error`` mean of ``|y - prediction|`` (regression)                       yes
``r2``             squared error over the variance of y in the rows (regression)   no
``pinball@Q``      pinball loss of the quantile Q (regression)                     yes
``net_benefit@T``  and other risks of acting above a threshold: see                yes
                   `fairuse_router.metrics.decisions`
================== =============================================================== ==========

A risk of one's own is called twice per resample, in every group and over all rows: 14,014 times in
an audit of two models in six groups. Functions of scikit-learn check their arguments at each call,
whatever the number of rows: of 5,000 rows that took 31 s for ``f1_score``, 17 s for
``balanced_accuracy_score`` and 0.4 s for F1 in numpy (``python -m benchmarks.own_metrics``). Write
such a risk in numpy, or pass a smaller `n_resamples` to look first.
"""

from fairuse_router.metrics.built_in import (
    METRICS,
    confidence_and_hit,
    get_metric,
    is_built_in,
    named_metric,
    row_losses,
)
from fairuse_router.metrics.decisions import decision_metric, threshold_of
from fairuse_router.metrics.metric import Metric, Predictions, check_probabilities
from fairuse_router.metrics.own import settle
from fairuse_router.metrics.rowwise import probabilities
from fairuse_router.metrics.threshold import Cut, at_threshold, cut, read_threshold

__all__ = [
    "METRICS",
    "Cut",
    "Metric",
    "Predictions",
    "at_threshold",
    "check_probabilities",
    "confidence_and_hit",
    "cut",
    "decision_metric",
    "get_metric",
    "is_built_in",
    "named_metric",
    "probabilities",
    "read_threshold",
    "row_losses",
    "settle",
    "threshold_of",
]

"""Scalers and imputers as plain arithmetic, operation by operation as scikit-learn does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fairuse_router.bundle.graph.builder import Graph

NUMERIC = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, SimpleImputer)


def transform_numbers(graph: Graph, estimator: Any, tensor: str) -> tuple[str, int]:
    """Scale or fill in a table of numbers.

    Parameters
    ----------
    graph : Graph
    estimator : fitted transformer
        One of `NUMERIC`.
    tensor : str
        Shape (n, d).

    Returns
    -------
    tensor : str
    width : int
    """
    width = estimator.n_features_in_
    if isinstance(estimator, SimpleImputer):
        return _impute(graph, estimator, tensor)
    if isinstance(estimator, MinMaxScaler):
        scaled = graph.op("Mul", tensor, _row(graph, estimator.scale_))
        scaled = graph.op("Add", scaled, _row(graph, estimator.min_))
        if estimator.clip:
            low, high = estimator.feature_range
            scaled = graph.op("Clip", scaled, graph.numbers(low), graph.numbers(high))
        return scaled, width
    if isinstance(estimator, MaxAbsScaler):
        scaled = graph.op("Div", tensor, _row(graph, estimator.scale_))
        if getattr(estimator, "clip", False):
            scaled = graph.op("Clip", scaled, graph.numbers(-1), graph.numbers(1))
        return scaled, width
    centre = estimator.mean_ if isinstance(estimator, StandardScaler) else estimator.center_
    moved = getattr(estimator, "with_mean", False) or getattr(estimator, "with_centering", False)
    if moved:
        tensor = graph.op("Sub", tensor, _row(graph, centre))
    if estimator.scale_ is not None:
        tensor = graph.op("Div", tensor, _row(graph, estimator.scale_))
    return tensor, width


def _row(graph: Graph, values: Any) -> str:
    return graph.numbers(np.asarray(values)[None, :])


def _impute(graph: Graph, imputer: SimpleImputer, tensor: str) -> tuple[str, int]:
    """Fill in missing numbers; columns without a statistic are dropped, indicators appended."""
    missing = imputer.missing_values
    if isinstance(missing, float) and np.isnan(missing):
        gaps = graph.op("IsNaN", tensor)
    else:
        gaps = graph.op("Equal", tensor, graph.numbers(missing))
    fill = np.asarray(imputer.statistics_, dtype=np.float64)
    kept = np.flatnonzero(~np.isnan(fill))
    tensor = graph.op("Where", gaps, _row(graph, np.nan_to_num(fill)), tensor)
    if len(kept) < len(fill):
        tensor = graph.op("Gather", tensor, graph.constant(kept, np.int64), axis=1)
    if imputer.indicator_ is None:
        return tensor, len(kept)
    shown = imputer.indicator_.features_
    flags = graph.op("Gather", gaps, graph.constant(shown, np.int64), axis=1)
    tensor = graph.op("Concat", tensor, graph.cast(flags, graph.kind), axis=1)
    return tensor, len(kept) + len(shown)

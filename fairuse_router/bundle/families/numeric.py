"""Scalers and imputers as plain arithmetic, operation by operation as scikit-learn does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fairuse_router.bundle.graph.builder import Graph

NUMERIC = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler, SimpleImputer)


def operations_of(scaler: Any) -> list[tuple[str, Any]]:
    """What a fitted scaler does to its columns in turn: operations, a number a column for each."""
    if isinstance(scaler, MinMaxScaler):
        return [("mul", scaler.scale_), ("add", scaler.min_)]
    if isinstance(scaler, StandardScaler):
        centre = scaler.mean_ if scaler.with_mean else None
    else:
        centre = getattr(scaler, "center_", None)
    operations = [("sub", centre), ("div", scaler.scale_)]
    return [(op, numbers) for op, numbers in operations if numbers is not None]


def transform_numbers(graph: Graph, estimator: Any, tensor: str) -> tuple[str, int]:
    """Scale or fill in a table of numbers, shape (n, d), by one of `NUMERIC`; returns its width."""
    if isinstance(estimator, SimpleImputer):
        return _impute(graph, estimator, tensor)
    for operation, numbers in operations_of(estimator):
        tensor = graph.op(operation.capitalize(), tensor, _row(graph, numbers))
    if getattr(estimator, "clip", False):
        ends = getattr(estimator, "feature_range", (-1, 1))
        tensor = graph.op("Clip", tensor, *(graph.numbers(end) for end in ends))
    return tensor, estimator.n_features_in_


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

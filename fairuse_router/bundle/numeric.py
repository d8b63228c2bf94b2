"""Scalers and imputers as plain arithmetic, operation by operation as scikit-learn does it."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fairuse_router.bundle.builder import Graph

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


DECIMALS = 6


def decimals(values: Any) -> int | None:
    """Fewest decimals that tell a column of doubles from its float32 rounding; None beyond 6.

    Examples
    --------
    >>> decimals(np.array([1.0, 250.0])), decimals(np.array([0.1, 2.35])), decimals([2 ** 0.5])
    (0, 2, None)
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[np.isfinite(values)]
    rounded = values.astype(np.float32).astype(np.float64)
    for places in range(DECIMALS + 1):
        if np.array_equal(np.round(rounded * 10.0**places) / 10.0**places, values):
            return places
    return None


def recover(graph: Graph, tensor: str, places: list[int | None]) -> str:
    """Doubles that a float32 tensor [n, d] was rounded from.

    A column whose numbers had at most that many decimals is rounded to them, where that gives the
    same float32; all other numbers stay what they are.
    """
    wide = graph.cast(tensor, np.float64)
    if all(p is None for p in places):
        return wide
    powers = [np.nan if p is None else 10.0**p for p in places]
    power = graph.constant(np.array([powers]), np.float64)
    decimal = graph.op("Div", graph.op("Round", graph.op("Mul", wide, power)), power)
    same = graph.op("Equal", graph.cast(decimal, np.float32), tensor)
    return graph.op("Where", same, decimal, wide)

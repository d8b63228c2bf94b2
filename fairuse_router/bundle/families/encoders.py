"""Encoders of categories: a category to its row number, the row number to its codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from fairuse_router.bundle.file.names import feature_text
from fairuse_router.bundle.graph.blocks import Block, Part, single_columns, text_codes
from fairuse_router.bundle.graph.builder import ML, Graph

ENCODERS = (OneHotEncoder, OrdinalEncoder, TargetEncoder)


def encode(graph: Graph, estimator: Any, block: Block) -> Block:
    """Encode every column of a block by a fitted encoder; an unknown category may raise."""
    columns = [part for whole in block for part in single_columns(graph, whole)]
    tables = [code_table(estimator, j) for j in range(len(estimator.categories_))]
    parts = []
    for part, categories, table in zip(columns, estimator.categories_, tables, strict=True):
        if table.shape[1]:
            row = _row_number(graph, part, categories)
            codes = graph.op(
                "Gather", graph.numbers(table), row, axis=0, name=graph.label("unknown_category")
            )
            parts.append(Part(codes, table.shape[1]))
    return tuple(parts)


def _row_number(graph: Graph, part: Part, categories: NDArray[Any]) -> str:
    """Position of each row's category, shape (n,); one past the last for unknown ones."""
    flat = graph.op("Reshape", part.tensor, graph.constant([-1], np.int64))
    if part.text:
        return text_codes(graph, flat, text_keys(categories), np.arange(len(categories) + 1))
    if graph.kind == np.float64:
        row = _place_of_doubles(graph, flat, categories.astype(np.float64))
    else:
        row = graph.op(
            "LabelEncoder",
            flat,
            domain=ML,
            keys_floats=np.asarray(categories, dtype=np.float32),
            values_int64s=list(range(len(categories))),
            default_int64=len(categories),
        )
    missing = np.flatnonzero(np.isnan(categories.astype(np.float64)))
    if not len(missing):
        return row
    # before opset 4 of ai.onnx.ml no key is equal to NaN
    return graph.op("Where", graph.op("IsNaN", flat), graph.constant(missing[0], np.int64), row)


def _place_of_doubles(graph: Graph, flat: str, categories: NDArray[np.float64]) -> str:
    """Position of each number, one past the last for unknown ones; LabelEncoder rounds doubles."""
    column = graph.op("Unsqueeze", flat, graph.constant([1], np.int64))
    equal = graph.cast(graph.op("Equal", column, graph.numbers(categories[None, :])), np.float32)
    half = graph.constant(np.float32(0.5))  # more than no category, less than one
    padded = graph.op("Pad", equal, graph.constant([0, 0, 0, 1], np.int64), half)
    return graph.op("ArgMax", padded, axis=1, keepdims=0)


def text_keys(categories: NDArray[Any]) -> list[str]:
    """Texts that a bundle knows the categories of a column by.

    Raises
    ------
    ValueError
        If two categories have one text.
    """
    texts = [feature_text(category) for category in categories]
    for i, text in enumerate(texts):
        if text in texts[:i]:
            first = categories[texts.index(text)]
            raise ValueError(
                f"a column has the categories {first!r} and {categories[i]!r}, which a bundle "
                "cannot tell apart; make them one before training"
            )
    return texts


def code_table(estimator: Any, j: int) -> NDArray[np.float64]:
    """Codes of every category of column j, and of an unknown one last, unless that raises."""
    if isinstance(estimator, TargetEncoder):
        unknown = np.atleast_1d(np.asarray(estimator.target_mean_, dtype=np.float64))
        known = estimator.encodings_[j * len(unknown) : (j + 1) * len(unknown)]
        return np.append(np.stack(known, axis=1), unknown[None, :], axis=0)
    categories = list(estimator.categories_[j])
    place, n_places, has_rare = _places(estimator, j)
    if isinstance(estimator, OrdinalEncoder):
        codes = np.array(place, dtype=np.float64)
        for i, category in enumerate(categories):
            if isinstance(category, float) and np.isnan(category):  # None is a category
                codes[i] = estimator.encoded_missing_value
        if estimator.handle_unknown == "use_encoded_value":
            codes = np.append(codes, float(estimator.unknown_value))
        return codes[:, None]
    table = np.eye(n_places)[place]
    if estimator.handle_unknown != "error":
        unknown = np.zeros((1, n_places))
        if estimator.handle_unknown != "ignore" and has_rare:
            unknown[0, -1] = 1
        table = np.concatenate([table, unknown])
    if estimator.drop_idx_ is not None and estimator.drop_idx_[j] is not None:
        table = np.delete(table, place[estimator.drop_idx_[j]], axis=1)
    return table


def _places(estimator: Any, j: int) -> tuple[list[int], int, bool]:
    """Place of each category among the codes, their number, and whether rare ones share one."""
    categories = list(estimator.categories_[j])
    groups = getattr(estimator, "infrequent_categories_", None)
    rare = [] if groups is None or groups[j] is None else [feature_text(c) for c in groups[j]]
    frequent = [i for i, c in enumerate(categories) if feature_text(c) not in rare]
    order = {i: place for place, i in enumerate(frequent)}
    place = [order.get(i, len(frequent)) for i in range(len(categories))]
    return place, len(frequent) + bool(rare), bool(rare)

"""Numbers that a router does not take: which features must not be missing, and not infinite."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router import tables
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.routing.deployed import Deployed

_WIDE = 50  # columns of a frame from which on it pays to ask about an array


def note_refused(router: Deployed, table: tables.Table, layout: Layout) -> Layout:
    """Ask a router which features it takes missing or infinite values of, and write that down.

    A graph takes any number: a forest would answer where scikit-learn raises. The reader refuses
    what the router refuses.

    Parameters
    ----------
    router : fitted FairUseRouter
    table : table of at least one row
        The first row is asked again with one feature changed.
    layout : Layout

    Returns
    -------
    Layout
        With ``no_missing`` and ``no_infinite``.
    """
    features, _ = router.columns_.split(tables.take_rows(table, np.zeros(1, dtype=np.int64)))
    numeric = [j for j, column in enumerate(layout.columns) if column.numeric]
    asked = _a_report_of_each_candidate(router.routing_table_)
    features = _as_array(router, features, asked)

    def takes(columns: Sequence[int], value: float) -> bool:
        row = tables.fill_columns(features, columns, value)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for code in asked:
                    router.deployment_.answer(row, code[None, :], "predict")
        except Exception:  # an estimator may raise anything at all
            return False
        return True

    def refused(value: float) -> tuple[str, ...]:
        those = [] if takes(numeric, value) else [j for j in numeric if not takes([j], value)]
        return tuple(layout.columns[j].name for j in those)

    return replace(layout, no_missing=refused(np.nan), no_infinite=refused(np.inf))


def _as_array(router: Deployed, features: tables.Table, asked: Sequence[Any]) -> tables.Table:
    """Numbers of a frame as an array, which is checked much faster, if they are answered alike."""
    width = tables.shape(features)[1]
    if tables.column_names(features) is None or width < _WIDE:
        return features
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an array has no names
            block = tables.number_block(features, range(width), "float64")
            for code in asked:
                named, bare = (
                    router.deployment_.answer(row, code[None, :], "predict")
                    for row in (features, block)
                )
                if not np.array_equal(named, bare):
                    return features
    except Exception:  # a step that finds its columns by their names
        return features
    return features if block is None else block


def _a_report_of_each_candidate(table: Any) -> list[Any]:
    """Report codes that reach every candidate that serves, one each."""
    names = [table.routes[r].candidate for r in table.grid.ravel().tolist()]
    first = {name: i for i, name in reversed(list(enumerate(names)))}
    return [table.schema.report_codes[i] for i in sorted(first.values())]

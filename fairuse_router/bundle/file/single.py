"""One row, as a server gets it: read without a frame in between, by what the columns alone say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.bundle.file.layout import JOINED, REPORT, Layout
from fairuse_router.groups import GroupSchema
from fairuse_router.levels import level_text

__all__ = ["SingleRow"]

_NUMBERS = (float, int, bool, np.float64, np.float32, np.int64, np.int32, np.bool_)


class SingleRow:
    """Reads single rows of a bundle's columns; says None to what it does not know.

    What it says None to is read as many rows are, which also finds the words for what is wrong.

    Parameters
    ----------
    layout : Layout
    schema : GroupSchema
    """

    def __init__(self, layout: Layout, schema: GroupSchema) -> None:
        self._layout = layout
        self._names = () if layout.names is None else layout.names
        self._known = frozenset(self._names)
        used = {column.position for column in layout.columns}
        self._needed = [name for j, name in enumerate(self._names) if j in used]
        self._groups = [
            (self._names[j], {text: i + 1 for i, text in enumerate(levels)})
            for j, levels in zip(schema.positions, schema.levels, strict=True)
            if self._names
        ]
        self._withheld = (None, "", schema.withheld)
        self._texts = [("", *levels) for levels in schema.levels]
        checked = {*layout.no_missing, *layout.no_infinite}
        self._columns = [
            (column.name, name, column.numeric, column.name in checked)
            for column, name in zip(layout.columns, layout.inputs, strict=True)
        ]

    def read(self, X: Any) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]] | None:
        """Return the tensors of one row and the codes of its report, or None.

        Parameters
        ----------
        X : object
            A sequence of one dict, or a frame of pandas or polars of one row, is read.
        """
        row = self._cells(X)
        if row is None:
            return None
        codes = self._codes(row)
        features = None if codes is None else self._features(row)
        if codes is None or features is None:
            return None
        if self._layout.report == "codes":
            report = np.array([codes], dtype=np.int64)
        else:
            report = np.empty((1, len(codes)), dtype=object)
            report[0] = [texts[c] for texts, c in zip(self._texts, codes, strict=True)]
        return {**features, REPORT: report}, np.array([codes], dtype=np.int64)

    def _cells(self, X: Any) -> Mapping[str, Any] | None:
        """Cells by the names of the columns, which are those of the training data."""
        if not self._names:
            return None
        if isinstance(X, list | tuple):
            row = X[0] if len(X) == 1 and isinstance(X[0], Mapping) else None
            if row is None or not row.keys() <= self._known:
                return None
            return row if all(name in row for name in self._needed) else None
        kind = type(X).__module__.partition(".")[0]
        if kind not in ("pandas", "polars") or getattr(X, "shape", ()) != (1, len(self._names)):
            return None
        names = tuple(X.columns)
        if names != self._names:
            return None
        cells = X.row(0) if kind == "polars" else X.to_numpy(dtype=object)[0].tolist()
        return dict(zip(names, cells, strict=True))

    def _codes(self, row: Mapping[str, Any]) -> list[int] | None:
        """Codes of the report; None for a level that training did not know."""
        codes = []
        for name, levels in self._groups:
            value = row.get(name)
            text = value if type(value) is str else level_text(value)
            if text in self._withheld:
                codes.append(0)
            elif text in levels:
                codes.append(levels[text])
            else:
                return None
        return codes

    def _features(self, row: Mapping[str, Any]) -> dict[str, NDArray[Any]] | None:
        """Tensors of the features; None for a cell that is neither a plain number nor a text."""
        cells = []
        for name, _, numeric, checked in self._columns:
            value = row[name]
            if not numeric:
                if type(value) is not str:
                    return None
            elif type(value) not in _NUMBERS or (checked and not np.isfinite(value)):
                return None
            cells.append(value)
        with np.errstate(over="ignore"):  # too large for the bundle's type is infinite
            if self._layout.joined:
                tensors = {JOINED: self._numbers(cells)}
            else:
                tensors = {
                    name: self._numbers([value]) if numeric else np.array([[value]], dtype=object)
                    for (_, name, numeric, _), value in zip(self._columns, cells, strict=True)
                }
        numbers = [t for t in tensors.values() if t.dtype != object]
        finite = not self._layout.no_infinite or all(np.isfinite(t).all() for t in numbers)
        return tensors if finite else None

    def _numbers(self, cells: Sequence[Any]) -> NDArray[Any]:
        return np.array([cells], dtype=np.float64).astype(self._layout.number, copy=False)

"""Inputs: a user's rows as the tensors that a bundle takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.bundle.file.names import feature_text, identifiers
from fairuse_router.groups import GroupSchema
from fairuse_router.tables import InputColumn

JOINED = "X"
REPORT = "report"
ROUTES = (
    "routes_of_reports"  # an input with a default, where a bundle holds more candidates than serve
)
OUTPUTS = ("label", "probabilities", "scores", "prediction", "route")


@dataclass(frozen=True)
class Layout:
    """How the columns of a user's X become inputs.

    Parameters
    ----------
    columns : tuple of InputColumn
        The features.
    inputs : tuple of str
        Name of the input of each feature: one name for all if all are numbers.
    width : int
        Columns of the user's X, group columns counted.
    names : tuple of str or None
        Names of those columns; None if X was an array.
    number : {"float32", "float64"}, default="float32"
        Type of the number inputs.
    report : {"texts", "codes"}, default="texts"
        Whether the report comes as the texts of its levels or as their int64 codes.
    no_missing, no_infinite : tuple of str, default=()
        Features that the router refuses missing, or infinite.
    """

    columns: tuple[InputColumn, ...]
    inputs: tuple[str, ...]
    width: int
    names: tuple[str, ...] | None
    number: str = "float32"
    report: str = "texts"
    no_missing: tuple[str, ...] = ()
    no_infinite: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        columns: tuple[InputColumn, ...],
        width: int,
        names: tuple[str, ...] | None,
        number: str = "float32",
        report: str = "texts",
    ) -> Layout:
        """Lay out feature columns: one tensor if all are numbers, else one per column."""
        if all(c.numeric for c in columns):
            inputs = [JOINED] * len(columns)
        else:
            inputs = identifiers((c.name for c in columns), taken=(REPORT, ROUTES, *OUTPUTS))
        return cls(columns, tuple(inputs), width, names, number, report)

    @property
    def joined(self) -> bool:
        """Whether all features are one tensor."""
        return all(c.numeric for c in self.columns)

    def features(self, table: tables.Table) -> dict[str, NDArray[Any]]:
        """Tensors of the features of a table that has the columns of the training data.

        Raises
        ------
        ValueError
            For a number that is none, or that the router refuses.
        """
        if self.joined:
            return {JOINED: self._together(table)}
        return {
            name: (
                self._numbers(table, c) if c.numeric else texts(tables.column(table, c.position))
            )[:, None]
            for name, c in zip(self.inputs, self.columns, strict=True)
        }

    def check_tensors(self, feed: Mapping[str, NDArray[Any]]) -> None:
        """Refuse numbers that the router refuses, in tensors that a caller has made.

        Raises
        ------
        ValueError
        """
        for j, column in enumerate(self.columns):
            if column.numeric:
                values = feed[JOINED][:, j] if self.joined else feed[self.inputs[j]][:, 0]
                self._check_numbers(values, column)

    def _together(self, table: tables.Table) -> NDArray[Any]:
        """Read all features, which are numbers, as one array."""
        with np.errstate(over="ignore"):  # a number too large for their type is infinite
            block = tables.number_block(table, [c.position for c in self.columns], self.number)
        if block is None:
            block = np.empty((tables.shape(table)[0], len(self.columns)), dtype=self.number)
            for j, c in enumerate(self.columns):
                block[:, j] = self._cells(table, c)
        if not np.isfinite(block).all():
            for j, c in enumerate(self.columns):
                self._check_numbers(block[:, j], c)
        return block

    def _numbers(self, table: tables.Table, column: InputColumn) -> NDArray[Any]:
        """Read one feature of numbers."""
        values = self._cells(table, column)
        self._check_numbers(values, column)
        return values

    def _cells(self, table: tables.Table, column: InputColumn) -> NDArray[Any]:
        """One column as numbers of the bundle's type, in which too large ones are infinite."""
        with np.errstate(over="ignore"):
            return numbers(tables.column(table, column.position), column.name).astype(self.number)

    def _check_numbers(self, values: NDArray[Any], column: InputColumn) -> None:
        """Refuse what the router refuses."""
        if column.name in self.no_missing:
            _refuse(np.isnan(values), column, "missing")
        if column.name in self.no_infinite:
            _refuse(np.isinf(values), column, "infinite")

    def reports(self, schema: GroupSchema, codes: NDArray[np.int64]) -> NDArray[Any]:
        """Tensor of the reports of codes [n, k]: the codes, or texts of dtype object."""
        return codes if self.report == "codes" else report_texts(schema, codes)

    def fill_in(self, table: tables.Table, schema: GroupSchema) -> tables.Table:
        """Let a frame lack the columns that no feature is read from: reports withhold."""
        if self.names is None:
            return table
        return tables.fill_in(table, self.names, self._optional)

    @property
    def _optional(self) -> list[str]:
        used = {c.position for c in self.columns}
        return [name for j, name in enumerate(self.names or ()) if j not in used]

    def read(self, X: Any, schema: GroupSchema) -> tables.Table:
        """Rows as a table, also as JSON holds them."""
        if self.names is None or not tables.are_records(X):
            return self.fill_in(tables.as_table(X), schema)
        return tables.from_records(X, self.names, (), self._optional, as_array=True)

    def check(self, table: tables.Table) -> None:
        """Refuse a table with other columns than the training data.

        Raises
        ------
        ValueError
        """
        width, names = tables.shape(table)[1], tables.column_names(table)
        if names is not None and self.names is not None and tuple(names) != self.names:
            missing = [n for n in self.names if n not in names]
            foreign = [n for n in names if n not in self.names]
            what = f"missing: {missing}; not known: {foreign}" if missing or foreign else "order"
            raise ValueError(
                f"X has other columns than the training data ({what}). Pass the columns "
                f"{list(self.names)}, group attributes included, in this order."
            )
        if width != self.width:
            raise ValueError(
                f"X has {width} columns; the training data had {self.width}, group attributes "
                "included. Pass all of them, in the same order."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the file."""
        return {
            "columns": [
                {"name": c.name, "position": c.position, "numeric": c.numeric, "input": i}
                for c, i in zip(self.columns, self.inputs, strict=True)
            ],
            "width": self.width,
            "names": None if self.names is None else list(self.names),
            "number": self.number,
            "report": self.report,
            "no_missing": list(self.no_missing),
            "no_infinite": list(self.no_infinite),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Layout:
        """Inverse of `to_dict`."""
        columns = data["columns"]
        return cls(
            tuple(InputColumn(c["name"], c["position"], c["numeric"]) for c in columns),
            tuple(c["input"] for c in columns),
            data["width"],
            None if data["names"] is None else tuple(data["names"]),
            data.get("number", "float32"),
            data.get("report", "texts"),
            tuple(data.get("no_missing", ())),
            tuple(data.get("no_infinite", ())),
        )


def _refuse(rows: NDArray[np.bool_], column: InputColumn, what: str) -> None:
    if rows.any():
        raise ValueError(
            f"Column {column.name!r} of X is {what} in row {int(rows.argmax())} (and "
            f"{int(rows.sum()) - 1} others), which the router refuses. Fill it in, or train with "
            "a step that does."
        )


def runs_of(numeric: Sequence[bool]) -> list[list[int]]:
    """Positions of columns: neighbours that are numbers together, every text on its own.

    ONNX Runtime 1.32 gathers rows of a table of texts wrongly unless it has one column.

    Examples
    --------
    >>> runs_of([True, True, False, False, True])
    [[0, 1], [2], [3], [4]]
    """
    runs = groupby(range(len(numeric)), key=lambda j: -1 if numeric[j] else j)
    return [list(run) for _, run in runs]


def report_texts(schema: GroupSchema, codes: NDArray[np.int64]) -> NDArray[Any]:
    """Reports as texts, shape (n, k) of dtype object; withheld is the empty text."""
    columns = [
        np.array(["", *levels], dtype=object)[codes[:, j]] for j, levels in enumerate(schema.levels)
    ]
    return np.stack(columns, axis=1)


def cells(column: tables.Column) -> Any:
    """Cells of a column as plain values."""
    if column.category_codes is None or column.categories is None:
        return column.values
    return np.array([*column.categories, None], dtype=object)[column.category_codes]


def numbers(column: tables.Column, name: str) -> NDArray[Any]:
    """Return a column of numbers, as float64 unless they are floats already; missing is NaN.

    Raises
    ------
    ValueError
        If a cell is no number.
    """
    values = cells(column)
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return values
    if not isinstance(values, np.ndarray) or values.dtype == object:
        values = [np.nan if feature_text(v) == "" else v for v in values]
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {name!r} of X holds something that is no number ({error}); it held numbers in "
            "training. Convert the column."
        ) from None


def texts(column: tables.Column) -> NDArray[Any]:
    """Return a column of texts, dtype object; missing is the empty text."""
    values = cells(column)
    known: dict[Any, str] = {}
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        if type(value) is str:
            out[i] = value
            continue
        key = (type(value), value)
        if type(value) not in (int, float, bool):  # equal ones may have two texts
            out[i] = feature_text(value)
            continue
        if key not in known:
            known[key] = feature_text(value)
        out[i] = known[key]
    return out

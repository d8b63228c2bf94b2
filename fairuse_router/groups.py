"""Group attributes: columns to integer codes, the grid of reports, and the encodings."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.documents import Document
from fairuse_router.levels import alike, learn_levels, level_text, map_distinct

__all__ = ["MAX_REPORTS", "WITHHELD", "Cells", "GroupSchema", "level_text"]

WITHHELD = "?"
MAX_REPORTS = 1_000_000  # the routing table is one dense array over the reports

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """The reports that tell some attributes, and withhold all others, numbered from 0 in C order.

    Parameters
    ----------
    told : tuple of int
        The attributes, by position.
    reports : ndarray of int64, shape (c,)
        Numbers of these reports in the grid.
    sizes : tuple of int
        Levels of the told attributes.

    Examples
    --------
    >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
    >>> cells = schema.cells([1])  # what tells the age alone
    >>> len(cells), cells.of(np.array([[2, 1], [0, 2], [1, 0]])).tolist()
    (2, [0, 1, -1])
    """

    told: tuple[int, ...]
    reports: Codes
    sizes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.reports)

    def of(self, codes: Codes) -> Codes:
        """Cell of each report of codes [n, k], shape (n,); -1 where it withholds what they tell."""
        part = codes[:, list(self.told)]
        ids = np.ravel_multi_index(tuple(np.maximum(part - 1, 0).T), self.sizes)
        return np.where((part > 0).all(axis=1), ids, -1)


@dataclass(frozen=True)
class GroupSchema(Document):
    """The group attributes of a data set, their levels, and the grid of reports they span.

    A report is a vector of codes, one per attribute: 0 is withheld, 1 to L are the levels. All
    reports form a grid that is numbered in C order, so report 0 withholds everything. Groups are
    the reports that withhold nothing, numbered in C order among themselves.

    Parameters
    ----------
    attributes : tuple of str
        Names of the group attributes.
    positions : tuple of int
        Their columns in the user's X.
    levels : tuple of tuple of str
        The texts of the levels, per attribute.
    withheld : str or None, default="?"
        The text that withholds an attribute; None makes ``"?"`` an ordinary level. Missing values
        always withhold.
    handle_unknown : {"error", "withhold"}, default="error"
        What to do with a level that was not seen in training.

    Examples
    --------
    >>> schema = GroupSchema.from_table(
    ...     np.array([["F", "old"], ["M", "young"], ["F", "?"]], dtype=object), [0, 1])
    >>> schema.levels
    (('F', 'M'), ('old', 'young'))
    >>> schema.encode(np.array([["M", "old"], [None, "young"]], dtype=object))
    array([[2, 1],
           [0, 2]])
    >>> schema.group_names()
    ['F, old', 'F, young', 'M, old', 'M, young']
    """

    _KIND = "a group schema"

    attributes: tuple[str, ...]
    positions: tuple[int, ...]
    levels: tuple[tuple[str, ...], ...]
    withheld: str | None = WITHHELD
    handle_unknown: str = "error"

    @classmethod
    def from_table(
        cls,
        table: tables.Table,
        columns: Sequence[str | int] | str | int,
        *,
        withheld: str | None = WITHHELD,
        handle_unknown: str = "error",
        max_levels: int = 100,
        argument: str = "group_attributes",
    ) -> GroupSchema:
        """Learn the levels of the group columns of a table.

        Parameters
        ----------
        table : ndarray or dataframe of shape (n, d)
            The user's X.
        columns : sequence of str or int, or one of them
            Group columns: names (dataframes) or positions.
        withheld : str or None, default="?"
        handle_unknown : {"error", "withhold"}, default="error"
            As for the class.
        max_levels : int, default=100
            Largest number of levels of one attribute.
        argument : str, default="group_attributes"
            What the user calls the columns, for messages.

        Raises
        ------
        TypeError
            For columns that are named by neither str nor int.
        ValueError
            For unknown columns, too many levels, two levels with one text, an attribute that
            every row withholds, or a grid of more than 1,000,000 reports.
        """
        if handle_unknown not in ("error", "withhold"):
            raise ValueError(
                f"handle_unknown={handle_unknown!r} is not allowed: pass 'error' (an unseen level "
                "raises) or 'withhold' (it is served as if withheld)."
            )
        table = tables.as_table(table)
        positions = _resolve_columns(table, columns, argument)
        names = tables.column_names(table)
        attributes = tuple(names[j] if names else f"x{j}" for j in positions)
        levels = [
            learn_levels(tables.column(table, j), name, withheld, max_levels, argument)
            for j, name in zip(positions, attributes, strict=True)
        ]
        schema = cls(
            attributes,
            positions,
            tuple(levels),
            withheld,
            handle_unknown,
        )
        if schema.n_reports > MAX_REPORTS:
            raise ValueError(
                f"{argument}={list(attributes)} span {schema.n_reports:,} reports; at most "
                f"{MAX_REPORTS:,} are allowed. Use fewer attributes, or merge levels."
            )
        return schema

    def warn_of_alike_levels(self) -> None:
        """Warn of levels that differ from each other by blanks or letter case alone.

        Or so from `withheld`, or from a missing value, which is the empty text.
        """
        marks = ("",) if self.withheld is None else ("", self.withheld)
        told = [
            f"{name!r} has {' and '.join(map(repr, texts))}"
            for name, levels in zip(self.attributes, self.levels, strict=True)
            for texts in alike((*levels, *marks))
        ]
        if told:
            warnings.warn(
                f"Levels differ by blanks or letter case alone: {'; '.join(told[:5])}. Each is "
                "taken for a level of its own. If they mean the same, write them alike before, in "
                "pandas by column.str.strip().str.lower().",
                UserWarning,
                stacklevel=4,
            )

    # sizes and grids
    @property
    def shape(self) -> tuple[int, ...]:
        """Reports per attribute: its levels and "withheld"."""
        return tuple(len(levels) + 1 for levels in self.levels)

    @property
    def n_reports(self) -> int:
        """Number of reports, fully withheld included."""
        return math.prod(self.shape)

    @property
    def n_groups(self) -> int:
        """Number of groups m: the product of the numbers of levels."""
        return math.prod(len(levels) for levels in self.levels)

    @cached_property
    def report_codes(self) -> Codes:
        """All reports, shape (n_reports, k), in C order."""
        return np.stack(np.unravel_index(np.arange(self.n_reports), self.shape), axis=1)

    @cached_property
    def group_codes(self) -> Codes:
        """The full reports, shape (m, k), in C order."""
        sizes = [len(levels) for levels in self.levels]
        return np.stack(np.unravel_index(np.arange(self.n_groups), sizes), axis=1) + 1

    def report_ids(self, codes: Codes) -> Codes:
        """Number of each report of codes [n, k] in the grid, shape (n,)."""
        return np.ravel_multi_index(tuple(codes.T), self.shape)

    def group_ids(self, codes: Codes) -> Codes:
        """Group of each report of codes [n, k], shape (n,); -1 where anything is withheld."""
        sizes = [len(levels) for levels in self.levels]
        known = (codes > 0).all(axis=1)
        ids = np.ravel_multi_index(tuple(np.maximum(codes - 1, 0).T), sizes)
        return np.where(known, ids, -1)

    def completions(self, code: Iterable[int]) -> Codes:
        """Groups that a report (k codes) may come from, as group numbers."""
        choices = [
            range(len(levels)) if c == 0 else (int(c) - 1,)
            for c, levels in zip(code, self.levels, strict=True)
        ]
        sizes = [len(levels) for levels in self.levels]
        cells = np.array(list(itertools.product(*choices)), dtype=np.int64)
        return np.ravel_multi_index(tuple(cells.T), sizes)

    def cells(self, told: Sequence[int]) -> Cells:
        """Return the reports that tell these attributes and no others, in the order of groups.

        Examples
        --------
        >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
        >>> [schema.report_name(schema.report_codes[r]) for r in schema.cells([1]).reports]
        ['?, <60', '?, 60+']
        """
        sizes = tuple(len(self.levels[j]) for j in told)
        codes = np.zeros((math.prod(sizes), len(self.levels)), dtype=np.int64)
        inner = np.stack(np.unravel_index(np.arange(len(codes)), sizes), axis=1) + 1
        codes[:, list(told)] = inner
        return Cells(tuple(told), self.report_ids(codes), sizes)

    # text
    def report_texts(self, code: Iterable[int]) -> tuple[str, ...]:
        """Texts of one report (k codes), the withheld mark included."""
        mark = self.withheld if self.withheld is not None else ""
        return tuple(
            mark if c == 0 else levels[int(c) - 1]
            for c, levels in zip(code, self.levels, strict=True)
        )

    def report_name(self, code: Iterable[int]) -> str:
        """One line for a report, for people to read; levels with commas or quotes are quoted."""
        return ", ".join(
            f'"{text}"' if set(text) & set(',"') else text or "withheld"
            for text in self.report_texts(code)
        )

    def group_names(self) -> list[str]:
        """One line per group, in group order."""
        return [self.report_name(code) for code in self.group_codes]

    # codes
    def encode(self, table: tables.Table) -> Codes:
        """Codes of the reports in the rows of a table that has the training data's columns.

        Parameters
        ----------
        table : ndarray or dataframe of shape (n, d)
            Rows as the user holds them.

        Returns
        -------
        ndarray of int64, shape (n, k)
            0 where withheld, else 1 + the index of the level.

        Raises
        ------
        ValueError
            For levels not seen in training, if ``handle_unknown="error"``.
        """
        return self.encode_columns([tables.column(table, j) for j in self.positions])

    def encode_columns(self, columns: Sequence[tables.Column]) -> Codes:
        """As `encode`, from the group columns themselves, one per attribute."""
        codes = [self._encode_column(j, column) for j, column in enumerate(columns)]
        return np.stack(codes, axis=1)

    def _encode_column(self, attribute: int, column: tables.Column) -> Codes:
        lookup = {text: i + 1 for i, text in enumerate(self.levels[attribute])}
        unknown: list[str] = []

        def code(value: Any) -> int:
            text = level_text(value)
            if text is None or text == self.withheld:
                return 0
            found = lookup.get(text)
            if found is None:
                unknown.append(text)
            return found or 0

        codes = map_distinct(column, code)
        if unknown and self.handle_unknown == "error":
            raise ValueError(
                f"Group attribute {self.attributes[attribute]!r} has levels that were not seen in "
                f"training: {sorted(set(unknown))[:5]}. Known levels: "
                f"{list(self.levels[attribute])}; {self.withheld!r} or a missing value withholds. "
                "Correct the rows, or train with handle_unknown='withhold' to serve such rows as "
                "withheld."
            )
        return codes

    # encodings
    def onehot(self) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Dummies of every report [n_reports, sum of levels] and their names, ``sex_F``.

        A withheld attribute is all zeros.
        """
        blocks = [
            np.eye(len(levels) + 1)[self.report_codes[:, j]][:, 1:]
            for j, levels in enumerate(self.levels)
        ]
        names = [
            f"{name}_{text}"
            for name, levels in zip(self.attributes, self.levels, strict=True)
            for text in levels
        ]
        return np.concatenate(blocks, axis=1), tuple(names)

    def intersectional(self) -> tuple[NDArray[np.float64], tuple[str, ...]]:
        """Dummies of the groups for every report [n_reports, m], all zeros unless all is told."""
        ids = self.group_ids(self.report_codes)
        names = [
            " & ".join(
                f"{name}_{text}"
                for name, text in zip(self.attributes, self.report_texts(code), strict=True)
            )
            for code in self.group_codes
        ]
        return (ids[:, None] == np.arange(self.n_groups)).astype(np.float64), tuple(names)


def grouped_by_values(
    values: Any, n: int, withheld: str | None, max_levels: int
) -> tuple[GroupSchema, Codes]:
    """Groups of n rows by an array or a series of one value each, such as sites: see `by`."""
    cells = np.asarray(values)
    if cells.shape not in ((n,), (n, 1)):
        raise ValueError(f"by has the shape {cells.shape} for {n} rows; give one value a row.")
    own = cells.reshape(-1, 1).astype(object)
    schema = GroupSchema.from_table(
        own, [0], withheld=withheld, max_levels=max_levels, argument="by"
    )
    schema = replace(schema, attributes=(str(getattr(values, "name", None) or "by"),))
    return schema, schema.group_ids(schema.encode(own))


def _resolve_columns(table: tables.Table, columns: Any, argument: str) -> tuple[int, ...]:
    """Positions of the group columns, given by name or position."""
    if isinstance(columns, (str, Integral)):
        columns = [columns]
    if columns is None or not np.iterable(columns):
        raise TypeError(f"{argument}={columns!r} is not allowed: name columns by str or int.")
    columns = list(columns)
    if not columns:
        raise ValueError(f"{argument} is empty; name at least one column, by name or by position.")
    names, width = tables.column_names(table), tables.shape(table)[1]
    positions = []
    for c in columns:
        if isinstance(c, str):
            if names is None:
                raise ValueError(
                    f"{argument} names the column {c!r}, but X is an array without column "
                    "names. Pass positions (integers), or X as a dataframe."
                )
            if c not in names:
                raise ValueError(f"{argument}: {c!r} is not a column of X. Columns of X: {names}.")
            positions.append(names.index(c))
        elif isinstance(c, Integral) and not isinstance(c, bool):
            if not -width <= int(c) < width:
                raise ValueError(
                    f"{argument}: column {int(c)} is out of range; X has {width} columns."
                )
            positions.append(int(c) % width)
        else:
            raise TypeError(
                f"{argument}: {c!r} is a {type(c).__name__}; name columns by str or int."
            )
    if len(set(positions)) < len(positions):
        raise ValueError(f"{argument}={columns} names one column twice.")
    return tuple(positions)

"""What a routing table says of rows: which model, why, what it gained for such people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Shown
from fairuse_router.grids import clip, wrap
from fairuse_router.groups import GroupSchema
from fairuse_router.levels import level_text
from fairuse_router.metrics import named_metric

_MOST_SHOWN = 10
_LONGEST = 40

Unknown = Mapping[int, Mapping[str, str]]  # row -> attribute -> the level it reports


@dataclass(frozen=True, eq=False)
class RoutedRows(Shown):
    """Which route serves each row, why, and what it gained for such people.

    Print it, or read `words`.

    Parameters
    ----------
    report : list of tuple of str
        The report of each row, as it was understood; unknown levels that count as withheld are.
    route : ndarray of int64, shape (n,)
        Index into ``RoutingTable.routes``.
    candidate : ndarray of str, shape (n,)
        The candidate that serves the row.
    reason : ndarray of str, shape (n,)
        Why.
    names : ndarray of str, shape (n,)
        The report of each row in one line.
    numbers : ndarray of float64, shape (n, 4)
        What `rows`, `gain`, `low` and `high` show: training rows of the groups that the report may
        come from, nan where a bundle leaves small counts out; the gain of the route over generic
        for these groups when the routes were chosen, and its interval: 0 under generic, nan where
        undefined.
    metric : str
        Of the gains.
    alpha : float
        The intervals are at level ``1 - alpha``.

    Examples
    --------
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord, RoutingTable
    >>> schema = GroupSchema(("sex",), (0,), (("F", "M"),))
    >>> records = [GroupRecord(("F",), 80, "onehot", "gains most", gain=0.04, low=0.01, high=0.07),
    ...            GroupRecord(("M",), 90, "generic", "nothing gains")]
    >>> table = RoutingTable.from_choices(
    ...     schema, records, policy="best", metric="error", alpha=0.1)
    >>> routed = table.explain(np.array([[1], [0]]))
    >>> routed.report, routed.candidate.tolist(), routed.gain.tolist()
    ([('F',), ('?',)], ['onehot', 'generic'], [0.04, 0.0])
    """

    report: list[tuple[str, ...]]
    route: NDArray[np.int64]
    candidate: NDArray[np.str_]
    reason: NDArray[np.str_]
    names: NDArray[np.str_]
    numbers: NDArray[np.float64]
    metric: str
    alpha: float

    def __len__(self) -> int:
        return len(self.route)

    @property
    def rows(self) -> NDArray[np.float64]:
        """Training rows behind each report, shape (n,)."""
        return self.numbers[:, 0]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Gain of each route over generic, shape (n,)."""
        return self.numbers[:, 1]

    @property
    def low(self) -> NDArray[np.float64]:
        """Lower limit of its interval, shape (n,)."""
        return self.numbers[:, 2]

    @property
    def high(self) -> NDArray[np.float64]:
        """Upper limit of its interval, shape (n,)."""
        return self.numbers[:, 3]

    @property
    def words(self) -> NDArray[np.str_]:
        """The whole explanation of each row in plain words, shape (n,)."""
        keys = np.stack([self.names, self.reason, self.candidate], axis=1)
        _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        texts = np.array([self._sentence(i) for i in first.tolist()], dtype=str)
        return texts[inverse.ravel()]

    def _sentence(self, i: int) -> str:
        """The explanation of one row."""
        text = f"({self.names[i]}) is served by {self.candidate[i]}: {self.reason[i]}."
        if self.candidate[i] == GENERIC:
            text += _fit_words(self.rows[i])
            return f"{text} Generic needs no report, so nothing is gained or lost by it."
        return f"{text} {gain_words(self, i)}"

    def __str__(self) -> str:
        lines = []
        for i, text in enumerate(self.words[:_MOST_SHOWN]):
            lines += wrap(f"{i}: {text}", then="   ")
        if len(self) > _MOST_SHOWN:
            lines.append(f"... and {len(self) - _MOST_SHOWN:,} more rows: see to_frame()")
        return "\n".join(lines)

    def to_frame(self, backend: str = "pandas") -> Any:
        """Return the rows as a dataframe of the named backend (pandas, polars or pyarrow)."""
        data = {
            "report": self.names.tolist(),
            "route": self.route,
            "candidate": self.candidate.tolist(),
            "reason": self.reason.tolist(),
            "rows": self.rows,
            "gain": self.gain,
            "low": self.low,
            "high": self.high,
        }
        return tables.from_columns(data, backend)


def gain_words(routed: RoutedRows, i: int) -> str:
    """What the route gained for people such as row `i`, and how sure that is."""
    metric, rows = named_metric(routed.metric), routed.rows[i]
    people = "people like this" if np.isnan(rows) else f"the {rows:,.0f} people like this"
    who = f"For {people} in training"
    if np.isnan(routed.gain[i]):
        return f"{who} its gain over generic in {metric.name} cannot be said."
    text = f"{who} it gained {metric.format_gain(routed.gain[i])} in {metric.name} over generic"
    if np.isnan(routed.low[i]):
        return f"{text}; no interval can be given."
    level = f"{100 * (1 - routed.alpha):g}%"
    interval = f"{metric.format_gain(routed.low[i])} to {metric.format_gain(routed.high[i])}"
    return f"{text}, {level} interval {interval}: {_sureness(routed.low[i], routed.high[i])}."


def _fit_words(rows: float) -> str:
    """How many people stand behind a report that generic serves; nothing where that is hidden."""
    if np.isnan(rows):
        return ""
    people = "1 person fits" if rows == 1 else f"{rows:,.0f} people fit"
    return f" In training {people} this report."


def unknown_levels(schema: GroupSchema, X: Any) -> dict[int, dict[str, str]]:
    """Levels that were not known in training and count as withheld.

    Parameters
    ----------
    schema : GroupSchema
    X : array or dataframe of shape (n, d)
        Rows as the user holds them.

    Returns
    -------
    dict of int to dict of str to str
        By row, the unknown level by attribute; rows without any are left out. Empty unless the
        schema withholds what it does not know.
    """
    found: dict[int, dict[str, str]] = {}
    if schema.handle_unknown != "withhold":
        return found
    table = tables.as_table(X)
    codes = schema.encode(table)
    for j, name in enumerate(schema.attributes):
        column = tables.column(table, schema.positions[j])
        for i in np.flatnonzero(codes[:, j] == 0).tolist():
            text = level_text(_value(column, i))
            if text is not None and text != schema.withheld:
                found.setdefault(i, {})[name] = text
    return found


def _value(column: tables.Column, row: int) -> Any:
    """One cell of a column, None where a category is missing."""
    if column.category_codes is None or column.categories is None:
        return column.values[row]
    code = int(column.category_codes[row])
    return None if code < 0 else column.categories[code]


def say_unknown(reasons: NDArray[Any], unknown: Unknown) -> NDArray[np.str_]:
    """Reasons of rows, with the `unknown_levels` of these rows named first."""
    texts = reasons.astype(object)
    for i, levels in unknown.items():
        texts[i] = f"{_unknown_words(levels)}; {texts[i]}"
    return texts.astype(str)


def _unknown_words(levels: Mapping[str, str]) -> str:
    """That some levels of one row were not known in training and count as withheld."""
    told = [f"{name} = {clip(text, _LONGEST)}" for name, text in levels.items()]
    if len(told) == 1:
        return f"{told[0]} was not known in training and counts as withheld"
    listed = f"{', '.join(told[:-1])} and {told[-1]}"
    return f"{listed} were not known in training and count as withheld"


def _sureness(low: float, high: float) -> str:
    """What an interval allows to say."""
    if low > 0:
        return "a gain"
    return "a loss" if high < 0 else "gain and loss may both be luck"

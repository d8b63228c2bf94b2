"""Parameters per column: what estimators are told of single columns, when columns come or go.

HistGradientBoosting, trees, XGBoost and LightGBM take lists with one entry per column, lists of
columns, and sets of columns. They are written for the user's X; the models see it without the
group columns, and some of them with encoded groups on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# one entry per column, or a dict by name; and what an encoded group is given
ENTRIES = {
    "categorical_features": False,
    "monotonic_cst": 0,
    "monotone_constraints": 0,
    "feature_types": "q",
    "feature_weights": 1.0,
    "feature_contri": 1.0,
}
# columns by name or place
LISTED = (
    *("categorical_features", "categorical_feature", "cat_features"),
    *("text_features", "embedding_features", "ignored_features"),
)
NAMED = ("feature_names", "columns", "cols")  # all columns that are read, by name or place
PAIRS = ("interactions", "exclude")  # of explainable boosting: columns, or tuples of them
SETS = ("interaction_cst", "interaction_constraints")  # lists of such lists
PER_COLUMN = (*ENTRIES, *LISTED[1:], *SETS, *NAMED, *PAIRS)


@dataclass(frozen=True)
class Columns:
    """The user's X: its column names (None for arrays), its width, and the group columns."""

    names: list[str] | None
    width: int
    groups: tuple[int, ...]

    @property
    def kept(self) -> list[int]:
        """Places of the other columns."""
        return [j for j in range(self.width) if j not in self.groups]

    def position(self, column: Any, who: str = "a ColumnTransformer") -> int:
        """Position of a column given by name or number.

        Raises
        ------
        ValueError
            If X has no such column.
        """
        if isinstance(column, str):
            if self.names is None or column not in self.names:
                raise ValueError(
                    f"estimator: {who} names the column {column!r}, which X does "
                    f"not have. Columns of X: {self.names or f'positions 0 to {self.width - 1}'}."
                )
            return self.names.index(column)
        if not -self.width <= column < self.width:
            raise ValueError(f"estimator: {who} names column {column}; X has {self.width} columns.")
        return int(column) % self.width

    def without_groups(
        self, selected: Sequence[Any], who: str = "a ColumnTransformer"
    ) -> tuple[list[Any], list[Any]]:
        """Columns as they stand without the group columns, and the group columns among them."""
        place = {j: i for i, j in enumerate(self.kept)}
        kept, lost = [], []
        for column in selected:
            position = self.position(column, who)
            if position in self.groups:
                lost.append(column)
            else:
                kept.append(column if isinstance(column, str) else place[position])
        return kept, lost


def cut(estimator: Any, columns: Columns) -> list[str]:
    """Take the group columns out of an estimator's parameters.

    Parameters
    ----------
    estimator : estimator
        It receives X, or something with the same columns. It is changed.
    columns : Columns

    Returns
    -------
    list of str
        Sets of columns that lost group columns, to be told to the user.

    Raises
    ------
    ValueError
        For sets that name columns which X does not have, and for lists written as text.
    """
    params = estimator.get_params(deep=False)
    group_names = {columns.names[j] for j in columns.groups} if columns.names else set()
    changes: dict[str, Any] = {}
    told: list[str] = []
    for name in PER_COLUMN:
        value = params.get(name)
        who = f"{type(estimator).__name__}({name}=...)"
        if name in NAMED or name in PAIRS:
            told_so = name in NAMED or "feature_types" in params
            if isinstance(value, (list, tuple, np.ndarray)) and told_so:
                read = _cut_names if name in NAMED else _cut_pairs
                changes[name], lost = read(value, columns, who)
                told += [f"{lost} of {who}"] if lost else []
        elif isinstance(value, str):
            _refuse_text(who, value)
        elif isinstance(value, dict):
            changes[name] = {c: v for c, v in value.items() if c not in group_names}
        elif not isinstance(value, (list, tuple, np.ndarray)):
            continue
        elif name in SETS:
            changes[name], lost = _cut_sets(value, columns, who)
            told += [f"{lost} of {who}"] if lost else []
        elif _has_entries(name, value):
            if len(value) == columns.width:
                changes[name] = _like(value, [value[j] for j in columns.kept])
        else:
            changes[name] = columns.without_groups(list(value), who)[0] or None
    if changes:
        estimator.set_params(**changes)
    return told


def pad(estimator: Any, names: Sequence[str]) -> dict[str, Any]:
    """Parameters with one entry per column, with entries for columns added on the right.

    Parameters
    ----------
    estimator : estimator
    names : sequence of str
        Of the columns that are added.

    Raises
    ------
    ValueError
        For constraints under which LightGBM and XGBoost would not use the added columns.
    """
    params = estimator.get_params(deep=False)
    if params.get("interaction_constraints"):
        raise ValueError(
            f"estimator: {type(estimator).__name__}(interaction_constraints=...) lists the columns "
            "that may meet in a tree, and the encoded groups would stand in none of the lists. "
            "Leave it out, or train candidates=('generic', 'decoupled'), which add no columns."
        )
    padded = {}
    for name, neutral in ENTRIES.items():
        value = params.get(name)
        if isinstance(value, (list, tuple, np.ndarray)) and _has_entries(name, value):
            if name == "feature_types" and not set(map(str, value)) <= _XGBOOST_TYPES:
                neutral = "continuous"
            padded[name] = _like(value, [*value, *[neutral] * len(names)])
    for name in NAMED:
        value = params.get(name)
        if isinstance(value, (list, tuple, np.ndarray)) and len(value):
            by_name = all(isinstance(v, str) for v in value)
            padded[name] = _like(value, [*value, *(names if by_name else range(-len(names), 0))])
    return padded


def refuse_counting(final: Any) -> None:
    """Refuse parameters that count columns of an input from which group columns may be lost.

    Raises
    ------
    ValueError
        Saying which parameter, and what to edit.
    """
    for name in PER_COLUMN:
        value = final.get_params(deep=False).get(name)
        listed = isinstance(value, (list, tuple, np.ndarray)) and len(value)
        if listed and not all(isinstance(v, str) for v in value):
            raise ValueError(
                f"estimator: {type(final).__name__}({name}=...) counts the columns that the "
                "ColumnTransformer before it puts out, and group columns may have been among them: "
                "removed from a selector, from what a callable selects, or from the remainder. "
                "Select the features by name, without group columns and with remainder='drop', and "
                f"leave group columns out of {name}; the encoded groups are appended, and padded "
                "for, by the router."
            )


_XGBOOST_TYPES = {"q", "c", "i", "int", "float"}


def _has_entries(name: str, value: Any) -> bool:
    """Whether a list has one entry per column; else it names columns."""
    return name not in LISTED or np.asarray(value).dtype == bool


def _like(value: Any, entries: list[Any]) -> Any:
    return tuple(entries) if isinstance(value, tuple) else entries


def _cut_sets(value: Any, columns: Columns, who: str) -> tuple[Any, list[Any]]:
    """Sets of columns without group columns, and what they lost."""
    sets: list[Any] = []
    lost: list[Any] = []
    for one in value:
        kept, gone = columns.without_groups(list(one), who)
        sets += [type(one)(kept)] if kept else []
        lost += gone
    return sets or None, lost


def _cut_names(value: Any, columns: Columns, who: str) -> tuple[Any, list[Any]]:
    """Columns that are read without group columns, and what they lost."""
    known = [*(columns.names or ()), *range(-columns.width, columns.width)]
    if any(v not in known for v in value):  # names that are given, in order
        whole = len(value) == columns.width
        return _like(value, [value[j] for j in columns.kept] if whole else list(value)), []
    kept, lost = columns.without_groups(list(value), who)
    return _like(value, kept), lost


def _cut_pairs(value: Any, columns: Columns, who: str) -> tuple[Any, list[Any]]:
    """Columns and tuples of columns, those left out that have a group column."""
    kept: list[Any] = []
    lost: list[Any] = []
    for one in value:
        several = isinstance(one, (list, tuple))
        left, gone = columns.without_groups(list(one) if several else [one], who)
        if gone:
            lost.append(one)
        else:
            kept.append(type(one)(left) if several else left[0])
    return _like(value, kept), lost


def _refuse_text(who: str, value: str) -> None:
    """Refuse a list that is written as text, as XGBoost allows it: it cannot be renumbered."""
    if value.lstrip()[:1] in ("(", "[", "{"):
        raise ValueError(
            f"estimator: {who} is the text {value!r}, whose columns the router cannot renumber "
            "without group columns. Pass a tuple, a list or a dict by column name."
        )

"""The data sets that must be asked for, read from a folder in the format of the paper's authors.

``NAME_data.csv`` has one row per patient; ``NAME_helper.csv`` describes its columns: ``header``,
``is_outcome``, ``is_group_attribute``, ``type`` (numeric, boolean, categorical or ordinal) and
``ordering`` (levels in order, separated by ``|`` or ``;``; may be empty or NA). The names are those
of the paper: apnea and saps are requested from the authors of their sources; cardio_eicu,
cardio_mimic, kidney and mortality are derived from eICU and MIMIC, which PhysioNet lends to
credentialed users.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.data import Data
from fairuse_router.groups import level_text

COLUMNS = ("header", "is_outcome", "is_group_attribute", "type", "ordering")
TYPES = ("numeric", "boolean", "categorical", "ordinal")


class Printed(NamedTuple):
    """Size of a data set as the paper prints it: rows (Tables 1 and 4), features, groups."""

    rows: tuple[int, ...]
    features: tuple[int, ...]
    groups: int


PRINTED = {
    "apnea": Printed((1152,), (26,), 6),
    "cardio_eicu": Printed((1341,), (49,), 4),
    "cardio_mimic": Printed((5289,), (49,), 4),
    "heart": Printed((181, 303), (26,), 4),
    "kidney": Printed((2066, 1722), (78,), 6),
    "mortality": Printed((25_366, 21_139), (468, 484), 6),
    "saps": Printed((7797,), (36,), 4),
}


def load_authors(folder: str | os.PathLike[str], name: str) -> Data:
    """Read one data set.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ValueError
        If the files do not describe each other; the message says where.
    """
    data, helper = (Path(folder) / f"{name}_{part}.csv" for part in ("data", "helper"))
    for path in (data, helper):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing; {name} needs {data.name} and {helper.name}."
            )
    frame, about = pd.read_csv(data), pd.read_csv(helper, dtype=str)
    _check(frame, about, helper)
    flags = {c: about[c].str.strip().str.lower().isin(["1", "true", "yes"]) for c in COLUMNS[1:3]}
    (outcome,) = about["header"][flags["is_outcome"]]
    groups = about["header"][flags["is_group_attribute"]].tolist()
    features = [h for h in about["header"] if h != outcome and h not in groups]
    X = frame[groups].astype(object).where(frame[groups].notna(), None)
    kinds = dict(zip(about["header"], about["type"].str.strip().str.lower(), strict=True))
    orders = dict(zip(about["header"], about["ordering"], strict=True))
    columns = {h: _feature(frame[h], kinds[h], orders[h], helper) for h in features}
    X = pd.concat([X, pd.DataFrame(columns, index=frame.index)], axis=1)
    return Data(X, _outcome(frame[outcome], data), groups)


def differences(name: str, data: Data) -> list[str]:
    """What differs from the size that the paper prints; empty if nothing does."""
    printed = PRINTED[name]
    groups = len(data.X[data.group_attributes].dropna().drop_duplicates())
    features = data.X.shape[1] - len(data.group_attributes)
    found = []
    for what, own, theirs in (
        ("rows", len(data.y), printed.rows),
        ("features", features, printed.features),
        ("groups", groups, (printed.groups,)),
    ):
        if own not in theirs:
            found.append(f"{own:,} {what} where the paper has {' or '.join(map(str, theirs))}")
    return found


def _check(frame: pd.DataFrame, about: pd.DataFrame, helper: Path) -> None:
    lacking = [c for c in COLUMNS if c not in about]
    if lacking:
        raise ValueError(f"{helper} lacks the columns {lacking}; it needs {list(COLUMNS)}.")
    about["header"] = about["header"].str.strip()
    unknown = sorted(set(about["header"]) - set(frame.columns))
    extra = sorted(set(frame.columns) - set(about["header"]))
    if unknown or extra:
        raise ValueError(
            f"{helper} and the data have other columns: only in the helper {unknown}, only in the "
            f"data {extra}."
        )
    for flag, least, most in (("is_outcome", 1, 1), ("is_group_attribute", 1, 9)):
        count = int(about[flag].str.strip().str.lower().isin(["1", "true", "yes"]).sum())
        if not least <= count <= most:
            raise ValueError(
                f"{helper} marks {count} columns {flag}; {least} to {most} are allowed."
            )
    wrong = sorted(set(about["type"].str.strip().str.lower()) - set(TYPES))
    if wrong:
        raise ValueError(f"{helper} has the types {wrong}; allowed are {list(TYPES)}.")


def _feature(column: pd.Series, kind: str, order: object, helper: Path) -> pd.Series:
    """Numbers as numbers, ordered levels as their rank, categories as text."""
    if kind == "categorical":
        return (
            column.astype(object)
            .where(column.notna(), None)
            .map(lambda v: v if v is None else str(v))
        )
    if kind == "ordinal" and isinstance(order, str) and order.strip():
        levels = [level.strip() for level in re.split(r"[|;]", order)]
        rank = {level: i for i, level in enumerate(levels)}
        texts = column.map(lambda v: v if pd.isna(v) else (level_text(v) or "").strip())
        unknown = sorted(set(texts.dropna()) - set(levels))
        if unknown:
            raise ValueError(
                f"{column.name!r} holds {unknown[:5]}, which its ordering in {helper} lacks."
            )
        return texts.map(rank).astype(float)
    try:
        return pd.to_numeric(column).astype(float)
    except ValueError as error:
        raise ValueError(
            f"{column.name!r} is {kind} in {helper}, and holds what is no number ({error}). Call "
            "it categorical, or write numbers."
        ) from error


def _outcome(column: pd.Series, data: Path) -> np.ndarray:
    """Labels -1 and 1, or 0 and 1, as 0 and 1."""
    levels = set(pd.unique(column))
    if not levels <= {-1, 1} and not levels <= {0, 1}:
        raise ValueError(
            f"{column.name!r} in {data} holds {sorted(map(str, levels))[:5]}; an outcome is 0 or 1."
        )
    return (column == 1).to_numpy(np.int64)

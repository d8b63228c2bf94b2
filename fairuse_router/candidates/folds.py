"""Splitting: which rows train and which rows judge, stratified by group and class."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    PredefinedSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)

from fairuse_router import tables
from fairuse_router.grids import told
from fairuse_router.levels import is_missing
from fairuse_router.rows import Places, TrainingRows


def split_rows(cv: Any, data: TrainingRows, random_state: Any) -> list[tuple[Places, Places]]:
    """Return (training rows, judging rows) pairs, stratified by group and class.

    Parameters
    ----------
    cv : int, float, splitter or iterable of pairs
        Number of folds; share of rows held out once; or whatever scikit-learn takes as ``cv``.
    data : TrainingRows
        Rows of one cluster are never split.
    random_state : None, int or RandomState
        None: folds in row order, as scikit-learn's integer ``cv``; else shuffled with this seed.

    Raises
    ------
    ValueError
        For a ``cv`` that is not of these forms, or with nothing to split.
    """
    strata, classes, clusters = data.groups + 1, data.strata, data.clusters
    if classes is not None:
        strata = strata * (int(classes.max()) + 1) + classes
    strata = np.unique(strata, return_inverse=True)[1]
    if isinstance(cv, (bool, str)):
        raise ValueError(
            f"cv={told(cv)} is not allowed: pass a number of folds, a share to hold out such as "
            "0.2, a scikit-learn splitter, or 'prefit' with a dict of fitted candidates."
        )
    if isinstance(cv, Integral):
        return folds_within(int(cv), strata, clusters, random_state)
    if isinstance(cv, Real):
        return _hold_out(float(cv), strata, clusters, random_state)
    splitter = check_cv(cv, data.y, classifier=classes is not None)
    pairs = [
        (np.asarray(a), np.asarray(b)) for a, b in splitter.split(data.features, data.y, clusters)
    ]
    if not pairs:
        raise ValueError(f"cv={cv!r} yields no split; it must yield at least one.")
    return pairs


def in_order(
    table: tables.Table, rows: TrainingRows, order: Any
) -> tuple[tables.Table, TrainingRows]:
    """Sort rows by times; None leaves them as they are.

    Raises
    ------
    ValueError, TypeError
        If there is not one time for each row, or they have no order.
    """
    if order is None:
        return table, rows
    times = np.asarray(order)
    if times.shape not in ((len(rows.y),), (len(rows.y), 1)):
        raise ValueError(
            f"order has the shape {times.shape} for {len(rows.y)} rows; give one time for each."
        )
    times = times.reshape(-1)
    missing = sum(map(is_missing, times.tolist()))
    if missing:
        raise ValueError(f"order is missing in {missing} of {len(times)} rows. Drop these rows.")
    try:
        place = np.argsort(times, kind="stable")
    except TypeError:
        raise TypeError(
            "order mixes types that cannot be sorted, such as text and numbers. Make them all "
            "dates, or all numbers."
        ) from None
    return tables.take_rows(table, place), rows.take(place)


class KeptBack(NamedTuple):
    """Rows parted into those that train and nominate, and those that are opened once.

    Parameters
    ----------
    seen, opened : ndarray of int
        Rows; of clusters that are seen none is opened.
    cv : int, float, splitter or list of pairs
        How the rows seen are to be split again.
    in_time : bool
        Whether the rows opened are the latest, in order of time.
    """

    seen: Places
    opened: Places
    cv: Any
    in_time: bool = False


def keep_back(cv: Any, data: TrainingRows, share: float, random_state: Any) -> KeptBack:
    """Part the rows that train and nominate from those that are opened once.

    A number of folds, fitted models, or a splitter that takes rows in any order: a random share is
    opened. A splitter that judges later rows than it trains on, such as `TimeSeriesSplit`: the last
    share is. Splits that name their rows: what the last of them judges is, and the others nominate,
    without these rows.

    Returns
    -------
    KeptBack

    Raises
    ------
    ValueError
        For a ``cv`` that leaves nothing to see or to open.
    """
    if isinstance(cv, (Integral, Real, str)):
        return KeptBack(*split_rows(share, data, random_state)[0], cv)
    pairs = split_rows(cv, data, random_state)
    in_time = all(len(a) and len(b) and a.max() < b.min() for a, b in pairs)
    if isinstance(cv, PredefinedSplit) or not hasattr(cv, "split"):
        seen, opened = (np.unique(side) for side in pairs[-1])
        again: Any = _within(pairs[:-1], seen) or 5
    elif in_time:
        cut = len(data.y) - round(share * len(data.y))
        seen, opened, again = np.arange(cut), np.arange(cut, len(data.y)), cv
    else:
        return KeptBack(*split_rows(share, data, random_state)[0], cv)
    opened = np.setdiff1d(opened, seen)
    if data.clusters is not None:
        opened = opened[~np.isin(data.clusters[opened], data.clusters[seen])]
    if not (len(seen) and len(opened)):
        raise ValueError(
            f"cv={cv!r} leaves {len(seen)} rows to choose on and {len(opened)} to certify on. Pass "
            "splits that judge other rows (and clusters) than they train on, or a number of folds."
        )
    return KeptBack(seen, opened, again, in_time)


def _within(pairs: list[tuple[Places, Places]], rows: Places) -> list[tuple[Places, Places]]:
    """Pairs of these rows alone, by their places among these; none with an empty side."""
    kept = [[np.flatnonzero(np.isin(rows, side)) for side in pair] for pair in pairs]
    return [(a, b) for a, b in kept if len(a) and len(b)]


def folds_within(
    n_folds: int, strata: Places, clusters: NDArray[Any] | None, random_state: Any
) -> list[tuple[Places, Places]]:
    """Folds with equal parts of every stratum; rows of one cluster are never split."""
    if n_folds < 2:
        raise ValueError(f"cv={n_folds} is not allowed: at least 2 folds are needed.")
    # scikit-learn refuses more folds than the largest stratum has rows
    n_folds = max(2, min(n_folds, int(np.bincount(strata).max())))
    if n_folds > len(strata):
        raise ValueError(
            f"X has n_samples={len(strata)}, which cannot be split into {n_folds} folds; pass at "
            "least as many rows as folds."
        )
    if clusters is not None:
        n_clusters = len(np.unique(clusters))
        if n_clusters < 2:
            raise ValueError(
                "clusters has one cluster only, which cannot be split into training and judging "
                "rows. Pass at least two clusters, or leave clusters out."
            )
        n_folds = min(n_folds, n_clusters)
    shuffle = random_state is not None
    kind = StratifiedKFold if clusters is None else StratifiedGroupKFold
    splitter = kind(n_folds, shuffle=shuffle, random_state=random_state)
    if np.bincount(strata).max() < n_folds:  # every stratum is a single row
        strata = np.zeros_like(strata)
    with warnings.catch_warnings():  # tiny cells are expected, and the routing table names them
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(splitter.split(np.zeros(len(strata)), strata, clusters))


def _hold_out(
    share: float, strata: Places, clusters: NDArray[Any] | None, random_state: Any
) -> list[tuple[Places, Places]]:
    if not 0 < share < 1:
        raise ValueError(f"cv={share} is not allowed: a share to hold out lies between 0 and 1.")
    if clusters is not None:
        tenths = folds_within(min(10, len(np.unique(clusters))), strata, clusters, random_state)
        count = min(max(1, round(share * len(tenths))), len(tenths) - 1)
        judge = np.sort(np.concatenate([test for _, test in tenths[:count]]))
        return [(np.setdiff1d(np.arange(len(strata)), judge), judge)]
    counts = np.bincount(strata)
    rare = counts < max(2.0, 1 / min(share, 1 - share))  # too few to appear on both sides
    strata = np.unique(np.where(rare[strata], -1, strata), return_inverse=True)[1]
    if np.bincount(strata).min() < 2:
        strata = np.zeros_like(strata)
    seed = 0 if random_state is None else random_state
    splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
    return list(splitter.split(np.zeros(len(strata)), strata))

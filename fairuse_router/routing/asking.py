"""Which question to ask next: a small dynamic program over all reports, exact."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_TIE = 1e-9  # of the weight of all: sums in another order are no reason to prefer a question


@dataclass(frozen=True, eq=False)
class Questions:
    """The cheapest order of questions, for every report that it may pass through.

    Parameters
    ----------
    ask : ndarray of int64, shape of the grid
        The attribute to ask next, -1 where the route is settled; attributes that are declined for
        good have length 1.
    cost : ndarray of float64, same shape
        Questions still to come, summed over the people under the report.
    weight : ndarray of float64, same shape
        People under the report.
    """

    ask: Ints
    cost: Floats
    weight: Floats

    @property
    def per_person(self) -> float:
        """Attributes asked, mean over all people."""
        return float(self.cost.flat[0] / self.weight.flat[0])


def spread(values: NDArray, how: Callable[..., NDArray], declined: Collection[int] = ()) -> NDArray:
    """Return values of groups for all reports: code 0 sums them up over the levels.

    Parameters
    ----------
    values : ndarray, one axis per attribute
        Of the groups; axes of declined attributes have length 1 and stay as they are.
    how : callable
        ``how(values, axis=, keepdims=)``: np.sum, np.min, np.max.
    declined : collection of int, default=()

    Examples
    --------
    >>> spread(np.array([[1, 2], [3, 4]]), np.sum)
    array([[10,  4,  6],
           [ 3,  1,  2],
           [ 7,  3,  4]])
    """
    for axis in range(values.ndim):
        if axis not in declined:
            top = how(values, axis=axis, keepdims=True)
            values = np.concatenate([top, values], axis=axis)
    return values


def settled(grid: Ints, declined: Collection[int] = ()) -> NDArray[np.bool_]:
    """Whether nothing that may still be told changes the route, for every report.

    Parameters
    ----------
    grid : ndarray of int64
        Route of every report.
    declined : collection of int, default=()
        Attributes that are withheld for good; they have length 1 in the result.

    Examples
    --------
    >>> grid = np.array([[0, 0, 0], [0, 1, 0], [0, 2, 0]])  # sex x age: only <60 has routes
    >>> settled(grid)
    array([[False, False,  True],
           [False,  True,  True],
           [False,  True,  True]])
    """
    own = grid[tuple(slice(0, 1) if j in declined else slice(None) for j in range(grid.ndim))]
    ends = own[tuple(slice(None) if j in declined else slice(1, None) for j in range(grid.ndim))]
    low, high = (spread(ends, how, declined) for how in (np.min, np.max))
    return (low == high) & (low == own)


def order_questions(
    free: NDArray[np.bool_],
    weight: Floats,
    declined: Collection[int] = (),
    gain: Floats | None = None,
) -> Questions:
    """Ask as little as possible until a report is reached at which one may stop.

    Exact: over all adaptive orders, in which the next question depends on the answers so far. The
    costs of a report with j answers need those with j + 1 only: one pass over the grid per subset
    of attributes.

    Parameters
    ----------
    free : ndarray of bool
        Where one may stop, for every report; full reports always.
    weight : ndarray of float64, same shape
        People under each report.
    declined : collection of int, default=()
        Attributes never to be asked; they have length 1.
    gain : ndarray of float64, same shape, default=None
        Gain of each report's route, summed over its people.

    Returns
    -------
    Questions
        Of orders that ask as little, the one whose answers gain most, soonest: whoever breaks off
        has most by then. Ties go to the attribute that comes first.

    Examples
    --------
    Sex matters below 60 only, so age is asked first:

    >>> grid = np.array([[0, 0, 0], [0, 1, 0], [0, 2, 0]])  # sex x age: <60, 60+
    >>> people = spread(np.array([[30.0, 10.0], [50.0, 10.0]]), np.sum)
    >>> questions = order_questions(settled(grid), people)
    >>> int(questions.ask[0, 0]), int(questions.ask[0, 1]), int(questions.ask[0, 2])
    (1, 0, -1)
    >>> questions.per_person
    1.8
    """
    open_ = [j for j in range(free.ndim) if j not in declined]
    ask = np.full(free.shape, -1, dtype=np.int64)
    cost, sooner = np.zeros(free.shape), np.zeros(free.shape)
    gains = np.zeros(free.shape) if gain is None else gain
    tie = _TIE * max(float(weight.flat[0]), 1.0)
    for told in (set(c) for n in range(len(open_) - 1, -1, -1) for c in combinations(open_, n)):
        here = tuple(slice(1, None) if j in told else slice(0, 1) for j in range(free.ndim))
        best = np.full(free[here].shape, np.inf)
        which = np.full(best.shape, -1, dtype=np.int64)
        most = np.full(best.shape, -np.inf)
        for j in (j for j in open_ if j not in told):
            after = (*here[:j], slice(1, None), *here[j + 1 :])
            value = weight[here] + cost[after].sum(axis=j, keepdims=True)
            early = (gains[after] + sooner[after]).sum(axis=j, keepdims=True)
            better = (value < best - tie) | ((value < best + tie) & (early > most + tie))
            best, which = np.where(better, value, best), np.where(better, j, which)
            most = np.where(better, early, most)
        cost[here] = np.where(free[here], 0.0, best)
        sooner[here] = np.where(free[here], 0.0, most)
        ask[here] = np.where(free[here], -1, which)
    return Questions(ask, cost, weight)


@dataclass(frozen=True)
class Trade:
    """One way to ask less: where to stop early, and what that costs.

    Parameters
    ----------
    asked : float
        Questions, summed over people.
    loss : float
        Gain given up, summed over people.
    stops : tuple of int
        Reports, numbered in C order, at which it stops though their groups differ.
    """

    asked: float
    loss: float
    stops: tuple[int, ...] = ()


def trade_offs(
    free: NDArray[np.bool_], weight: Floats, loss: Floats, most: int = 64
) -> list[Trade]:
    """Return the best trades of questions against gain, from no loss to no question.

    Parameters
    ----------
    free : ndarray of bool
        Where stopping costs no gain.
    weight : ndarray of float64, same shape
    loss : ndarray of float64, same shape
        Gain given up by stopping at a report, summed over its people; inf where one must not.
    most : int, default=64
        Trades kept for each report; where there are more the list is thinned out and may miss the
        very best, never promise what it does not keep.

    Returns
    -------
    list of Trade
        Loss rises, questions fall. The first gives up nothing.
    """
    strides = [int(np.prod(free.shape[j + 1 :])) for j in range(free.ndim)]
    flat_free, flat_weight, flat_loss = free.ravel(), weight.ravel(), loss.ravel()
    known: dict[int, list[Trade]] = {}

    def best(report: int, told: tuple[bool, ...]) -> list[Trade]:
        if flat_free[report]:
            return [Trade(0.0, 0.0)]
        if report not in known:
            trades = []
            if np.isfinite(flat_loss[report]):
                trades.append(Trade(0.0, float(flat_loss[report]), (report,)))
            for j in (j for j in range(free.ndim) if not told[j]):
                part = [Trade(float(flat_weight[report]), 0.0)]
                after = (*told[:j], True, *told[j + 1 :])
                for level in range(1, free.shape[j]):
                    part = _both(part, best(report + level * strides[j], after), most)
                trades += part
            known[report] = _thin(_undominated(trades), most)
        return known[report]

    return best(0, (False,) * free.ndim)


def _both(first: list[Trade], second: list[Trade], most: int) -> list[Trade]:
    """All sums of a trade of each, the undominated ones."""
    sums = [
        Trade(a.asked + b.asked, a.loss + b.loss, a.stops + b.stops) for a in first for b in second
    ]
    return sums if len(sums) == 1 else _thin(_undominated(sums), most)


def _undominated(trades: list[Trade]) -> list[Trade]:
    """Trades that no other beats in both, by rising loss."""
    kept: list[Trade] = []
    for trade in sorted(trades, key=lambda t: (t.loss, t.asked)):
        if not kept or trade.asked < kept[-1].asked - _TIE * max(kept[-1].asked, 1.0):
            kept.append(trade)
    return kept


def _thin(trades: list[Trade], most: int) -> list[Trade]:
    """At most so many, the ends among them."""
    if len(trades) <= most:
        return trades
    return [trades[i] for i in np.linspace(0, len(trades) - 1, most).astype(int)]

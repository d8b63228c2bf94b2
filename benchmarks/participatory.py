"""Participatory systems of James et al. (2023), flat and sequential, to compare with.

After James, Joren, Nagpal, Ghassemi and Ustun, "Participatory Personalization in Classification"
(NeurIPS 2023), in the form that the comparison asks for: logistic models with two encodings of
every subset of the group attributes, pooled over all rows, and decoupled models per cell of every
subset; trained on 75% of the rows, assigned to reports on the other 25%. A candidate can serve a
report if it uses told attributes only and has a gain over generic on the report and on every cell
below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

Key = tuple  # ("generic",), or (kind, attributes, levels): one model under one report
GENERIC: Key = ("generic",)
_MIN_ROWS = 20


@dataclass
class Candidates:
    """The models of both systems, and how each does on the rows that assign them.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Features.
    codes : ndarray of int, shape (n, k)
        Level of each attribute, from 1; the levels are those of the population.
    y : ndarray of shape (n,)
    sizes : tuple of int
        Levels per attribute.
    seed : int
    """

    X: np.ndarray
    codes: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]
    seed: int

    def __post_init__(self) -> None:
        train, check = train_test_split(
            np.arange(len(self.y)), test_size=0.25, random_state=self.seed, stratify=self.y
        )
        self.models: dict[Key, LogisticRegression] = {GENERIC: _fit(self.X[train], self.y[train])}
        for told in self.subsets():
            kinds = ("onehot", "intersectional") if len(told) > 1 else ("onehot",)
            for kind in kinds:
                columns = np.hstack([self.X, self.dummies(kind, told, self.codes)])
                self.models[kind, told] = _fit(columns[train], self.y[train])
            for cell in self.cells(told):
                rows = train[(self.codes[train][:, told] == cell).all(axis=1)]
                if len(rows) >= _MIN_ROWS and len(set(self.y[rows])) > 1:
                    self.models["decoupled", told, cell] = _fit(self.X[rows], self.y[rows])
        self.check_codes, wrong = self.codes[check], {}
        for told in ((), *self.subsets()):
            for cell in self.cells(told):
                for key in self.keys(told, cell):
                    wrong[key] = self.predict(key, self.X[check]) != self.y[check]
        self.wrong = wrong

    def subsets(self) -> list[tuple[int, ...]]:
        """Every subset of the attributes but the empty one."""
        k = len(self.sizes)
        return [c for n in range(1, k + 1) for c in combinations(range(k), n)]

    def cells(self, told: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Every combination of levels of some attributes."""
        return list(product(*(range(1, self.sizes[j] + 1) for j in told)))

    def keys(self, told: tuple[int, ...], cell: tuple[int, ...]) -> list[Key]:
        """The models that use exactly these attributes, under these levels."""
        if not told:
            return [GENERIC]
        kinds = [kind for kind in ("onehot", "intersectional") if (kind, told) in self.models]
        keys: list[Key] = [(kind, told, cell) for kind in kinds]
        return keys + [key for key in [("decoupled", told, cell)] if key in self.models]

    def dummies(self, kind: str, told: tuple[int, ...], codes: np.ndarray) -> np.ndarray:
        """Encode some attributes."""
        if kind == "onehot":
            return np.hstack([codes[:, [j]] == np.arange(1, self.sizes[j] + 1) for j in told])
        cells = np.array(self.cells(told))
        return (codes[:, None, told] == cells[None]).all(axis=2)

    def predict(self, key: Key, X: np.ndarray) -> np.ndarray:
        """Labels of rows, all of them under the key's report."""
        if key == GENERIC or key[0] == "decoupled":
            return self.models[key].predict(X)
        kind, told, cell = key
        codes = np.zeros((1, len(self.sizes)), dtype=int)
        codes[0, list(told)] = cell
        added = np.repeat(self.dummies(kind, told, codes), len(X), axis=0)
        return self.models[kind, told].predict(np.hstack([X, added]))

    def within(self, report: tuple[int, ...]) -> np.ndarray:
        """Rows that a report may come from."""
        told = [j for j, c in enumerate(report) if c]
        return (self.check_codes[:, told] == [report[j] for j in told]).all(axis=1)

    def gain(self, key: Key, report: tuple[int, ...], over: Key = GENERIC) -> float:
        """Gain on a report, in rows: the reference's errors minus the candidate's."""
        rows = self.within(report)
        return float(self.wrong[over][rows].sum() - self.wrong[key][rows].sum())

    def viable(self, report: tuple[int, ...]) -> list[Key]:
        """Candidates with a gain on the report and on every cell below it."""
        below = [
            cell
            for cell in product(*(range(n + 1) for n in self.sizes))
            if all(c in (0, mine) for c, mine in zip(report, cell, strict=True))
            and self.within(cell).any()
        ]
        told = [j for j, c in enumerate(report) if c]
        found = []
        for n in range(1, len(told) + 1):
            for some in combinations(told, n):
                for key in self.keys(some, tuple(report[j] for j in some)):
                    if all(self.gain(key, cell) > 0 for cell in below):
                        found.append(key)
        return found

    def best(self, report: tuple[int, ...], over: Key = GENERIC) -> Key:
        """The viable candidate with the largest gain, if it has any over a reference."""
        found = max(self.viable(report), key=lambda key: self.gain(key, report), default=over)
        return found if self.gain(found, report, over) > 0 else over


def flat(candidates: Candidates) -> dict[tuple[int, ...], Key]:
    """Any report: each is served by its own best viable candidate."""
    return {r: candidates.best(r) for r in product(*(range(n + 1) for n in candidates.sizes))}


def sequential(candidates: Candidates) -> tuple[dict[tuple[int, ...], Key], tuple[int, ...]]:
    """One order of questions: each answer is taken up only if it gains over the one before.

    Returns the model of every report (that of the answers before the first withheld one) and the
    order, the one with the fewest errors on the rows that assign.
    """
    k, best = len(candidates.sizes), None
    for order in permutations(range(k)):
        nodes = {(0,) * k: GENERIC}
        for depth in range(1, k + 1):
            told = tuple(sorted(order[:depth]))
            for cell in candidates.cells(told):
                report = [0] * k
                for j, c in zip(told, cell, strict=True):
                    report[j] = c
                before = report.copy()
                before[order[depth - 1]] = 0
                nodes[tuple(report)] = candidates.best(tuple(report), nodes[tuple(before)])
        errors = sum(
            candidates.wrong[nodes[g]][candidates.within(g)].sum()
            for g in candidates.cells(tuple(range(k)))
        )
        if best is None or errors < best[0]:
            best = (errors, nodes, order)
    _, nodes, order = best
    served = {}
    for report in product(*(range(n + 1) for n in candidates.sizes)):
        heard, silent = [0] * k, False
        for j in order:
            silent = silent or report[j] == 0
            heard[j] = 0 if silent else report[j]
        served[report] = nodes[tuple(heard)]
    return served, order


def _fit(X: np.ndarray, y: np.ndarray) -> LogisticRegression:
    return LogisticRegression(max_iter=500).fit(X, y)

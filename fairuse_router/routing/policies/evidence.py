"""What a policy chooses on: predictions for rows that the models had not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.corrected import answer
from fairuse_router.candidates.names import GENERIC
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Metric, Predictions

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The candidate that is to serve a group, and why, in a sentence.

    The strength, in (0, 1], is how much of the candidate's margin is to be used; `real` how much of
    a correction is real in the group, if that was weighed: posterior mean, low and high.
    """

    candidate: str
    reason: str
    strength: float = 1.0
    real: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Evidence:
    """Predictions for rows that the models had not seen, and whose rows they are.

    Parameters
    ----------
    target : ndarray of shape (n,)
        Class indices; real numbers for a regression.
    groups : ndarray of shape (n,)
        Group of each row; -1 where it is evidence for none.
    n_groups : int
    predictions : dict of str to Predictions
        Per candidate, generic included.
    scored : dict of str to ndarray of bool, shape (n,)
        Rows for which a candidate's predictions count.
    unavailable : dict of str to dict of int to str
        Per candidate, the groups that it cannot serve, and why not.
    metric : Metric
        What is to be improved.
    min_group_size : int
        Fewest rows on which a group's route is chosen.
    weight, clusters : ndarray of shape (n,) or None
    alpha : float, default=0.1
        Level of the policies that test.
    margins : dict of str to ndarray of shape (n, 2)
        Generic's margin and the candidate's own, of candidates that correct generic's.
    max_harmed : float, default=0.4
        How many groups a sceptic may expect policy ``"slope"`` to harm.
    """

    target: NDArray[np.float64] | NDArray[np.int64]
    groups: NDArray[np.int64]
    n_groups: int
    predictions: Mapping[str, Predictions]
    scored: Mapping[str, NDArray[np.bool_]]
    unavailable: Mapping[str, Mapping[int, str]]
    metric: Metric
    min_group_size: int
    weight: NDArray[np.float64] | None = None
    clusters: NDArray[np.int64] | None = None
    alpha: float = 0.1
    margins: Mapping[str, Matrix] = field(default_factory=dict)
    max_harmed: float = 0.4

    def take(self, rows: NDArray[np.int64]) -> Evidence:
        """Return the evidence of some rows; a row given twice counts twice."""
        return replace(
            self,
            target=self.target[rows],
            groups=self.groups[rows],
            predictions={name: p[rows] for name, p in self.predictions.items()},
            scored={name: s[rows] for name, s in self.scored.items()},
            weight=None if self.weight is None else self.weight[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
            margins={name: m[rows] for name, m in self.margins.items()},
        )

    @property
    def rivals(self) -> list[str]:
        """The candidates other than generic."""
        return [name for name in self.predictions if name != GENERIC]

    def groups_of(self, name: str) -> NDArray[np.int64]:
        """Group of each row on which a candidate can be compared with generic, else -1."""
        both = self.scored[name] & self.scored[GENERIC]
        if self.weight is not None:
            both = both & (self.weight > 0)
        return np.where(both, self.groups, -1)

    def rows_of(self, name: str) -> Rows:
        """The rows on which a candidate can be compared with generic, as the tests take them."""
        return Rows(self.target, self.groups_of(name), self.n_groups, self.weight, self.clusters)

    def eligible(self) -> NDArray[np.bool_]:
        """Whether a rival may serve a group at all, shape (m, C)."""
        allowed = np.zeros((self.n_groups, len(self.rivals)), dtype=bool)
        for c, name in enumerate(self.rivals):
            groups = self.groups_of(name)
            counts = np.bincount(groups[groups >= 0], minlength=self.n_groups)
            allowed[:, c] = counts >= self.min_group_size
            allowed[list(self.unavailable.get(name, {})), c] = False
        return allowed

    def why_none(self, g: int) -> str:
        """Why no candidate but generic may serve a group."""
        rows = int(((self.groups == g) & self.scored[GENERIC]).sum())
        if rows < self.min_group_size:
            return f"too few rows to choose: {rows}, min_group_size is {self.min_group_size}"
        reasons = {self.unavailable.get(name, {}).get(g) for name in self.rivals} - {None}
        return "no other candidate can serve the group: " + "; ".join(sorted(map(str, reasons)))

    def gains(self, metric: Metric, name: str) -> Matrix:
        """Gain of one rival over generic in every group, shape (m,); nan where undefined."""
        generic, own = self.risks(metric, name)
        with np.errstate(invalid="ignore"):
            return generic - own

    def risks(self, metric: Metric, name: str) -> tuple[Matrix, Matrix]:
        """Risks of generic and of one rival in every group, on the rows that compare them."""
        rows = self.rows_of(name)
        return (
            rows.risks(metric, self.predictions[GENERIC]),
            rows.risks(metric, self.predictions[name]),
        )

    def served(self, choices: Sequence[Choice]) -> Evidence:
        """Return the evidence with one more rival, ``"nominee"``: each group by its choice."""
        scored = self.scored[GENERIC].copy()
        for choice, rows in _alike(choices, self.groups):
            scored[rows] &= self.scored[choice.candidate][rows]
        nominee = served_predictions(choices, self.groups, self.predictions, self.margins)
        return replace(
            self,
            predictions={**self.predictions, "nominee": nominee},
            scored={**self.scored, "nominee": scored},
        )


def _alike(
    choices: Sequence[Choice], groups: NDArray[np.int64]
) -> Iterator[tuple[Choice, NDArray[np.int64]]]:
    """Every distinct choice other than generic, and the rows of its groups."""
    keys = [(choice.candidate, choice.strength) for choice in choices]
    for key in dict.fromkeys(keys):
        if key[0] != GENERIC:
            mine = np.array([*(k == key for k in keys), False])  # the last for rows of group -1
            yield Choice(key[0], "", key[1]), np.flatnonzero(mine[groups])


def served_predictions(
    choices: Sequence[Choice],
    groups: NDArray[np.int64],
    predictions: Mapping[str, Predictions],
    margins: Mapping[str, Matrix],
) -> Predictions:
    """Predictions for every row by the choice for its group, by generic where it has none.

    Parameters
    ----------
    choices : sequence of Choice, one per group
    groups : ndarray of shape (n,)
        Group of each row; -1 for none.
    predictions, margins
        As in `Evidence`.
    """
    base = predictions[GENERIC]
    label = base.label.copy()
    proba = None if base.proba is None else base.proba.copy()
    for choice, rows in _alike(choices, groups):
        own = predictions[choice.candidate]
        if choice.strength < 1:
            without, full = margins[choice.candidate][rows].T
            part = answer(without + choice.strength * (full - without), own.proba is None)
        else:
            part = own[rows]
        label[rows] = part.label
        if proba is not None and part.proba is not None:
            proba[rows] = part.proba
    return Predictions(label, proba)

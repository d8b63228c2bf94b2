"""What a policy chooses on: predictions for rows that the models had not seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.lattice import Reports
from fairuse_router.candidates.names import GENERIC, MULTILEVEL, halves, is_recalibrated
from fairuse_router.candidates.scores import Scores, answer, margin_of, mixed_answer
from fairuse_router.inference.compare import Rows
from fairuse_router.metrics import Metric, Predictions

Matrix = NDArray[np.float64]

_SEVERAL = 2


@dataclass(frozen=True)
class Choice:
    """The candidate that is to serve a group, and why, in a sentence.

    The strength, in (0, 1], is how much of the candidate's margin is to be used; `real` how much of
    a correction is real in the group, if that was weighed: posterior mean, low and high.

    On the lattice of reports it is the choice for one report. `base` is the number of the coarser
    report whose route it starts from, None if that is generic; without anything of its `own` it
    keeps that route. `mix` is the weight of each layer's correction in all.

    Examples
    --------
    >>> choice = Choice("multilevel", "pays", strength=0.5, real=(0.6, 0.2, 1.0))
    >>> choice.candidate, choice.strength, choice.real
    ('multilevel', 0.5, (0.6, 0.2, 1.0))
    """

    candidate: str
    reason: str
    strength: float = 1.0
    real: tuple[float, float, float] | None = None
    base: int | None = None
    own: bool = True
    mix: tuple[float, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What a policy is told beside the evidence.

    Parameters
    ----------
    min_group_size : int, default=20
        Fewest rows on which a group's route is chosen.
    alpha : float, default=0.1
        Level of the policies that test.
    price : float, default=2.0
        Points of everybody's mean gain that one harmed group is worth.
    in_time : bool, default=False
        Whether the rows that certify are the latest, in order of time.
    """

    min_group_size: int = 20
    alpha: float = 0.1
    price: float = 2.0
    in_time: bool = False


@dataclass(frozen=True)
class Evidence:
    """Predictions for rows that the models had not seen, and whose rows they are.

    Parameters
    ----------
    rows : Rows
        Labels, and the group of each row; -1 where it is evidence for none.
    scores : dict of str to Scores
        Per candidate, generic included.
    metrics : sequence of Metric
        What is to be improved is the first; audits look at all.
    settings : Settings
    unavailable : dict of str to dict of int to str
        Per candidate, the groups that it cannot serve, and why not.
    reports : Reports or None
        What the rows report, where partial reports are to have routes of their own.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> y, sex = np.array([0, 1] * 100), np.repeat([0, 1], 100)
    >>> wrong = np.where(np.arange(200) < 40, 1 - y, y)  # generic errs in the first group
    >>> everybody = np.ones(200, dtype=bool)
    >>> labels = {"generic": wrong, "onehot": y}
    >>> scores = {name: Scores(Predictions(told), everybody) for name, told in labels.items()}
    >>> evidence = Evidence(Rows(y, sex, 2), scores, [get_metric("error")])
    >>> evidence.rivals, evidence.eligible().tolist()
    (['onehot'], [[True], [True]])
    >>> len(evidence.take(np.arange(50)).rows.y)
    50
    """

    rows: Rows
    scores: Mapping[str, Scores]
    metrics: Sequence[Metric]
    settings: Settings = field(default_factory=Settings)
    unavailable: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    reports: Reports | None = None

    def take(self, rows: NDArray[np.int64]) -> Evidence:
        """Return the evidence of some rows; a row given twice counts twice."""
        scores = {name: own.take(rows) for name, own in self.scores.items()}
        reports = None if self.reports is None else self.reports.take(rows)
        return replace(self, rows=self.rows.take(rows), scores=scores, reports=reports)

    @property
    def metric(self) -> Metric:
        """What is to be improved."""
        return self.metrics[0]

    @property
    def price(self) -> float:
        """Of harm: twice what was asked for where several models are weighed in place of one.

        The best of several is in part the luckiest.
        """
        return self.settings.price * (1 if self.borrows else _SEVERAL)

    @property
    def price_in_words(self) -> str:
        """The same, for reasons."""
        twice = "" if self.borrows else "twice the "
        return f"{twice}price {'of ' if twice else ''}{self.settings.price:g}"

    @property
    def rivals(self) -> list[str]:
        """The candidates other than generic; recalibrated ones are offered to their routes only."""
        known = self.scores
        return [name for name in known if name != GENERIC and not is_recalibrated(name, known)]

    @property
    def borrows(self) -> bool:
        """Whether multilevel is there, which serves each group with the help of the others."""
        return MULTILEVEL in self.scores and bool(self.scores[MULTILEVEL].scored.any())

    def corrects(self, name: str) -> bool:
        """Whether a candidate is there, and corrects generic's margin."""
        return name in self.scores and self.scores[name].margins is not None

    @property
    def told(self) -> Matrix | None:
        """Margins by each part of what rows tell, (n, 1 + layers), where the lattice is weighed."""
        if self.reports is None or MULTILEVEL not in self.scores:
            return None
        return self.scores[MULTILEVEL].told

    def predictions_by(self, choice: Choice, rows: NDArray[np.int64]) -> Predictions:
        """What a choice says of some rows, which tell all that it needs."""
        if not choice.mix or self.told is None:
            return self.predictions(choice.candidate, choice.strength)[rows]
        base, own = self.told[rows, 0], self.told[rows, 1:]
        used = np.flatnonzero(choice.mix)
        margin = base + (own[:, used] - base[:, None]) @ np.array(choice.mix)[used]
        other, *corrected = halves(choice.candidate, self.scores)
        if not corrected:
            return answer(margin, self.metric.regression)
        margin = margin + choice.strength / 2 * (self.scaled(other)[rows] - base)
        return mixed_answer(margin, self.metric.regression)

    def scaled(self, name: str) -> Matrix:
        """Margin of a candidate for all rows, on the scale on which generic's is corrected."""
        scale = self.scores[MULTILEVEL].scale
        return (1.0 if scale is None else scale) * margin_of(self.predictions(name))

    def predictions(self, name: str, strength: float = 1.0) -> Predictions:
        """What one candidate, or a part of it, or the mean of two predicted for all rows."""
        if len(halves(name, self.scores)) == 1 and strength == 1:
            return self.scores[name].predictions
        base, full = self.margins(name)
        margin = base + strength * (full - base)
        return (answer if self.corrects(name) else mixed_answer)(margin, self.metric.regression)

    def margins(self, name: str) -> tuple[Matrix, Matrix]:
        """Margins of generic and of one candidate, or of the mean of two, for all rows.

        Where generic is corrected they are on the scale of log-odds, else as `margin_of` has them.
        """
        own, *corrected = halves(name, self.scores)
        if self.corrects(own):
            base, full = np.asarray(self.scores[own].margins).T
            return base, full
        if not corrected:
            return margin_of(self.predictions(GENERIC)), margin_of(self.predictions(own))
        base, full = self.margins(MULTILEVEL)
        return base, (self.scaled(own) + full) / 2

    def scored(self, name: str) -> NDArray[np.bool_]:
        """Rows for which one candidate, or both of two, predicted something."""
        return np.all([self.scores[part].scored for part in halves(name, self.scores)], axis=0)

    def rows_of(self, name: str) -> Rows:
        """The rows on which a candidate can be compared with generic; the others are of group -1.

        Rows of weight 0 do not exist.
        """
        both = self.scored(name) & self.scores[GENERIC].scored
        if self.rows.weight is not None:
            both = both & (self.rows.weight > 0)
        return self.rows.only(both)

    def eligible(self) -> NDArray[np.bool_]:
        """Whether a rival may serve a group at all, shape (m, C)."""
        allowed = np.zeros((self.rows.m, len(self.rivals)), dtype=bool)
        for c, name in enumerate(self.rivals):
            allowed[:, c] = self.rows_of(name).sizes >= self.settings.min_group_size
            allowed[list(self.unavailable.get(name, {})), c] = False
        return allowed

    def why_none(self, g: int) -> str:
        """Why no candidate but generic may serve a group."""
        rows = int(((self.rows.groups == g) & self.scores[GENERIC].scored).sum())
        least = self.settings.min_group_size
        if rows < least:
            return f"too few rows to choose: {rows}, min_group_size is {least}"
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
            rows.risks(metric, self.predictions(GENERIC)),
            rows.risks(metric, self.predictions(name)),
        )

    def served(self, choices: Sequence[Choice]) -> Evidence:
        """Return the evidence with one more rival, ``"nominee"``: each group by its choice."""
        nominee = served_scores(choices, self)
        return replace(self, scores={**self.scores, "nominee": nominee})


@dataclass(frozen=True)
class Chosen:
    """Routes as they were chosen, and what they rest on.

    Parameters
    ----------
    groups : list of Choice
        One per group.
    partial : dict of int to Choice
        By the number of the report, of those that tell a part; empty where they have no routes of
        their own.
    evidence : Evidence
        The rows and scores that the choices are to be audited on: those opened, if any were.
    """

    groups: list[Choice]
    partial: dict[int, Choice]
    evidence: Evidence


def _alike(
    choices: Sequence[Choice], groups: NDArray[np.int64]
) -> Iterator[tuple[Choice, NDArray[np.int64]]]:
    """Every distinct choice other than generic, and the rows of its groups."""
    keys = [(choice.candidate, choice.strength, choice.mix) for choice in choices]
    for key in dict.fromkeys(keys):
        if key[0] != GENERIC:
            mine = np.array([*(k == key for k in keys), False])  # the last for rows of group -1
            yield Choice(key[0], "", key[1], mix=key[2]), np.flatnonzero(mine[groups])


def served_scores(
    choices: Sequence[Choice], evidence: Evidence, partial: Mapping[int, Choice] | None = None
) -> Scores:
    """Scores of every row by the choice for its group, by generic where it has none.

    `partial` are the choices for partial reports, by number, for the rows that sent them.
    """
    scores, groups = evidence.scores, evidence.rows.groups
    base = scores[GENERIC].predictions
    label, scored = base.label.copy(), scores[GENERIC].scored.copy()
    proba = None if base.proba is None else base.proba.copy()
    for choice, rows in (*_alike(choices, groups), *_by_report(partial or {}, evidence)):
        full = groups[rows] >= 0  # the others' corrections are scored wherever generic is
        scored[rows] &= evidence.scored(choice.candidate)[rows] | ~full
        part = evidence.predictions_by(choice, rows)
        label[rows] = part.label
        if proba is not None and part.proba is not None:
            proba[rows] = part.proba
    return Scores(Predictions(label, proba), scored)


def _by_report(
    partial: Mapping[int, Choice], evidence: Evidence
) -> Iterator[tuple[Choice, NDArray[np.int64]]]:
    """Choices for partial reports other than generic, and the rows that sent them."""
    if evidence.reports is None or not partial:
        return
    sent = evidence.reports.sent
    for report, choice in partial.items():
        rows = np.flatnonzero(sent == report)
        if choice.candidate != GENERIC and len(rows):
            yield choice, rows

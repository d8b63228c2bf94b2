"""Routes for every report, full or partial: every further answer must pay for itself.

Reports are gone through from few answers to many. Each starts from the best route of what it tells
less of (its *base*), judged on its own rows, and takes a part of its own correction on top of that
if it is worth its price. A report too small to judge, or whose own answers do not pay, keeps its
base. One route serves unlike people where something is withheld: the harm of a partial report is
the largest of the groups that it may come from.

Where there are more than 12 groups, a report of fewer than 60 rows keeps its base at 12 / m of the
price of harm: so few rows can never pay for themselves, and among many such groups the gains that a
coarser report shows are worth the few that it harms (`benchmarks.withholding`, kind ``many``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.lattice import Lattice, Layer, Reports
from fairuse_router.candidates.names import GENERIC, MEAN, MULTILEVEL, halves
from fairuse_router.candidates.scores import answer
from fairuse_router.inference import STRENGTHS
from fairuse_router.inference.directions import Direction
from fairuse_router.inference.priced import LEAST, DirectionEvidence, direction_evidence, worth
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.policies.evidence import Choice, Evidence, Matrix
from fairuse_router.routing.policies.measures import measure_of, unit_of
from fairuse_router.routing.policies.options import Foresight, Judge, Option
from fairuse_router.routing.policies.priced import (
    chance,
    real_part,
    rows_that_might_show,
    why_generic,
)
from fairuse_router.routing.policies.shrinkage import proper_metric
from fairuse_router.routing.policies.ways import HALVES, Way, is_linear, variance_of

Places = NDArray[np.int64]
_ALL = np.array([1.0])
_FEW_GROUPS = 12  # of more, harm costs less where a small one only keeps what a coarser report has
_FEW_ROWS = 60


def choose_on_lattice(evidence: Evidence) -> dict[int, Choice]:
    """Choose a route for every report but the one that withholds everything.

    Parameters
    ----------
    evidence : Evidence
        With `told` margins.

    Returns
    -------
    dict of int to Choice
        By the number of the report in the grid.
    """
    climb = _Climb(evidence)
    for j in range(len(climb.lattice.layers)):
        climb.settle(j)
    return climb.choices


@dataclass(frozen=True)
class _Climb:
    """The reports as far as they have been gone through.

    Parameters
    ----------
    evidence : Evidence
    choices : dict of int to Choice
        By the number of the report.
    routed : dict of int to ndarray of shape (n,)
        By layer, the margin of every row under its own route there; generic's where it tells less.
    directions : dict of int to _Looked
        By layer, from generic to these routes.
    """

    evidence: Evidence
    choices: dict[int, Choice] = field(default_factory=dict)
    routed: dict[int, Matrix] = field(default_factory=dict)
    directions: dict[int, _Looked] = field(default_factory=dict)

    @property
    def reports(self) -> Reports:
        """What the rows report."""
        assert self.evidence.reports is not None
        return self.evidence.reports

    @property
    def lattice(self) -> Lattice:
        """The lattice of their reports."""
        return self.reports.lattice

    @cached_property
    def base(self) -> Matrix:
        """Generic's margin of every row, to scale; 0 where it is not known."""
        assert self.evidence.told is not None
        return np.nan_to_num(self.evidence.told[:, 0])

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Rows that can be judged by."""
        assert self.evidence.told is not None
        known = np.isfinite(self.evidence.told[:, 0]) & self.evidence.scores[GENERIC].scored
        weight = self.evidence.rows.weight
        return known if weight is None else known & (weight > 0)

    @cached_property
    def atoms(self) -> tuple[Places, Places]:
        """Number of each row's report among the distinct ones, -1 if unusable; and a row of each.

        What rows of one report say is summed once, and added up for whatever holds that report.
        """
        rows = np.flatnonzero(self.usable)
        sent = self.reports.sent[rows]
        _, first, inverse = np.unique(sent, return_index=True, return_inverse=True)
        ids = np.full(len(self.usable), -1, dtype=np.int64)
        ids[rows] = inverse.ravel()
        return ids, rows[first]

    def cells(self, layer: Layer) -> Places:
        """Cell of every usable row in a layer, else -1."""
        return np.where(self.usable, self.reports.cells(layer), -1)

    def settle(self, j: int) -> None:
        """Choose for all reports of a layer; the layers that tell less are settled."""
        layer = self.lattice.layers[j]
        ids = self.cells(layer)
        rows = replace(self.evidence.rows, groups=ids, m=len(layer.cells))
        view = replace(self.evidence, rows=rows, unavailable={})
        kept = self._kept(view, j)
        start = self._margin(ids, kept)
        chosen = self._own(view, j, kept, start)
        for report, choice in zip(layer.cells.reports.tolist(), chosen, strict=True):
            self.choices[report] = choice
        self.routed[j] = self._margin(ids, chosen)

    def _margin(self, ids: Places, choices: Sequence[Choice]) -> Matrix:
        """Margin of every row under the choice for its cell, generic's where it has none."""
        told = self.evidence.told
        assert told is not None
        margin = self.base.copy()
        for c, choice in enumerate(choices):
            rows = np.flatnonzero(ids == c) if choice.mix else np.zeros(0, dtype=np.int64)
            if len(rows):
                used = np.flatnonzero(choice.mix)
                steps = told[rows][:, 1 + used] - told[rows, :1]
                margin[rows] += steps @ np.array(choice.mix)[used]
                other, *corrected = halves(choice.candidate, self.evidence.scores)
                if corrected:
                    far = self.evidence.scaled(other)[rows] - told[rows, 0]
                    margin[rows] += choice.strength / 2 * far
        return margin

    # the base of every report
    def _kept(self, view: Evidence, j: int) -> list[Choice]:
        """The best route of what each report of a layer tells less of; generic if none pays."""
        lattice, layer = self.lattice, self.lattice.layers[j]
        codes = lattice.schema.report_codes[layer.cells.reports]
        few = view.rows.sizes < _FEW_ROWS
        price = view.settings.price * np.where(few, min(1.0, _FEW_GROUPS / self.evidence.rows.m), 1)
        below: list[tuple[int, Places]] = []  # layers, and the coarser report of each cell there
        options = []
        for i, coarse in enumerate(lattice.layers[:j]):
            if coarse.told < layer.told:
                reports = coarse.cells.reports[coarse.cells.of(codes)]
                allowed = np.array([self.choices[q].candidate != GENERIC for q in reports.tolist()])
                if allowed.any():
                    below.append((i, reports))
                    options += self._looked(i).options(view, allowed, self.atoms, price[:, None])
        none = [Choice(GENERIC, "")] * len(layer.cells)
        if not options:
            return none
        best = Judge(view, options).best(np.column_stack([option.value for option in options]))
        for c, b in enumerate(best.tolist()):
            if b >= 0:
                report, option = int(below[b][1][c]), options[b]
                none[c] = replace(
                    self.choices[report],
                    base=report,
                    own=False,
                    reason=f"{_pays(view, option, c)} by what {self._name(report)} tells",
                )
        return none

    def _looked(self, i: int) -> _Looked:
        """The direction from generic to the routes of a layer, seen in all of its rows."""
        if i not in self.directions:
            ids = self.cells(self.lattice.layers[i])
            way = self._way(MULTILEVEL, ids, self.base, self.routed[i], _ALL)
            self.directions[i] = _Looked(self.evidence, way)
        return self.directions[i]

    def _way(
        self, name: str, ids: Places, base: Matrix, full: Matrix, strengths: NDArray[np.float64]
    ) -> Way:
        evidence, regression = self.evidence, self.evidence.metric.regression
        direction = Direction(evidence.rows.y, base, full, variance_of(evidence, base, ids))
        without = answer(base, regression)
        options = tuple(answer(base + s * (full - base), regression) for s in strengths)
        allowed = np.ones(0, dtype=bool)
        return Way(name, strengths, direction, ids, allowed, without, options)

    # what it adds of its own
    def _own(self, view: Evidence, j: int, kept: list[Choice], start: Matrix) -> list[Choice]:
        """What each report of a layer adds to its base, if that pays."""
        layer, ids, price = self.lattice.layers[j], view.rows.groups, view.settings.price
        if layer.start is None:
            return [_keep(choice, "it has no correction of its own", price) for choice in kept]
        told = self.evidence.told
        assert told is not None
        full = np.where(ids >= 0, told[:, 1 + j], start)
        enough = view.rows.sizes >= view.settings.min_group_size / 2
        way = self._way(MULTILEVEL, ids, start, full, STRENGTHS)
        way = replace(way, over=self._over(ids, kept, way.without))
        looked = _Looked(self.evidence, way)
        options, more = looked.options(view, enough, self.atoms), dict[int, int]()
        means: list[Foresight] = []
        if layer is self.lattice.full:
            further, means = self._mean(view, way)
            options += further
        else:
            harm = self._worst_below(looked, layer)
            options = [option.with_harm(h, price) for option, h in zip(options, harm, strict=True)]
        value = np.column_stack([option.value for option in options])
        judge = Judge(view, options)
        best = judge.best(value)
        if layer is self.lattice.full and (best < 0).any():
            wanted = enough & (value.max(axis=1) <= 0)
            more = rows_that_might_show(view, [looked.foresight, *means], wanted)
        return [
            self._taken(view, options[b], j, c, kept[c])
            if b >= 0
            else _keep(kept[c], why_generic(judge, value[c], c, more.get(c)), price)
            for c, b in enumerate(best.tolist())
        ]

    def _over(self, ids: Places, kept: list[Choice], without: Predictions) -> Predictions | None:
        """What the base says of every row as it is served: generic's own words where it is that."""
        based = np.array([*(choice.candidate != GENERIC for choice in kept), False])[ids]
        if not based.any():
            return None
        generic = self.evidence.predictions(GENERIC)
        label = np.where(based, without.label, generic.label)
        if without.proba is None or generic.proba is None:
            return Predictions(label)
        return Predictions(label, np.where(based[:, None], without.proba, generic.proba))

    def _mean(self, view: Evidence, way: Way) -> tuple[list[Option], list[Foresight]]:
        """Half and all of the mean with intersectional, where generic is not linear."""
        evidence, other = self.evidence, halves(MEAN, ())[0]
        if other not in evidence.scores or is_linear(evidence):
            return [], []
        rows = evidence.rows_of(MEAN)
        allowed = rows.sizes >= evidence.settings.min_group_size
        allowed[list(evidence.unavailable.get(other, {}))] = False
        start, full = way.direction.base, way.direction.full
        both = np.where(rows.groups >= 0, (evidence.scaled(other) + full) / 2, start)
        mean = replace(self._way(MEAN, rows.groups, start, both, HALVES), over=way.over)
        looked = _Looked(evidence, mean)
        return looked.options(replace(view, rows=rows), allowed, None), [looked.foresight]

    def _worst_below(self, looked: _Looked, layer: Layer) -> Matrix:
        """Largest probability of harm among the groups of each cell, per option: (L, c)."""
        full = self.lattice.full
        codes = self.lattice.schema.group_codes
        cell = layer.cells.of(codes)
        rows = replace(self.evidence.rows, groups=self.cells(full), m=len(full.cells))
        view = replace(self.evidence, rows=rows, unavailable={})
        seen = rows.sizes >= self.evidence.settings.min_group_size / 2
        worst = []
        for option in looked.options(view, seen, self.atoms):
            harm = np.zeros(len(layer.cells))
            np.maximum.at(harm, cell[seen], option.harm[seen])
            worst.append(harm)
        return np.array(worst)

    def _taken(self, view: Evidence, option: Option, j: int, c: int, kept: Choice) -> Choice:
        """An option as the choice for a cell, on top of its base."""
        layers, told_all = len(self.lattice.layers), self.lattice.layers[j] is self.lattice.full
        mix = (1 - option.strength) * np.array(kept.mix or (0.0,) * layers)
        corrected = halves(option.candidate, self.evidence.scores)
        mix[j] += option.strength / len(corrected)
        top = "" if kept.base is None else f" on top of what {self._name(kept.base)} tells"
        price, alpha = f": worth it at price {view.settings.price:g}", view.settings.alpha
        return Choice(
            option.candidate,
            f"{_pays(view, option, c, told_all)}{top}{price}",
            option.strength,
            real_part(option, c, alpha),
            kept.base,
            mix=tuple(mix.tolist()),
        )

    def _name(self, report: int) -> str:
        schema = self.lattice.schema
        return f"({schema.report_name(schema.report_codes[report])})"


class _Looked:
    """A way as its rows show it, for whatever groups one may put them into."""

    def __init__(self, evidence: Evidence, way: Way) -> None:
        self.evidence, self.way = evidence, way
        self.known: dict[str, DirectionEvidence] = {}
        self.last: tuple[DirectionEvidence, Matrix | float, float] | None = None

    def options(
        self,
        view: Evidence,
        allowed: NDArray[np.bool_],
        atoms: tuple[Places, Places] | None,
        price: Matrix | float | None = None,
    ) -> list[Option]:
        """What the options of the way are worth in the groups of a view, at any price."""
        price = view.settings.price if price is None else price
        weight = view.rows.weight
        groups = np.where((view.rows.groups >= 0) & allowed[view.rows.groups], view.rows.groups, -1)
        for metric in (view.metric, proper_metric(self.way.without, view.metric.regression)):
            seen = self._seen(metric, groups, view.rows.m, atoms)
            if np.isfinite(seen.gain).all():
                break
        unit = unit_of(metric, self.way, weight)
        found = worth(seen, price, unit)
        self.last = (seen, price, unit)
        value = np.where(allowed[:, None], found.value, -np.inf)
        return [
            Option(
                self.way.candidate,
                float(strength),
                served,
                groups,
                found.gain[:, i],
                found.harm[:, i],
                value[:, i],
                metric,
                LEAST * unit,
                found.posterior if self.way.candidate == MULTILEVEL else None,
                self.way.over,
            )
            for i, (strength, served) in enumerate(
                zip(self.way.strengths, self.way.options, strict=True)
            )
        ]

    def foresight(self, factor: float) -> Matrix:
        """Value of the best option in each of these groups, if rows were so many times as many."""
        assert self.last is not None
        seen, price, unit = self.last
        return np.asarray(worth(seen.times(factor), price, unit).value.max(axis=1))

    def _seen(
        self, metric: Metric, groups: Places, m: int, atoms: tuple[Places, Places] | None
    ) -> DirectionEvidence:
        """Evidence on some groups, summed up from that on reports where it adds."""
        rows = self.evidence.rows
        measure = measure_of(metric, self.way, rows.weight)
        if atoms is None or not measure.adds or rows.clusters is not None:
            return direction_evidence(
                self.way.direction, groups, m, measure, weight=rows.weight, clusters=rows.clusters
            )
        ids, first = atoms
        if metric.name not in self.known:
            own = np.where(self.way.groups >= 0, ids, -1)
            self.known[metric.name] = direction_evidence(
                self.way.direction, own, len(first), measure, weight=rows.weight
            )
        return self.known[metric.name].together(groups[first], _effective(groups, m, rows.weight))


def _effective(groups: Places, m: int, weight: Matrix | None) -> Matrix:
    """Effective number of rows of every group."""
    known = groups >= 0
    w = np.ones(len(groups)) if weight is None else weight
    total = np.bincount(groups[known], w[known], m)
    squares = np.bincount(groups[known], w[known] ** 2, m)
    return np.divide(total**2, squares, out=np.zeros(m), where=squares > 0)


def _pays(view: Evidence, option: Option, c: int, told_all: bool = True) -> str:
    """What an option is expected to gain, and to risk, in a cell."""
    gain = option.metric.format_gain(float(option.gain[c]))
    inside = "" if option.metric == view.metric else f" in {option.metric.name}"
    who = "of harm" if told_all else "that a group is harmed"
    return f"expected gain {gain}{inside}, probability {who} {chance(option.harm[c])}"


def _keep(kept: Choice, why: str, price: float = 0.0) -> Choice:
    """The base as a choice, and why nothing is added."""
    if kept.candidate == GENERIC:
        return replace(kept, reason=why)
    worth_it = f", worth it at price {price:g}" if price else ""
    return replace(kept, reason=f"{kept.reason}{worth_it}; of the rest {why}")

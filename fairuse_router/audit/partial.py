"""What is known of partial reports: records for the routing table, on the rows that chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.records import number
from fairuse_router.candidates.lattice import Layer
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import PairedTest
from fairuse_router.inference.compare import Resampling, Rows, compare, default_test
from fairuse_router.metrics import Predictions
from fairuse_router.routing.policies.evidence import Choice, Chosen, Evidence
from fairuse_router.routing.records import GroupRecord
from fairuse_router.rows import TrainingRows

Gain = tuple[float | None, float | None, float | None]
_RESAMPLES = 199  # of metrics that need any
_NOTHING = "everything is withheld: generic needs no group attribute"


def partial_records(
    partial: Mapping[int, Choice],
    groups: Sequence[Choice],
    evidence: Evidence,
    sent: NDArray[np.int64],
) -> list[GroupRecord]:
    """Records of all reports that withhold something, in the order of the grid.

    Risks and gains are those of all rows that tell at least as much, under the route of what the
    report tells: as if they had withheld the rest.

    Parameters
    ----------
    partial : dict of int to Choice
        By the number of the report.
    groups : sequence of Choice
    evidence : Evidence
    sent : ndarray of int64, shape (n_reports,)
        Training rows that tell at least what each report does.
    """
    told = _Told(evidence, partial, groups)
    schema = told.reports.lattice.schema
    found = told.records(sent)
    withheld = np.flatnonzero((schema.report_codes == 0).any(axis=1)).tolist()
    return [found[report] for report in withheld]


def records_of_partial(chosen: Chosen, rows: TrainingRows) -> list[GroupRecord]:
    """Records of the reports that withhold something, where they have routes of their own."""
    if not chosen.partial or chosen.evidence.reports is None:
        return []
    schema = chosen.evidence.reports.lattice.schema
    sent = rows_behind(schema, rows.codes)
    return partial_records(chosen.partial, chosen.groups, chosen.evidence, sent)


def rows_behind(schema: GroupSchema, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that tell at least what each report of the grid tells, shape (n_reports,)."""
    counts = np.bincount(schema.report_ids(codes), minlength=schema.n_reports).reshape(schema.shape)
    for axis in range(counts.ndim):
        first = (*[slice(None)] * axis, slice(0, 1))
        counts[first] = counts.sum(axis=axis, keepdims=True)
    return np.asarray(counts.ravel())


class _Told:
    """Predictions of all rows as if they told some attributes only, layer by layer."""

    def __init__(
        self, evidence: Evidence, partial: Mapping[int, Choice], groups: Sequence[Choice]
    ) -> None:
        assert evidence.reports is not None
        self.evidence, self.reports = evidence, evidence.reports
        full = self.reports.lattice.full.cells.reports.tolist()
        self.choices = dict(partial) | dict(zip(full, groups, strict=True))
        self.layers = {layer.told: layer for layer in self.reports.lattice.layers}
        self.served = {frozenset[int](): self.generic}
        for told, layer in self.layers.items():
            self.served[told] = self._serve(layer)

    @cached_property
    def generic(self) -> Predictions:
        """Generic's answers."""
        return self.evidence.predictions(GENERIC)

    @cached_property
    def usable(self) -> NDArray[np.bool_]:
        """Rows that every layer can judge by."""
        told = self.evidence.told
        assert told is not None
        return np.isfinite(told[:, 0]) & self.evidence.scores[GENERIC].scored

    def _serve(self, layer: Layer) -> Predictions:
        """Answers of all rows by what they tell of a layer; generic's where that is not all."""
        base, cells = self.generic, self.reports.cells(layer)
        label, proba = base.label.copy(), None if base.proba is None else base.proba.copy()
        for c, report in enumerate(layer.cells.reports.tolist()):
            choice = self.choices[report]
            rows = np.flatnonzero((cells == c) & self.usable)
            if choice.candidate != GENERIC and len(rows):
                own = self.evidence.predictions_by(choice, rows)
                label[rows] = own.label
                if proba is not None and own.proba is not None:
                    proba[rows] = own.proba
        return Predictions(label, proba)

    def rows(self, told: frozenset[int], also: frozenset[int] = frozenset()) -> Rows:
        """Rows by their cell in a layer; those that do not tell some more as well are left out."""
        n, rows = len(self.reports.codes), self.evidence.rows
        ids, m = np.zeros(n, dtype=np.int64), 1
        if told:
            cells = self.layers[told].cells
            ids, m = cells.of(self.reports.codes), len(cells)
        known = (self.reports.codes[:, sorted(told | also)] > 0).all(axis=1) & self.usable
        if rows.weight is not None:
            known &= rows.weight > 0
        return replace(rows, groups=np.where(known, ids, -1), m=m, unserved=frozenset())

    def compare(
        self, told: frozenset[int], also: frozenset[int] = frozenset()
    ) -> tuple[Rows, PairedTest]:
        """What telling a layer (or more) gains over generic (or over less), cell by cell."""
        rows = self.rows(told, also)
        base = self.served[told] if also else self.generic
        own, metric = self.served[told | also], self.evidence.metric
        resampling = Resampling(self.evidence.settings.alpha, _RESAMPLES)
        return rows, compare(metric, base, own, rows, default_test(metric, rows), resampling)

    def records(self, sent: NDArray[np.int64]) -> dict[int, GroupRecord]:
        """Records of all partial reports."""
        k = len(self.reports.lattice.schema.levels)
        found = {0: self._record(0, sent, None, None, {})}
        found[0] = replace(found[0], further=dict(self._further(frozenset(), 0)))
        for told, layer in self.layers.items():
            if len(told) < k:
                found |= self._layer(told, layer, sent)
        return found

    def _layer(
        self, told: frozenset[int], layer: Layer, sent: NDArray[np.int64]
    ) -> dict[int, GroupRecord]:
        rows, test = self.compare(told)
        metric = self.evidence.metric
        risks = {
            name: rows.risks(metric, predictions)
            for name, predictions in ((GENERIC, self.generic), (ROUTED, self.served[told]))
        }
        found = {}
        for c, report in enumerate(layer.cells.reports.tolist()):
            own = {name: number(values[c]) for name, values in risks.items()}
            record = self._record(report, sent, self.choices[report], _gain(test, c), own)
            found[report] = replace(record, further=dict(self._further(told, c)))
        return found

    def _record(
        self,
        report: int,
        sent: NDArray[np.int64],
        choice: Choice | None,
        gain: Gain | None,
        risks: Mapping[str, float | None],
    ) -> GroupRecord:
        schema = self.reports.lattice.schema
        code = schema.report_codes[report]
        choice = Choice(GENERIC, _NOTHING) if choice is None else choice
        if choice.candidate == GENERIC:
            gain = (0.0, 0.0, 0.0)
        return GroupRecord(
            schema.report_texts(code),
            int(sent[report]),
            choice.candidate,
            choice.reason,
            risks,
            *(gain or (0.0, 0.0, 0.0)),
            {},
            choice.strength,
            choice.real,
            None if choice.base is None else schema.report_texts(schema.report_codes[choice.base]),
            not choice.own,
        )

    def _further(self, told: frozenset[int], cell: int) -> Iterator[tuple[str, Gain]]:
        """What the people of a report gain by telling one attribute more."""
        schema = self.reports.lattice.schema
        report = int(self.layers[told].cells.reports[cell]) if told else 0
        for j in sorted(set(range(len(schema.levels))) - told):
            ways = {self._way(r) for r in self._after(report, j)} | {self._way(report)}
            same = len(ways) == 1
            gain = (0.0, 0.0, 0.0) if same else _gain(self._steps[told, j], cell)
            yield schema.attributes[j], gain

    def _after(self, report: int, j: int) -> list[int]:
        """Reports that tell one attribute more."""
        schema = self.reports.lattice.schema
        codes = np.repeat(schema.report_codes[[report]], len(schema.levels[j]), axis=0)
        codes[:, j] = np.arange(1, len(codes) + 1)
        return schema.report_ids(codes).tolist()

    def _way(self, report: int) -> tuple[str, float, tuple[float, ...]]:
        """What distinguishes the route of a report from others."""
        choice = self.choices.get(report)
        if choice is None or choice.candidate == GENERIC:
            return (GENERIC, 1.0, ())
        return (choice.candidate, choice.strength, choice.mix)

    @cached_property
    def _steps(self) -> dict[tuple[frozenset[int], int], PairedTest]:
        """What one attribute more gains, for every layer and attribute."""
        k = len(self.reports.lattice.schema.levels)
        return {
            (told, j): self.compare(told, frozenset({j}))[1]
            for told in self.served
            for j in set(range(k)) - told
        }


def _gain(test: PairedTest, c: int) -> Gain:
    """Gain of one cell, and its interval; None where undefined."""
    return number(test.gain[c]), number(test.low[c]), number(test.high[c])

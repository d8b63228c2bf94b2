"""Scoring: asking candidates about rows that their models have not seen, report by report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate, Unusable
from fairuse_router.candidates.misreports import predict_as, under_reports
from fairuse_router.candidates.names import GENERIC
from fairuse_router.candidates.recipes import first_line
from fairuse_router.candidates.scores import Scores, answer
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.rows import Places, TrainingRows


@dataclass(frozen=True)
class Part:
    """What a task brings home: a candidate fitted on all rows, or scores on one fold."""

    name: str
    candidate: Candidate | None = None
    rows: Places | None = None
    predictions: Predictions | None = None
    misreports: MisreportMoments | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)
    margins: NDArray[np.float64] | None = None
    scale: float | None = None
    failed: bool = False
    told: tuple[Places, NDArray[np.float64]] | None = None


def score(
    candidate: Candidate,
    data: TrainingRows,
    rows: Places,
    first: Places,
    envy: Sequence[Metric],
) -> Part:
    """Score a candidate on rows that it has not seen; misreports only of the rows in `first`."""
    every = rows
    if candidate.name != GENERIC:
        groups = data.groups[rows]
        rows = rows[(groups >= 0) & (candidate.model_of_group[groups] >= 0)]
    if candidate.corrected is not None:
        part = _score_correction(candidate, data, rows, first, envy)
        return replace(part, told=_told_margins(candidate, data, every))
    rows, own, broken = _own_answers(candidate, data, rows)
    unavailable = {**candidate.unavailable, **broken}
    if own is None:
        return Part(candidate.name, unavailable=unavailable)
    misreports = None
    new = np.isin(rows, first)
    if candidate.name != GENERIC and envy and new.any():
        groups, features = data.groups[rows[new]], tables.take_rows(data.features, rows[new])
        proba = any(metric.needs_proba for metric in envy)
        under = under_reports(candidate, features, groups, own[new], data.classes, proba)
        misreports = _misreports(candidate, data, rows[new], own[new], under, envy)
    return Part(candidate.name, None, rows, own, misreports, unavailable)


def _score_correction(
    candidate: Candidate,
    data: TrainingRows,
    rows: Places,
    first: Places,
    envy: Sequence[Metric],
) -> Part:
    """Score corrections of generic, which is asked once for all reports."""
    model = candidate.corrected
    if model is None or not len(rows):
        return Part(candidate.name, unavailable=candidate.unavailable)
    prepared = model.prepare(tables.take_rows(data.features, rows))
    margin = model.margin(prepared, data.groups[rows])
    own = answer(margin, data.classes is None)
    margins = np.column_stack([prepared.margin, margin])
    new = np.isin(rows, first)
    misreports = None
    if envy and new.any():
        proba = any(metric.needs_proba for metric in envy)
        under = partial(model.answer_as, prepared[new], proba=proba)
        misreports = _misreports(candidate, data, rows[new], own[new], under, envy)
    scale = None if model.linear else model.scale
    return Part(candidate.name, None, rows, own, misreports, {}, margins, scale)


def _told_margins(
    candidate: Candidate, data: TrainingRows, rows: Places
) -> tuple[Places, NDArray[np.float64]] | None:
    """Margins of rows, those that withhold among them, by each part of what they tell.

    Shape (n, 1 + layers): generic's to scale, then that of each layer of the lattice; nan where a
    row tells less, or the layer has no corrections.
    """
    model, lattice = candidate.corrected, candidate.lattice
    if model is None or lattice is None or not len(rows):
        return None
    prepared = model.prepare(tables.take_rows(data.features, rows))
    margins = np.full((len(rows), 1 + len(lattice.layers)), np.nan)
    margins[:, 0] = prepared.margin
    for j, layer in enumerate(lattice.layers, 1):
        codes = layer.rows_of(data.codes[rows])
        told = np.flatnonzero(codes >= 0)
        if layer.start is not None and len(told):
            margins[told, j] = model.margin(prepared[told], codes[told])
    return rows, margins


def _own_answers(
    candidate: Candidate, data: TrainingRows, rows: Places
) -> tuple[Places, Predictions | None, dict[int, str]]:
    """Answers under the rows' own reports, without the groups whose own model breaks on them."""

    def ask(rows: Places) -> Predictions:
        groups = np.maximum(data.groups[rows], 0)
        return predict_as(candidate, tables.take_rows(data.features, rows), groups, data.classes)

    if not len(rows):
        return rows, None, {}
    try:
        return rows, ask(rows), {}
    except Exception:
        if len(candidate.models) < 2:
            raise
        broken = {}
        for g in np.unique(data.groups[rows]).tolist():
            try:
                ask(rows[data.groups[rows] == g])
            except Exception as error:  # one group's trouble must not stop the others
                broken[g] = first_line(error)
    rows = rows[~np.isin(data.groups[rows], list(broken))]
    return rows, ask(rows) if len(rows) else None, broken


def _misreports(
    candidate: Candidate,
    data: TrainingRows,
    rows: Places,
    own: Predictions,
    under: Callable[[int], Predictions],
    envy: Sequence[Metric],
) -> MisreportMoments:
    """What the reports of the other groups would have brought, reduced report by report."""
    answers: dict[int, Predictions] = {}

    def answered() -> Iterator[int]:
        for h in np.flatnonzero(candidate.model_of_group >= 0).tolist():
            try:
                answers[h] = under(h)
            except Exception:  # a model of h's own may know nothing of other groups' rows
                continue
            yield h

    return MisreportMoments.measure(
        data.outcomes.take(rows), own, answers.pop, envy, columns=answered()
    )


def score_candidates(
    candidates: Mapping[str, Candidate], data: TrainingRows, envy: Sequence[Metric] = ()
) -> tuple[dict[str, Scores], dict[str, dict[int, str]]]:
    """Score fitted candidates on rows that they have not seen; say whom each cannot serve."""
    everything = np.arange(len(data.y))
    parts = []
    for name, candidate in candidates.items():
        try:
            parts.append(score(candidate, data, everything, everything, envy))
        except Unusable as error:
            if name == GENERIC:
                raise ValueError(f"candidate {name!r}: {error}.") from error
            reasons = dict.fromkeys(range(data.n_groups), str(error))
            parts.append(Part(name, unavailable=reasons))
    scored = [p for p in parts if p.predictions is not None]
    unavailable = {p.name: dict(p.unavailable) for p in parts}
    return gather_all(candidates, scored, data), unavailable


def gather_all(
    names: Iterable[str], parts: Sequence[Part], data: TrainingRows
) -> dict[str, Scores]:
    """Scores of every candidate; one that scored no row has them, too, in the others' shape."""
    proba = all(p.predictions is not None and p.predictions.proba is not None for p in parts)
    return {name: _gather([p for p in parts if p.name == name], data, proba) for name in names}


def _gather(parts: Sequence[Part], data: TrainingRows, with_proba: bool) -> Scores:
    """Put the folds' scores together; rows scored more than once are averaged."""
    n = len(data.y)
    times = np.zeros(n)
    width = 1 if data.classes is None else len(data.classes)
    votes, proba = np.zeros((n, width)), np.zeros((n, width)) if with_proba else None
    misreports: MisreportMoments | None = None
    margins: NDArray[np.float64] | None = None
    scale = np.zeros(n)
    for part in parts:
        assert part.rows is not None
        assert part.predictions is not None
        times[part.rows] += 1
        label = part.predictions.label
        if data.classes is None:
            votes[part.rows, 0] += label
        else:
            votes[part.rows, label] += 1
        if proba is not None and part.predictions.proba is not None:
            proba[part.rows] += part.predictions.proba
        if part.margins is not None:
            margins = np.zeros((n, 2)) if margins is None else margins
            margins[part.rows] += part.margins
            scale[part.rows] += 1.0 if part.scale is None else part.scale
        if part.misreports is not None:
            misreports = part.misreports if misreports is None else misreports + part.misreports
    scored = times > 0
    share = np.maximum(times, 1)
    mean = None if proba is None else proba / share[:, None]
    if data.classes is None:
        label = votes[:, 0] / share
    else:  # a tied vote goes to the likelier class
        label = (votes if mean is None else votes + mean / 2).argmax(axis=1)
    margins = None if margins is None else margins / share[:, None]
    linear = all(part.scale is None for part in parts)
    own_scale = None if linear else scale / share
    told = _gather_told(parts, n)
    return Scores(Predictions(label, mean), scored, misreports, margins, own_scale, told)


def _gather_told(parts: Sequence[Part], n: int) -> NDArray[np.float64] | None:
    """Margins by each part of what rows tell, averaged; nan where a row was never scored."""
    known = [part.told for part in parts if part.told is not None]
    if not known:
        return None
    total, times = np.zeros((n, known[0][1].shape[1])), np.zeros((n, 1))
    for rows, margins in known:
        total[rows] += margins
        times[rows] += 1
    return np.divide(total, times, out=np.full_like(total, np.nan), where=times > 0)

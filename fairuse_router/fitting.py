"""Cross-fitting: every candidate on all rows and fold by fold, in one parallel call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from fairuse_router import frames
from fairuse_router.audit import MisreportMoments
from fairuse_router.candidates import Candidate
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.misreports import predict_as, under_reports
from fairuse_router.recipes import Recipe, Rows, TrainingRows, first_line, fit_candidate


@dataclass
class Scores:
    """What one candidate predicted for rows that its models had not seen.

    Parameters
    ----------
    predictions : Predictions
        For all n rows; meaningful where `scored`.
    scored : ndarray of bool, shape (n,)
    misreports : MisreportMoments or None
        Its predictions under the reports of other groups, reduced.
    """

    predictions: Predictions
    scored: NDArray[np.bool_]
    misreports: MisreportMoments | None = None


@dataclass(frozen=True)
class _Part:
    """What one task brings home: a candidate fitted on all rows, or scores on one fold."""

    name: str
    candidate: Candidate | None = None
    rows: Rows | None = None
    predictions: Predictions | None = None
    misreports: MisreportMoments | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)


def _run(
    recipe: Recipe,
    data: TrainingRows,
    fold: tuple[Rows, Rows, Rows] | None,
    min_group_size: int,
    envy: Sequence[Metric],
) -> _Part:
    """Fit one candidate on all rows, or fit it on a fold's training rows and score the others."""
    n_groups = data.n_groups
    try:
        if fold is None:
            everything = np.arange(len(data.y))
            candidate = fit_candidate(recipe, data, everything, min_group_size)
            return _Part(recipe.name, candidate, unavailable=candidate.unavailable)
        candidate = fit_candidate(recipe, data, fold[0], min_group_size)
        return _score(candidate, data, fold[1], fold[2], envy)
    except Exception as error:
        if recipe.name == "generic":
            error.add_note(
                "This error arose while fitting the generic candidate: the estimator as given, on "
                "X without its group columns. Steps that name group columns, other than the "
                "selectors of a ColumnTransformer, must be edited."
            )
            raise
        return _Part(recipe.name, unavailable=dict.fromkeys(range(n_groups), first_line(error)))


def _score(
    candidate: Candidate, data: TrainingRows, rows: Rows, first: Rows, envy: Sequence[Metric]
) -> _Part:
    """Score one candidate on rows that it has not seen; misreports only of the rows in `first`."""
    if candidate.name != "generic":
        groups = data.groups[rows]
        rows = rows[(groups >= 0) & (candidate.model_of_group[groups] >= 0)]
    rows, own, broken = _own_answers(candidate, data, rows)
    unavailable = {**candidate.unavailable, **broken}
    if own is None:
        return _Part(candidate.name, unavailable=unavailable)
    misreports = None
    if candidate.name != "generic" and envy:
        new = np.isin(rows, first)
        misreports = _misreports(candidate, data, rows[new], own[new], envy)
    return _Part(candidate.name, None, rows, own, misreports, unavailable)


def _own_answers(
    candidate: Candidate, data: TrainingRows, rows: Rows
) -> tuple[Rows, Predictions | None, dict[int, str]]:
    """Answers under the rows' own reports, without the groups whose own model breaks on them."""

    def ask(rows: Rows) -> Predictions:
        groups = np.maximum(data.groups[rows], 0)
        return predict_as(candidate, frames.take_rows(data.features, rows), groups, data.classes)

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
    candidate: Candidate, data: TrainingRows, rows: Rows, own: Predictions, envy: Sequence[Metric]
) -> MisreportMoments | None:
    """What the reports of the other groups would have brought, reduced report by report."""
    if not len(rows):
        return None
    groups, features = data.groups[rows], frames.take_rows(data.features, rows)
    proba = any(metric.needs_proba for metric in envy)
    under = under_reports(candidate, features, groups, own, data.classes, proba)
    answers: dict[int, Predictions] = {}

    def answered() -> Iterator[int]:
        for h in np.flatnonzero(candidate.model_of_group >= 0).tolist():
            try:
                answers[h] = under(h)
            except Exception:  # a model of h's own may know nothing of other groups' rows
                continue
            yield h

    return MisreportMoments.measure(
        data.target[rows],
        own,
        answers.pop,
        groups,
        data.n_groups,
        envy,
        weight=None if data.weight is None else data.weight[rows],
        clusters=None if data.clusters is None else data.clusters[rows],
        columns=answered(),
    )


def cross_fit(
    recipes: Sequence[Recipe],
    data: TrainingRows,
    folds: Sequence[tuple[Rows, Rows]],
    *,
    min_group_size: int,
    envy: Sequence[Metric] = (),
    n_jobs: int | None = None,
    report: Callable[[int, int, float], None] | None = None,
) -> tuple[dict[str, Candidate], dict[str, Scores], dict[str, dict[int, str]]]:
    """Fit every candidate on all rows, and score it on rows that it has not seen.

    Parameters
    ----------
    recipes : sequence of Recipe
    data : TrainingRows
    folds : sequence of (training rows, judging rows)
    min_group_size : int
        Fewest training rows of a model of a group's own.
    envy : sequence of Metric
        Metrics for which misreports are measured.
    n_jobs : int or None
        As joblib's.
    report : callable or None
        Called as ``report(tasks done, all tasks, seconds)`` after each task.

    Returns
    -------
    candidates : dict of str to Candidate
        Fitted on all rows; a candidate that could not be fitted is absent.
    scores : dict of str to Scores
    unavailable : dict of str to dict of int to str
        Per candidate, the groups that it cannot serve, and why not.
    """
    work = [None, *_with_first_judged(folds, len(data.y))]
    # the largest tasks first, so that no core waits for a late one
    tasks = [(recipe, fold) for fold in work for recipe in recipes]
    jobs = (delayed(_run)(recipe, data, fold, min_group_size, envy) for recipe, fold in tasks)
    start, parts = time.perf_counter(), []
    for part in Parallel(n_jobs=n_jobs, return_as="generator")(jobs):
        parts.append(part)
        if report is not None:
            report(len(parts), len(tasks), time.perf_counter() - start)
    unavailable: dict[str, dict[int, str]] = {recipe.name: {} for recipe in recipes}
    for part in parts:
        for g, reason in part.unavailable.items():
            unavailable[part.name].setdefault(g, reason)
    candidates = {p.name: p.candidate for p in parts if p.candidate is not None}
    scored = [part for part in parts if part.predictions is not None]
    return candidates, _gather_all([r.name for r in recipes], scored, data), unavailable


def _with_first_judged(
    folds: Sequence[tuple[Rows, Rows]], n: int
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Folds with the rows that no earlier fold judges: repeats are no new rows."""
    judged = np.zeros(n, dtype=bool)
    for training, judging in folds:
        yield training, judging, judging[~judged[judging]]
        judged[judging] = True


def score_prefit(
    candidates: Mapping[str, Candidate], data: TrainingRows, envy: Sequence[Metric] = ()
) -> dict[str, Scores]:
    """Score candidates that were fitted elsewhere on rows that they have not seen."""
    everything = np.arange(len(data.y))
    parts = [_score(c, data, everything, everything, envy) for c in candidates.values()]
    return _gather_all(candidates, [p for p in parts if p.predictions is not None], data)


def _gather_all(
    names: Iterable[str], parts: Sequence[_Part], data: TrainingRows
) -> dict[str, Scores]:
    """Scores of every candidate; one that scored no row has them, too, in the others' shape."""
    proba = all(p.predictions is not None and p.predictions.proba is not None for p in parts)
    return {name: _gather([p for p in parts if p.name == name], data, proba) for name in names}


def _gather(parts: Sequence[_Part], data: TrainingRows, with_proba: bool) -> Scores:
    """Put the folds' scores together; rows scored more than once are averaged."""
    n = len(data.y)
    times = np.zeros(n)
    width = 1 if data.classes is None else len(data.classes)
    votes, proba = np.zeros((n, width)), np.zeros((n, width)) if with_proba else None
    misreports: MisreportMoments | None = None
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
        if part.misreports is not None:
            misreports = part.misreports if misreports is None else misreports + part.misreports
    scored = times > 0
    share = np.maximum(times, 1)
    mean = None if proba is None else proba / share[:, None]
    if data.classes is None:
        label = votes[:, 0] / share
    else:  # a tied vote goes to the likelier class
        label = (votes if mean is None else votes + mean / 2).argmax(axis=1)
    return Scores(Predictions(label, mean), scored, misreports)

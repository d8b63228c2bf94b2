"""Cross-fitting: every candidate on all rows and fold by fold, in one parallel call."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.exceptions import FitFailedWarning

from fairuse_router import frames
from fairuse_router.audit import MisreportMoments
from fairuse_router.candidates import Candidate
from fairuse_router.corrected import answer
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.misreports import predict_as, under_reports
from fairuse_router.multilevel import fit_multilevel
from fairuse_router.recipes import (
    Recipe,
    Rows,
    TrainingRows,
    Unavailable,
    first_line,
    fit_candidate,
)
from fairuse_router.routing.evidence import MULTILEVEL
from fairuse_router.routing.table import GENERIC


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
    margins : ndarray of shape (n, 2) or None
        Generic's margin and its own, where it corrects generic's.
    """

    predictions: Predictions
    scored: NDArray[np.bool_]
    misreports: MisreportMoments | None = None
    margins: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class _Part:
    """What a task brings home: a candidate fitted on all rows, or scores on one fold.

    A candidate may come in variants, of which the pooled scores keep one.
    """

    name: str
    candidate: Candidate | None = None
    rows: Rows | None = None
    predictions: Predictions | None = None
    misreports: MisreportMoments | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)
    margins: NDArray[np.float64] | None = None
    variant: int = 0
    failed: bool = False


def _teams(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Recipes that are fitted in one task: multilevel corrects the generic that is deployed."""
    alone = [[recipe] for recipe in recipes if recipe.name not in (GENERIC, MULTILEVEL)]
    return [[recipe for recipe in recipes if recipe.name in (GENERIC, MULTILEVEL)], *alone]


def _run(
    team: Sequence[Recipe],
    data: TrainingRows,
    fold: tuple[Rows, Rows, Rows] | None,
    min_group_size: int,
    envy: Sequence[Metric],
) -> list[_Part]:
    """Fit a team on all rows, or fit it on a fold's training rows and score the others."""
    training = np.arange(len(data.y)) if fold is None else fold[0]
    generic: Candidate | None = None
    parts: list[_Part] = []
    for recipe in sorted(team, key=lambda recipe: recipe.name != GENERIC):
        try:
            if recipe.name == MULTILEVEL and generic is not None:
                fitted = fit_multilevel(recipe, generic, data, training)
            else:
                fitted = [fit_candidate(recipe, data, training, min_group_size)]
            if recipe.name == GENERIC:
                generic = fitted[0]
            if fold is None:
                own = [_Part(c.name, c, unavailable=c.unavailable) for c in fitted]
            else:
                own = _score(fitted, data, fold[1], fold[2], envy)
            parts += [replace(part, variant=i) for i, part in enumerate(own)]
        except Exception as error:
            if recipe.name == GENERIC:
                error.add_note(
                    "This error arose while fitting the generic candidate: the estimator as given, "
                    "on X without its group columns. Steps that name group columns, other than the "
                    "selectors of a ColumnTransformer, must be edited."
                )
                raise
            reasons = dict.fromkeys(range(data.n_groups), first_line(error))
            failed = not isinstance(error, Unavailable)
            parts.append(_Part(recipe.name, unavailable=reasons, failed=failed))
    return parts


def _score(
    variants: Sequence[Candidate],
    data: TrainingRows,
    rows: Rows,
    first: Rows,
    envy: Sequence[Metric],
) -> list[_Part]:
    """Score a candidate on rows that it has not seen; misreports only of the rows in `first`."""
    candidate = variants[0]
    if candidate.name != GENERIC:
        groups = data.groups[rows]
        rows = rows[(groups >= 0) & (candidate.model_of_group[groups] >= 0)]
    if candidate.corrected is not None:
        return _score_corrections(variants, data, rows, first, envy)
    rows, own, broken = _own_answers(candidate, data, rows)
    unavailable = {**candidate.unavailable, **broken}
    if own is None:
        return [_Part(candidate.name, unavailable=unavailable)]
    misreports = None
    new = np.isin(rows, first)
    if candidate.name != GENERIC and envy and new.any():
        groups, features = data.groups[rows[new]], frames.take_rows(data.features, rows[new])
        proba = any(metric.needs_proba for metric in envy)
        under = under_reports(candidate, features, groups, own[new], data.classes, proba)
        misreports = _misreports(candidate, data, rows[new], own[new], under, envy)
    return [_Part(candidate.name, None, rows, own, misreports, unavailable)]


def _score_corrections(
    variants: Sequence[Candidate],
    data: TrainingRows,
    rows: Rows,
    first: Rows,
    envy: Sequence[Metric],
) -> list[_Part]:
    """Score corrections of one generic, which is asked once for all of them and all reports."""
    models = [c.corrected for c in variants if c.corrected is not None]
    if not len(rows):
        return [_Part(c.name, unavailable=c.unavailable) for c in variants]
    prepared = models[0].prepare(frames.take_rows(data.features, rows))
    new = np.isin(rows, first)
    prepared_new = prepared[new]
    parts = []
    for candidate, model in zip(variants, models, strict=True):
        margin = model.margin(prepared, data.groups[rows])
        own = answer(margin, data.classes is None)
        margins = np.column_stack([prepared.margin, margin])
        misreports = None
        if envy and new.any():
            under = partial(model.answer_as, prepared_new)
            misreports = _misreports(candidate, data, rows[new], own[new], under, envy)
        parts.append(_Part(candidate.name, None, rows, own, misreports, {}, margins))
    return parts


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
    candidate: Candidate,
    data: TrainingRows,
    rows: Rows,
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
        data.target[rows],
        own,
        answers.pop,
        data.groups[rows],
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
    tasks = [(team, fold) for fold in work for team in _teams(recipes)]
    jobs = (delayed(_run)(team, data, fold, min_group_size, envy) for team, fold in tasks)
    start = time.perf_counter()
    parts: list[_Part] = []
    for done, brought in enumerate(Parallel(n_jobs=n_jobs, return_as="generator")(jobs), 1):
        parts += brought
        if report is not None:
            report(done, len(tasks), time.perf_counter() - start)
    _warn_of_failures(parts)
    unavailable: dict[str, dict[int, str]] = {recipe.name: {} for recipe in recipes}
    for part in parts:
        for g, reason in part.unavailable.items():
            unavailable[part.name].setdefault(g, reason)
    parts = _best_variants(parts, data)
    candidates = {p.name: p.candidate for p in parts if p.candidate is not None}
    scored = [part for part in parts if part.predictions is not None]
    return candidates, _gather_all([r.name for r in recipes], scored, data), unavailable


def _warn_of_failures(parts: Sequence[_Part]) -> None:
    failed = {p.name: next(iter(p.unavailable.values())) for p in parts if p.failed}
    if failed:
        told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        warnings.warn(
            f"Candidates that could not be fitted serve nobody ({told}). Mend the estimator, or "
            "leave them out of candidates=.",
            FitFailedWarning,
            stacklevel=4,
        )


def _best_variants(parts: Sequence[_Part], data: TrainingRows) -> list[_Part]:
    """Keep of each candidate the variant with the smallest loss over all scored rows.

    The loss is the log loss, or the squared error of a regression.
    """
    loss: dict[str, dict[int, float]] = {}
    for part in parts:
        if part.margins is not None:
            own = loss.setdefault(part.name, {})
            own[part.variant] = own.get(part.variant, 0.0) + _margin_loss(part, data)
    best = {name: min(own, key=own.__getitem__) for name, own in loss.items()}
    return [part for part in parts if part.variant == best.get(part.name, 0)]


def _margin_loss(part: _Part, data: TrainingRows) -> float:
    """Sum of the log loss or the squared error of a part's margins."""
    assert part.rows is not None
    assert part.margins is not None
    margin, y = part.margins[:, 1], data.target[part.rows]
    squared = data.classes is None
    rows = (y - margin) ** 2 if squared else np.logaddexp(0, margin) - y * margin
    return float(rows.sum() if data.weight is None else data.weight[part.rows] @ rows)


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
    parts = [_score([c], data, everything, everything, envy)[0] for c in candidates.values()]
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
    margins: NDArray[np.float64] | None = None
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
    return Scores(Predictions(label, mean), scored, misreports, margins)

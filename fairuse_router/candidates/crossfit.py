"""Cross-fitting: every candidate on all rows and fold by fold, in one parallel call."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import FitFailedWarning
from threadpoolctl import threadpool_limits

from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.multilevel import fit_multilevel
from fairuse_router.candidates.names import GENERIC, MULTILEVEL
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.progress import Task, counted
from fairuse_router.candidates.recipes import Recipe, Unavailable, first_line, fit_candidate
from fairuse_router.candidates.scoring import Part, gather_all, score
from fairuse_router.candidates.weights import weight_keyword
from fairuse_router.metrics import Metric
from fairuse_router.rows import Places, TrainingRows


def _teams(recipes: Sequence[Recipe]) -> list[list[Recipe]]:
    """Recipes that are fitted in one task: multilevel corrects the generic that is deployed."""
    alone = [[recipe] for recipe in recipes if recipe.name not in (GENERIC, MULTILEVEL)]
    return [[recipe for recipe in recipes if recipe.name in (GENERIC, MULTILEVEL)], *alone]


def _run(
    team: Sequence[Recipe],
    data: TrainingRows,
    fold: tuple[Places, Places, Places] | None,
    min_group_size: int,
    envy: Sequence[Metric],
) -> list[Part]:
    """Fit a team on all rows, or fit it on a fold's training rows and score the others."""
    training = np.arange(len(data.y)) if fold is None else fold[0]
    generic: Candidate | None = None
    parts: list[Part] = []
    for recipe in sorted(team, key=lambda recipe: recipe.name != GENERIC):
        try:
            with _threads(recipe.name):
                if recipe.name == MULTILEVEL and generic is not None:
                    fitted = fit_multilevel(recipe, generic, data, training)
                else:
                    fitted = fit_candidate(recipe, data, training, min_group_size)
                if recipe.name == GENERIC:
                    generic = fitted
                if fold is None:
                    parts.append(Part(fitted.name, fitted, unavailable=fitted.unavailable))
                else:
                    parts.append(score(fitted, data, fold[1], fold[2], envy))
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
            parts.append(Part(recipe.name, unavailable=reasons, failed=failed))
    return parts


def _threads(candidate: str) -> AbstractContextManager[Any]:
    """One thread of BLAS where matrices are of single groups: two would wait for each other."""
    small = candidate in ("decoupled", MULTILEVEL)
    return threadpool_limits(1, user_api="blas") if small else nullcontext()


@dataclass(frozen=True)
class Training:
    """How candidates are trained and judged: all that a pool needs beside the rows.

    Parameters
    ----------
    recipes : sequence of Recipe
    cv : int, float, splitter or iterable of pairs
    min_group_size : int
        Fewest training rows of a model of a group's own.
    envy : sequence of Metric
        Metrics for which misreports are measured.
    random_state : None, int or RandomState
        Shuffles the folds.
    n_jobs : int or None
        As joblib's.
    verbose : int
        Above 0, progress is written to standard error.
    task : Task
        Tells callbacks how far it is.
    """

    recipes: Sequence[Recipe]
    cv: Any = 5
    min_group_size: int = 20
    envy: Sequence[Metric] = ()
    random_state: Any = None
    n_jobs: int | None = None
    verbose: int = 0
    task: Task = field(default_factory=Task)


def fit_pool(training: Training, data: TrainingRows) -> Pool:
    """Fit every candidate on all rows, and score it on rows that it has not seen."""
    if data.weight is not None:
        generic = next(recipe for recipe in training.recipes if recipe.name == GENERIC)
        weight_keyword(generic.estimator)  # refused before anything is fitted
    return cross_fit(training, data, split_rows(training.cv, data, training.random_state))


def cross_fit(
    training: Training, data: TrainingRows, folds: Sequence[tuple[Places, Places]]
) -> Pool:
    """Do what `fit_pool` does with folds that are given: (training rows, judging rows) pairs."""
    recipes = training.recipes
    work = [None, *_with_first_judged(folds, len(data.y))]
    # the largest tasks first, so that no core waits for a late one
    tasks = [(team, fold) for fold in work for team in _teams(recipes)]
    places = ["all rows", *(f"fold {k}" for k in range(1, len(work)))]
    names = [f"{team[-1].name}, {place}" for place in places for team in _teams(recipes)]
    size, envy = training.min_group_size, training.envy
    jobs = (delayed(_run)(team, data, fold, size, envy) for team, fold in tasks)
    results = counted(_parallel(training.n_jobs)(jobs), names, training.task, training.verbose)
    parts = [part for brought in results for part in brought]
    _warn_of_failures(parts)
    unavailable: dict[str, dict[int, str]] = {recipe.name: {} for recipe in recipes}
    for part in parts:
        for g, reason in part.unavailable.items():
            unavailable[part.name].setdefault(g, reason)
    candidates = {p.name: p.candidate for p in parts if p.candidate is not None}
    scored = [part for part in parts if part.predictions is not None]
    return Pool(candidates, gather_all([r.name for r in recipes], scored, data), unavailable)


def _parallel(n_jobs: int | None) -> Parallel:
    """Run tasks in joblib's backend, whichever is active, one after the other where it can."""
    try:
        return Parallel(n_jobs=n_jobs, return_as="generator")
    except ValueError:  # multiprocessing, Spark and Ray answer when all is done
        return Parallel(n_jobs=n_jobs)


def _warn_of_failures(parts: Sequence[Part]) -> None:
    failed = {p.name: next(iter(p.unavailable.values())) for p in parts if p.failed}
    if failed:
        told = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
        warnings.warn(
            f"Candidates that could not be fitted serve nobody ({told}). Mend the estimator, or "
            "leave them out of candidates=.",
            FitFailedWarning,
            stacklevel=6,
        )


def _with_first_judged(
    folds: Sequence[tuple[Places, Places]], n: int
) -> Iterator[tuple[Places, Places, Places]]:
    """Folds with the rows that no earlier fold judges: repeats are no new rows."""
    judged = np.zeros(n, dtype=bool)
    for training, judging in folds:
        yield training, judging, judging[~judged[judging]]
        judged[judging] = True

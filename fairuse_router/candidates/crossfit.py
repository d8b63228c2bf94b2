"""Cross-fitting: every candidate on all rows and fold by fold, in one parallel call."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import FitFailedWarning

from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.multilevel import fit_multilevel
from fairuse_router.candidates.names import GENERIC, MULTILEVEL
from fairuse_router.candidates.recipes import Recipe, Unavailable, first_line, fit_candidate
from fairuse_router.candidates.scores import Scores, _gather_all, _Part, _score
from fairuse_router.metrics import Metric
from fairuse_router.rows import Rows, TrainingRows


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

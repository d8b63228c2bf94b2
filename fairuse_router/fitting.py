"""Fitting: the pool of candidates, on all rows and fold by fold, in one parallel call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.base import clone

from fairuse_router import frames
from fairuse_router.audit import MisreportMoments
from fairuse_router.candidates import Candidate
from fairuse_router.groups import GroupSchema
from fairuse_router.injection import inject
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.misreports import predict_as, under_reports
from fairuse_router.weighting import weight_keyword

Rows = NDArray[np.int64]
CANDIDATES = ("generic", "onehot", "intersectional", "decoupled")


@dataclass(frozen=True)
class Recipe:
    """An unfitted candidate: the estimator, and what its columns tell of each group.

    Parameters
    ----------
    name : str
        One of `CANDIDATES`.
    estimator : estimator
        Unfitted; takes the features and the added columns.
    added : ndarray of shape (m, k) or None
        Dummies of each group.
    added_names : tuple of str
        Their names.
    """

    name: str
    estimator: Any
    added: NDArray[np.float64] | None = None
    added_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingRows:
    """Training data, split once into features and groups.

    Parameters
    ----------
    features : table of n rows
        X without the group columns.
    groups : ndarray of shape (n,)
        Group of each row; -1 where it withholds something.
    y : ndarray of shape (n,)
        As the user gave it.
    target : ndarray of shape (n,)
        Class index of each row; `y` itself for a regression.
    classes : ndarray of shape (K,) or None
    n_groups : int
    weight, clusters : ndarray of shape (n,) or None
    """

    features: frames.Table
    groups: Rows
    y: NDArray[Any]
    target: NDArray[Any]
    classes: NDArray[Any] | None
    n_groups: int
    weight: NDArray[np.float64] | None = None
    clusters: NDArray[Any] | None = None

    def take(self, rows: Rows) -> TrainingRows:
        """Return some of the rows."""
        return replace(
            self,
            features=frames.take_rows(self.features, rows),
            groups=self.groups[rows],
            y=self.y[rows],
            target=self.target[rows],
            weight=None if self.weight is None else self.weight[rows],
            clusters=None if self.clusters is None else self.clusters[rows],
        )


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


def make_recipes(
    names: Any, estimator: Any, schema: GroupSchema, feature_names: Sequence[str] | None
) -> list[Recipe]:
    """Build the candidates to fit.

    Raises
    ------
    ValueError
        For a name that is not in `CANDIDATES`, if generic is missing, or if a dummy has the name
        of a feature.
    """
    if isinstance(names, (str, Mapping)):
        raise ValueError(
            f"candidates={names!r} is not allowed: pass a sequence of names; a dict of fitted "
            "models goes with cv='prefit'."
        )
    names = tuple(names)
    wrong = [name for name in names if name not in CANDIDATES]
    if wrong or "generic" not in names or len(set(names)) < len(names):
        raise ValueError(
            f"candidates={names} is not allowed: name each of {CANDIDATES} at most once, "
            "'generic' always among them."
        )
    encodings = {"onehot": schema.onehot, "intersectional": schema.intersectional}
    ids = schema.report_ids(schema.group_codes)
    recipes = []
    for name in names:
        if name not in encodings:
            recipes.append(Recipe(name, estimator))
            continue
        dummies, columns = encodings[name]()
        clash = sorted(set(columns) & set(feature_names or ()))
        if clash:
            raise ValueError(
                f"X has the columns {clash}, which are the names of dummies of group_attributes. "
                "Rename or drop them; the router encodes the group attributes by itself."
            )
        recipes.append(Recipe(name, inject(estimator, len(columns)), dummies[ids], columns))
    return recipes


def fit_candidate(recipe: Recipe, data: TrainingRows, rows: Rows, min_group_size: int) -> Candidate:
    """Fit one candidate on some rows; groups that it cannot serve are recorded, with the reason."""
    if recipe.name == "decoupled":
        return _fit_decoupled(recipe, data, rows, min_group_size)
    features = frames.take_rows(data.features, rows)
    if recipe.added is not None:
        # group -1, the last row: whoever withholds something is all zeros
        dummies = np.vstack([recipe.added, np.zeros_like(recipe.added[:1])])
        features = frames.append_columns(features, dummies[data.groups[rows]], recipe.added_names)
    model = _fit(recipe.estimator, features, data, rows)
    everyone = np.zeros(data.n_groups, dtype=np.int64)
    return Candidate(recipe.name, (model,), everyone, recipe.added, recipe.added_names)


def _fit(estimator: Any, features: frames.Table, data: TrainingRows, rows: Rows) -> Any:
    params = {}
    if data.weight is not None:
        params[weight_keyword(estimator)] = data.weight[rows]
    return clone(estimator).fit(features, data.y[rows], **params)


def _fit_decoupled(
    recipe: Recipe, data: TrainingRows, rows: Rows, min_group_size: int
) -> Candidate:
    models: list[Any] = []
    which = np.full(data.n_groups, -1, dtype=np.int64)
    unavailable: dict[int, str] = {}
    for g in range(data.n_groups):
        own = rows[data.groups[rows] == g]
        reason = _too_little(data, own, min_group_size)
        if reason is None:
            try:
                model = _fit(recipe.estimator, frames.take_rows(data.features, own), data, own)
                reason = _missing_class(model, data.classes)
            except Exception as error:  # one group's trouble must not stop the others
                reason = _first_line(error)
        if reason is None:
            which[g] = len(models)
            models.append(model)
        else:
            unavailable[g] = reason
    return Candidate(recipe.name, tuple(models), which, unavailable=unavailable)


def _too_little(data: TrainingRows, rows: Rows, min_group_size: int) -> str | None:
    """Why a group has too little to fit a model of its own, if it has."""
    if data.weight is not None:
        rows = rows[data.weight[rows] > 0]
    if len(rows) < min_group_size:
        return f"{len(rows)} rows to train on, min_group_size is {min_group_size}"
    if data.classes is not None and len(np.unique(data.target[rows])) < 2:
        return "one class only among its training rows"
    return None


def _missing_class(model: Any, classes: NDArray[Any] | None) -> str | None:
    """Why a model without probabilities cannot be compared, if it has not seen every class."""
    if classes is None or hasattr(model, "predict_proba") or len(model.classes_) == len(classes):
        return None
    return "a class is absent from its training rows, and the estimator has no predict_proba"


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"


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
        return _Part(recipe.name, unavailable=dict.fromkeys(range(n_groups), _first_line(error)))


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
                broken[g] = _first_line(error)
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

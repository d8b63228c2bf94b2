"""Recalibrated candidates: in every group, intercept and slope of the labels on a model's margin.

With z the margin (log-odds of the second of two classes, or the prediction of a regression) that a
candidate has for rows it has not seen, its recalibrated version has the margin ``a + b z``: the
logistic (or linear) regression of the group's labels on z (Cox, 1958). Generic is left as it is,
and so is multilevel, whose corrections have intercepts and slopes of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor

from fairuse_router.candidates.blended import BlendedClassifier, BlendedRegressor
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.folds import folds_within
from fairuse_router.candidates.names import GENERIC, MULTILEVEL, recalibrated
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.scores import Scores, margin_of, mixed_answer
from fairuse_router.inference.calibration import logistic
from fairuse_router.rows import Places, TrainingRows

Floats = NDArray[np.float64]

_FOLDS, _SEED = 5, 20_231  # not the folds that margins come from: errors of one would add up
_LEAST = 10  # rows of each class; twice as many of a regression


def with_recalibrated(pool: Pool, rows: TrainingRows) -> Pool:
    """Add the recalibrated version of every candidate but generic and multilevel.

    Its scores are cross-fitted: those of a row come from intercept and slope of the other folds of
    its group. Those that would be deployed are of all rows that the candidate has not seen.

    Parameters
    ----------
    pool : Pool
    rows : TrainingRows
        Those that its scores are of.

    Raises
    ------
    ValueError
        For several classes, without probabilities, or if a candidate has the name of another's
        recalibrated version.
    """
    regression = rows.classes is None
    _check(pool, rows)
    # not by class: the share of a fold's labels would be known from the others
    folds = folds_within(_FOLDS, rows.groups + 1, rows.clusters, _SEED)
    candidates, scores = dict(pool.candidates), dict(pool.scores)
    unavailable = dict(pool.unavailable)
    for name, candidate in pool.candidates.items():
        if name in (GENERIC, MULTILEVEL):
            continue
        own, new = pool.scores[name], recalibrated(name)
        usable = own.scored & (rows.groups >= 0)
        margin = margin_of(own.predictions)
        everything = np.flatnonzero(usable)
        lines = lines_of(margin, rows, everything)
        told = np.full(len(margin), np.nan)
        for training, judging in folds:
            part = lines_of(margin, rows, training[usable[training]])[rows.groups[judging]]
            told[judging] = part[:, 0] + part[:, 1] * margin[judging]
        known = usable & np.isfinite(told)
        scores[new] = Scores(mixed_answer(np.where(known, told, 0.0), regression), known)
        candidates[new] = _candidate(candidate, new, lines)
        unavailable[new] = {**unavailable.get(name, {}), **_why_not(lines, candidate, regression)}
    return replace(pool, candidates=candidates, scores=scores, unavailable=unavailable)


def lines_of(margin: Floats, rows: TrainingRows, index: Places) -> Floats:
    """Intercept and slope of every group on some rows, shape (m, 2); nan where they cannot tell.

    Fewer than ten rows of a class cannot, nor can margins that do not rank the labels.
    """
    found = np.full((rows.n_groups, 2), np.nan)
    for g in range(rows.n_groups):
        own = index[rows.groups[index] == g]
        weight = np.ones(len(own)) if rows.weight is None else rows.weight[own]
        own, weight = own[weight > 0], weight[weight > 0]
        y = rows.target[own].astype(np.float64)
        ones = len(own) / 2 if rows.classes is None else y.sum()
        if min(ones, len(own) - ones) < _LEAST or np.ptp(margin[own]) < 1e-9:
            continue
        X = np.column_stack([np.ones(len(own)), margin[own]])
        if rows.classes is None:
            root = np.sqrt(weight)
            line = np.linalg.lstsq(X * root[:, None], y * root, rcond=None)[0]
        else:
            line = logistic(X, y, weight)[0]
        if np.isfinite(line).all() and line[1] > 0:
            found[g] = line
    return found


def _candidate(base: Candidate, name: str, lines: Floats) -> Candidate:
    """The candidate with its margins on their lines, told the group of each row."""
    known = np.isfinite(lines[:, 0])
    intercept, slope = np.where(known, lines[:, 0], 0.0), np.where(known, lines[:, 1], 1.0)
    models = tuple(
        (BlendedRegressor if is_regressor(part.estimator) else BlendedClassifier)(
            (part,), slope[:, None], intercept
        )
        for part in base.served
    )
    codes = np.arange(len(lines), dtype=np.float64)[:, None]
    served = np.where(known, base.model_of_group, -1)
    return Candidate(name, models, served, codes, ("recalibrated group",))


def _why_not(lines: Floats, base: Candidate, regression: bool) -> dict[int, str]:
    few = 2 * _LEAST if regression else _LEAST
    what = "rows" if regression else "rows of a class"
    why = f"fewer than {few} {what} to recalibrate by, or its margins do not rank them"
    return {g: base.unavailable.get(g, why) for g in np.flatnonzero(np.isnan(lines[:, 0])).tolist()}


def _check(pool: Pool, rows: TrainingRows) -> None:
    """Refuse what has no margin to recalibrate."""
    if rows.classes is not None and len(rows.classes) != 2:
        raise ValueError(
            f"recalibrate=True is for two classes or a regression; y has {len(rows.classes)} "
            "classes. Leave it out, or wrap the estimator in CalibratedClassifierCV."
        )
    if rows.classes is not None and pool.scores[GENERIC].predictions.proba is None:
        raise ValueError(
            "recalibrate=True needs probabilities, and not all candidates have predict_proba. "
            "Leave it out, or wrap the estimator in CalibratedClassifierCV."
        )
    taken: Sequence[str] = [n for n in pool.candidates if recalibrated(n) in pool.candidates]
    if taken:
        raise ValueError(
            f"candidates names a model {recalibrated(taken[0])!r}, as the recalibrated version of "
            f"{taken[0]!r} would be named. Give it another name."
        )

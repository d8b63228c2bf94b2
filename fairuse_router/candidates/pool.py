"""Training: a router's settings turned into the function that fits its pool of candidates."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.crossfit import cross_fit
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.names import MULTILEVEL
from fairuse_router.candidates.prefit import prefit_candidates
from fairuse_router.candidates.pruning import prune
from fairuse_router.candidates.recipes import make_recipes
from fairuse_router.candidates.scores import Scores, score_prefit
from fairuse_router.candidates.weights import weight_keyword
from fairuse_router.metrics import Metric
from fairuse_router.rows import TrainingRows, kept_out_of_features


def make_pool(
    router: Any, table: tables.Table, codes: NDArray[np.int64], metric: Metric, prefit: bool
) -> Callable[[TrainingRows], Pool]:
    """Return the function that fits the candidates, or scores those that are fitted.

    Parameters
    ----------
    router : FairUseRouter
        Its settings, and its schema and feature columns.
    table : table of n rows
        The user's X.
    codes : ndarray of int64, shape (n, k)
        Its reports.
    metric : Metric
        Misreports are measured in it.
    prefit : bool
        Whether the candidates are fitted already.
    """
    schema = router.schema_
    if prefit:
        fitted = prefit_candidates(router.candidates, table, codes, schema)
        unavailable = {name: dict(c.unavailable) for name, c in fitted.items()}
        return lambda rows: (fitted, score_prefit(fitted, rows, [metric]), unavailable)
    names = tables.column_names(table)
    pruned = prune(router.estimator, names, router.n_features_in_, kept_out_of_features(router))
    feature_names = [c.name for c in router.feature_columns_] if names else None
    recipes = make_recipes(_names(router), pruned, schema, feature_names)

    def fit(rows: TrainingRows) -> Pool:
        if rows.weight is not None:
            weight_keyword(pruned)
        strata = None if rows.classes is None else rows.target
        folds = split_rows(
            router.cv,
            rows.features,
            rows.y,
            rows.groups,
            strata,
            rows.clusters,
            router.random_state,
        )
        return cross_fit(
            recipes,
            rows,
            folds,
            min_group_size=router.min_group_size,
            envy=[metric],
            n_jobs=router.n_jobs,
            report=_print_progress if router.verbose else None,
        )

    return fit


def _names(router: Any) -> Any:
    """The candidates to train: those asked for, and the one that the policy weighs."""
    names = router.candidates
    if router.policy == "slope" and isinstance(names, (tuple, list)) and MULTILEVEL not in names:
        return (*names, MULTILEVEL)
    return names


def _print_progress(done: int, tasks: int, seconds: float) -> None:
    """One line that rewrites itself in a terminal; elsewhere only its last state."""
    last = done == tasks
    if last or sys.stderr.isatty():
        text = f"\rfitted {done} of {tasks} candidates and folds, {seconds:.1f} s"
        print(text if sys.stderr.isatty() else text[1:], end="\n" if last else "", file=sys.stderr)


Unavailable = Mapping[str, Mapping[int, str]]


Pool = tuple[Mapping[str, Candidate], Mapping[str, Scores], Unavailable]

"""One pool of candidates, trained once, on which many rules choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router import GroupSchema
from fairuse_router.candidates.blended import blend, is_blend
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.candidates.crossfit import Training, fit_pool
from fairuse_router.candidates.lattice import Lattice, Reports
from fairuse_router.candidates.names import halves
from fairuse_router.candidates.recipes import make_recipes
from fairuse_router.metrics import get_metric
from fairuse_router.routing import Evidence
from fairuse_router.rows import TrainingRows

PLAIN = ("onehot", "intersectional", "decoupled")
POOL = ("generic", *PLAIN, "multilevel")
CLASSES = np.array([0, 1])


def train_pool(
    features: Any,
    table: Any,
    columns: Sequence[Any],
    y: np.ndarray,
    estimator: Any,
    names: Sequence[str] = POOL,
    seed: int = 0,
    classes: np.ndarray | None = CLASSES,
    partial: bool = False,
) -> tuple[Mapping[str, Any], Evidence, GroupSchema]:
    """Train candidates on all rows and fold by fold, as ``FairUseRouter.fit`` does.

    Parameters
    ----------
    features : array or DataFrame of shape (n, d)
        Without the group columns.
    table : array or DataFrame of n rows
        Where the group columns are.
    columns : sequence
        Names or indices of the group columns in `table`.
    y : ndarray of shape (n,)
        Class of each row, counted from 0; a number, of a regression.
    estimator : scikit-learn estimator, unfitted
    names : sequence of str
        Candidates.
    seed : int, default=0
        Of the folds.
    classes : ndarray of shape (K,) or None, default=array([0, 1])
        None for a regression.
    partial : bool, default=False
        Whether multilevel corrects partial reports, too, so that `choose_reports` can choose.

    Returns
    -------
    candidates : dict of str to Candidate
        Trained on all rows.
    evidence : Evidence
        Out of fold; the metric is the error, or the squared error of a regression.
    schema : GroupSchema
    """
    schema = GroupSchema.from_table(table, columns, handle_unknown="withhold")
    codes = schema.encode(table)
    groups = schema.group_ids(codes)
    rows = TrainingRows(features, groups, y, y, classes, schema.n_groups, codes=codes)
    feature_names = list(features.columns) if hasattr(features, "columns") else None
    recipes = make_recipes(names, estimator, schema, feature_names)
    lattice = Lattice.of(schema) if partial else None
    recipes = [replace(r, lattice=lattice) if r.name == "multilevel" else r for r in recipes]
    pool = fit_pool(Training(recipes, random_state=seed), rows)
    metrics = [get_metric("error" if classes is not None else "squared_error")]
    reports = None if lattice is None else Reports(lattice, codes)
    evidence = Evidence(
        rows.outcomes, pool.scores, metrics, unavailable=pool.unavailable, reports=reports
    )
    return pool.candidates, evidence, schema


def among(
    evidence: Evidence, rivals: Sequence[str], metric: str = "error", **settings: Any
) -> Evidence:
    """Evidence on generic and some other candidates only, in a metric, and with other settings."""
    return replace(
        evidence,
        scores={name: evidence.scores[name] for name in ("generic", *rivals)},
        metrics=[get_metric(metric)],
        settings=replace(evidence.settings, **settings),
    )


def served_model(
    candidates: Mapping[str, Any], name: str, strength: float, g: int
) -> ServedModel | None:
    """What serves group g by a part of a candidate, or of the mean of two; None where nothing can.

    Its routes are one, so that rows are completed by zeros.
    """
    candidate = candidates[halves(name, candidates)[0]]
    model, group, part = int(candidate.model_of_group[g]), np.array([g]), np.array([strength])
    if model < 0:
        return None
    if is_blend(name, strength, candidates):
        return blend(candidates, name, model, group, part)
    return candidate.under_routes(model, group, part)

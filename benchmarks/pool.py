"""One pool of candidates, trained once, on which many rules choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fairuse_router import GroupSchema
from fairuse_router.candidates.crossfit import cross_fit
from fairuse_router.candidates.folds import split_rows
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
    y : ndarray of int, shape (n,)
        0 or 1.
    estimator : scikit-learn classifier, unfitted
    names : sequence of str
        Candidates.
    seed : int, default=0
        Of the folds.

    Returns
    -------
    candidates : dict of str to Candidate
        Trained on all rows.
    evidence : Evidence
        Out of fold, with the error as metric.
    schema : GroupSchema
    """
    schema = GroupSchema.from_table(table, columns, handle_unknown="withhold")
    groups = schema.group_ids(schema.encode(table))
    rows = TrainingRows(features, groups, y, y, CLASSES, schema.n_groups)
    folds = split_rows(5, features, y, groups, y, None, seed)
    feature_names = list(features.columns) if hasattr(features, "columns") else None
    recipes = make_recipes(names, estimator, schema, feature_names)
    candidates, scores, lacks = cross_fit(recipes, rows, folds, min_group_size=20)
    evidence = Evidence(
        rows.target,
        rows.groups,
        rows.n_groups,
        {name: s.predictions for name, s in scores.items()},
        {name: s.scored for name, s in scores.items()},
        lacks,
        get_metric("error"),
        20,
        margins={name: s.margins for name, s in scores.items() if s.margins is not None},
    )
    return candidates, evidence, schema


def among(evidence: Evidence, rivals: Sequence[str], **settings: Any) -> Evidence:
    """Evidence on generic and some other candidates only, and with other settings."""
    names = ("generic", *rivals)
    return replace(
        evidence,
        predictions={name: evidence.predictions[name] for name in names},
        scored={name: evidence.scored[name] for name in names},
        **settings,
    )

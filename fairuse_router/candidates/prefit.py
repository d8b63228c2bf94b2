"""Prefit: candidates that were fitted elsewhere, told the groups through the user's own columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.groups import GroupSchema


def check_models(models: Any) -> None:
    """Refuse a dict of models that cannot serve as candidates.

    Parameters
    ----------
    models : dict of str to fitted estimator
        As for `prefit_candidates`.

    Raises
    ------
    ValueError
        If `models` is no dict with a ``"generic"`` entry, or a model lacks the probabilities that
        generic has or knows classes that generic does not.
    sklearn.exceptions.NotFittedError
        If a model is not fitted.
    """
    if not isinstance(models, Mapping) or "generic" not in models:
        raise ValueError(
            f"cv='prefit' needs candidates as a dict of fitted models with a 'generic' entry, got "
            f"{list(models) if isinstance(models, Mapping) else models!r}. 'generic' takes X "
            "without the group columns, every other takes X with them."
        )
    generic = models["generic"]
    for name, model in models.items():
        check_is_fitted(model)
        if hasattr(generic, "predict_proba") and not hasattr(model, "predict_proba"):
            raise ValueError(
                f"candidates[{name!r}] is a {type(model).__name__} without predict_proba, which "
                "'generic' has. Give all models probabilities, or none."
            )
        if is_regressor(model) != is_regressor(generic):
            raise ValueError(
                f"candidates[{name!r}] is a {type(model).__name__}, 'generic' a "
                f"{type(generic).__name__}: all must be classifiers, or all regressors."
            )
        if not is_regressor(model):
            known = np.asarray(generic.classes_).tolist()
            foreign = [c for c in np.asarray(model.classes_).tolist() if c not in known]
            if foreign:
                raise ValueError(
                    f"candidates[{name!r}] predicts the classes {foreign}, which 'generic' does "
                    f"not know: {known}. Fit all models on the same classes."
                )


def prefit_candidates(
    models: Any, table: tables.Table, codes: NDArray[np.int64], schema: GroupSchema
) -> dict[str, Candidate]:
    """Wrap fitted models as candidates.

    Parameters
    ----------
    models : dict of str to fitted estimator
        ``"generic"`` takes X without the group columns; every other takes the user's X, with the
        group columns set to the report.
    table : table of n rows
        The user's X.
    codes : ndarray of int64, shape (n, k)
        Its reports.
    schema : GroupSchema

    Returns
    -------
    dict of str to Candidate
    """
    first = [_first_rows(codes[:, j], len(levels)) for j, levels in enumerate(schema.levels)]
    missing = [[row < 0 for row in rows] for rows in first]
    unavailable = {
        g: "a level of the group stands in no row"
        for g, code in enumerate(schema.group_codes)
        if any(missing[j][c - 1] for j, c in enumerate(code))
    }
    rows = [np.maximum(first[j][schema.group_codes[:, j] - 1], 0) for j in range(len(first))]
    columns = tables.gather_columns(tables.take_columns(table, schema.positions), rows)
    served = np.array([-1 if g in unavailable else 0 for g in range(schema.n_groups)])
    candidates = {}
    for name, model in models.items():
        if name == "generic":
            candidates[name] = Candidate(name, (model,), np.zeros(schema.n_groups, dtype=np.int64))
        else:
            candidates[name] = Candidate(
                name, (model,), served, columns, schema.attributes, schema.positions, unavailable
            )
    return candidates


def _first_rows(codes: NDArray[np.int64], n_levels: int) -> NDArray[np.int64]:
    """First row of each level, -1 if there is none."""
    rows = np.full(n_levels + 1, -1, dtype=np.int64)
    found, first = np.unique(codes, return_index=True)
    rows[found] = first
    return rows[1:]

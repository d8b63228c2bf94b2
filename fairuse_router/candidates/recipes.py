"""Recipes: the unfitted candidates, the rows that train them, and the fit of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.fresh import copies, fresh
from fairuse_router.candidates.injection import inject
from fairuse_router.candidates.lattice import Lattice, why_no_lattice
from fairuse_router.candidates.names import KNOWN, MULTILEVEL, WEIGH_MULTILEVEL, WEIGHS_PARTIAL
from fairuse_router.candidates.pruning import prune
from fairuse_router.candidates.unnamed import Numbers, with_dummies
from fairuse_router.candidates.weights import weight_keyword
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.auc import members
from fairuse_router.rows import Columns, Places, TrainingRows


class Unavailable(Exception):
    """Why a candidate cannot be had here, in words for the routing table."""


@dataclass(frozen=True)
class Recipe:
    """An unfitted candidate: the estimator, and what its columns tell of each group.

    Parameters
    ----------
    name : str
        One of `KNOWN`.
    estimator : estimator
        Unfitted; takes the features and the added columns.
    added : ndarray of shape (m, k) or None
        Dummies of each group: the columns that are added, or multilevel's main effects.
    added_names : tuple of str
        Their names.
    lattice : Lattice or None
        Partial reports that multilevel corrects, too.
    """

    name: str
    estimator: Any
    added: NDArray[np.float64] | None = None
    added_names: tuple[str, ...] = ()
    lattice: Lattice | None = None


_REPLACED = str.maketrans(
    {"<": "lt", "[": "(", "]": ")", "{": "(", "}": ")", ",": ";", ":": "=", '"': "'"}
)


def plain_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of dummies without the signs that XGBoost or LightGBM refuse; all of them distinct.

    Examples
    --------
    >>> plain_names(["sex_F", "age_<60", "age_[60", "age_{60"])
    ('sex_F', 'age_lt60', 'age_(60', 'age_(60_2')
    """
    found: dict[str, None] = {}
    for name in names:
        plain = unique = name.translate(_REPLACED)
        copies = 1
        while unique in found:
            copies += 1
            unique = f"{plain}_{copies}"
        found[unique] = None
    return tuple(found)


def plan_recipes(
    names: Any,
    policy: str,
    estimator: Any,
    columns: Columns,
    table: tables.Table,
    partial: str = "generic",
) -> list[Recipe]:
    """Build the candidates that a user asked for, and the one that some policies weigh.

    `estimator` is as the user wrote it, for the whole of X. With ``partial="lattice"`` multilevel
    corrects partial reports, too, where `why_not_partial` has nothing against it.
    """
    if policy in WEIGH_MULTILEVEL and isinstance(names, (tuple, list)) and MULTILEVEL not in names:
        names = (*names, MULTILEVEL)
    header = tables.column_names(table)
    pruned = prune(estimator, header, tables.shape(table)[1], columns.kept_out)
    features = [column.name for column in columns.features] if header else None
    recipes = make_recipes(names, pruned, columns.schema, features)
    if why_not_partial(partial, policy, columns.schema) is None:
        lattice = Lattice.of(columns.schema)
        recipes = [replace(r, lattice=lattice) if r.name == MULTILEVEL else r for r in recipes]
    return recipes


def why_not_partial(partial: str, policy: str, schema: GroupSchema) -> str | None:
    """Why partial reports are not to have routes of their own, if they are not."""
    if partial == "generic":
        return 'partial="generic" asks for it'
    if len(schema.levels) == 1:
        return "nobody can tell a part of one attribute"
    if policy != WEIGHS_PARTIAL:
        return f"the policy {policy!r} weighs full reports only"
    return why_no_lattice(schema)


def make_recipes(
    names: Any, estimator: Any, schema: GroupSchema, feature_names: Sequence[str] | None
) -> list[Recipe]:
    """Build the candidates to fit.

    Raises
    ------
    ValueError
        For a name that is not in `KNOWN`, if generic is missing, or if a dummy has the name
        of a feature.
    """
    if isinstance(names, (str, bytes, Mapping)) or not isinstance(names, Iterable):
        raise ValueError(
            f"candidates={names!r} is not allowed: pass a sequence of names; a dict of fitted "
            "models goes with cv='prefit'."
        )
    names = tuple(names)
    wrong = [name for name in names if name not in KNOWN]
    if wrong or "generic" not in names or len(set(names)) < len(names):
        raise ValueError(
            f"candidates={names} is not allowed: name each of {KNOWN} at most once, "
            "'generic' always among them."
        )
    encodings = {"onehot": schema.onehot, "intersectional": schema.intersectional}
    ids = schema.report_ids(schema.group_codes)
    recipes = []
    for name in names:
        if name == MULTILEVEL:
            recipes.append(Recipe(name, estimator, schema.onehot()[0][ids]))
            continue
        if name not in encodings:
            recipes.append(Recipe(name, estimator))
            continue
        dummies, texts = encodings[name]()
        columns = plain_names(texts)
        clash = sorted(set(columns) & set(feature_names or ()))
        if clash:
            raise ValueError(
                f"X has the columns {clash}, which are the names of dummies of group_attributes. "
                "Rename or drop them; the router encodes the group attributes by itself."
            )
        recipes.append(
            Recipe(name, inject(estimator, len(columns), columns), dummies[ids], columns)
        )
    return recipes


def fit_candidate(
    recipe: Recipe, data: TrainingRows, rows: Places, min_group_size: int
) -> Candidate:
    """Fit one candidate on some rows; groups that it cannot serve are recorded, with the reason."""
    if recipe.name == "decoupled":
        return _fit_decoupled(recipe, data, rows, min_group_size)
    features: Any = tables.take_rows(data.features, rows)
    if recipe.added is not None:
        # group -1, the last row: whoever withholds something is all zeros
        dummies = np.vstack([recipe.added, np.zeros_like(recipe.added[:1])])
        groups = data.groups[rows] % len(dummies)
        features = with_dummies(recipe.estimator, features, dummies, groups, recipe.added_names)
    model = fit_model(recipe.estimator, features, data, rows)
    everyone = np.zeros(data.n_groups, dtype=np.int64)
    return Candidate(recipe.name, (model,), everyone, recipe.added, recipe.added_names)


def fit_model(
    estimator: Any, features: tables.Table | Numbers, data: TrainingRows, rows: Places
) -> Any:
    """Fit a clone of an estimator to the labels and weights of some rows."""
    return _fit(fresh(estimator), features, data, rows)


def _fit(unfitted: Any, features: tables.Table | Numbers, data: TrainingRows, rows: Places) -> Any:
    params = {}
    if data.weight is not None:
        params[weight_keyword(unfitted)] = data.weight[rows]
    read = features if isinstance(features, Numbers) else Numbers.of(features, unfitted)
    if read is not None:
        return read.fit(unfitted, data.y[rows], **params)
    return unfitted.fit(features, data.y[rows], **params)


def _fit_decoupled(
    recipe: Recipe, data: TrainingRows, rows: Places, min_group_size: int
) -> Candidate:
    models: list[Any] = []
    which = np.full(data.n_groups, -1, dtype=np.int64)
    unavailable: dict[int, str] = {}
    another = copies(recipe.estimator)
    read = Numbers.of(data.features, recipe.estimator)
    for g, places in enumerate(members(data.groups[rows], data.n_groups)):
        own = rows[places]
        reason = _too_little(data, own, min_group_size)
        if reason is None:
            try:
                features = read.take(own) if read else tables.take_rows(data.features, own)
                with config_context(skip_parameter_validation=bool(models) and read is not None):
                    model = _fit(another(), features, data, own)
                reason = _missing_class(model, data.classes)
            except Exception as error:  # one group's trouble must not stop the others
                reason = first_line(error)
        if reason is None:
            which[g] = len(models)
            models.append(model)
        else:
            unavailable[g] = reason
    return Candidate(recipe.name, tuple(models), which, unavailable=unavailable)


def _too_little(data: TrainingRows, rows: Places, min_group_size: int) -> str | None:
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


def first_line(error: Exception) -> str:
    """An error's kind and the first line of its text; the text alone of `Unavailable`."""
    if isinstance(error, Unavailable):
        return str(error)
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"

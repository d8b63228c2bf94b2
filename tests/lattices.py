"""Rows that withhold, and what is learned of them along the lattice of reports."""

from dataclasses import replace

import numpy as np
from sklearn.linear_model import LogisticRegression

from fairuse_router import GroupSchema
from fairuse_router.candidates.crossfit import Training, fit_pool
from fairuse_router.candidates.lattice import Lattice, Reports
from fairuse_router.candidates.recipes import make_recipes
from fairuse_router.metrics import get_metric
from fairuse_router.routing.policies.evidence import Evidence, Settings
from fairuse_router.rows import TrainingRows

LOGISTIC = LogisticRegression(solver="newton-cholesky")


def population(n=600, sizes=(2, 3), *, seed=0, withhold=0.0, effect=1.5, **more):
    """Rows whose first slope and intercept depend on the first attribute, some of which withhold.

    Returns the rows as the fitting code takes them, and their schema.
    """
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.integers(1, size + 1, n) for size in sizes], axis=1)
    X = rng.normal(size=(n, 3))
    flip = np.where(codes[:, 0] == 1, 1.0, -0.5) * effect
    last = 0.4 * effect * (codes[:, -1] == 1)
    margin = flip * X[:, 0] + X[:, 1] + 0.5 * effect * (codes[:, 0] == 2) + last
    y = (margin + rng.logistic(size=n) > 0).astype(int)
    codes = np.where(rng.random(codes.shape) < withhold, 0, codes)
    levels = tuple(tuple(f"{j}{v}" for v in range(size)) for j, size in enumerate(sizes))
    names = tuple(f"a{j}" for j in range(len(sizes)))
    schema = GroupSchema(names, tuple(range(3, 3 + len(sizes))), levels)
    groups = schema.group_ids(codes)
    data = TrainingRows(X, groups, y, y, np.array([0, 1]), schema.n_groups, codes=codes, **more)
    return data, schema


def weighed(data, schema, metric="error", estimator=LOGISTIC, names=("generic", "multilevel")):
    """The evidence on all reports, and the pool it is of."""
    lattice = Lattice.of(schema)
    recipes = [
        replace(recipe, lattice=lattice) if recipe.name == "multilevel" else recipe
        for recipe in make_recipes(names, estimator, schema, None)
    ]
    pool = fit_pool(Training(recipes, random_state=0), data)
    reports = Reports(lattice, data.codes)
    scored = data.outcomes, pool.scores, [get_metric(metric)], Settings(), pool.unavailable
    return Evidence(*scored, reports), pool

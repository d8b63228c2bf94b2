"""Routers that use parts of their candidates, set by hand, and what they must say."""

from dataclasses import replace

import numpy as np
from forced import serve
from scipy.special import logit, softmax

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population
from fairuse_router.routing.table import RoutingTable

MEAN = "intersectional+multilevel"
PARTS = (("onehot", 0.25), ("decoupled", 0.5), ("intersectional", 0.75), ("onehot", 1.0))
CLIP = 0.005


def draw(classes=2, n=900, seed=3):
    """Rows of four groups that differ, and labels of so many classes, or numbers (0)."""
    population = make_population(n, n_groups=4, effect="slopes", random_state=seed)
    X, y = population.to_array(), population.y
    if classes == 3:
        y = y + (population.features[:, 1] > 0.7)
    if classes == 0:
        rng = np.random.default_rng(seed)
        y = population.features @ rng.normal(size=population.features.shape[1])
        y = y * (1 + (X[:, -1] == X[0, -1])) + rng.normal(size=n)
    return X, y, list(population.group_columns)


def fitted(estimator, X, y, groups, **settings):
    names = ("generic", "onehot", "intersectional", "decoupled", "multilevel")
    settings = {"candidates": names, "policy": "best", "cv": 3, "random_state": 0, **settings}
    return FairUseRouter(estimator, groups, **settings).fit(X, y)


def routed(router, parts):
    """The router, group g being served by ``parts[g % len(parts)]``: a candidate and a strength."""
    table, records = router.routing_table_, []
    for g, record in enumerate(table.groups):
        name, strength = parts[g % len(parts)]
        records.append(replace(record, candidate=name, strength=strength))
    new = RoutingTable.from_choices(
        table.schema, records, policy=table.policy, metric=table.metric, alpha=table.alpha
    )
    return serve(router, new)


def by_hand(router, features, groups, name, strength):
    """Probabilities, or predictions, of rows by a part of a candidate, from its definition."""
    classes = getattr(router, "classes_", None)

    def margin(name):
        method = "predict" if classes is None else "predict_proba"
        told = router.candidates_[name].evaluate(features, groups, method, classes)
        if classes is None:
            return told
        p = np.clip(told, CLIP, 1 - CLIP)
        return logit(p[:, 1]) if len(classes) == 2 else np.log(p)

    if name == MEAN:
        model = router.candidates_["multilevel"].corrected
        prepared = model.prepare(features)
        z0, z1 = prepared.margin, model.margin(prepared, groups)
        z = (model.scale * margin("intersectional") + z1) / 2
    else:
        z0, z = margin("generic"), margin(name)
    z = z0 + strength * (z - z0)
    if classes is None:
        return z
    return softmax(z if z.ndim == 2 else np.column_stack([0 * z, z]), axis=1)

"""
Models that are fitted already
==============================

A generic model and one with group attributes are in service. The router decides who serves whom,
without training anything.
"""

# %%
# Generic takes X without the group columns, every other model takes X with them.
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fairuse_router import FairUseRouter
from fairuse_router.datasets import make_population

population = make_population(n_samples=4000, effect="slopes", random_state=3)
X, y, groups = population.to_frame(), population.y, population.group_attributes
train, rest = slice(0, 2000), slice(2000, None)
encode = make_column_transformer((OneHotEncoder(), groups), remainder="passthrough")
models = {
    "generic": LogisticRegression().fit(X.drop(columns=groups)[train], y[train]),
    "linear": make_pipeline(encode, LogisticRegression()).fit(X[train], y[train]),
    "boosting": make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20)).fit(
        X[train], y[train]
    ),
}

# %%
# `fit` is given rows that none of them has seen.
router = FairUseRouter(None, groups, candidates=models, cv="prefit")
print(router.fit(X[rest], y[rest]).routing_table_)

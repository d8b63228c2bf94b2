"""Routers that few rows fit quickly, and the rows as the fitting code takes them."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from fairuse_router import FairUseRouter, GroupSchema
from fairuse_router.rows import TrainingRows

LOGISTIC = LogisticRegression(solver="newton-cholesky")


def router(estimator=None, groups=("sex", "age"), **settings):
    estimator = GaussianNB() if estimator is None else estimator
    return FairUseRouter(estimator, list(groups), **{"cv": 3, "policy": "best", **settings})


def training(rows, y=None, classes=None, **more) -> tuple[TrainingRows, GroupSchema]:
    """The rows as the fitting code takes them, and their schema."""
    schema = GroupSchema.from_table(rows.frame, rows.groups)
    y, codes = rows.y if y is None else y, schema.encode(rows.frame)
    classes = np.unique(y) if classes is None else classes
    data = TrainingRows(
        rows.frame[["x", "z"]],
        schema.group_ids(codes),
        y,
        np.searchsorted(classes, y),
        classes,
        schema.n_groups,
        codes=codes,
        **more,
    )
    return data, schema

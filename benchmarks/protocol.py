"""What the benchmarks on real data share: the paper's models, its rebalancing, the data sets.

The protocol of Suriyakumar, Ghassemi, Ustun (2023, section 4.1 and appendix D): logistic
regression, random forests (100 trees, depth 20, split 5, leaf 2) and neural networks (hidden layers
of 5 and 2, learning rate 1e-3, Platt scaling), mean imputation. The paper rebalances classes
within groups before it splits, which copies test rows into training (`rebalanced`); else rows are
weighted here, those of training and those of test by their own classes (`balancing_weights`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.data import (
    Data,
    load_aids,
    load_arrests,
    load_flchain,
    load_framingham,
    load_loanapp,
    load_nhefs,
    load_whas500,
)
from fairuse_router.datasets import load_heart

TECHNIQUES = {"onehot": "1Hot", "intersectional": "All", "decoupled": "DCP"}


def heart() -> Data:
    """Cleveland heart data with the group columns first."""
    X, y = load_heart(return_X_y=True, as_frame=True)
    return Data(X, np.asarray(y), ["sex", "age_group"])


DATA: dict[str, Callable[[], Data]] = {
    "heart": heart,
    "whas500": load_whas500,
    "aids": load_aids,
    "loanapp": load_loanapp,
    "framingham": load_framingham,
}
MORE: dict[str, Callable[[], Data]] = {  # looked at by nobody while the policies were made
    "flchain": load_flchain,
    "nhefs": load_nhefs,
    "arrests": load_arrests,
}


def preprocessed(model: Any) -> Pipeline:
    """A model behind mean imputation and scaling of numbers, and dummies of categories."""
    numbers = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    return make_pipeline(
        make_column_transformer(
            (numbers, make_column_selector(dtype_include="number")),
            (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        ),
        model,
    )


def models(trees: int = 100) -> dict[str, Any]:
    """The paper's three model classes, unfitted."""
    forest = RandomForestClassifier(
        n_estimators=trees,
        max_depth=20,
        min_samples_split=5,
        min_samples_leaf=2,
        random_state=0,
    )
    net = MLPClassifier((5, 2), learning_rate_init=1e-3, max_iter=2000, random_state=0)
    return {
        "logistic regression": preprocessed(LogisticRegression(max_iter=2000)),
        "random forest": preprocessed(forest),
        "neural net": preprocessed(CalibratedClassifierCV(net, method="sigmoid", cv=3)),
    }


def rebalanced(X: pd.DataFrame, y: np.ndarray, groups: list[str], seed: int) -> np.ndarray:
    """Rows with copies of the rarer class of every group, until both classes are equally many.

    What the paper seems to have done before it split (errata to its section 4.1): copies of one row
    then stand in training and in test, which flatters whatever can learn them by heart.
    """
    rng = np.random.default_rng(seed)
    cells = X[groups].astype(str).agg("|".join, axis=1).to_numpy()
    rows = [np.arange(len(y))]
    for cell in np.unique(cells):
        classes = [np.flatnonzero((cells == cell) & (y == c)) for c in (0, 1)]
        fewer, more = sorted(classes, key=len)
        if len(fewer):
            rows.append(rng.choice(fewer, len(more) - len(fewer)))
    return np.concatenate(rows)


def balancing_weights(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> np.ndarray:
    """Weights that give both classes half of every group, and every group its number of rows.

    A group of one class keeps weights of one.
    """
    cells = X[groups].astype(str).agg("|".join, axis=1)
    weights = np.ones(len(y))
    for cell in cells.unique():
        rows = np.flatnonzero(cells == cell)
        counts = np.bincount(y[rows], minlength=2)
        if counts.min() > 0:
            weights[rows] = len(rows) / (2 * counts[y[rows]])
    return weights

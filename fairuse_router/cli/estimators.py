"""Estimators of the command line: a pipeline that takes any table, and that ONNX can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_NET: dict[str, Any] = {"alpha": 1.0, "learning_rate_init": 0.01, "max_iter": 1000}


def make_estimator(
    kind: str, numbers: Sequence[str], texts: Sequence[str], seed: int, regression: bool = False
) -> Any:
    """Return an unfitted pipeline: columns to numbers, then a classifier or a regressor.

    Parameters
    ----------
    kind : {"logistic", "ridge", "forest", "boosting", "mlp"}
        Logistic is for classes only, ridge for measurements only.
    numbers, texts : sequence of str
        Feature columns. Numbers get the median where missing (boosting knows missing values
        itself), and are scaled where it matters. Texts become dummies; missing is a category of
        its own, and a category that training did not hold is none of them.
    seed : int
        Of everything random in the model.
    regression : bool, default=False
        Whether to predict measurements.
    """
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    prepare: Any = make_pipeline(impute, StandardScaler())
    if kind == "forest":
        prepare = impute
    elif kind == "boosting":
        prepare = "passthrough"
    dummies = OneHotEncoder(handle_unknown="ignore", sparse_output=kind != "boosting")
    parts = [("numbers", prepare, list(numbers)), ("texts", dummies, list(texts))]
    columns = ColumnTransformer([part for part in parts if part[2]])
    return make_pipeline(columns, (_regressor if regression else _classifier)(kind, seed))


def _classifier(kind: str, seed: int) -> Any:
    if kind == "logistic":
        return LogisticRegression(max_iter=1000)
    if kind == "forest":  # an odd number of trees, so that votes seldom tie
        return RandomForestClassifier(101, min_samples_leaf=5, random_state=seed)
    if kind == "boosting":
        return HistGradientBoostingClassifier(random_state=seed)
    return MLPClassifier(hidden_layer_sizes=(32,), random_state=seed, **_NET)


def _regressor(kind: str, seed: int) -> Any:
    if kind == "ridge":
        return Ridge()
    if kind == "forest":
        return RandomForestRegressor(101, min_samples_leaf=5, random_state=seed)
    if kind == "boosting":
        return HistGradientBoostingRegressor(random_state=seed)
    net = MLPRegressor(hidden_layer_sizes=(32,), random_state=seed, **_NET)
    return TransformedTargetRegressor(net, transformer=StandardScaler())  # nets fit the size of 1

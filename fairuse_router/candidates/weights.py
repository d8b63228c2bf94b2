"""Sample weights: the keyword under which an estimator's final step receives them."""

from __future__ import annotations

from typing import Any

from sklearn import get_config
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

# they take them among the parameters that they hand on
_HAND_ON = (
    *(VotingClassifier, VotingRegressor, StackingClassifier, StackingRegressor),
    TransformedTargetRegressor,
)


def weight_keyword(estimator: Any) -> str:
    """Return the ``fit`` keyword that brings sample weights to the final step of `estimator`.

    Parameters
    ----------
    estimator : estimator

    Returns
    -------
    str
        Such as ``"sample_weight"`` or ``"clf__sample_weight"``.

    Raises
    ------
    ValueError
        If the final step takes no sample weights, or a meta-estimator cannot hand them on.
    """
    if get_config()["enable_metadata_routing"]:
        return "sample_weight"
    if isinstance(estimator, Pipeline):
        name, final = estimator.steps[-1]
        return f"{name}__{weight_keyword(final)}"
    params = estimator.get_params(deep=False)
    if "param_grid" in params or "param_distributions" in params:
        return weight_keyword(estimator.estimator)
    inside = [params.get("estimator"), params.get("regressor"), params.get("final_estimator")]
    inside += [named[1] for named in params.get("estimators") or ()]
    pipelines = any(isinstance(inner, Pipeline) for inner in inside)
    takes = has_fit_parameter(estimator, "sample_weight") or isinstance(estimator, _HAND_ON)
    if takes and not pipelines:
        return "sample_weight"
    cause = "does not hand them on to the Pipeline inside it" if pipelines else "takes none in fit"
    raise ValueError(
        f"sample_weight was passed, but {type(estimator).__name__} {cause}. Leave sample_weight "
        "out, use a final step that takes weights, or enable scikit-learn's metadata routing and "
        "set the fit request of the steps."
    )

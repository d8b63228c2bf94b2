"""Checks at the door: settings, target, weights and clusters, refused before anything is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.semi_supervised import LabelPropagation, LabelSpreading, SelfTrainingClassifier
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight

from fairuse_router import frames
from fairuse_router.levels import is_missing
from fairuse_router.metrics import Metric, get_metric
from fairuse_router.prefit import check_models
from fairuse_router.routing.policies import POLICIES

_SEMI_SUPERVISED = (SelfTrainingClassifier, LabelPropagation, LabelSpreading)
_NUMBERS = (int, float, np.integer, np.floating)


def check_settings(router: Any, template: Any, prefit: bool) -> Metric:
    """Refuse settings that cannot work; return the metric.

    Parameters
    ----------
    router : FairUseRouter
    template : estimator
        The estimator to train, or the fitted generic.
    prefit : bool
        Whether the candidates are fitted already.
    """
    if isinstance(template, FrozenEstimator) and not prefit:
        raise TypeError(
            "estimator is a FrozenEstimator, which the router cannot train. Pass the estimator "
            "itself, or fitted models: FairUseRouter(None, group_attributes, cv='prefit', "
            "candidates={'generic': ..., 'personalized': ...})."
        )
    if prefit:
        check_models(router.candidates)
        if router.audit_only is not None:
            raise ValueError(
                "audit_only cannot be kept from models that are fitted already (cv='prefit'). Drop "
                "these columns from X, and audit with audit_predictions."
            )
    trainable = hasattr(template, "fit") and hasattr(template, "get_params")
    if not prefit and (not trainable or isinstance(template, type)):
        raise TypeError(
            f"estimator={template!r} is not an estimator; pass a scikit-learn classifier such as "
            "LogisticRegression(), or a Pipeline that ends in one."
        )
    if router.policy not in POLICIES:
        raise ValueError(f"policy={router.policy!r} is not known. Allowed: {', '.join(POLICIES)}.")
    if not (isinstance(router.alpha, _NUMBERS) and 0 < router.alpha < 0.5):
        raise ValueError(f"alpha={router.alpha!r} is not allowed: it lies between 0 and 0.5.")
    if router.policy == "slope" and prefit:
        raise ValueError(
            "policy='slope' weighs the candidate 'multilevel', which the router must train itself: "
            "choose another policy, or pass the estimator and a cv other than 'prefit'."
        )
    if not (isinstance(router.max_harmed, _NUMBERS) and router.max_harmed > 0):
        raise ValueError(
            f"max_harmed={router.max_harmed!r} is not allowed: pass a positive number of groups, "
            "such as 0.4."
        )
    for name in ("min_group_size", "max_levels"):
        value = getattr(router, name)
        if not (isinstance(value, _NUMBERS) and value >= 2):
            raise ValueError(f"{name}={value!r} is not allowed: pass a number of at least 2.")
    if not (router.withheld is None or isinstance(router.withheld, str)):
        raise TypeError(
            f"withheld={router.withheld!r} is not allowed: pass a text such as '?', or None; "
            "missing values always withhold."
        )
    whole = isinstance(router.n_resamples, (int, np.integer))
    if not whole or isinstance(router.n_resamples, bool) or router.n_resamples < 0:
        raise ValueError(
            f"n_resamples={router.n_resamples!r} is not allowed: 0 (no honest gains) or more; 200 "
            "is customary."
        )
    return _check_metric(get_metric(router.metric), template)


def _check_metric(metric: Metric, template: Any) -> Metric:
    kind = type(template).__name__
    if metric.regression != is_regressor(template):
        raise ValueError(
            f"metric={metric.name!r} does not fit the estimator {kind}: use 'squared_error' or "
            "'absolute_error' for regressors; 'error', 'log_loss', 'brier', 'auc' or 'ece' for "
            "classifiers."
        )
    if metric.needs_proba and not hasattr(template, "predict_proba"):
        raise ValueError(
            f"metric={metric.name!r} needs probabilities, and the estimator {kind} has no "
            "predict_proba. Use metric='error', wrap the estimator in CalibratedClassifierCV, or "
            "name the final_estimator of a StackingClassifier, which has one once it is fitted."
        )
    return metric


def check_target(y: Any, n: int, router: Any) -> NDArray[Any]:
    """Return y as a 1-D array of n values without gaps."""
    if y is None:
        raise ValueError(
            f"This {type(router).__name__} estimator requires y to be passed, but the target y is "
            "None."
        )
    y = column_or_1d(y, warn=True)
    if len(y) != n:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} rows, y has "
            f"{len(y)}."
        )
    gaps = [is_missing(v) for v in y.tolist()] if y.dtype.kind in "Of" else []
    if any(gaps):
        raise ValueError(
            f"Input y contains NaN or None in {sum(gaps)} of {n} rows. Drop the rows without a "
            "label."
        )
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains infinity. Drop or correct those rows.")
    return y


def learn_classes(y: NDArray[Any], template: Any, generic: Any) -> NDArray[Any]:
    """Return the class labels: of y, or of a generic model that was fitted elsewhere.

    Raises
    ------
    ValueError
        For a target that is no classes, or one class, or rows that are marked as unlabelled.
    """
    check_classification_targets(y)
    inside = [template, *template.get_params(deep=True).values()]
    semi = [type(e).__name__ for e in inside if isinstance(e, _SEMI_SUPERVISED)]
    if semi and generic is None and y.dtype.kind in "if" and (y == -1).any():
        raise ValueError(
            f"y is -1 in {int((y == -1).sum())} of {len(y)} rows, which {semi[0]} takes for rows "
            "without a label. A router is audited on labels: drop those rows, or give the class "
            "another label than -1."
        )
    if generic is not None:
        return np.asarray(generic.classes_)
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {classes[0]!r}; a classifier needs rows of at least two "
            "classes."
        )
    return classes


def to_target(y: NDArray[Any], classes: NDArray[Any] | None) -> NDArray[Any]:
    """Index of each label in the classes; y itself for a regression."""
    if classes is None:
        return y.astype(np.float64)
    index = {label: i for i, label in enumerate(classes.tolist())}
    unknown = sorted({str(v) for v in y.tolist() if v not in index})
    if unknown:
        raise ValueError(
            f"y has labels that the models do not know: {unknown[:5]}. Known: {classes.tolist()}."
        )
    return np.array([index[v] for v in y.tolist()], dtype=np.int64)


def check_weight(sample_weight: Any, features: frames.Table) -> NDArray[np.float64] | None:
    """Return sample weights as floats, non-negative and not all zero."""
    if sample_weight is None:
        return None
    n = frames.shape(features)[0]
    weight = _check_sample_weight(sample_weight, np.zeros((n, 1)), dtype=np.float64)
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            "sample_weight must be non-negative with at least one positive weight; got a minimum "
            f"of {weight.min()} and a sum of {weight.sum()}."
        )
    return weight


def check_clusters(clusters: Any, n: int) -> NDArray[np.int64] | None:
    """Return clusters as numbers from 0."""
    if clusters is None:
        return None
    shape = np.shape(clusters)
    if shape not in ((n,), (n, 1)):
        raise ValueError(f"clusters has the shape {shape} for {n} rows; give one entry per row.")
    clusters = column_or_1d(clusters)
    missing = sum(map(is_missing, clusters.tolist()))
    if missing:
        raise ValueError(
            f"clusters is missing in {missing} of {n} rows. Give rows without a cluster one each."
        )
    try:
        return np.unique(clusters, return_inverse=True)[1]
    except TypeError:
        raise TypeError(
            "clusters mixes types that have no order, such as text and numbers. Make them all text."
        ) from None

"""Checks at the door: settings, target, weights and clusters, refused before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from fairuse_router import tables
from fairuse_router.candidates.prefit import check_models
from fairuse_router.grids import told
from fairuse_router.metrics import Metric, get_metric, read_threshold
from fairuse_router.routing.policies.rules import POLICIES

_NUMBERS = (int, float, np.integer, np.floating)


def refuse_fit_params(given: Mapping[str, Any]) -> None:
    """Refuse parameters of the estimator's own ``fit``, such as ``eval_set``, in words."""
    if given:
        names = ", ".join(given)
        raise TypeError(
            f"fit takes no {names}: rows or settings for one model cannot be handed to every "
            "candidate of every fold, each of which sees other rows and columns. Give settings to "
            "the estimator's constructor; stop early by rows that it holds back itself (such as "
            "HistGradientBoostingClassifier(early_stopping=True)); or fit the models yourself and "
            "pass them by cv='prefit'."
        )


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
    _check_kind(template)
    if router.policy not in POLICIES:
        raise ValueError(f"policy={router.policy!r} is not known. Allowed: {', '.join(POLICIES)}.")
    if router.partial not in ("lattice", "generic"):
        raise ValueError(
            f"partial={router.partial!r} is not allowed: pass 'lattice' (every further answer may "
            "pay for itself) or 'generic' (whoever withholds anything is served by generic)."
        )
    if not (isinstance(router.alpha, _NUMBERS) and 0 < router.alpha < 0.5):
        raise ValueError(f"alpha={told(router.alpha)} is not allowed: it lies between 0 and 0.5.")
    if not (isinstance(router.price, _NUMBERS) and router.price > 0):
        raise ValueError(
            f"price={told(router.price)} is not allowed: pass a positive number of points of "
            "everybody's gain that one harmed group is worth; 2 is careful, 1 bold."
        )
    for name in ("min_group_size", "max_levels"):
        value = getattr(router, name)
        if not (isinstance(value, _NUMBERS) and value >= 2):
            raise ValueError(f"{name}={told(value)} is not allowed: pass a number of at least 2.")
    if not (router.withheld is None or isinstance(router.withheld, str)):
        raise TypeError(
            f"withheld={router.withheld!r} is not allowed: pass a text such as '?', or None; "
            "missing values always withhold."
        )
    if not isinstance(router.recalibrate, (bool, np.bool_)):
        raise TypeError(f"recalibrate={router.recalibrate!r} is not allowed: pass True or False.")
    whole = isinstance(router.n_resamples, (int, np.integer))
    if not whole or isinstance(router.n_resamples, bool) or router.n_resamples < 0:
        raise ValueError(
            f"n_resamples={told(router.n_resamples)} is not allowed: 0 (no honest gains) or more; "
            "200 is customary."
        )
    return _check_metric(get_metric(router.metric), template)


def check_threshold(threshold: Any, template: Any, classes: Any) -> float | None:
    """Return the threshold as a number; refuse one that nothing can be cut by."""
    read = read_threshold(threshold)
    if read is None:
        return None
    if classes is None or len(classes) != 2:
        what = "a regression" if classes is None else f"{len(classes)} classes"
        raise ValueError(
            f"threshold={told(threshold)} is for two classes; this is {what}. Leave it out."
        )
    if not hasattr(template, "predict_proba"):
        raise ValueError(
            f"threshold={told(threshold)} needs probabilities, and the estimator "
            f"{type(template).__name__} has no predict_proba. Wrap it in CalibratedClassifierCV."
        )
    return read


_OTHERS = {
    "clusterer": "a clusterer, which learns no labels",
    "outlier_detector": "an outlier detector, which learns no labels",
    "density_estimator": "a density estimator, which learns no labels",
    "transformer": "a transformer, which predicts nothing",
}


def _check_kind(template: Any) -> None:
    """Refuse what is neither classifier nor regressor."""
    final = template[-1] if isinstance(template, Pipeline) else template
    told = _OTHERS.get(str(getattr(get_tags(template), "estimator_type", None)))
    survival = ("predict_survival_function", "predict_cumulative_hazard_function")
    if any(hasattr(type(final), name) for name in survival):
        told = "a survival model, whose target is a time that may be censored"
    can = hasattr(template, "predict") or hasattr(type(template), "predict")  # once it is fitted
    if told is None and not can:
        told = "without predict"
    if told is not None:
        raise TypeError(
            f"estimator: {type(final).__name__} is {told}. Pass a classifier or a regressor."
        )


def _check_metric(metric: Metric, template: Any) -> Metric:
    kind = type(template).__name__
    if not metric.directed:
        raise ValueError(
            f"metric={metric.name!r} is not allowed: neither more nor less of it is better, so no "
            "route can be chosen by it. Audit it: router.audit(X, y, metrics=...); choose by "
            "'net_benefit@0.2', say."
        )
    if metric.regression != is_regressor(template) and not metric.any_target:
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


def check_names_are_known(estimator: object, table: tables.Table) -> None:
    """Refuse a frame whose names scikit-learn did not learn: columns could change places unseen."""
    names = tables.column_names(table)
    texts = names is not None and all(isinstance(name, str) for name in names)
    if texts and not hasattr(estimator, "feature_names_in_"):
        raise ValueError(
            f"X is a {type(table).__module__.split('.')[0]} {type(table).__name__}, whose column "
            "names this scikit-learn cannot read; those of polars 2 are read from scikit-learn "
            "1.9 on. Update scikit-learn, or pass X.to_pandas()."
        )

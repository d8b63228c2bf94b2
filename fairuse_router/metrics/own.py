"""Risks of a user's own: what each callable expects, told by how it is written.

======================================  =========================================================
written as                              is given, and counts
======================================  =========================================================
``f(y, predictions, weight)``           class indices, a `Predictions`, weights or None
``f(y_true, y_pred[, sample_weight])``  labels as the user has them; numbers of a regression
``f(y_true, y_proba)``, ``y_score``     and probabilities: of the second of two classes, or all
a function of scikit-learn              as its names say; a ``*_score`` counts as 1 - score
a scorer of ``make_scorer``             as it was made; its score as 1 - score
======================================  =========================================================

A risk without weights is given rows as often as they count. What fits none of these is refused
before anything is fitted, and so is what cannot be computed on the rows at hand: see `settle`.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from fairuse_router.metrics.metric import Metric, Predictions, Weight
from fairuse_router.metrics.threshold import Cut

_PROBABILITIES = ("y_proba", "y_prob", "y_probas", "y_score", "y_scores")
_OF_PROBABILITIES = ("log_loss", "d2_log_loss_score")  # whose y_pred are probabilities
_THEIR_NAME = {"log_loss": "clipped_log_loss"}  # the built-in one is not clipped
_LABELS = ("y_pred", "y_hat", "yhat", "y_predicted")
_WEIGHTS = ("sample_weight", "sample_weights", "weight", "weights", "w")
_MODELS = ("estimator", "est", "clf", "model", "self")
_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_USE = (
    "Write it as metric(y_true, y_pred), metric(y_true, y_pred, sample_weight) or "
    "metric(y, predictions, weight), returning one number, lower is better."
)


@dataclass(frozen=True)
class OwnRisk:
    """A callable with what it expects.

    Parameters
    ----------
    function : callable
    name : str
    given : {"predictions", "labels", "probabilities"}
        What it is told of the model.
    weight : str or None
        The argument for weights; ``""`` is the third one.
    higher : bool
        Whether it is a score, of which more is better.
    theirs : bool
        Whether it is scikit-learn's, which knows undefined values.
    settings : mapping of str to object
        More arguments by name.
    indices : bool
        Whether labels are told by their indices.
    classes : ndarray of shape (K,) or None
        Labels, once they are known.
    """

    function: Callable
    name: str
    given: str = "predictions"
    weight: str | None = ""
    higher: bool = False
    theirs: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    indices: bool = False
    classes: np.ndarray | None = field(default=None, compare=False)

    def __call__(self, y: np.ndarray, predictions: Predictions, weight: Weight) -> float:
        """Return the risk; no rows have none."""
        if weight is not None and self.weight is None:
            rows = np.repeat(np.arange(len(y)), weight.astype(np.int64))
            y, predictions, weight = y[rows], predictions[rows], None
        if len(y) == 0:
            return math.nan
        told = self._told(y, predictions)
        more = dict(self.settings)
        if self.weight:
            more[self.weight] = weight
        elif self.weight == "":
            told = (*told, weight)
        value = self._ask(told, more)
        try:
            number = float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"metric {self.name!r} returned {type(value).__name__}; it must return one number, "
                "lower is better."
            ) from error
        return 1 - number if self.higher else number

    def _ask(self, told: tuple[Any, ...], more: dict[str, Any]) -> Any:
        if not self.theirs:
            return self.function(*told, **more)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that are undefined, which come as nan
            try:
                return self.function(*told, **more)
            except ValueError:
                if len(np.unique(told[0])) < 2:  # one class: undefined
                    return math.nan
                raise

    def _told(self, y: np.ndarray, predictions: Predictions) -> tuple[Any, ...]:
        """The arguments by position, without weights."""
        if self.given == "predictions":
            return y, predictions
        names = None if self.indices else self.classes
        truth = y if names is None else names[y]
        if self.given == "labels":
            label = predictions.label
            return truth, label if names is None else names[label]
        if predictions.proba is None:
            raise ValueError(
                f"metric={self.name!r} needs probabilities and these predictions have none. Use an "
                "estimator with predict_proba."
            )
        two = predictions.proba.shape[1] == 2
        return truth, predictions.proba[:, 1] if two else predictions.proba


def read_callable(function: Callable) -> Metric:
    """Return the metric that a callable is, told by how it is written.

    Raises
    ------
    TypeError
        If it is no risk of labels or probabilities.
    """
    if hasattr(function, "_score_func") and hasattr(function, "_sign"):
        return _scorer(function)
    inner = function.func if isinstance(function, partial) else function
    name = getattr(inner, "__name__", type(inner).__name__)
    names, parameters = _signature(function, name)
    if str(getattr(inner, "__module__", "")).startswith("sklearn.metrics"):
        return _theirs(function, inner, name, parameters)
    given = "predictions"
    second = names[1] if len(names) > 1 else ""
    if second in _PROBABILITIES:
        given = "probabilities"
    elif second in _LABELS or (len(names) == 2 and second != "predictions"):
        given = "labels"
    weight: str | None = ""
    if given != "predictions" or len(names) == 2:
        weight = next((n for n in _WEIGHTS if n in parameters), None)
    risk = OwnRisk(function, name, given, weight)
    return Metric(name, given == "probabilities", None, risk, any_target=given != "probabilities")


def _signature(function: Callable, name: str) -> tuple[list[str], dict[str, Any]]:
    """Names of the arguments by position (those without a default, and weights), and all.

    Raises
    ------
    TypeError
        If it cannot be called with a truth and predictions.
    """
    try:
        parameters = dict(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # not written in Python
        return ["y", "predictions", "weight"], {}
    place = [p for p in parameters.values() if p.kind in _KINDS]
    rest = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values())
    if place and place[0].name in _MODELS:
        raise TypeError(
            f"metric {name!r} is called with a model, as scorers of scikit-learn may be; a router "
            f"has predictions only. {_USE}"
        )
    if len(place) < 2 and not rest:
        raise TypeError(f"metric {name!r} takes {len(place)} arguments by position. {_USE}")
    if rest and len(place) < 3:
        return ["y", "predictions", "weight"], parameters
    names = [p.name for p in place]
    empty = inspect.Parameter.empty
    needed = [
        p.name
        for p in parameters.values()
        if p.default is empty and p.kind in (*_KINDS, inspect.Parameter.KEYWORD_ONLY)
    ]
    told = 2 if names[1] in (*_LABELS, *_PROBABILITIES) or len(names) == 2 else 3
    lacking = [n for n in needed if n not in names[:told] and n not in _WEIGHTS]
    if lacking:
        raise TypeError(
            f"metric {name!r} needs {', '.join(lacking)}, which nobody knows here. Bind it by "
            f"functools.partial. {_USE}"
        )
    if told == 3 and place[2].default is not empty and names[2] not in _WEIGHTS:
        names = names[:2]  # a setting with a default is no weight
    return names, parameters


def _scorer(scorer: Any) -> Metric:
    """A scorer of scikit-learn's ``make_scorer``."""
    function = scorer._score_func
    methods = getattr(scorer, "_response_method", "predict")
    methods = [methods] if isinstance(methods, str) else list(methods)
    inner = function.func if isinstance(function, partial) else function
    name = _THEIR_NAME.get(inner.__name__, inner.__name__)
    if not {"predict", "predict_proba"} & set(methods):
        raise TypeError(
            f"metric: the scorer of {name!r} asks for {methods[0]}; a router is judged by labels "
            "or probabilities. Make it with response_method='predict_proba'."
        )
    parameters = dict(inspect.signature(function).parameters)
    theirs = str(getattr(inner, "__module__", "")).startswith("sklearn.metrics")
    given = "labels" if methods[0] == "predict" else "probabilities"
    settings = dict(scorer._kwargs)
    risk = OwnRisk(
        function,
        name,
        given,
        next((n for n in _WEIGHTS if n in parameters), None),
        scorer._sign > 0,
        theirs,
        {**_undefined(parameters, settings), **settings},
        "pos_label" not in settings and (given != "labels" or "pos_label" in parameters),
    )
    proba, measures = given == "probabilities", theirs and _is_regression(inner)
    either = not theirs and not proba
    return Metric(name, proba, None, risk, regression=measures, any_target=either)


def _theirs(function: Any, inner: Any, name: str, parameters: Mapping[str, Any]) -> Metric:
    """A function of ``sklearn.metrics``: its names say what it takes, and which way is better."""
    names = list(parameters)
    higher = name.endswith("_score")
    lower = name.endswith(("_error", "_loss", "_deviance"))
    first = names[0] if names else ""
    second = names[1] if len(names) > 1 else ""
    if not (higher or lower) or first not in ("y_true", "y1") or second == "pred_decision":
        raise TypeError(
            f"metric {name!r} of sklearn.metrics gives no risk of labels or probabilities. {_USE}"
        )
    proba = second in _PROBABILITIES or name in _OF_PROBABILITIES
    name = _THEIR_NAME.get(name, name)
    bound = function.keywords if isinstance(function, partial) else {}
    risk = OwnRisk(
        function,
        name,
        "probabilities" if proba else "labels",
        "sample_weight" if "sample_weight" in parameters else None,
        higher,
        True,
        _undefined(parameters, bound),
        "pos_label" not in bound and (proba or "pos_label" in parameters),
    )
    return Metric(name, proba, None, risk, regression=_is_regression(inner))


def _is_regression(function: Any) -> bool:
    return str(function.__module__).endswith("_regression")


def _undefined(parameters: Mapping[str, Any], bound: Mapping[str, Any]) -> dict[str, Any]:
    """Ask for nan where nothing is defined."""
    return {"zero_division": math.nan} if "zero_division" in set(parameters) - set(bound) else {}


def settle(
    metric: Metric, y: np.ndarray, classes: np.ndarray | None, weight: Weight = None
) -> Metric:
    """Tell a risk of the user's own the classes, and refuse one that cannot judge these rows.

    Parameters
    ----------
    metric : Metric
    y : ndarray of shape (n,)
        Class indices, or the target of a regression.
    classes : ndarray of shape (K,) or None
        None for a regression.
    weight : ndarray of shape (n,) or None, default=None

    Raises
    ------
    ValueError, TypeError
        If weights are not whole numbers and it takes none, or it fails on predictions that are
        right.

    Examples
    --------
    >>> from fairuse_router.metrics import get_metric
    >>> def cost(y_true, y_pred):
    ...     return np.mean(np.where(y_true == "ill", 5.0, 1.0) * (y_true != y_pred))
    >>> y, classes = np.array([0, 1, 1]), np.array(["ill", "well"])
    >>> told = settle(get_metric(cost), y, classes)  # class indices come to `cost` as classes
    >>> round(told.risk(y, Predictions(np.array([1, 1, 1])), None), 2)
    1.67
    """
    if isinstance(metric.risk, Cut):
        inner = settle(replace(metric, risk=metric.risk.inner), y, classes, weight)
        return replace(inner, risk=replace(metric.risk, inner=inner.risk))
    if not isinstance(metric.risk, OwnRisk):
        return metric
    own = replace(metric.risk, classes=classes)
    if own.given == "probabilities" and own.theirs and classes is not None:
        named = "labels" in inspect.signature(own.function).parameters
        if named and "labels" not in own.settings and own.indices:
            own = replace(own, settings={**own.settings, "labels": np.arange(len(classes))})
    if weight is not None and own.weight is None and (weight % 1).any():
        raise ValueError(
            f"metric {own.name!r} takes no weights, and sample_weight holds fractions. Let it take "
            "sample_weight."
        )
    if classes is None:
        right = Predictions(y.astype(float))
    else:
        wrong = 0.1 / max(len(classes) - 1, 1)
        proba = np.full((len(y), len(classes)), wrong)
        proba[np.arange(len(y)), y] = 1 - wrong * (len(classes) - 1)
        right = Predictions(y, proba)
    try:
        with np.errstate(all="ignore"):
            own(y, right, weight)
    except TypeError as error:
        raise TypeError(f"metric {own.name!r} failed on right predictions: {error}") from error
    except Exception as error:
        raise ValueError(
            f"metric {own.name!r} failed on right predictions ({type(error).__name__}: {error}). "
            f"{_USE}"
        ) from error
    return replace(metric, risk=own, regression=classes is None)

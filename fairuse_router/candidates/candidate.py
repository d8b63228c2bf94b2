"""Candidates: fitted models that can serve reports, and the one pass that asks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.candidates.corrected import Corrected, Further
from fairuse_router.candidates.lattice import Lattice
from fairuse_router.candidates.own_models import own_answers
from fairuse_router.candidates.unnamed import Numbers, without_names
from fairuse_router.inference.auc import members
from fairuse_router.metrics import Predictions, check_probabilities


class Unusable(ValueError):
    """Answers of a model that nothing can be made of; the candidate serves nobody."""


@dataclass(frozen=True)
class ServedModel:
    """A fitted estimator, and the columns that it is told beside the features.

    Parameters
    ----------
    candidate : str
        Name of the candidate it belongs to.
    estimator : fitted estimator
    added : ndarray or dataframe of shape (n_routes, k), or None
        Values of the added columns per route; rows of routes that it does not serve are unused.
        Dummies, or, with `positions`, the group columns as they stand in the user's X.
    added_names : tuple of str
        Names of the added columns.
    positions : tuple of int or None
        Where in the user's X those columns stand; None: on the right of the features.
    """

    candidate: str
    estimator: Any
    added: tables.Table | None = None
    added_names: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None

    def complete(self, features: tables.Table, routes: NDArray[np.int64]) -> tables.Table:
        """Features with the added columns of each row's route."""
        if self.added is None:
            return features
        values = tables.take_rows(self.added, routes)
        if self.positions is None:
            return tables.append_columns(features, values, self.added_names)
        return tables.insert_columns(features, values, self.positions)


@dataclass(frozen=True)
class Candidate:
    """One way to serve groups: one or several fitted models, and what they are told.

    Parameters
    ----------
    name : str
        ``"generic"``, ``"onehot"``, ``"intersectional"``, ``"decoupled"``, ``"multilevel"``, or a
        name of the user's.
    models : tuple of fitted estimators
        One, or one per group that has its own.
    model_of_group : ndarray of int64, shape (m,)
        Index into `models`; -1 where the candidate cannot serve the group.
    added : ndarray or dataframe of shape (m, k), or None
        Values of the columns that each group adds to the features; None if none are added.
    added_names : tuple of str
        Names of those columns.
    positions : tuple of int or None
        Where in the user's X those columns stand; None: on the right of the features.
    unavailable : dict of int to str
        Groups that it cannot serve, and why not.
    lattice : Lattice or None
        Which of its corrections are for partial reports, if some are.
    """

    name: str
    models: tuple[Any, ...]
    model_of_group: NDArray[np.int64]
    added: tables.Table | None = None
    added_names: tuple[str, ...] = ()
    positions: tuple[int, ...] | None = None
    unavailable: Mapping[int, str] = field(default_factory=dict)
    lattice: Lattice | None = None

    @property
    def corrected(self) -> Corrected | None:
        """Its one model, if that is generic with corrections."""
        model = self.models[0] if self.models else None
        return model if isinstance(model, Corrected) else None

    def served_as(self, model: int, added: tables.Table | None) -> ServedModel:
        """Return one of its models with the added columns of some routes."""
        return ServedModel(self.name, self.models[model], added, self.added_names, self.positions)

    def under_routes(
        self,
        model: int,
        groups: NDArray[np.int64],
        strengths: NDArray[np.float64],
        more: Sequence[Further] = (),
    ) -> ServedModel:
        """Return one of its models as routes with these groups and strengths use it.

        A model that is no correction of generic serves whole; see `blended` for parts of one. Of
        corrections, `groups` are rows of their table, and `more` adds further ones.
        """
        if self.corrected is not None:
            estimator = self.corrected.under_routes(groups, strengths, more)
            codes = np.arange(len(groups), dtype=np.float64)[:, None]
            return ServedModel(self.name, estimator, codes, self.added_names)
        added = None if self.added is None else tables.take_rows(self.added, groups)
        return self.served_as(model, added)

    @property
    def served(self) -> list[ServedModel]:
        """Its models, each told what it is told of every group."""
        return [self.served_as(i, self.added) for i in range(len(self.models))]

    def evaluate(
        self, features: tables.Table, groups: NDArray[np.int64], method: str, classes: Any
    ) -> NDArray[Any]:
        """Predictions for rows under the group given for each, shape (n,) or (n, K)."""
        which = self.model_of_group
        return evaluate(self.served, which, features, groups, [method], classes)[0]


def evaluate(
    models: Sequence[ServedModel],
    model_of_route: NDArray[np.int64],
    features: tables.Table,
    routes: NDArray[np.int64],
    methods: Sequence[str],
    classes: NDArray[Any] | None,
) -> list[NDArray[Any]]:
    """Ask each model for the rows whose route it serves, which are put together once.

    Parameters
    ----------
    models : sequence of ServedModel
    model_of_route : ndarray of int64, shape (n_routes,)
    features : table of n rows
        Without the group columns.
    routes : ndarray of int64, shape (n,)
    methods : sequence of {"predict", "predict_proba", "decision_function"}
    classes : ndarray of shape (K,) or None
        Columns of the probabilities; None for a regression.

    Returns
    -------
    list of ndarray of shape (n,) or (n, K)
        One for each method.
    """
    which = model_of_route[routes]
    used = np.flatnonzero(np.bincount(which, minlength=len(models)))
    if len(used) == 1:
        model = models[int(used[0])]
        return _ask(model.estimator, model.complete(features, routes), methods, classes)
    asked, of_model = [models[i] for i in used.tolist()], members(which, len(models))
    places = [of_model[i] for i in used.tolist()]
    if all(model.added is None for model in asked):
        told = own_answers([m.estimator for m in asked], places, features, methods, classes)
        if told is not None:
            return told
    parts = []
    for model, rows in zip(asked, places, strict=True):
        part = model.complete(tables.take_rows(features, rows), routes[rows])
        parts.append(_ask(model.estimator, part, methods, classes))
    return [_in_order(places, answers) for answers in zip(*parts, strict=True)]


def predict_rows(
    models: Sequence[ServedModel],
    model_of_route: NDArray[np.int64],
    features: tables.Table,
    routes: NDArray[np.int64],
    classes: NDArray[Any] | None,
    proba: bool = True,
) -> Predictions:
    """Predictions as class indices, with probabilities where all models have them: see `evaluate`.

    Parameters
    ----------
    models, model_of_route, features, routes, classes
        As for `evaluate`.
    proba : bool, default=True
        Whether probabilities are wanted.
    """
    methods = ["predict"]
    if proba and all(hasattr(model.estimator, "predict_proba") for model in models):
        methods.append("predict_proba")
    label, *probabilities = evaluate(models, model_of_route, features, routes, methods, classes)
    if classes is None:
        return Predictions(np.asarray(label, dtype=np.float64))
    for p in probabilities:
        check_probabilities(p, f"candidate {models[0].candidate!r}")
    return Predictions(np.searchsorted(classes, label), *probabilities)


def _in_order(places: Sequence[NDArray[np.int64]], answers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Put the answers of several models into the order of the rows."""
    n = sum(map(len, places))
    out = np.empty((n, *answers[0].shape[1:]), np.result_type(*answers))
    for rows, answer in zip(places, answers, strict=True):
        out[rows] = answer
    return out


def _ask(
    estimator: Any,
    X: tables.Table,
    methods: Sequence[str],
    classes: NDArray[Any] | None,
) -> list[NDArray[Any]]:
    """Predictions of one estimator, with the probabilities' columns in the order of `classes`."""
    read = Numbers.known_to(X, estimator)
    if read is not None:
        estimator, X = without_names(estimator), read.values
    answers = [np.asarray(getattr(estimator, m)(X)) for m in methods]
    return [as_classes(estimator, a, m, classes) for a, m in zip(answers, methods, strict=True)]


def as_classes(
    estimator: Any, answer: NDArray[Any], method: str, classes: NDArray[Any] | None
) -> NDArray[Any]:
    """An answer in the type, or with the columns, of the router's classes."""
    if method == "predict":
        answer = answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer
        return answer if classes is None else _as_labels(answer, classes)
    if method == "predict_proba" and classes is not None:
        own = np.asarray(estimator.classes_)
        if answer.shape[1:] != own.shape:
            raise Unusable(f"predict_proba of shape {answer.shape} is not for {len(own)} classes")
        if not np.array_equal(own, classes):
            if not np.isin(own, classes).all():
                raise Unusable(f"the model has the classes {own.tolist()[:5]}, which y has not")
            full = np.zeros((len(answer), len(classes)), dtype=answer.dtype)
            full[:, np.searchsorted(classes, own)] = answer
            return full
    return answer


def _as_labels(answer: NDArray[Any], classes: NDArray[Any]) -> NDArray[Any]:
    """Labels in the type of the classes; refuse those that are none of them."""
    kinds = (answer.dtype.kind, classes.dtype.kind)
    known: NDArray[np.bool_]
    try:
        with np.errstate(invalid="ignore"):
            labels = answer.astype(classes.dtype, copy=False)
            same = labels is answer or kinds == ("O", "O") or labels.astype(answer.dtype) == answer
        place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
        known = np.asarray(same & (classes[place] == labels), dtype=bool)
    except (TypeError, ValueError, OverflowError):  # of another kind altogether
        known = np.zeros(len(answer), dtype=bool)
    if known.shape != answer.shape or not known.all():
        wrong = answer[~known] if known.shape == answer.shape else answer
        if wrong.dtype.kind == "f" and np.isnan(wrong).all():
            raise Unusable(f"the model answers {len(wrong)} of {len(answer)} rows by NaN")
        told = list(dict.fromkeys(wrong.ravel().tolist()))[:3]
        raise Unusable(
            f"the model answers {', '.join(map(repr, told))}, which is none of the classes "
            f"{classes.tolist()[:10]}"
        )
    return labels

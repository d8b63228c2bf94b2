"""The half of a router that needs no training data: it answers, routes, explains and converts."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from fairuse_router import tables
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.names import GENERIC
from fairuse_router.groups import GroupSchema
from fairuse_router.routing.deployment import Deployment
from fairuse_router.routing.explanation import Explanation
from fairuse_router.routing.routed import RoutedRows, unknown_levels
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import Codes, Columns, check_not_empty
from fairuse_router.tables import InputColumn


def _has(method: str, but_not: str = "") -> Any:
    """Whether generic, or the estimator before the fit, has a method and lacks another."""

    def check(self: Deployed) -> bool:
        return hasattr(self._exemplar(), method) and not hasattr(self._exemplar(), but_not)

    return check


class Deployed:
    """What a fitted router is to those below it: it answers, and shows what it answers by.

    The methods of a router that need no training data; `FairUseRouter` fits and audits.
    """

    candidates_: dict[str, Candidate]
    routing_table_: RoutingTable
    audit_: Any
    honest_gains_: Any
    schema_: GroupSchema
    feature_columns_: tuple[InputColumn, ...]
    columns_: Columns
    deployment_: Deployment
    classes_: NDArray[Any]
    n_features_in_: int

    def _template(self) -> Any:
        """The estimator whose methods and tags the router has."""
        raise NotImplementedError

    def _exemplar(self) -> Any:
        """Generic once it is fitted: a StackingClassifier has some of its methods only then."""
        fitted = getattr(self, "candidates_", None)
        return fitted[GENERIC].models[0] if fitted else self._template()

    def _forget(self) -> None:
        """Leave no half of another fit behind if the next one fails."""
        for old in ("candidates_", "routing_table_", "deployment_", "classes_"):
            self.__dict__.pop(old, None)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the label of every row by the model that serves its report.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            The columns of the training data, group columns included; ``"?"`` or a missing value
            withholds an attribute.

        Returns
        -------
        ndarray of shape (n,)

        Raises
        ------
        ValueError
            For other columns, no rows, or unseen levels with ``handle_unknown="error"``.
        """
        return self._answer(X, "predict")

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of shape (n, K), columns in the order of ``classes_``; as `predict`."""
        return self._answer(X, "predict_proba")

    @available_if(_has("decision_function", but_not="predict_proba"))
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Decision values where the estimator has no probabilities; as `predict`."""
        return self._answer(X, "decision_function")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of `predict`; R squared for a regression."""
        measure = accuracy_score if hasattr(self, "classes_") else r2_score
        return float(measure(y, self.predict(X), sample_weight=sample_weight))

    def route(self, X: Any) -> RoutedRows:
        """Which route serves each row, and why.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            As for `predict`.

        Returns
        -------
        RoutedRows
        """
        _, codes = self._split(X)
        return self.routing_table_.explain(codes, unknown_levels(self.schema_, X))

    def explain(self, X: Any) -> Explanation:
        """Explain the predictions of one or a few rows to the people they are about.

        For each: the prediction under the report that was given, with each attribute withheld, and
        with all; how much the report changed; how many people like this one stand behind the route,
        and what it gained for them. Print it.
        """
        features, codes = self._split(X)
        unknown = unknown_levels(self.schema_, X)
        proba = hasattr(self, "predict_proba")
        return self.deployment_.explain(features, codes, unknown, proba)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "routing_table_")

    def _html_repr(self) -> str:
        """HTML for notebooks: scikit-learn's diagram, and the routing table once fitted."""
        fitted = hasattr(self, "routing_table_")
        return estimator_html_repr(self) + (self.routing_table_.to_html() if fitted else "")

    # scikit-learn asks `_html_repr` since 1.7, and these two before
    def _repr_html_inner(self) -> str:
        return self._html_repr()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        return bundle | ({"text/html": self._html_repr()} if "text/html" in bundle else {})

    # what scikit-learn asks
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        inner = get_tags(self._template())
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags.required = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags

    # what skl2onnx asks: the converter lies above the router, so it is looked up when asked for
    def onnx_parser(self) -> Any:
        """Return the function that declares the outputs."""
        return lambda scope, inputs: [
            scope.declare_local_variable(name, kind) for name, kind in _converter().outputs_of(self)
        ]

    def onnx_shape_calculator(self) -> Any:
        """Return the function that gives the outputs their types."""
        return _converter().calculate_shapes

    def onnx_converter(self) -> Any:
        """Return the function that adds the graph to a model."""
        return _converter().convert

    @property
    def _classes(self) -> NDArray[Any] | None:
        return getattr(self, "classes_", None)

    def _table(self, X: Any) -> tables.Table:
        """X as a table with the columns of the training data; `audit_only` may be lacking."""
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None)
        table = self.columns_.read(X, names)
        validate_data(self, table, reset=False, skip_check_array=True)
        check_not_empty(table, type(self).__name__)
        return table

    def _split(self, X: Any) -> tuple[tables.Table, Codes]:
        """Features and report codes of the user's rows."""
        table = self._table(X)  # which tells whether the router is fitted
        return self.columns_.split(table)

    def _answer(self, X: Any, method: str) -> NDArray[Any]:
        features, codes = self._split(X)
        return self.deployment_.answer(features, codes, method)


def _converter() -> Any:
    return importlib.import_module("fairuse_router.bundle.converter")


def check_router(router: object) -> None:
    """Refuse what is no fitted router.

    Raises
    ------
    TypeError
        If it is no FairUseRouter.
    NotFittedError
        If it is not fitted.
    """
    if not isinstance(router, Deployed):
        kind = f"the class {router.__name__}" if isinstance(router, type) else type(router).__name__
        raise TypeError(
            f"router must be a fitted FairUseRouter; got {kind}. If a Pipeline holds the router, "
            "pass its step."
        )
    check_is_fitted(router)

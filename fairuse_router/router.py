"""FairUseRouter: encode, fit candidates, score out of fold, choose, audit; then dispatch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from fairuse_router import tables
from fairuse_router.arguments import check_settings
from fairuse_router.audit import REAUDIT, Audit, read_metrics
from fairuse_router.audit.audit import without_routing
from fairuse_router.audit.deployed import audit_deployed
from fairuse_router.audit.reaudit import Reaudit, reaudit
from fairuse_router.audit.selection import group_records
from fairuse_router.audit.shifts import count_classes
from fairuse_router.candidates.candidate import evaluate
from fairuse_router.candidates.names import CANDIDATES, GENERIC
from fairuse_router.candidates.pool import make_pool
from fairuse_router.groups import WITHHELD
from fairuse_router.routing.choosing import fit_and_choose
from fairuse_router.routing.deployment import Deployed, check_table, served_models
from fairuse_router.routing.explanation import Explanation, explain_rows
from fairuse_router.routing.routed import unknown_levels
from fairuse_router.routing.table import RoutedRows, RoutingTable
from fairuse_router.rows import (
    audit_only_groups,
    check_columns,
    labelled_rows,
    learn_rows,
    split_columns,
)

__all__ = ["FairUseRouter"]


def _has(method: str, but_not: str = "") -> Any:
    """Whether generic, or the estimator before the fit, has a method and lacks another."""

    def check(self: FairUseRouter) -> bool:
        return hasattr(self._speaker(), method) and not hasattr(self._speaker(), but_not)

    return check


class FairUseRouter(Deployed, MetaEstimatorMixin, BaseEstimator):
    """Serve every group by the model that serves it best: generic, personalized or decoupled.

    A drop-in replacement for a classifier that is trained with group attributes such as sex or age
    band. It trains a generic model (no group attributes), personalized models (group attributes
    encoded) and decoupled models (one per group), compares them in every group on rows that they
    have not seen, and from then on answers every report, full or withheld, with the model that
    serves it (Suriyakumar, Ghassemi & Ustun, ICML 2023).

    Parameters
    ----------
    estimator : estimator
        A classifier, Pipeline or meta-estimator, unfitted. It is written for X, group columns
        included or not: selectors of a ColumnTransformer that name group columns are pruned. The
        encoded groups reach the final step of every Pipeline inside it, unscaled. None with
        ``cv="prefit"``.
    group_attributes : sequence of str or int
        Group columns of X: names (dataframes) or positions.
    candidates : sequence of str or dict, default=("generic", "onehot", "intersectional", \
"decoupled")
        Models to train, ``"generic"`` always among them; with ``cv="prefit"`` a dict of fitted
        models. ``"multilevel"`` may be added for two classes or a regression: generic's margin with
        a linear correction per group, the groups lending each other evidence. Policy ``"slope"``
        trains it in any case; where generic is not linear, that takes five more fits in every fold.
    metric : str, callable or Metric, default="error"
        What a group is to gain: ``"error"``, ``"log_loss"``, ``"brier"``, ``"auc"``, ``"ece"``, or
        a risk of your own (lower is better).
    policy : {"shrunken", "best", "tested", "certified", "assign_generic", "slope"}, \
default="shrunken"
        How a group's route is chosen, and what that promises: see
        `fairuse_router.routing.policies.choose`; and `choose_certified` for ``"certified"``, which
        trains on 60% of the rows and opens the other 40% once. ``"slope"`` uses as much of the
        ``"multilevel"`` correction as is surely real in the group.
    cv : int, float, splitter, iterable or "prefit", default=5
        Folds (stratified by group and class), the share of one hold-out, a splitter, or
        ``"prefit"``: `candidates` are fitted models, and `fit` is given rows they have not seen.
    alpha : float, default=0.1
        Intervals are at level ``1 - alpha``; verdicts have family-wise error `alpha`.
    max_harmed : float, default=0.4
        For policy ``"slope"``: how many groups a sceptic may expect to be harmed; 0.2 is cautious.
    min_group_size : int, default=20
        Fewest rows of a group on which a route is chosen, and on which, in every training part, a
        decoupled model is trained. Smaller groups are served by generic.
    withheld : str or None, default="?"
        The text that withholds an attribute. Missing values always do. None makes ``"?"`` an
        ordinary level.
    handle_unknown : {"error", "withhold"}, default="error"
        What a level not seen in training does: raise, or count as withheld.
    audit_only : sequence of str or int, default=None
        Columns of X to audit by that no model and no route may use, and that dataframes to predict
        may lack. See ``audit_only_``, and ``audit(X, y, by=...)``.
    max_levels : int, default=100
        Most levels of one attribute; more look like a continuous column, and raise.
    n_resamples : int, default=0
        Bootstrap resamples for `honest_gains_`; 0 leaves them out, 200 is customary.
    n_jobs : int or None, default=None
        Parallel tasks, one for each fold and candidate (joblib).
    random_state : None, int or RandomState, default=None
        Shuffles the folds; None leaves them in row order. The estimator's own is its own.
    verbose : int, default=0
        Above 0, progress is written to standard error.

    Attributes
    ----------
    routing_table_ : RoutingTable
        Which model serves which report, and why. Print it.
    audit_ : Audit
        Out-of-fold comparison of all candidates and of the routing: evidence of the choice, which
        flatters it, and has no truthfulness: nobody is asked under other reports. The claim, with
        truthfulness, is ``audit(X_test, y_test)``.
    audit_only_ : Audit or None
        As ``audit_``, by the attributes of `audit_only`.
    honest_gains_ : HonestGains or None
        Gains of the routing corrected for having been chosen on the same rows (BBC-CV), if
        `n_resamples` asks for them; None under ``"certified"``, whose audit is on other rows.
    candidates_ : dict of str to Candidate
        The fitted models.
    schema_ : GroupSchema
        Group attributes, their levels, and the grid of reports.
    classes_ : ndarray of shape (K,)
        Class labels; the columns of `predict_proba`.
    class_counts_ : ndarray of shape (m, K) or None
        Training rows per group and class, which `reaudit` compares with; None for a regression.
    feature_columns_ : tuple of InputColumn
        The columns of X that are features.
    n_features_in_ : int
        Columns of X, group columns included.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Their names, if X is a dataframe.

    Examples
    --------
    >>> from sklearn.compose import make_column_selector, make_column_transformer
    >>> from sklearn.impute import SimpleImputer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import OneHotEncoder, StandardScaler
    >>> from fairuse_router import FairUseRouter
    >>> from fairuse_router.datasets import load_heart
    >>> X, y = load_heart(return_X_y=True, as_frame=True)
    >>> numbers = make_pipeline(SimpleImputer(), StandardScaler())
    >>> encode = make_column_transformer(
    ...     (numbers, make_column_selector(dtype_include="number")),
    ...     (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")))
    >>> clf = make_pipeline(encode, LogisticRegression(max_iter=1000))
    >>> router = FairUseRouter(clf, ["sex", "age_group"], random_state=0).fit(X, y)
    >>> router.predict(X[:3])
    array([0, 1, 1])
    >>> X.loc[:2, "sex"] = "?"
    >>> router.route(X[:1]).candidate
    array(['generic'], dtype='<U7')
    """

    def __init__(
        self,
        estimator: Any,
        group_attributes: Sequence[str | int] | str | int,
        *,
        candidates: Sequence[str] | Mapping[str, Any] = CANDIDATES,
        metric: Any = "error",
        policy: str = "shrunken",
        cv: Any = 5,
        alpha: float = 0.1,
        max_harmed: float = 0.4,
        min_group_size: int = 20,
        withheld: str | None = WITHHELD,
        handle_unknown: str = "error",
        audit_only: Sequence[str | int] | str | int | None = None,
        max_levels: int = 100,
        n_resamples: int = 0,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.group_attributes = group_attributes
        self.candidates = candidates
        self.metric = metric
        self.policy = policy
        self.cv = cv
        self.alpha = alpha
        self.max_harmed = max_harmed
        self.min_group_size = min_group_size
        self.withheld = withheld
        self.handle_unknown = handle_unknown
        self.audit_only = audit_only
        self.max_levels = max_levels
        self.n_resamples = n_resamples
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None, clusters: Any = None) -> FairUseRouter:
        """Train the candidates, compare them out of fold, choose a route for every report.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            Features and group columns. Rows that withhold an attribute train generic, and are
            evidence for no group.
        y : array-like of shape (n,)
            Class labels.
        sample_weight : array-like of shape (n,), default=None
            Handed to the final steps, and used in every comparison.
        clusters : array-like of shape (n,), default=None
            Rows of one cluster (a patient seen twice, a site) are never split between training and
            judging, and count as dependent in tests and intervals.

        Returns
        -------
        FairUseRouter
            Itself, fitted.

        Raises
        ------
        ValueError, TypeError
            For input that cannot be used; the message names the argument and the remedy.
        """
        for old in ("candidates_", "routing_table_"):  # a fit that fails leaves no half of another
            self.__dict__.pop(old, None)
        metric = check_settings(self, self._template(), self._is_prefit())
        table = check_columns(self, X, reset=True)
        data, codes = learn_rows(self, self._template(), table, y, sample_weight, clusters)
        chosen = fit_and_choose(
            make_pool(self, table, codes, metric, self._is_prefit()),
            data,
            self.schema_,
            policy=self.policy,
            metric=metric,
            min_group_size=self.min_group_size,
            alpha=self.alpha,
            random_state=self.random_state,
            n_resamples=self.n_resamples,
            max_harmed=self.max_harmed,
            audit_only=audit_only_groups(self, table),
        )
        self.audit_only_, self.class_counts_ = chosen.audit_only, count_classes(data)
        self.honest_gains_ = chosen.honest
        self.candidates_, self.audit_ = dict(chosen.candidates), chosen.audit
        records = group_records(
            chosen.choices, chosen.unavailable, data, self.schema_, metric, self.audit_
        )
        routes = RoutingTable.from_choices(
            self.schema_, records, policy=self.policy, metric=metric.name, alpha=self.alpha
        )
        self._install(routes)
        return self

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
        return self._serve(*self._split(X), "predict")

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of shape (n, K), columns in the order of ``classes_``; as `predict`."""
        return self._serve(*self._split(X), "predict_proba")

    @available_if(_has("decision_function", but_not="predict_proba"))
    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Decision values where the estimator has no probabilities; as `predict`."""
        return self._serve(*self._split(X), "decision_function")

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

    def audit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        clusters: Any = None,
        *,
        metrics: Any = None,
        by: Any = None,
        alpha: float | None = None,
        correction: str = "holm",
        tests: Mapping[str, str] | None = None,
        n_resamples: int = 1000,
    ) -> Audit:
        """Audit the deployed system on rows that `fit` never saw.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
        y : array-like of shape (n,)
        sample_weight, clusters : array-like of shape (n,), default=None
            As for `fit`.
        metrics : str, callable, Metric, or sequence of them, default=None
            None: the router's own metric.
        by : str, int, or sequence of them, default=None
            Columns of X to audit by in place of the group attributes: those of `audit_only`, or a
            site. Nobody reports these, so rationality is all there is to test.
        alpha : float, default=None
            None: the router's own.
        correction : str, default="holm"
        tests : mapping of str to str, default=None
        n_resamples : int, default=1000
            As for `audit_predictions`.

        Returns
        -------
        Audit
            Rationality and envy-freeness of every candidate and of the routing, and truthfulness
            of the routing over all reports.
        """
        check_is_fitted(self)
        data, codes, others = labelled_rows(self, X, y, sample_weight, clusters, by)
        return audit_deployed(
            self.candidates_,
            self._models,
            self._model_of_route,
            self.routing_table_,
            data,
            codes,
            read_metrics(self.metric if metrics is None else metrics),
            self.alpha if alpha is None else alpha,
            others,
            correction=correction,
            tests=tests,
            n_resamples=n_resamples,
        )

    def explain(self, X: Any) -> Explanation:
        """Explain the predictions of one or a few rows to the people they are about.

        For each: the prediction under the report that was given, with each attribute withheld, and
        with all; how much the report changed; how many people like this one stand behind the route,
        and what it gained for them. Print it.
        """
        features, codes = self._split(X)
        classes, proba = getattr(self, "classes_", None), hasattr(self, "predict_proba")
        serve = partial(self._serve, features)
        unknown = unknown_levels(self.schema_, X)
        return explain_rows(serve, codes, self.routing_table_, classes, proba, unknown)

    def reaudit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        clusters: Any = None,
        *,
        metric: Any = None,
        alpha: float | None = None,
        update: str | None = None,
    ) -> Reaudit:
        """Re-audit the deployed routes on labelled rows from deployment, see `Reaudit`.

        ``update="withdraw"`` sends violated routes back to generic, and nothing else: the routing
        table keeps a record in its `history`, ``audit_`` becomes the audit of these rows. Else as
        for `audit`.
        """
        check_is_fitted(self)
        result = reaudit(self, X, y, sample_weight, clusters, metric, alpha, update)
        if not (update and result.violated):
            return result
        self._serve_table(result.table)
        self.audit_ = replace(self.audit(X, y, sample_weight, clusters), evidence=REAUDIT)
        return replace(result, updated=True)

    def with_table(self, table: RoutingTable) -> FairUseRouter:
        """Return a router with the same models that serves another table, such as a collapsed one.

        What ``audit_`` says of the old routing is left out; `audit` measures the new one.
        """
        other = copy(self)
        other._serve_table(table)
        return other

    # the steps of fit
    def _is_prefit(self) -> bool:
        return isinstance(self.cv, str) and self.cv == "prefit"

    def _template(self) -> Any:
        """The estimator whose methods and tags the router has."""
        if self._is_prefit() and isinstance(self.candidates, Mapping):
            return self.candidates.get(GENERIC, self.estimator)
        return self.estimator

    def _speaker(self) -> Any:
        """Generic once it is fitted: a StackingClassifier has some of its methods only then."""
        fitted = getattr(self, "candidates_", None)
        return fitted[GENERIC].models[0] if fitted else self._template()

    def _split(self, X: Any) -> tuple[tables.Table, NDArray[np.int64]]:
        """Features and report codes of the user's rows."""
        check_is_fitted(self)
        return split_columns(self, X)

    def _serve(self, features: tables.Table, codes: NDArray[np.int64], method: str) -> NDArray[Any]:
        """Predictions for features under report codes."""
        routes = self.routing_table_.look_up(codes)
        classes = getattr(self, "classes_", None)
        return evaluate(self._models, self._model_of_route, features, routes, [method], classes)[0]

    def _serve_table(self, table: RoutingTable) -> None:
        """Serve another table, and forget what was measured of the old routing."""
        check_table(table, self)
        self._install(table)
        self.audit_, self.honest_gains_ = without_routing(self.audit_), None
        if self.audit_only_ is not None:
            self.audit_only_ = without_routing(self.audit_only_)

    def _install(self, table: RoutingTable) -> None:
        """Make a routing table the one that serves."""
        self.routing_table_ = table
        self._models, self._model_of_route = served_models(self.candidates_, table)

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

    # what scikit-learn asks
    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "routing_table_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self._template())
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.target_tags.required = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags

    def _html_repr(self) -> str:
        """HTML for notebooks: scikit-learn's diagram, and the routing table once fitted."""
        fitted = hasattr(self, "routing_table_")
        return estimator_html_repr(self) + (self.routing_table_.to_html() if fitted else "")


def _converter() -> Any:
    return importlib.import_module("fairuse_router.bundle.converter")

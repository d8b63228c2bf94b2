"""FairUseRouter: encode, fit candidates, score out of fold, choose, audit; then dispatch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from numbers import Integral
from typing import Any

from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_regressor
from sklearn.utils.validation import validate_data

from fairuse_router import tables
from fairuse_router.arguments import (
    check_names_are_known,
    check_settings,
    check_threshold,
    refuse_fit_params,
)
from fairuse_router.audit.monitor import Reference, levels_of
from fairuse_router.audit.partial import records_of_partial
from fairuse_router.audit.records import OPENED, OUT_OF_FOLD
from fairuse_router.audit.seen import fingerprints
from fairuse_router.audit.selection import audit_choices, group_records, warn_of_moved_shares
from fairuse_router.audit.watched import Watched, score_of
from fairuse_router.candidates.crossfit import Training, fit_pool
from fairuse_router.candidates.folds import in_order
from fairuse_router.candidates.names import CANDIDATES, GENERIC
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.prefit import prefit_candidates
from fairuse_router.candidates.progress import CallbackSupportMixin, Task, fitting
from fairuse_router.candidates.recalibrated import with_recalibrated
from fairuse_router.candidates.recipes import plan_recipes
from fairuse_router.groups import WITHHELD
from fairuse_router.metrics import Metric, at_threshold, settle
from fairuse_router.routing.choosing import choose_routes, part_rows, why_partial_are_generic
from fairuse_router.routing.deployment import Deployment
from fairuse_router.routing.honest import honest_gains
from fairuse_router.routing.policies.evidence import Chosen, Settings, served_scores
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import (
    Columns,
    Grouping,
    TrainingRows,
    check_not_empty,
    check_target,
    learn_classes,
    warn_of_small_groups,
)

__all__ = ["FairUseRouter"]


class FairUseRouter(Watched, CallbackSupportMixin, MetaEstimatorMixin, BaseEstimator):
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
        models. ``"multilevel"`` may be added: generic's margin with a linear correction per
        group, the groups lending each other evidence (of several classes a linear model per group,
        beside a linear generic only). Policies that expect gains train it in any case; where
        generic is not linear, that takes five more fits in every fold.
    metric : str, callable or Metric, default="error"
        What a group is to gain: ``"error"``, ``"log_loss"``, ``"brier"``, ``"auc"``, ``"ece"``, or
        a risk of your own (lower is better).
    policy : {"priced", "tested", "certified", "best", "assign_generic"}, default="priced"
        How a group's route is chosen, and what that promises: see
        `fairuse_router.routing.policies.choose`; and `choose_certified` for ``"certified"``, which
        trains on 60% of the rows and opens the other 40% once: the last 40% where `cv` judges later
        rows than it trains on, and what the last pair judges where `cv` names rows.
    cv : int, float, splitter, iterable or "prefit", default=5
        Folds (stratified by group and class), the share of one hold-out, a splitter, or
        ``"prefit"``: `candidates` are fitted models, and `fit` is given rows they have not seen.
    alpha : float, default=0.1
        Intervals are at level ``1 - alpha``; verdicts have family-wise error `alpha`.
    price : float, default=2.0
        How many points (hundredths) of everybody's mean gain one group is worth that is probably
        harmed; 2 is careful, 1 bold.
    threshold : float, str or None, default=None
        Of two classes, the second is predicted from this probability on, by every route and in
        bundles; ``"cost(5,1)"`` is the threshold that pays where a miss costs 5 and an alarm in
        vain 1. Metrics of labels, such as the error, are of these labels. None: as models predict.
    recalibrate : bool, default=False
        Whether routes to other candidates than generic and multilevel are offered an intercept and
        a slope of the group on their margin, of its out-of-fold rows, and given them where that
        pays as any correction must; their candidate is then ``"recalibrated decoupled"``, say. Two
        classes or a regression.
    min_group_size : int, default=20
        Fewest rows of a group on which a route is chosen, and on which, in every training part, a
        decoupled model is trained. Smaller groups are served by generic, or as if they told less.
    partial : {"lattice", "generic"}, default="lattice"
        Who serves reports that withhold a part: ``"lattice"`` fits a multilevel correction for
        every subset of the attributes, and every further answer must pay for itself, see
        `choose_on_lattice`; ``"generic"`` serves them by generic.
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
        Above 0, progress is written to standard error; `set_callbacks` tells scikit-learn's
        callbacks, where it has them (1.9).

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
    threshold_ : float or None
        From which probability on the second class is predicted, if `threshold` says so.
    reference_ : Reference
        Shares of reports and scores of the training rows, which `monitor` compares with.
    feature_columns_ : tuple of InputColumn
        The columns of X that are features.
    n_features_in_ : int
        Columns of X, group columns included.
    feature_names_in_ : ndarray of shape (d,)
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
        policy: str = "priced",
        cv: Any = 5,
        alpha: float = 0.1,
        price: float = 2.0,
        threshold: float | str | None = None,
        recalibrate: bool = False,
        min_group_size: int = 20,
        partial: str = "lattice",
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
        self.price = price
        self.threshold = threshold
        self.recalibrate = recalibrate
        self.min_group_size = min_group_size
        self.partial = partial
        self.withheld = withheld
        self.handle_unknown = handle_unknown
        self.audit_only = audit_only
        self.max_levels = max_levels
        self.n_resamples = n_resamples
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        clusters: Any = None,
        order: Any = None,
        **fit_params: Any,
    ) -> FairUseRouter:
        """Train the candidates, compare them out of fold, choose a route for every report.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            Features and group columns. Rows that withhold an attribute train generic, and are
            evidence for no group, but for the reports that they sent.
        y : array-like of shape (n,)
            Class labels.
        sample_weight : array-like of shape (n,), default=None
            Handed to the final steps, and used in every comparison.
        clusters : array-like of shape (n,), default=None
            Rows of one cluster (a patient seen twice, a site) are never split between training and
            judging, and count as dependent in tests and intervals.
        order : array-like of shape (n,), default=None
            Times, such as dates of admission: rows are sorted by them, so that a `cv` that judges
            later rows than it trains on (`TimeSeriesSplit`) does; ``"certified"`` then opens the
            latest. None: rows are in order.
        **fit_params
            None is allowed; they are refused in words.

        Returns
        -------
        FairUseRouter

        Raises
        ------
        ValueError, TypeError
            For input that cannot be used; the message names the argument and the remedy.
        """
        refuse_fit_params(fit_params)
        self._forget()
        with fitting(self, 2, X, y, sample_weight) as task:
            metric = check_settings(self, self._template(), self._is_prefit())
            table, rows = in_order(*self._encode(X, y, sample_weight, clusters), order)
            metric = at_threshold(metric, self.threshold_)
            metric = settle(metric, rows.target, rows.classes, rows.weight)
            seen, opened, cv, in_time = part_rows(self.policy, self.cv, rows, self.random_state)
            pool = self._fit_pool(table, seen, cv, metric, task)
            choosing = task.part("choose and audit")
            settings = Settings(self.min_group_size, self.alpha, self.price, in_time)
            chosen = choose_routes(self.policy, pool, seen, opened, metric, settings)
            audited = seen if opened is None else opened
            self._audit_choices(chosen, audited.by, opened is not None)
            warn_of_moved_shares(chosen.groups, chosen.evidence, self.schema_, self.threshold_)
            self._deploy(chosen, pool, rows)
            self._remember(chosen, rows, audited)
            choosing.end()
        return self

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

    def _encode(
        self, X: Any, y: Any, sample_weight: Any, clusters: Any
    ) -> tuple[tables.Table, TrainingRows]:
        """Learn the columns and classes of the training data, and split its rows by them."""
        table, template = tables.as_table(X), self._template()
        validate_data(self, table, reset=True, skip_check_array=True)
        check_names_are_known(self, table)
        check_not_empty(table, type(self).__name__)
        y = check_target(y, tables.shape(table)[0], type(self).__name__)
        self.columns_ = Columns.learn(
            table,
            self.group_attributes,
            self.audit_only,
            withheld=self.withheld,
            handle_unknown=self.handle_unknown,
            max_levels=self.max_levels,
        )
        self.schema_, self.feature_columns_ = self.columns_.schema, self.columns_.features
        if not is_regressor(template):
            self.classes_ = learn_classes(y, template, template if self._is_prefit() else None)
        self.threshold_ = check_threshold(self.threshold, template, self._classes)
        rows = self.columns_.encode(table, y, self._classes, sample_weight, clusters)
        warn_of_small_groups(rows, self.min_group_size)
        return table, rows

    def _fit_pool(
        self, table: tables.Table, rows: TrainingRows, cv: Any, metric: Metric, task: Task
    ) -> Pool:
        """Fit the candidates, or take those that are, and score them on rows they have not seen."""
        if self._is_prefit():
            fitted = prefit_candidates(self.candidates, table, rows.codes, self.schema_)
            return self._recalibrated(Pool.of_fitted(fitted, rows, [metric]), rows)
        training = Training(
            plan_recipes(
                self.candidates, self.policy, self.estimator, self.columns_, table, self.partial
            ),
            cv=cv,
            min_group_size=self.min_group_size,
            envy=[metric],
            random_state=self.random_state,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            task=task,
        )
        return self._recalibrated(fit_pool(training, rows), rows)

    def _recalibrated(self, pool: Pool, rows: TrainingRows) -> Pool:
        return with_recalibrated(pool, rows) if self.recalibrate else pool

    def _audit_choices(self, chosen: Chosen, by: Grouping | None, opened: bool) -> None:
        """Audit the choices on the rows that they rest on, and correct their gains for that."""
        choices, evidence = chosen.groups, chosen.evidence
        which = OPENED if opened else OUT_OF_FOLD
        self.audit_ = audit_choices(choices, evidence, self.schema_, which)
        self.audit_only_ = self.honest_gains_ = None
        if by is not None:
            self.audit_only_ = audit_choices(choices, evidence, self.schema_, which, by)
        if self.n_resamples and not opened:
            seed = int(self.random_state) if isinstance(self.random_state, Integral) else 0
            names = self.schema_.group_names()
            self.honest_gains_ = honest_gains(
                self.policy, evidence, names, n_resamples=self.n_resamples, seed=seed
            )

    def _deploy(self, chosen: Chosen, pool: Pool, rows: TrainingRows) -> None:
        """Put models and routes together, with what is known of each group."""
        self.class_counts_, self._seen = rows.class_counts, fingerprints(rows)
        self.candidates_ = dict(pool.candidates)
        self.routing_table_ = RoutingTable.from_choices(
            self.schema_,
            group_records(chosen, self.schema_, rows.group_sizes, self.audit_),
            policy=self.policy,
            metric=chosen.evidence.metric.name,
            alpha=self.alpha,
            partial=records_of_partial(chosen, rows),
            note=why_partial_are_generic(self.partial, self.policy, self.schema_, pool),
        )
        self.deployment_ = Deployment(
            self.candidates_, self.routing_table_, self._classes, self.threshold_
        )

    def _remember(self, chosen: Chosen, rows: TrainingRows, judged: TrainingRows) -> None:
        """Keep what monitoring compares with: reports of all rows, scores out of fold."""
        served = served_scores(chosen.groups, chosen.evidence, chosen.partial)
        routes = self.routing_table_.look_up(judged.codes)
        scores = score_of(served.predictions)
        known = Reference.of(
            judged.groups, judged.codes, routes, scores, served.scored, self.schema_
        )
        self.reference_ = replace(
            known,
            n=len(rows.y),
            groups=rows.group_sizes,
            levels=levels_of(rows.codes, self.schema_),
        )

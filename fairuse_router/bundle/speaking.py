"""What a file says of labelled rows, and to the people its answers are about.

Nothing of scikit-learn is needed: the same arithmetic as the router's, on the file's answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any

from numpy.typing import NDArray

from fairuse_router import tables
from fairuse_router.audit.arguments import (
    AuditSettings,
    check_level,
    check_target_kind,
    read_metrics,
)
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.deployed import audit_deployed
from fairuse_router.audit.reaudit import Reaudit, reaudit
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.bundle.served import Served
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import METRICS, get_metric
from fairuse_router.routing.explanation import Explanation, explain_rows
from fairuse_router.routing.honest import HonestGains
from fairuse_router.routing.routed import unknown_levels
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import (
    Columns,
    TrainingRows,
    check_clusters,
    check_outcomes,
    check_weight,
    to_target,
)

_MOST_LEVELS = 100


class Speaking:
    """The half of a bundle that audits and explains; `Bundle` opens the file and answers."""

    classes_: NDArray[Any] | None
    routing_table: RoutingTable
    schema: GroupSchema
    layout: Layout
    outputs: list[dict[str, Any]]
    _parts: dict[str, Any]

    @cached_property
    def audit_(self) -> Audit | None:
        """The router's own audit, of rows that chose the routes; small cells left out."""
        data = self._parts["audit"]
        return None if data is None else Audit.from_dict(data)

    @cached_property
    def held_out_(self) -> Audit | None:
        """The audit on rows that `fit` never saw, if one was exported; small cells left out."""
        data = self._parts["held_out"]
        return None if data is None else Audit.from_dict(data)

    @cached_property
    def honest_gains_(self) -> HonestGains | None:
        """Gains corrected for having been chosen on the same rows, if the router had them."""
        data = self._parts["honest_gains"]
        return None if data is None else HonestGains.from_dict(data)

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
        """Audit what the file serves on labelled rows that training never saw.

        Parameters
        ----------
        X : array or dataframe of shape (n, d)
            As for `predict`.
        y : array-like of shape (n,)
            Labels, as training had them; numbers for a regression.
        sample_weight, clusters : array-like of shape (n,), default=None
            As for ``FairUseRouter.fit``.
        metrics : str, callable, Metric, or sequence of them, default=None
            None: the metric by which the routes were chosen.
        by : str, int, or sequence of them, default=None
            Columns of X to audit by in place of the group attributes.
        alpha : float, default=None
            None: that of the routing table.
        correction : str, default="holm"
        tests : mapping of str to str, default=None
        n_resamples : int, default=1000
            As for `audit_predictions`.

        Returns
        -------
        Audit
            The same records as ``router.audit(X, y)``. Generic and the routing are always there,
            the other candidates where the file was exported by ``candidates="all"``.

        Raises
        ------
        TypeError, ValueError
            For rows, labels or settings that cannot be used, and where the routes were chosen by a
            metric of the user's own and `metrics` is None.
        """
        rows, table = self._labelled(X, y, sample_weight, clusters)
        chosen = read_metrics(self._metric("metrics") if metrics is None else metrics)
        level = self.routing_table.alpha if alpha is None else alpha
        testing = AuditSettings(level, correction, tests, n_resamples)
        others = None
        if by is not None:
            columns = Columns(self.schema, None, self.layout.columns, _MOST_LEVELS)
            others = columns.grouping(table, by)
        return audit_deployed(self._served, rows, chosen, testing, others)

    def reaudit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        clusters: Any = None,
        *,
        metric: Any = None,
        alpha: float | None = None,
    ) -> Reaudit:
        """Re-audit the file's routes on labelled rows from deployment, see `Reaudit`.

        Its `table` has violated routes sent back to generic; `update_bundle` writes a file that
        serves it. Else as for `audit`.
        """
        chosen = get_metric(self._metric("metric") if metric is None else metric)
        level = self.routing_table.alpha if alpha is None else alpha
        check_level(level)
        check_target_kind([chosen], regression=self.classes_ is None)
        rows, _ = self._labelled(X, y, sample_weight, clusters)
        return reaudit(self._served, rows, self._parts["class_counts"], chosen, level)

    def explain(self, X: Any) -> Explanation:
        """Explain the predictions of one or a few rows to the people they are about.

        As ``FairUseRouter.explain``: the prediction under the report that was given and with less
        of it told, what that changed, and what the route gained for such people. Print it.
        """
        table = self._table(X)
        codes = self.schema.encode(table)
        serve = partial(self._served.answer, self.layout.features(table))
        proba = any(output["name"] == "probabilities" for output in self.outputs)
        unknown = unknown_levels(self.schema, table)
        return explain_rows(serve, codes, self.routing_table, self.classes_, proba, unknown)

    @property
    def _served(self) -> Served:
        return Served(self, tuple(self._parts["compared"] or ()))

    def ask(self, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Outputs by name, of tensors by name."""
        raise NotImplementedError

    def _table(self, X: Any) -> tables.Table:
        """Rows as a table with the columns of the training data."""
        raise NotImplementedError

    def _metric(self, argument: str) -> str:
        """The metric of the routes, unless the file cannot know how to measure it."""
        name = self.routing_table.metric
        if name not in METRICS:
            raise ValueError(
                f"{argument} is None, and the routes were chosen by {name!r}, a metric of the "
                f"user's own that no file holds. Pass {argument}, such as 'error', or the callable."
            )
        return name

    def _labelled(
        self, X: Any, y: Any, sample_weight: Any, clusters: Any
    ) -> tuple[TrainingRows, tables.Table]:
        """Rows with known labels, their features as tensors."""
        table = self._table(X)
        codes = self.schema.encode(table)
        n = len(codes)
        if n == 0:
            raise ValueError("X has no rows; pass at least one.")
        y = check_outcomes(y, n)
        features: Any = self.layout.features(table)
        rows = TrainingRows(
            features,
            self.schema.group_ids(codes),
            y,
            to_target(y, self.classes_),
            self.classes_,
            self.schema.n_groups,
            check_weight(sample_weight, n),
            check_clusters(clusters, n),
            codes=codes,
        )
        return rows, table

"""The half of a router that is asked with labels at hand: audits of what it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fairuse_router import tables
from fairuse_router.audit.arguments import (
    AuditSettings,
    check_level,
    check_target_kind,
    read_metrics,
)
from fairuse_router.audit.audit import Audit, without_routing
from fairuse_router.audit.deployed import audit_deployed
from fairuse_router.audit.monitor import Reference
from fairuse_router.audit.reaudit import Reaudit, reaudit
from fairuse_router.audit.records import HELD_OUT, REAUDIT
from fairuse_router.audit.seen import evidence_of
from fairuse_router.metrics import at_threshold, get_metric
from fairuse_router.routing.deployed import Deployed
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import TrainingRows, check_target


class Audited(Deployed):
    """What a fitted router says of rows with known labels that it never saw."""

    metric: Any
    alpha: float
    class_counts_: Any
    audit_only_: Audit | None
    threshold_: float | None
    reference_: Reference

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
        by : str, int, sequence of them, or array or series of shape (n,), default=None
            Columns of X to audit by in place of the group attributes, those of `audit_only` or a
            site, or the site of every row. Nobody reports these, so rationality is all there is to
            test. Candidates that answer full reports only are compared with generic on those.
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
            of the routing over all reports. Its `evidence` says so if rows are of training, and is
            then no claim.
        """
        table, rows = self._labelled(X, y, sample_weight, clusters)
        others = None if by is None else self.columns_.grouping(table, by)
        chosen = read_metrics(self.metric if metrics is None else metrics)
        chosen = [at_threshold(metric, self.threshold_) for metric in chosen]
        level = self.alpha if alpha is None else alpha
        evidence = evidence_of(getattr(self, "_seen", None), rows, HELD_OUT)
        testing = AuditSettings(level, correction, tests, n_resamples, rows=evidence)
        return audit_deployed(self.deployment_, rows, chosen, testing, others)

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
        if update not in (None, "withdraw"):
            raise ValueError(
                f"update={update!r} is not allowed: pass 'withdraw' (violated routes go back to "
                "generic) or None (nothing changes)."
            )
        chosen = get_metric(self.metric if metric is None else metric)
        chosen = at_threshold(chosen, self.threshold_)
        level = self.alpha if alpha is None else alpha
        check_level(level)
        check_target_kind([chosen], regression=not hasattr(self, "classes_"))
        _, rows = self._labelled(X, y, sample_weight, clusters)
        result = reaudit(self.deployment_, rows, self.class_counts_, chosen, level)
        if not (update and result.violated):
            return result
        self._serve_table(result.table)
        self.audit_ = replace(self.audit(X, y, sample_weight, clusters), evidence=REAUDIT)
        return replace(result, updated=True)

    def _labelled(
        self, X: Any, y: Any, sample_weight: Any, clusters: Any
    ) -> tuple[tables.Table, TrainingRows]:
        """Rows with known labels that `fit` never saw."""
        table = self._table(X)
        y = check_target(y, tables.shape(table)[0], type(self).__name__)
        return table, self.columns_.encode(table, y, self._classes, sample_weight, clusters)

    def _serve_table(self, table: RoutingTable) -> None:
        """Serve another table, and forget what was measured of the old routing."""
        self.deployment_ = self.deployment_.serving(table)
        self.routing_table_ = table
        if hasattr(self, "reference_"):  # its scores are by the routes of the old table
            self.reference_ = replace(self.reference_, scores={})
        self.audit_, self.honest_gains_ = without_routing(self.audit_), None
        if self.audit_only_ is not None:
            self.audit_only_ = without_routing(self.audit_only_)

"""Audit of a deployed router, in memory or in a file, on rows that no model has seen."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fairuse_router.audit.arguments import AuditSettings, check_target_kind
from fairuse_router.audit.assemble import Named
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.build import Routing, audit_rows
from fairuse_router.audit.selection import regrouped
from fairuse_router.candidates.names import GENERIC
from fairuse_router.metrics import Metric, Predictions, settle
from fairuse_router.routing.policies.evidence import Evidence
from fairuse_router.routing.serving import Serving
from fairuse_router.rows import Grouping, TrainingRows


def audit_deployed(
    deployment: Serving,
    data: TrainingRows,
    metrics: Sequence[Metric],
    testing: AuditSettings,
    by: Grouping | None = None,
) -> Audit:
    """Audit the deployed routing and all candidates on rows that no model has seen.

    `by` audits other groups than those that are routed.

    Raises
    ------
    ValueError, TypeError
        For metrics that do not fit the models, and for settings that no test can work with.
    """
    check_target_kind(metrics, regression=data.classes is None)
    testing.checked(metrics)
    metrics = [settle(metric, data.target, data.classes, data.weight) for metric in metrics]
    scores, unavailable = deployment.scores(data, metrics if by is None else ())
    evidence = Evidence(data.outcomes, scores, metrics, unavailable=unavailable)
    routes = deployment.table.look_up(data.codes)
    routing = Routing(deployment.predictions(data.features, routes), routes)
    if by is not None:
        return audit_rows(regrouped(evidence, by), by.schema, testing, routing)
    under = _UnderReports(deployment, data)
    routing = replace(routing, under=under, route_of=under.routes)
    audit = audit_rows(evidence, deployment.table.schema, testing, routing)
    if not audit.n_partial:
        return audit
    everybody, withheld = _of_all_who_report(deployment, evidence, data, routing, testing)
    return replace(audit, everybody=everybody, withheld=withheld)


def _of_all_who_report(
    deployment: Serving,
    evidence: Evidence,
    data: TrainingRows,
    routing: Routing,
    testing: AuditSettings,
) -> tuple[Audit, Audit]:
    """Generic and the routing on all rows, and on those that withhold, by the report they sent."""
    schema, silent = deployment.table.schema, data.groups < 0
    scores = {GENERIC: replace(evidence.scores[GENERIC], misreports=None)}
    alone = replace(evidence, scores=scores, unavailable={})
    told = replace(evidence.rows, groups=silent.astype(np.int64), m=2, unserved=frozenset())
    names = Named(schema.attributes, ("everything told", "something withheld"))
    everybody = audit_rows(
        replace(alone, rows=told), names, testing, replace(routing, under=None, route_of={})
    )
    sent = schema.report_ids(data.codes)
    reports = np.unique(sent[silent])
    ids = np.where(silent, np.searchsorted(reports, np.where(silent, sent, reports[0])), -1)
    rows = replace(told, groups=ids, m=len(reports))
    names = Named(
        schema.attributes, tuple(schema.report_name(schema.report_codes[r]) for r in reports)
    )
    return everybody, replace(
        audit_rows(replace(alone, rows=rows), names, testing, routing), n_partial=0
    )


class _UnderReports(Mapping[str, Predictions]):
    """The routing's predictions when everybody files one report, computed when asked for.

    All reports of one route share one array, so that memory grows with neither reports nor routes.
    """

    def __init__(self, deployment: Serving, data: TrainingRows) -> None:
        self._deployment, self._data = deployment, data
        schema = deployment.table.schema
        routes = deployment.table.look_up(schema.report_codes)
        self.routes = {
            schema.report_name(code): int(route)
            for code, route in sorted(
                zip(schema.report_codes, routes, strict=True), key=lambda pair: int(pair[1])
            )
        }
        self._last: tuple[int, Predictions] | None = None

    def __getitem__(self, report: str) -> Predictions:
        route = self.routes[report]
        if self._last is None or self._last[0] != route:
            everybody = np.full(len(self._data.y), route)
            answers = self._deployment.predictions(self._data.features, everybody)
            self._last = (route, answers)
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        left_out, why = [], ""
        for report in self.routes:
            try:
                self[report]  # kept until it is asked for
            except Exception as error:  # a group's own model may know nothing of others' rows
                left_out.append(report)
                why = f"{type(error).__name__}: {error}"
                continue
            yield report
        if left_out:
            warnings.warn(
                f"Truthfulness leaves out the reports {left_out}: the model that serves them "
                f"cannot answer rows of other groups ({why}).",
                UserWarning,
                stacklevel=2,
            )

    def __len__(self) -> int:
        return len(self.routes)

"""Auditing a router: from scores or deployed models to the arithmetic of `Audit`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.audit.arguments import check_target_kind, check_testing, read_tests
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.build import audit_rows, count_rows
from fairuse_router.candidates.candidate import Candidate, ServedModel, predict_rows
from fairuse_router.candidates.names import GENERIC
from fairuse_router.candidates.scores import Scores, score_prefit
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Metric, Predictions
from fairuse_router.routing.table import RoutingTable
from fairuse_router.rows import Grouping, TrainingRows


def audit_deployed(
    candidates: Mapping[str, Candidate],
    models: Sequence[ServedModel],
    model_of_route: NDArray[np.int64],
    table: RoutingTable,
    data: TrainingRows,
    codes: NDArray[np.int64],
    metrics: Sequence[Metric],
    alpha: float,
    by: Grouping | None = None,
    **options: Any,
) -> Audit:
    """Audit the deployed routing and all candidates on rows that no model has seen.

    `by` audits other groups than those that are routed; `options` go to `audit_rows`:
    `correction`, `tests`, `n_resamples`, `seed`.

    Raises
    ------
    ValueError, TypeError
        For metrics that do not fit the models, and for other settings that `audit_rows` refuses.
    """
    check_target_kind(metrics, regression=data.classes is None)
    check_testing(alpha, **{k: options[k] for k in ("n_resamples", "correction") if k in options})
    read_tests(options.get("tests"), metrics)
    deployed = _Deployed(models, model_of_route, table, data)
    if by is not None:
        scores, routed = score_prefit(candidates, data), deployed.under(table.look_up(codes))
        return _audit_by(by, data, scores, metrics, alpha, routed, "held-out rows", **options)
    unavailable = {name: dict(c.unavailable) for name, c in candidates.items()}
    return _audit(
        data,
        score_prefit(candidates, data, metrics),
        table.schema,
        unavailable,
        metrics,
        alpha,
        deployed.under(table.look_up(codes)),
        deployed,
        "held-out rows",
        **options,
    )


def _audit(
    data: TrainingRows,
    scores: Mapping[str, Scores],
    schema: GroupSchema,
    unavailable: Mapping[str, Mapping[int, str]],
    metrics: Sequence[Metric],
    alpha: float,
    routed: Predictions,
    truthfulness: Mapping[str, Predictions] | None,
    evidence: str,
    **options: Any,
) -> Audit:
    keep = scores[GENERIC].scored
    groups = np.where(keep, data.groups, -1)
    can_serve = {}
    for name in scores:
        can_serve[name] = np.ones(schema.n_groups, dtype=bool)
        can_serve[name][list(unavailable.get(name, {}))] = False
    return audit_rows(
        data.target,
        {name: s.predictions for name, s in scores.items()},
        groups,
        schema,
        routed=routed,
        metrics=metrics,
        weight=data.weight,
        clusters=data.clusters,
        n_partial=count_rows(data.groups < 0, data.weight),
        misreports={n: s.misreports for n, s in scores.items() if s.misreports is not None},
        truthfulness=truthfulness,
        available=can_serve,
        alpha=alpha,
        evidence=evidence,
        **options,
    )


def _audit_by(
    by: Grouping,
    data: TrainingRows,
    scores: Mapping[str, Scores],
    metrics: Sequence[Metric],
    alpha: float,
    routed: Predictions,
    evidence: str,
    **options: Any,
) -> Audit:
    """Audit rationality alone: nobody reports these groups, so there is nothing to misreport."""
    return audit_rows(
        data.target,
        {name: s.predictions for name, s in scores.items()},
        np.where(scores[GENERIC].scored, by.ids, -1),
        by.schema,
        routed=routed,
        metrics=metrics,
        weight=data.weight,
        clusters=data.clusters,
        n_partial=count_rows(by.ids < 0, data.weight),
        scored={name: s.scored for name, s in scores.items()},
        alpha=alpha,
        evidence=evidence,
        **options,
    )


class _Deployed(Mapping[str, Predictions]):
    """The routing's predictions when everybody files one report, computed when asked for.

    All reports of one route share one array, so that memory grows with neither reports nor routes.
    """

    def __init__(
        self,
        models: Sequence[ServedModel],
        model_of_route: NDArray[np.int64],
        table: RoutingTable,
        data: TrainingRows,
    ) -> None:
        self._models, self._model_of_route, self._data = models, model_of_route, data
        schema = table.schema
        routes = table.look_up(schema.report_codes)
        self._reports = {
            schema.report_name(code): int(route)
            for code, route in sorted(
                zip(schema.report_codes, routes, strict=True), key=lambda pair: int(pair[1])
            )
        }
        self._last: tuple[int, Predictions] | None = None

    def under(self, routes: NDArray[np.int64]) -> Predictions:
        """Predictions of all rows under the route given for each."""
        data = self._data
        return predict_rows(self._models, self._model_of_route, data.features, routes, data.classes)

    def __getitem__(self, report: str) -> Predictions:
        route = self._reports[report]
        if self._last is None or self._last[0] != route:
            self._last = (route, self.under(np.full(len(self._data.y), route)))
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        left_out, why = [], ""
        for report in self._reports:
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
        return len(self._reports)

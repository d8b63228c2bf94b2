"""Choosing: from a pool of candidates to a choice for every group, and the audit of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from fairuse_router.audit import OUT_OF_FOLD, Audit
from fairuse_router.audit.selection import audit_choices
from fairuse_router.candidates.candidate import Candidate
from fairuse_router.candidates.folds import split_rows
from fairuse_router.candidates.names import MULTILEVEL
from fairuse_router.candidates.pool import Pool, Unavailable
from fairuse_router.candidates.scores import Scores, score_prefit
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Metric
from fairuse_router.routing.honest import HonestGains, honest_gains
from fairuse_router.routing.policies.rules import (
    CERTIFICATION_SHARE,
    CERTIFIED,
    Choice,
    Evidence,
    choose,
    choose_certified,
)
from fairuse_router.rows import Grouping, TrainingRows

FEW_ROWS = 1000


@dataclass(frozen=True)
class Chosen:
    """Fitted candidates, the choice for every group, and the audit of the rows it rests on."""

    candidates: Mapping[str, Candidate]
    choices: list[Choice]
    unavailable: Unavailable
    audit: Audit
    honest: HonestGains | None = None
    audit_only: Audit | None = None


def fit_and_choose(
    fit_pool: Callable[[TrainingRows], Pool],
    data: TrainingRows,
    schema: GroupSchema,
    *,
    policy: str,
    metric: Metric,
    min_group_size: int,
    alpha: float,
    random_state: object,
    n_resamples: int = 0,
    max_harmed: float = 0.4,
    audit_only: Grouping | None = None,
) -> Chosen:
    """Fit the pool and choose by a policy.

    Parameters
    ----------
    fit_pool : callable
        From training rows to candidates, their scores on rows they have not seen, and the groups
        that each cannot serve.
    data : TrainingRows
    schema : GroupSchema
    policy, metric, min_group_size, alpha, random_state, n_resamples, max_harmed
        As the router's.
    audit_only : Grouping or None
        Groups to audit by that no model knows of.

    Returns
    -------
    Chosen
        Under ``"certified"``, `fit_pool` is given 60% of the rows, and the audit is of the others.
    """

    def evidence(rows: TrainingRows, scores: Mapping[str, Scores], lacks: Unavailable) -> Evidence:
        return Evidence(
            rows.target,
            rows.groups,
            rows.n_groups,
            {name: s.predictions for name, s in scores.items()},
            {name: s.scored for name, s in scores.items()},
            lacks,
            metric,
            min_group_size,
            rows.weight,
            rows.clusters,
            alpha,
            {name: s.margins for name, s in scores.items() if s.margins is not None},
            max_harmed,
        )

    honest = None
    if policy == CERTIFIED:
        strata = None if data.classes is None else data.target
        inner_rows, outer_rows = split_rows(
            CERTIFICATION_SHARE, None, data.y, data.groups, strata, data.clusters, random_state
        )[0]
        inner, audited = data.take(inner_rows), data.take(outer_rows)
        candidates, first, unavailable = fit_pool(inner)
        corrects = MULTILEVEL in candidates and candidates[MULTILEVEL].corrected is not None
        if corrects and len(data.y) < FEW_ROWS:
            warnings.warn(
                f"policy='certified' on {len(data.y)} rows: every group is compared with the "
                f"generic that is deployed, which was trained on {len(inner.y)} of them. With "
                "so few rows it can be worse than a generic trained on all by more than the groups "
                "gain; policy='slope' uses all rows.",
                UserWarning,
                stacklevel=3,
            )
        scores: Mapping[str, Scores] = score_prefit(candidates, audited, [metric])
        choices = choose_certified(
            evidence(inner, first, unavailable), evidence(audited, scores, unavailable)
        )
        which = "rows opened once to certify"
    else:
        candidates, scores, unavailable = fit_pool(data)
        audited, outer_rows = data, np.arange(len(data.y))
        seen = evidence(data, scores, unavailable)
        choices = choose(policy, seen)
        which = OUT_OF_FOLD
        if n_resamples:
            seed = random_state if isinstance(random_state, Integral) else 0
            honest = honest_gains(
                policy, seen, schema.group_names(), n_resamples=n_resamples, seed=int(seed)
            )

    def audit(by: Grouping | None) -> Audit:
        return audit_choices(
            choices, scores, unavailable, audited, schema, [metric], alpha, evidence=which, by=by
        )

    others = None
    if audit_only is not None:
        others = audit(Grouping(audit_only.schema, audit_only.ids[outer_rows]))
    return Chosen(candidates, choices, unavailable, audit(None), honest, others)

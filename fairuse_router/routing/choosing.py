"""Choosing: a route for every group, on rows that no candidate has seen."""

from __future__ import annotations

import warnings
from typing import Any

from fairuse_router.candidates.folds import keep_back
from fairuse_router.candidates.lattice import Reports
from fairuse_router.candidates.names import MULTILEVEL
from fairuse_router.candidates.pool import Pool
from fairuse_router.candidates.recipes import why_not_partial
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import Metric
from fairuse_router.routing.policies.evidence import Chosen, Evidence, Settings
from fairuse_router.routing.policies.rules import (
    CERTIFICATION_SHARE,
    CERTIFIED,
    choose,
    choose_certified,
    choose_reports,
)
from fairuse_router.rows import TrainingRows

FEW_ROWS = 1000


def part_rows(
    policy: str, cv: Any, data: TrainingRows, random_state: Any
) -> tuple[TrainingRows, TrainingRows | None, Any, bool]:
    """Part the rows that train and nominate from those that are opened once to certify.

    Only ``"certified"`` keeps some back, see `keep_back`; every other policy is given all rows.
    Returned with the ``cv`` for the first, and with whether the others are the latest.
    """
    if policy != CERTIFIED:
        return data, None, cv, False
    kept = keep_back(cv, data, CERTIFICATION_SHARE, random_state)
    return data.take(kept.seen), data.take(kept.opened), kept.cv, kept.in_time


def choose_routes(
    policy: str,
    pool: Pool,
    seen: TrainingRows,
    opened: TrainingRows | None,
    metric: Metric,
    settings: Settings,
) -> Chosen:
    """Choose a route for every group, and for partial reports where multilevel corrects them.

    Parameters
    ----------
    policy : str
    pool : Pool
        Fitted on `seen`, with scores of these rows out of fold.
    seen, opened : TrainingRows
        As `part_rows` parts them.
    metric : Metric
    settings : Settings

    Returns
    -------
    Chosen
    """
    multilevel = pool.candidates.get(MULTILEVEL)
    reports = None
    if multilevel is not None and multilevel.lattice is not None:
        reports = Reports(multilevel.lattice, seen.codes)
    scored = seen.outcomes, pool.scores, [metric], settings, pool.unavailable, reports
    evidence = Evidence(*scored)
    if opened is None and evidence.told is not None:
        return Chosen(*choose_reports(evidence), evidence)
    if opened is None:
        return Chosen(choose(policy, evidence), {}, evidence)
    _warn_of_few_rows(pool, len(seen.y), len(opened.y))
    judged = pool.on(opened, [metric])
    last = Evidence(opened.outcomes, judged.scores, [metric], settings, judged.unavailable)
    return Chosen(choose_certified(evidence, last), {}, last)


def why_partial_are_generic(partial: str, policy: str, schema: GroupSchema, pool: Pool) -> str:
    """Why partial reports have no routes of their own, in words; empty if they have."""
    why = why_not_partial(partial, policy, schema)
    found = pool.candidates.get(MULTILEVEL)
    if why is None and found is None:
        reasons = pool.unavailable.get(MULTILEVEL, {}).values()
        why = next(iter(reasons), "there is no multilevel candidate, which corrects them")
    elif why is None and found is not None and found.lattice is None:
        why = "multilevel of several classes serves full reports only"
    return why or ""


def _warn_of_few_rows(pool: Pool, seen: int, opened: int) -> None:
    """Say that a generic trained on a part of few rows may lose more than certainty brings."""
    candidate = pool.candidates.get(MULTILEVEL)
    if candidate is not None and seen + opened < FEW_ROWS:
        warnings.warn(
            f"policy='certified' on {seen + opened} rows: every group is compared with the generic "
            f"that is deployed, which was trained on {seen} of them. With so few rows it can be "
            "worse than a generic trained on all by more than the groups gain; policy='priced' "
            "uses all rows.",
            UserWarning,
            stacklevel=4,
        )

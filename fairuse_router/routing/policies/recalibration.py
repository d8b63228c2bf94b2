"""Recalibration of routes: offered to every group that is served by what could be recalibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import recalibrated
from fairuse_router.candidates.scores import margin_of
from fairuse_router.inference.directions import Direction
from fairuse_router.metrics import Predictions
from fairuse_router.routing.policies.evidence import Choice, Evidence
from fairuse_router.routing.policies.options import Judge, Option, weigh
from fairuse_router.routing.policies.ways import Way, says_otherwise, speaking, variance_of


def recalibrated_where_it_pays(choices: Sequence[Choice], evidence: Evidence) -> list[Choice]:
    """Replace candidates by their recalibrated versions in the groups where that pays.

    The price is that of any correction, but over the route as chosen in place of generic: what the
    recalibration should add to everybody's mean gain in the metric, less the price of harming the
    group; and not where it looks worse out of fold. Its margins are of intercepts and slopes that
    have not seen the row. Groups that lend each other a slope are those of the same route. Where
    the route uses a part of the candidate, all of the recalibrated one is offered.

    Parameters
    ----------
    choices : sequence of Choice
        One per group.
    evidence : Evidence
        With the scores of recalibrated candidates; those that are not there are not offered.
    """
    chosen = list(choices)
    if says_otherwise(evidence):  # labels by a threshold of the models' own, which would be lost
        return chosen
    for candidate, strength in dict.fromkeys((c.candidate, c.strength) for c in choices):
        new = recalibrated(candidate)
        if new not in evidence.scores:
            continue
        served = np.array([(c.candidate, c.strength) == (candidate, strength) for c in choices])
        enough = evidence.rows_of(new).sizes >= evidence.settings.min_group_size
        allowed = served & enough
        allowed[list(evidence.unavailable.get(new, {}))] = False
        if not allowed.any():
            continue
        before = evidence.predictions(candidate, strength)
        options, _ = weigh(evidence, _way(evidence, new, before, allowed))
        best = Judge(evidence, options).best(options[0].value[:, None])
        for g in np.flatnonzero(best >= 0).tolist():
            reason = f"{chosen[g].reason}; {_why(evidence, options[0], g)}"
            chosen[g] = replace(chosen[g], candidate=new, strength=1.0, reason=reason)
    return chosen


def _way(evidence: Evidence, new: str, before: Predictions, allowed: NDArray[np.bool_]) -> Way:
    """The direction from a route to the recalibrated candidate, which is the only option."""
    after = evidence.predictions(new)
    groups = speaking(evidence, new, allowed)
    base, full = margin_of(before), margin_of(after)
    direction = Direction(evidence.rows.y, base, full, variance_of(evidence, base, groups))
    return Way(new, np.ones(1), direction, groups, allowed, before, (after,), before)


def _why(evidence: Evidence, option: Option, g: int) -> str:
    gain, metric = option.metric.format_gain(float(option.gain[g])), option.metric.name
    inside = "" if option.metric == evidence.metric else f" in {metric}"
    return f"recalibrated, which should gain another {gain}{inside}"

"""Tests of nominees: a route is deployed on shown gain, or withdrawn on shown violation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.inference import PairedTest, adjust
from fairuse_router.inference.compare import Resampling, compare, default_test
from fairuse_router.routing.display import server_in_words
from fairuse_router.routing.policies.evidence import Choice, Evidence

_LEFT = 0.5  # standard errors of a gain that a straight line leaves


def certify(nominees: Sequence[Choice], evidence: Evidence, where: str) -> list[Choice]:
    """Keep the nominees whose gain a one-sided test shows; Holm over them, weighted by rows.

    Parameters
    ----------
    nominees : sequence of Choice
        What is to be tested in each group; generic where nothing is.
    evidence : Evidence
        The rows to test on.
    where : str
        Those rows, in the words of the reason.
    """
    named = np.array([nominee.candidate != GENERIC for nominee in nominees])
    test = _test(nominees, evidence)
    p = np.where(named, test.p_gain, np.nan)
    size = np.maximum(np.asarray(test.n, dtype=np.float64), 1)
    corrected = adjust(p, "holm", weight=size)
    choices = []
    for g, nominee in enumerate(nominees):
        name = nominee.candidate
        served = server_in_words(name, nominee.strength)
        if not named[g]:
            choices.append(Choice(GENERIC, "no other candidate is expected to gain"))
        elif np.isnan(corrected[g]):
            choices.append(Choice(GENERIC, f"{name} cannot be tested {where}: {test.reason[g]}"))
        else:
            p_value = f"({test.test}, corrected p = {corrected[g]:.3g})"
            if corrected[g] <= evidence.settings.alpha:
                choices.append(replace(nominee, reason=f"gain of {served} shown {where} {p_value}"))
            else:
                choices.append(Choice(GENERIC, f"no gain of {served} shown {where} {p_value}"))
    return choices


def without_fading(choices: Sequence[Choice], evidence: Evidence) -> list[Choice]:
    """Withdraw routes whose gain, drawn on as a straight line, may be gone when the rows end.

    Rows are in order of time. With gains a and b in their two halves, it ends at b + (b - a) / 2,
    which has sqrt(5) times the standard error of the gain in all rows; half of that must be left,
    as of those that end at nothing the luckier half would stay.
    """
    n = len(evidence.rows.groups)
    served = evidence.served(choices)
    parts = np.arange(n // 2), np.arange(n // 2, n)
    early, late = (served.take(part).gains(evidence.metric, "nominee") for part in parts)
    end, se = late + (late - early) / 2, np.sqrt(5) * np.asarray(_test(choices, evidence).se)
    gone = end < _LEFT * np.nan_to_num(se)  # nan where a half tells nothing
    told = evidence.metric.format_gain
    return [
        Choice(
            GENERIC,
            f"a gain is shown, but it fades: {told(float(early[g]))} in the earlier half of the "
            f"rows opened, {told(float(late[g]))} in the later; drawn on, it may be gone",
        )
        if gone[g] and choice.candidate != GENERIC
        else choice
        for g, choice in enumerate(choices)
    ]


def assign_generic(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    """Serve every group by the first rival, but by generic where a violation is shown."""
    rival = evidence.rivals[0]
    nominees = [Choice(rival if allowed else GENERIC, "") for allowed in eligible[:, 0]]
    test = _test(nominees, evidence)
    corrected = adjust(np.where(eligible[:, 0], test.p_violation, np.nan), "holm")
    return [
        Choice(GENERIC, f"violation of {rival} shown (corrected p = {corrected[g]:.3g})")
        if corrected[g] <= evidence.settings.alpha
        else replace(nominees[g], reason=f"no violation of {rival} shown")
        for g in range(evidence.rows.m)
    ]


def _test(nominees: Sequence[Choice], evidence: Evidence) -> PairedTest:
    """Compare each group's nominee with generic; error rates by the exact McNemar test."""
    served = evidence.served(nominees)
    rows = served.rows_of("nominee")
    exact = evidence.metric.zero_one and rows.plain
    test = default_test(evidence.metric, rows, "exact McNemar" if exact else None)
    return compare(
        evidence.metric,
        served.predictions(GENERIC),
        served.predictions("nominee"),
        rows,
        test,
        Resampling(evidence.settings.alpha),
    )

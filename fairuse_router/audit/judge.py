"""From tests to verdicts: one family of comparisons is corrected together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairuse_router.audit.gain_table import Block
from fairuse_router.inference import PairedTest, adjust, rows_needed
from fairuse_router.metrics import named_metric

__all__ = ["Comparisons", "judge", "whole_rows"]

_MOST_ROWS = 10**10


@dataclass(frozen=True)
class Comparisons:
    """Some comparisons of one kind, and whom they are about.

    Parameters
    ----------
    groups : sequence of str or None
    others : sequence of str
        What each is compared with.
    test : PairedTest
        Arrays of the same length.
    same : ndarray of bool, or None
        Where both sides are known to be one model, so that there is nothing to test.
    """

    groups: Sequence[str | None]
    others: Sequence[str]
    test: PairedTest
    same: np.ndarray | None = None


def judge(
    metric: str, candidate: str, family: Sequence[Comparisons], alpha: float, correction: str
) -> list[Block]:
    """Draw corrected verdicts for a family of comparisons.

    Each comparison is tested in both directions, so k comparisons are 2k tests, and the chance of
    any wrong verdict in either direction is at most alpha (Bonferroni, Holm). Comparisons that
    could not be tested, those of a model with itself, and those in which no row differs so that no
    data of this kind could have shown anything (Tarone 1990), do not count.

    Returns
    -------
    list of Block
        One per member of the family.
    """
    tests = [part.test for part in family]
    p = np.stack(
        [np.concatenate([getattr(t, side) for t in tests]) for side in ("p_gain", "p_violation")]
    )
    gain, se, null, n = (
        np.concatenate([np.asarray(getattr(t, name), dtype=float) for t in tests])
        for name in ("gain", "se", "se_null", "n")
    )
    same = [np.zeros(len(t.groups), bool) if t.same is None else t.same for t in family]
    known = np.concatenate(same) & (n > 0)
    p[:, known] = np.nan
    still = (gain == 0) & (null == 0) & ~known
    counted = ~(np.isnan(p[0]) | still)
    p[:, still] = 1.0
    corrected = adjust(np.where(counted, p, np.nan), correction)
    share = max(int(counted.sum()), 1) if correction in ("bonferroni", "holm") else 1
    more = rows_needed(gain, se, n, alpha / (2 * share), se_null=null)
    drawn = _draw(metric, p, corrected, alpha, known, more)
    blocks: list[Block] = []
    start = 0
    for part in family:
        rows = slice(start, start + len(part.groups))
        blocks.append(_block(metric, candidate, part, {k: v[rows] for k, v in drawn.items()}))
        start = rows.stop
    return blocks


def _draw(
    metric: str,
    p: np.ndarray,
    corrected: np.ndarray,
    alpha: float,
    known: np.ndarray,
    more: np.ndarray,
) -> dict[str, np.ndarray]:
    """What is drawn of each comparison: p-values, verdict, rows needed; of `known`, no test."""
    with np.errstate(invalid="ignore"):
        gains = (corrected[0] <= alpha) & (corrected[0] <= corrected[1])
        bad = ~gains & (corrected[1] <= alpha)
        few = more <= _MOST_ROWS
        unmoved = p.min(axis=0) == 1.0
    open_ = ~(gains | bad | known)
    return {
        "p_gain": p[0],
        "p_violation": p[1],
        "p_corrected": np.fmin(corrected[0], corrected[1]),
        "rows_needed": np.where(open_, np.where(few, np.floor(more), np.nan), 0.0),
        "verdict": np.select([known, gains, bad], ["same", "gain", "violation"], "undetermined"),
        "reason": np.where(known, "one and the same model", np.where(unmoved, _still(metric), "")),
        "known": known,
    }


def _block(metric: str, candidate: str, part: Comparisons, drawn: dict[str, np.ndarray]) -> Block:
    """The comparisons of one member of a family."""
    test, known = part.test, drawn["known"]
    numbers = {"n": np.asarray(test.n, dtype=float)}
    numbers["gain"] = np.where(known, 0.0, test.gain)
    for name in ("low", "high"):
        numbers[name] = np.where(known, np.nan, getattr(test, name))
    for name in ("p_gain", "p_violation", "p_corrected", "rows_needed"):
        numbers[name] = drawn[name]
    untested = np.broadcast_to(np.asarray(test.reason, dtype=str), known.shape)
    reason = np.where((untested != "") & ~known, untested, drawn["reason"])
    return Block(
        metric, candidate, test.test, part.groups, part.others, numbers, drawn["verdict"], reason
    )


def _still(metric: str) -> str:
    """Say that two models do not differ, in what the metric looks at."""
    if metric == "auc":
        return "no rank differs"
    known = metric == "ece" or named_metric(metric).rowwise is not None
    return "no row differs" if known else "no difference"


def whole_rows(rows: float) -> int | None:
    """Whole rows; None if unknown, or more than there are people: a gain that is rounding error."""
    return int(rows) if rows <= _MOST_ROWS else None

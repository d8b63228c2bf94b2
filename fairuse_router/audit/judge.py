"""From tests to verdicts: one family of comparisons is corrected together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from fairuse_router.audit.records import GainRecord, number
from fairuse_router.inference import PairedTest, adjust, rows_needed, verdict
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
) -> list[list[GainRecord]]:
    """Draw corrected verdicts for a family of comparisons.

    Each comparison is tested in both directions, so k comparisons are 2k tests, and the chance of
    any wrong verdict in either direction is at most alpha (Bonferroni, Holm). Comparisons that
    could not be tested, those of a model with itself, and those in which no row differs so that no
    data of this kind could have shown anything (Tarone 1990), do not count.

    Returns
    -------
    list of list of GainRecord
        One list per member of the family.
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
    records: list[list[GainRecord]] = []
    start = 0
    for part in family:
        size = len(part.groups)
        records.append(
            [
                _one_model(metric, candidate, part, i)
                if known[k]
                else _record(
                    metric, candidate, part, i, _Drawn.of(p[:, k], corrected[:, k], more[k], alpha)
                )
                for i, k in enumerate(range(start, start + size))
            ]
        )
        start += size
    return records


class _Drawn(NamedTuple):
    """What is drawn of one comparison: its p-values, gain first, and the verdict by them."""

    p: np.ndarray
    corrected: np.ndarray
    rows_needed: float
    verdict: str

    @classmethod
    def of(cls, p: np.ndarray, corrected: np.ndarray, more: float, alpha: float) -> Self:
        """Draw the verdict."""
        return cls(p, corrected, more, verdict(corrected[0], corrected[1], alpha))


def _record(metric: str, candidate: str, part: Comparisons, i: int, drawn: _Drawn) -> GainRecord:
    """One comparison of a family."""
    test = part.test
    reason = str(test.reason[i])
    if not reason and drawn.p.min() == 1.0:
        reason = _still(metric)
    return GainRecord(
        metric=metric,
        candidate=candidate,
        group=part.groups[i],
        other=part.others[i],
        n=int(test.n[i]),
        gain=number(test.gain[i]),
        low=number(test.low[i]),
        high=number(test.high[i]),
        p_gain=number(drawn.p[0]),
        p_violation=number(drawn.p[1]),
        p_corrected=number(np.fmin(*drawn.corrected)),
        verdict=drawn.verdict,
        test=test.test,
        rows_needed=0 if drawn.verdict != "undetermined" else whole_rows(drawn.rows_needed),
        reason=reason,
    )


def _one_model(metric: str, candidate: str, part: Comparisons, i: int) -> GainRecord:
    """A comparison of a model with itself: the gain is 0, exactly, and nothing was tested."""
    return GainRecord(
        metric=metric,
        candidate=candidate,
        group=part.groups[i],
        other=part.others[i],
        n=int(part.test.n[i]),
        gain=0.0,
        low=None,
        high=None,
        p_gain=None,
        p_violation=None,
        p_corrected=None,
        verdict="same",
        test=part.test.test,
        rows_needed=0,
        reason="one and the same model",
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

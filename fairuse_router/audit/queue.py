"""Scores in one queue: how people of different groups are ranked against each other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fairuse_router.audit.arguments import check_level
from fairuse_router.audit.records import number
from fairuse_router.audit.told import EVERYBODY, Told
from fairuse_router.candidates.names import GENERIC
from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.compare import Resampling, compare
from fairuse_router.metrics import Predictions, get_metric

__all__ = ["QueueRecord", "Ranking", "ranking"]


@dataclass(frozen=True)
class QueueRecord:
    """How often those of the second class in one group come before the others of another.

    Parameters
    ----------
    model, positives, negatives : str
        Groups of the second and of the first class; ``"everybody"`` for all pairs.
    n_positives, n_negatives : int
    auc : float or None
        Under the model.
    gain, low, high : float or None
        Over the baseline, with DeLong's paired interval for this number alone; None for the
        baseline itself.
    """

    model: str
    positives: str
    negatives: str
    n_positives: int
    n_negatives: int
    auc: float | None
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Ranking(Printed):
    """Ranking across groups. Print it.

    Parameters
    ----------
    records : tuple of QueueRecord
        Per model all pairs of people, then every pair of groups, alike ones included.
    models, groups : tuple of str
    baseline : str
    alpha : float

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(size=400), np.repeat(["F", "M"], 200)
    >>> y = (rng.random(400) < p).astype(int)
    >>> found = ranking(y, {"generic": p, "shifted": np.where(sex == "F", p / 3, p)}, sex)
    >>> found.word("shifted").split(", ")[0]
    'shifted ranks nobody worse within the own group'
    >>> found.of("shifted", "F", "M").gain < 0 < found.of("shifted", "M", "F").gain
    True
    """

    records: tuple[QueueRecord, ...]
    models: tuple[str, ...]
    groups: tuple[str, ...]
    baseline: str
    alpha: float

    def of(self, model: str, positives: str = EVERYBODY, negatives: str = EVERYBODY) -> QueueRecord:
        """One record.

        Raises
        ------
        KeyError
            If there is none.
        """
        for r in self.records:
            if (r.model, r.positives, r.negatives) == (model, positives, negatives):
                return r
        raise KeyError(f"no record of {model!r}, {positives!r} against {negatives!r}")

    def word(self, model: str) -> str:
        """Say whether one queue gets worse although every group by itself gains, or loses nothing.

        A model of its own for each group ranks within the group; its scores need not mean the same
        as those of another group. Where they do not, people are passed over across groups.
        """
        within = [self.of(model, g, g).gain for g in self.groups]
        own = [gain for gain in within if gain is not None]
        crossed = [
            r
            for r in self.records
            if r.model == model and r.positives != r.negatives and r.high is not None and r.high < 0
        ]
        whole = self.of(model).gain
        if own and min(own) >= 0 and whole is not None and whole < 0:
            return (
                f"{model} ranks nobody worse within the own group, and yet the one queue gets "
                f"worse ({whole:+.3f}): scores of different groups do not mean the same. "
                "Recalibrate them, or keep a queue for each group."
            )
        if crossed:
            worst = min(crossed, key=lambda r: r.gain or 0.0)
            return (
                f"{model} shows a worse ranking for {len(crossed)} pair(s) of groups, most for "
                f"{worst.positives} among {worst.negatives} ({worst.gain:+.3f})."
            )
        return f"No pair of groups is shown to be ranked worse by {model}."

    def _lines(self) -> Iterator[str]:
        yield from wrap(
            "Ranking in one queue: how often somebody of the second class comes before somebody of "
            f"the first (AUC). Gains over {self.baseline}, DeLong's intervals "
            f"{100 * (1 - self.alpha):g}%, each for one number alone."
        )
        columns = [
            Column("of the second class", 22, left=True),
            Column("of the first", 22, left=True, gap=1),
            *numbers({"AUC": 6, "gain": 7, "interval": 15}),
        ]
        for model in self.models:
            if model == self.baseline:
                continue
            rows = [
                [
                    r.positives,
                    r.negatives,
                    "n/a" if r.auc is None else f"{r.auc:.3f}",
                    "n/a" if r.gain is None else f"{r.gain:+.3f}",
                    "" if r.low is None else f"{r.low:+.3f} {r.high:+.3f}",
                ]
                for r in self.records
                if r.model == model
            ]
            yield from ("", f"{model}:", *Grid(columns, rows).lines(), "", *wrap(self.word(model)))


def ranking(
    y: Any,
    predictions: Any,
    groups: Any,
    sample_weight: Any = None,
    *,
    baseline: str = GENERIC,
    alpha: float = 0.1,
) -> Ranking:
    """Audit how people of different groups are ranked against each other.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of two classes; the second in order is to come first.
    predictions : mapping of str to array-like, or DataFrame
        Per model, probabilities as `audit_predictions` takes them, for rows it has not seen.
    groups : DataFrame, Series or array-like
        Group attributes.
    sample_weight : array-like of shape (n,), default=None
    baseline : str, default="generic"
    alpha : float, default=0.1

    Returns
    -------
    Ranking

    Raises
    ------
    ValueError, TypeError
        For labels alone, other than two classes, or no baseline.

    Examples
    --------
    Scores that rank as before within each group, but shifted in one of them:

    >>> rng = np.random.default_rng(0)
    >>> p, sex = rng.uniform(size=400), np.repeat(["F", "M"], 200)
    >>> y = (rng.random(400) < p).astype(int)
    >>> found = ranking(y, {"generic": p, "shifted": np.where(sex == "F", p / 3, p)}, sex)
    >>> found.of("shifted", "F", "F").gain, found.of("shifted").gain < -0.05
    (0.0, True)
    """
    return ranking_of(Told.read(y, predictions, groups, sample_weight), baseline, alpha)


def ranking_of(told: Told, baseline: str, alpha: float) -> Ranking:
    """Ranking of what was told, see `ranking`."""
    check_level(alpha)
    if baseline not in told.predictions:
        raise ValueError(f"baseline={baseline!r} is not among the models {list(told.predictions)}.")
    parts = dict(told.parts())
    pairs = [(EVERYBODY, EVERYBODY), *((g, h) for g in told.groups for h in told.groups)]
    base = Predictions.from_proba(told.chance(baseline))
    records = []
    for model in told.predictions:
        own = Predictions.from_proba(told.chance(model))
        for g, h in pairs:
            rows = np.concatenate(
                [parts[name][told.rows.y[parts[name]] == label] for name, label in ((g, 1), (h, 0))]
            )
            records.append(_record(told, (base, own), rows, (model, g, h), alpha))
    if baseline in told.predictions:
        records = [
            replace(r, gain=None, low=None, high=None) if r.model == baseline else r
            for r in records
        ]
    return Ranking(tuple(records), tuple(told.predictions), told.groups, baseline, alpha)


def _record(
    told: Told,
    models: tuple[Predictions, Predictions],
    rows: np.ndarray,
    names: tuple[str, str, str],
    alpha: float,
) -> QueueRecord:
    here = replace(told.rows.take(rows), groups=np.zeros(len(rows), dtype=np.int64), m=1)
    positives = int((here.y == 1).sum())
    auc = get_metric("auc")
    base, own = (p[rows] for p in models)
    risk = auc.risk(here.y, own, here.weight)
    found = compare(auc, base, own, here, "DeLong", Resampling(alpha)) if len(rows) else None
    told_gain = (math.nan,) * 3 if found is None else (found.gain[0], found.low[0], found.high[0])
    gain, low, high = map(number, told_gain)
    return QueueRecord(*names, positives, len(rows) - positives, number(1 - risk), gain, low, high)

"""Decision curves: what acting by a model is worth at every threshold, group by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairuse_router.audit.arguments import check_level
from fairuse_router.audit.records import number
from fairuse_router.audit.told import EVERYBODY, Told
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.inference.compare import Resampling, compare, default_test
from fairuse_router.metrics import Predictions, get_metric

__all__ = ["DecisionCurve", "DecisionRecord", "decision_curve"]

ALL, NONE = "act on all", "act on none"
_THRESHOLDS = tuple(round(0.01 * k, 2) for k in range(1, 51))
_SHOWN, _MOST_SHOWN = (0.05, 0.1, 0.2, 0.3, 0.5), 10


@dataclass(frozen=True)
class DecisionRecord:
    """One model in one group at one threshold.

    Parameters
    ----------
    model, group : str
    threshold : float
    n : int
    net_benefit : float or None
    gain, low, high : float or None
        Net benefit over the baseline's on the same rows, with the paired interval for this number
        alone, if both are not one model; None for the baseline itself, and for acting on all or
        none.
    """

    model: str
    group: str
    threshold: float
    n: int
    net_benefit: float | None
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class DecisionCurve(Printed):
    """Net benefit of models over thresholds, for everybody and in every group. Print it.

    Parameters
    ----------
    records : tuple of DecisionRecord
        ``"act on all"`` and ``"act on none"`` among the models.
    models, groups : tuple of str
    thresholds : tuple of float
    baseline : str
        What gains are over.
    alpha : float
        Intervals are at level ``1 - alpha``, each for one number alone.

    Examples
    --------
    >>> y, sex = np.array([0, 0, 0, 0, 1] * 40), np.repeat(["F", "M"], 100)
    >>> told = {"generic": np.full(200, 0.3), "new": 0.1 + 0.8 * y}
    >>> curve = decision_curve(y, told, sex, thresholds=[0.2, 0.4])
    >>> curve.models
    ('generic', 'new', 'act on all', 'act on none')
    >>> [(r.threshold, round(r.net_benefit, 2)) for r in curve.of("new")]
    [(0.2, 0.2), (0.4, 0.2)]
    """

    records: tuple[DecisionRecord, ...]
    models: tuple[str, ...]
    groups: tuple[str, ...]
    thresholds: tuple[float, ...]
    baseline: str
    alpha: float

    def of(self, model: str, group: str = EVERYBODY) -> tuple[DecisionRecord, ...]:
        """One curve, in the order of the thresholds."""
        return tuple(r for r in self.records if (r.model, r.group) == (model, group))

    def _lines(self) -> Iterator[str]:
        yield from wrap(
            "Net benefit at a threshold T: share rightly acted on less T / (1 - T) times the share "
            f"acted on in vain. Gains over {self.baseline}, paired intervals "
            f"{100 * (1 - self.alpha):g}%, each for one number alone."
        )
        at = _to_show(self.thresholds)
        columns = [
            Column("group", 22, left=True),
            *numbers({"T": 5, "all": 7, self.baseline: 8}),
            *numbers({"model": 8, "gain": 8, "interval": 16}),
        ]
        for model in self.models:
            if model in (self.baseline, ALL, NONE):
                continue
            rows = [self._row(model, group, t) for group in (EVERYBODY, *self.groups) for t in at]
            yield from ("", f"{model}:", *Grid(columns, rows).lines())
        if len(at) < len(self.thresholds):
            every = f"{len(at)} of {len(self.thresholds)} thresholds are shown; records has all."
            yield from ("", *wrap(every))

    def _row(self, model: str, group: str, threshold: float) -> list[str]:
        found = {r.model: r for r in self.records if (r.group, r.threshold) == (group, threshold)}
        own = found[model]
        return [
            group,
            f"{threshold:g}",
            _three(found[ALL].net_benefit),
            _three(found[self.baseline].net_benefit),
            _three(own.net_benefit),
            _three(own.gain, "+"),
            "" if own.low is None else f"{_three(own.low, '+')} {_three(own.high, '+')}",
        ]


def _to_show(thresholds: Sequence[float]) -> list[float]:
    """All of up to ten thresholds; of more, round ones, or some that are evenly far apart.

    Examples
    --------
    >>> _to_show([0.07, 0.1, 0.15]), _to_show(_THRESHOLDS)
    ([0.07, 0.1, 0.15], [0.05, 0.1, 0.2, 0.3, 0.5])
    >>> len(_to_show([k / 1000 for k in range(1, 101, 2)]))
    10
    """
    if len(thresholds) <= _MOST_SHOWN:
        return list(thresholds)
    known = [t for t in thresholds if t in _SHOWN]
    places = np.linspace(0, len(thresholds) - 1, _MOST_SHOWN).round().astype(int)
    return known if len(known) == len(_SHOWN) else [thresholds[i] for i in places]


def _three(value: float | None, sign: str = "") -> str:
    return "n/a" if value is None else f"{value + 0.0:{sign}.3f}"


def decision_curve(
    y: Any,
    predictions: Any,
    groups: Any,
    sample_weight: Any = None,
    *,
    thresholds: Sequence[float] = _THRESHOLDS,
    baseline: str = GENERIC,
    alpha: float = 0.1,
) -> DecisionCurve:
    """Compute decision curves (Vickers & Elkin 2006), for everybody and in every group.

    Parameters
    ----------
    y : array-like of shape (n,)
        Labels of two classes; the second in order is acted on.
    predictions : mapping of str to array-like, or DataFrame
        Per model, probabilities as `audit_predictions` takes them, for rows it has not seen.
    groups : DataFrame, Series or array-like
        Group attributes.
    sample_weight : array-like of shape (n,), default=None
    thresholds : sequence of float, default=0.01 to 0.5
    baseline : str, default="generic"
        The model that gains are over.
    alpha : float, default=0.1

    Returns
    -------
    DecisionCurve

    Raises
    ------
    ValueError, TypeError
        For labels alone, other than two classes, thresholds outside (0, 1), or no baseline.

    Examples
    --------
    >>> y, sex = np.array([0, 0, 0, 0, 1] * 40), np.repeat(["F", "M"], 100)
    >>> told = {"generic": np.full(200, 0.3), "new": 0.1 + 0.8 * y}
    >>> record = decision_curve(y, told, sex, thresholds=[0.2]).of("new", "M")[0]
    >>> record.threshold, round(record.net_benefit, 2), round(record.gain, 2)
    (0.2, 0.2, 0.2)
    """
    told = Told.read(y, predictions, groups, sample_weight)
    return decision_curve_of(told, thresholds, baseline, alpha)


def decision_curve_of(
    told: Told, thresholds: Sequence[float], baseline: str, alpha: float
) -> DecisionCurve:
    """Decision curves of what was told, see `decision_curve`."""
    check_level(alpha)
    if baseline not in told.predictions:
        raise ValueError(f"baseline={baseline!r} is not among the models {list(told.predictions)}.")
    n = len(told.rows.y)
    models = {name: Predictions.from_proba(told.chance(name)) for name in told.predictions}
    models |= {ALL: Predictions.from_proba(np.ones(n)), NONE: Predictions.from_proba(np.zeros(n))}
    parts = (told.rows.together, (EVERYBODY,)), (told.rows, told.groups)
    records = []
    for t in sorted(float(t) for t in thresholds):
        metric = get_metric(f"net_benefit@{t!r}")
        for rows, names in parts:
            test, sizes = default_test(metric, rows), rows.sizes
            for model, predictions in models.items():
                risks, against = rows.risks(metric, predictions), None
                if model not in (baseline, ALL, NONE):
                    pair = models[baseline], predictions
                    against = compare(metric, *pair, rows, test, Resampling(alpha))
                for g, name in enumerate(names):
                    gain, low, high = (
                        (None, None, None)
                        if against is None
                        else (0.0, None, None)
                        if model == ROUTED and name in told.same
                        else (number(part[g]) for part in (against.gain, against.low, against.high))
                    )
                    benefit = number(metric.shown(float(risks[g])))
                    records.append(
                        DecisionRecord(model, name, t, int(sizes[g]), benefit, gain, low, high)
                    )
    return DecisionCurve(
        tuple(records),
        tuple(models),
        told.groups,
        tuple(sorted(map(float, thresholds))),
        baseline,
        alpha,
    )

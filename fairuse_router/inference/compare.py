"""Compare two models in every group by the test that the metric asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fairuse_router.inference.auc import AucParts, auc_parts, delong, members
from fairuse_router.inference.bootstrap import area_replicates, mean_replicates, paired_bootstrap
from fairuse_router.inference.lattice import lattice_counts
from fairuse_router.inference.paired import row_sums
from fairuse_router.inference.result import PairedTest, stack_tests
from fairuse_router.inference.sums import COUNT_TESTS, PLAIN_TESTS, error_sums, judge_sums
from fairuse_router.inference.swap import ece_swap
from fairuse_router.metrics import Metric, Predictions, confidence_and_hit, probabilities

__all__ = ["Resampling", "Rows", "compare", "default_test", "gain_sums", "row_gains"]


@dataclass(frozen=True)
class Rows:
    """The rows of an audit.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class indices, or the target of a regression.
    groups : ndarray of int of shape (n,)
        Group of each row in 0..m-1; -1 belongs to none.
    m : int
        Number of groups.
    weight, clusters : ndarray of shape (n,) or None
    unserved : frozenset of int
        Groups for which there is no model.
    """

    y: np.ndarray
    groups: np.ndarray
    m: int
    weight: np.ndarray | None = None
    clusters: np.ndarray | None = None
    unserved: frozenset[int] = frozenset()

    @property
    def plain(self) -> bool:
        """Whether every row counts once and independently."""
        return self.weight is None and self.clusters is None

    def take(self, rows: np.ndarray) -> Rows:
        """Return some of these rows; a row given twice counts twice."""
        return replace(
            self,
            y=self.y[rows],
            groups=self.groups[rows],
            weight=_take(self.weight, rows),
            clusters=_take(self.clusters, rows),
        )

    def only(self, keep: np.ndarray) -> Rows:
        """Return these rows, those outside a mask belonging to no group."""
        if keep[self.groups >= 0].all():
            return self
        return replace(self, groups=np.where(keep, self.groups, -1))

    @cached_property
    def together(self) -> Rows:
        """These rows as one group."""
        return replace(self, groups=np.where(self.groups >= 0, 0, -1), m=1, unserved=frozenset())

    @cached_property
    def sizes(self) -> np.ndarray:
        """Rows per group; rows of weight 0 do not exist."""
        used = self.groups >= 0 if self.weight is None else (self.groups >= 0) & (self.weight > 0)
        return np.bincount(self.groups[used], minlength=self.m)

    @cached_property
    def members(self) -> list[np.ndarray]:
        """Index of the rows of each group."""
        return members(self.groups, self.m)

    def areas(self, predictions: Predictions) -> AucParts:
        """Areas under the ROC curve, computed once per model."""
        if id(predictions) not in self._areas:
            proba = probabilities("auc", self.y, predictions)
            parts = auc_parts(self.y, proba, self.groups, self.m, self.weight)
            self._areas[id(predictions)] = (predictions, parts)
        return self._areas[id(predictions)][1]

    @cached_property
    def _areas(self) -> dict[int, tuple[Predictions, AucParts]]:
        return {}

    def risks(self, metric: Metric, predictions: Predictions) -> np.ndarray:
        """Risk in every group, shape (m,); nan where undefined."""
        if metric.name == "auc":
            return 1 - self.areas(predictions).area
        return np.array(
            [metric.risk(self.y[r], predictions[r], _take(self.weight, r)) for r in self.members]
        )


def _take(values: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Rows of an array that may be missing."""
    return None if values is None else values[rows]


def default_test(metric: Metric, rows: Rows, wanted: str | None = None) -> str:
    """Return the name of the test for a metric: the one wanted, if it is possible.

    Raises
    ------
    ValueError
        If the wanted test does not fit the metric or the rows.
    """
    allowed: tuple[str, ...]
    if metric.zero_one:
        allowed = (*COUNT_TESTS, "paired t", "paired bootstrap")
    elif metric.steps is not None:
        allowed = ("lattice", "paired t", "paired bootstrap")
    elif metric.rowwise is not None:
        allowed = ("paired t", "paired bootstrap")
    else:
        allowed = (
            {"auc": "DeLong", "ece": "swap permutation"}.get(metric.name, ""),
            "paired bootstrap",
        )
    allowed = tuple(t for t in allowed if t and (rows.plain or t not in PLAIN_TESTS))
    if wanted is not None and wanted not in allowed:
        given = "" if rows.plain else " with weights or clusters"
        raise ValueError(
            f"tests={{{metric.name!r}: {wanted!r}}} is not possible for this metric{given}. "
            f"Allowed: {', '.join(allowed)}."
        )
    return wanted or allowed[0]


@dataclass(frozen=True)
class Resampling:
    """Level of the intervals, and how often and from where a test resamples, if it does.

    Parameters
    ----------
    alpha : float
        Intervals are at level ``1 - alpha``.
    n_resamples : int, default=2000
    seed : int, default=0
    """

    alpha: float
    n_resamples: int = 2000
    seed: int = 0

    def of_group(self, g: int) -> dict[str, Any]:
        """Arguments of a resampling test of one group."""
        seed = np.random.default_rng([self.seed, g])
        return {"n_resamples": self.n_resamples, "seed": seed, "alpha": self.alpha}


def compare(
    metric: Metric,
    reference: Predictions,
    model: Predictions,
    rows: Rows,
    test: str,
    resampling: Resampling,
) -> PairedTest:
    """Return the gains of a model over a reference, arrays over groups."""
    if test == "paired t" or test in PLAIN_TESTS:
        gains = row_gains(metric, reference, model, rows.y)
        sums = gain_sums(metric, gains, rows, counts=test == "lattice")
        return judge_sums(metric.name, sums, test, resampling.alpha)
    if test == "DeLong":
        areas = rows.areas(reference), rows.areas(model)
        return delong(*areas, rows.groups, rows.clusters, resampling.alpha)
    if test == "swap permutation":
        return stack_tests(list(_swaps(reference, model, rows, resampling)))
    return stack_tests(list(_bootstraps(metric, reference, model, rows, resampling)))


def gain_sums(metric: Metric, gain: np.ndarray, rows: Rows, *, counts: bool) -> np.ndarray:
    """`row_sums` of the gains of the rows that a metric looks at, shape (10, m).

    By one count where they are -1, 0 or 1. With `counts`, `lattice_counts` of shape (5, m).
    """
    groups = metric.counted(rows.y, rows.groups)
    if counts:
        return lattice_counts(gain, rows.y == 1, groups, rows.m)
    if metric.zero_one and rows.plain:
        return error_sums(gain, groups, rows.m)
    return row_sums(gain, groups, rows.m, rows.weight, rows.clusters)


def row_gains(
    metric: Metric, reference: Predictions, model: Predictions, y: np.ndarray
) -> np.ndarray:
    """Gain of each row; two infinite losses do not differ."""
    assert metric.rowwise is not None
    first, second = (metric.rowwise(y, p) for p in (reference, model))
    return difference(first, second)


def difference(reference: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Losses of the reference less those of the model; two infinite losses do not differ."""
    with np.errstate(invalid="ignore"):
        gain = reference - model
    if len(gain) and np.isnan(gain.min()):
        return np.where(reference == model, 0.0, gain)
    return gain


def _swaps(
    reference: Predictions, model: Predictions, rows: Rows, resampling: Resampling
) -> Iterator[PairedTest]:
    """Swap permutation of the calibration error, group by group."""
    sides = [confidence_and_hit(rows.y, p) for p in (reference, model)]
    for g, r in enumerate(rows.members):
        yield ece_swap(
            *((confidence[r], hit[r]) for confidence, hit in sides),
            weight=_take(rows.weight, r),
            clusters=_take(rows.clusters, r),
            **resampling.of_group(g),
        )


def _bootstraps(
    metric: Metric,
    reference: Predictions,
    model: Predictions,
    rows: Rows,
    resampling: Resampling,
) -> Iterator[PairedTest]:
    """Paired bootstrap of any metric, group by group; AUC within classes."""
    rows = replace(rows, groups=metric.counted(rows.y, rows.groups))
    for g, r in enumerate(rows.members):
        y, weight = rows.y[r], _take(rows.weight, r)
        first, second = reference[r], model[r]
        strata = y if metric.name == "auc" and rows.clusters is None else None
        yield paired_bootstrap(
            _replicates(metric, y, first, second, weight),
            len(r),
            strata=strata,
            clusters=_take(rows.clusters, r),
            **resampling.of_group(g),
        )


def _replicates(
    metric: Metric,
    y: np.ndarray,
    first: Predictions,
    second: Predictions,
    weight: np.ndarray | None,
) -> Callable[[np.ndarray], np.ndarray]:
    """Gains under counts of shape (B, n), in one product where the metric allows it."""
    if metric.rowwise is not None:
        gain = row_gains(metric, first, second, y)
        return mean_replicates(gain, weight)
    if metric.name == "auc" and first.proba is not None and first.proba.shape[1] == 2:
        assert second.proba is not None
        return area_replicates(y, first.proba[:, 1], second.proba[:, 1], weight)
    base = np.ones(len(y)) if weight is None else weight

    def gains(counts: np.ndarray) -> np.ndarray:
        return np.array(
            [metric.risk(y, first, base * k) - metric.risk(y, second, base * k) for k in counts]
        )

    return gains

"""What other groups' reports would have brought each group, as sums that add up over folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairuse_router.inference.auc import AucParts, auc_parts, delong_from_moments, delong_gains
from fairuse_router.inference.compare import Rows, difference, gain_sums
from fairuse_router.inference.result import PairedTest
from fairuse_router.inference.sums import COUNT_TESTS, judge_sums
from fairuse_router.metrics import Metric, Predictions, named_metric, probabilities

__all__ = ["MisreportMoments"]


@dataclass(frozen=True)
class MisreportMoments:
    """Gains of telling one's own group over reporting another, for one candidate.

    Row losses are kept as `fairuse_router.inference.row_sums`, AUC as weighted sums of DeLong's
    gain and variance with their degrees of freedom: m x m numbers each, never one per row and
    report. Sums of parts (folds) that share no cluster add up with ``+``; AUC compares rows within
    a part only.

    Parameters
    ----------
    m : int
        Number of groups.
    plain : bool
        Neither weights nor clusters: every row counts once.
    sums : dict of str to ndarray of shape (k, m, m)
        Per metric, ``[:, g, h]``: rows of group g, their own report against h's.

    Examples
    --------
    >>> y, groups = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
    >>> own = Predictions(np.array([0, 1, 1, 1]))
    >>> swap = {0: Predictions(np.array([0, 1, 1, 0])), 1: Predictions(np.array([1, 1, 1, 1]))}
    >>> from fairuse_router.metrics import get_metric
    >>> rows = Rows(y, groups, 2)
    >>> moments = MisreportMoments.measure(rows, own, swap.__getitem__, [get_metric("error")])
    >>> moments.test("error").gain  # group 1 would gain by reporting group 0
    array([[ 0. ,  0.5],
           [-0.5,  0. ]])
    """

    m: int
    plain: bool
    sums: Mapping[str, np.ndarray]

    @classmethod
    def measure(
        cls,
        rows: Rows,
        own: Predictions,
        under: Callable[[int], Predictions],
        metrics: Sequence[Metric],
        columns: Iterable[int] | None = None,
    ) -> MisreportMoments:
        """Measure one part of the rows, one report at a time.

        Parameters
        ----------
        rows : Rows
        own : Predictions
            Of the n rows under their own reports.
        under : callable
            ``under(h)`` returns predictions for all n rows under the report of group h.
        metrics : sequence of Metric
            ECE and callables are left out: they are no sums over rows or pairs of rows.
        columns : iterable of int, default=None
            Groups whose report the candidate can serve; None means all.

        Returns
        -------
        MisreportMoments
        """
        metrics = [metric for metric in metrics if metric.rowwise or metric.name == "auc"]
        y, m = rows.y, rows.m
        counts = {metric.name: rows.plain and metric.steps is not None for metric in metrics}
        depth = {
            metric.name: 5 if metric.rowwise is None or counts[metric.name] else 10
            for metric in metrics
        }
        sums = {name: np.zeros((k, m, m)) for name, k in depth.items()}
        losses = {metric.name: metric.rowwise(y, own) for metric in metrics if metric.rowwise}
        areas = _areas(rows, own) if "auc" in sums else None
        units = None if areas is None else _units(areas.smallest, rows)
        for h in range(m) if columns is None else map(int, columns):
            other = under(h)
            for metric in metrics:
                if metric.rowwise is not None:
                    gain = difference(metric.rowwise(y, other), losses[metric.name])
                    part = gain_sums(metric, gain, rows, counts=counts[metric.name])
                elif areas is not None:
                    gains = delong_gains(_areas(rows, other), areas, rows.groups, rows.clusters)
                    part = _auc_sums(*gains, units, rows.groups, m)
                sums[metric.name][:, :, h] = part
        return cls(m, rows.plain, sums)

    def __add__(self, other: MisreportMoments) -> MisreportMoments:
        """Add another part of the rows."""
        if self.m != other.m or self.sums.keys() != other.sums.keys():
            raise ValueError(
                f"MisreportMoments of {self.m} groups and {sorted(self.sums)} cannot be added to "
                f"{other.m} groups and {sorted(other.sums)}: measure the same metrics and groups."
            )
        sums = {name: part + other.sums[name] for name, part in self.sums.items()}
        return MisreportMoments(self.m, self.plain and other.plain, sums)

    def test(self, metric: str, test: str | None = None, *, alpha: float = 0.1) -> PairedTest:
        """Test telling the truth against every misreport.

        Parameters
        ----------
        metric : str
            One that was measured.
        test : str, default=None
            One that these sums allow: for error and rates, without weights and clusters,
            ``"mid-p McNemar"`` (the default), ``"exact McNemar"``, ``"exact bootstrap"`` or
            ``"paired t"``; for net benefit and costs ``"lattice"``; for other row losses
            ``"paired t"``; for AUC ``"DeLong"``.
        alpha : float, default=0.1
            Intervals have level ``1 - alpha``.

        Returns
        -------
        PairedTest
            Arrays of shape (m, m): gain of group g's own report over that of group h.

        Raises
        ------
        ValueError
            For another test.
        """
        sums, test = self.sums[metric], self._allowed(metric, test)
        if test == "DeLong":
            n, share, gain, variance, freedom = sums
            with np.errstate(divide="ignore", invalid="ignore"):
                return delong_from_moments(
                    gain / share,
                    np.sqrt(variance) / share,
                    n.astype(int),
                    alpha,
                    freedom=freedom,
                )
        return judge_sums(metric, sums, test, alpha)

    def _allowed(self, metric: str, test: str | None) -> str:
        """Return the test, or the default; refuse what these sums cannot tell."""
        allowed: tuple[str, ...] = ("DeLong",) if metric == "auc" else ("paired t",)
        known = named_metric(metric)
        if known.steps is not None and self.plain:
            allowed = ("lattice",)
        if known.zero_one and self.plain:
            allowed = (*COUNT_TESTS, *allowed)
        if test is not None and test not in allowed:
            raise ValueError(
                f"tests={{{metric!r}: {test!r}}} is not possible for envy-freeness, of which only "
                f"sums over rows are kept. Allowed: {', '.join(allowed)}. To use it, call "
                "audit_predictions without misreports, on the predictions of the models."
            )
        return test or allowed[0]


def _areas(rows: Rows, predictions: Predictions) -> AucParts:
    """Areas under the ROC curve of every group; not kept, unlike those of `Rows`."""
    proba = probabilities("auc", rows.y, predictions)
    return auc_parts(rows.y, proba, rows.groups, rows.m, rows.weight)


def _units(smallest: np.ndarray, rows: Rows) -> np.ndarray:
    """(Effective) rows of the rarest class of each group, or its clusters if they are fewer."""
    y, groups, clusters = rows.y, rows.groups, rows.clusters
    if clusters is None:
        return smallest
    member = groups >= 0
    label = np.unique(clusters[member], return_inverse=True)[1].reshape(-1)
    held = np.unique(np.column_stack([groups[member], y[member], label]), axis=0)
    cells, holding = np.unique(held[:, :2], axis=0, return_counts=True)
    fewest = smallest.astype(float)
    np.minimum.at(fewest, cells[:, 0], holding)
    return fewest


def _auc_sums(
    gain: np.ndarray, se: np.ndarray, units: np.ndarray | None, groups: np.ndarray, m: int
) -> np.ndarray:
    """Rows; weighted by rows: 1, gain, and variance (squared weights); degrees of freedom."""
    n = np.bincount(groups[groups >= 0], minlength=m).astype(float)
    share = np.where(np.isnan(gain), 0.0, n)
    freedom = np.where(np.isnan(gain) | np.isnan(se), 0.0, np.asarray(units) - 1)
    return np.stack(
        [n, share, share * np.nan_to_num(gain), share**2 * np.nan_to_num(se) ** 2, freedom]
    )

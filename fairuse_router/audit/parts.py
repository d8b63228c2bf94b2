"""What an audit needs of rows, added up batch by batch: arithmetic on arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from fairuse_router.inference.cells import Cells, place, squares
from fairuse_router.inference.compare import Rows, difference, gain_sums
from fairuse_router.inference.counts import add_scores
from fairuse_router.metrics import Metric, Predictions, confidence_and_hit, get_metric

__all__ = ["Adder", "Parts", "Plan", "cluster_numbers", "merge_parts", "part_name"]

CUTS = 7  # of each axis, where two models are counted together: 128 bins
_CACHED = 1 << 16
_DENSE = 1 << 25  # counters that are kept for every bin, used or not

Columns = Mapping[str, np.ndarray]
Parts = dict[str, np.ndarray]


def part_name(kind: str, *names: str) -> str:
    """Name of a part: what it is, then the metric and the models that it is about."""
    return "\t".join((kind, *names))


@dataclass(frozen=True)
class Plan:
    """What to add up.

    Parameters
    ----------
    m : int
        Number of groups.
    metrics : tuple of str
        Built-in ones.
    models : tuple of str
        Columns of predictions: candidates, and candidates under other reports.
    pairs : tuple of (str, str)
        Whose gains are wanted: of the second over the first.
    classes : int or None
        Number of classes; None: a regression.
    bins : int
        Of one score, a power of 2.
    weighted, clustered : bool
    """

    m: int
    metrics: tuple[str, ...]
    models: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    classes: int | None
    bins: int
    weighted: bool = False
    clustered: bool = False

    @property
    def sparse(self) -> bool:
        """Whether there are too many groups, or units, to count them in place."""
        return self.clustered or 2 * self.m * self.bins > _DENSE

    @property
    def rowwise(self) -> list[str]:
        """Metrics that are means over rows."""
        return [name for name in self.metrics if get_metric(name).rowwise is not None]


@dataclass
class Adder:
    """Adds up rows; `parts` is what they come to, which `merge_parts` adds to that of others."""

    plan: Plan
    sums: Parts = field(default_factory=dict)
    units: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    counters: dict[str, _Counter] = field(default_factory=dict)

    def add(self, columns: Columns) -> None:
        """Add a batch.

        Parameters
        ----------
        columns : mapping of str to ndarray of shape (n,)
            ``group`` (-1: none), ``y`` (class or number), ``weight`` and ``cluster`` where the plan
            has them, and under the name of each model its class, its number, its probability of the
            second of two classes, or (n, K) probabilities of all.

        Raises
        ------
        ValueError
            If y or predictions are missing, or are no classes or probabilities; for weights that
            are negative or not finite.
        """
        n = len(columns["y"])
        step = n if self.plan.sparse else _CACHED
        for start in range(0, n, max(step, 1)):
            rows = slice(start, start + step)
            self._add({name: values[rows] for name, values in columns.items()})

    def _add(self, columns: Columns) -> None:
        """Add rows few enough for the processor's cache, which is three times as fast."""
        plan = self.plan
        _check_target(columns["y"], plan.classes)
        weight = columns.get("weight")
        if weight is not None and not (np.isfinite(weight).all() and (weight >= 0).all()):
            raise ValueError("sample_weight must be finite and not negative in every row.")
        member = columns["group"] >= 0
        used = member if weight is None else member & (weight > 0)
        exists = ~member if weight is None else ~member & (weight > 0)
        self._sum("partial", np.array([np.count_nonzero(exists)], dtype=float))
        if not used.all():
            columns = {name: values[used] for name, values in columns.items()}
        if not len(columns["y"]):
            return
        group = columns["group"].astype(np.intp, copy=False)  # as counting wants it, once
        rows = Rows(columns["y"], group, plan.m, columns.get("weight"), columns.get("cluster"))
        n = np.bincount(group, minlength=plan.m).astype(float)
        self._sum("n", n)
        self._sum("mass", n if weight is None else np.bincount(group, rows.weight, plan.m))
        models = {name: _read(name, columns[name], plan.classes) for name in plan.models}
        self._add_losses(rows, models)
        if "auc" in plan.metrics:
            self._add_scores(rows, models)
        if "ece" in plan.metrics:
            self._add_calibration(rows, models)

    def parts(self) -> Parts:
        """Everything that was added, by name."""
        found = dict(self.sums)
        found |= {name: counter.packed() for name, counter in self.counters.items()}
        if self.units:
            found["unit_key"], found["unit_sum"] = _merge_units(self.units)
        return found

    def _sum(self, name: str, values: np.ndarray) -> None:
        self.sums[name] = self.sums[name] + values if name in self.sums else values

    def _add_losses(self, rows: Rows, models: Mapping[str, Predictions]) -> None:
        """Losses of each model, gains of each pair; of clusters, sums of each within each group."""
        totals = []
        for name in self.plan.rowwise:
            metric = get_metric(name)
            assert metric.rowwise is not None
            losses = {model: metric.rowwise(rows.y, p) for model, p in models.items()}
            weight = self._add_mass(metric, rows)
            for model, loss in losses.items():
                loss = loss if weight is None else loss * weight
                self._sum(part_name("loss", name, model), np.bincount(rows.groups, loss, rows.m))
            if rows.clusters is not None:
                totals.append(np.ones(len(rows.y)) if weight is None else weight)
            for pair in self.plan.pairs:
                gain = difference(losses[pair[0]], losses[pair[1]])
                if rows.clusters is not None:
                    totals.append(gain if weight is None else gain * weight)
                    continue
                sums = gain_sums(metric, gain, rows, counts=False)
                self._sum(part_name("gain", name, *pair), sums)
                if metric.steps is not None and rows.weight is None:
                    counts = gain_sums(metric, gain, rows, counts=True)
                    self._sum(part_name("lattice", name, *pair), counts)
        if rows.clusters is not None:
            key = np.column_stack([rows.groups, rows.clusters]).astype(np.int64)
            totals = totals or [np.ones(len(rows.y))]
            self.units.append(_add_units(key, np.column_stack(totals)))
            if len(self.units) > 16:
                self.units = [_merge_units(self.units)]

    def _add_mass(self, metric: Metric, rows: Rows) -> np.ndarray | None:
        """Weights of the rows that a metric looks at; None: one each."""
        if metric.among is None:
            return rows.weight
        some = metric.among(rows.y).astype(float)
        weight = some if rows.weight is None else some * rows.weight
        for kind, values in (("mass", weight), ("n", some)):
            total = np.bincount(rows.groups, values, rows.m)
            self._sum(part_name(kind, metric.name), total)
        return weight

    def _add_scores(self, rows: Rows, models: Mapping[str, Predictions]) -> None:
        """Count rows by class and rounded scores, of each model and of each pair."""
        bins, places = self.plan.bins, {}
        for name, p in models.items():
            assert p.proba is not None
            places[name] = place(p.proba[:, 1], bins)
            self._counter(part_name("score", name), 1, bins).add(rows, places[name])
        if rows.clusters is not None:
            return
        shift = bins.bit_length() - 1 - CUTS
        coarse = {name: k >> shift for name, k in places.items()}
        for first, second in self.plan.pairs:
            at = (coarse[first] << CUTS) | coarse[second]
            self._counter(part_name("joint", first, second), 2, 1 << 2 * CUTS).add(rows, at)

    def _counter(self, name: str, axes: int, bins: int) -> _Counter:
        if name not in self.counters:
            self.counters[name] = _Counter(axes, bins, self.plan.m, self.plan.weighted)
        return self.counters[name]

    def _add_calibration(self, rows: Rows, models: Mapping[str, Predictions]) -> None:
        """Excess of confidence over hits, in each of ten bins."""
        for name, p in models.items():
            confidence, hit = confidence_and_hit(rows.y, p)
            bins = np.searchsorted(np.arange(1, 10) / 10, confidence, side="left")
            excess = confidence - hit
            excess = excess if rows.weight is None else excess * rows.weight
            cell = 10 * rows.groups + bins
            for kind, values in (("ece", excess), ("ece rows", None)):
                sums = np.bincount(cell, values, 10 * rows.m).astype(float)
                self._sum(part_name(kind, name), sums.reshape(rows.m, 10))


class _Counter:
    """Counts rows (and weights) by group, class and cell; for every cell, or for those met."""

    def __init__(self, axes: int, bins: int, m: int, weighted: bool) -> None:
        self.axes, self.bins, self.m, self.weighted, self.rows = axes, bins, m, weighted, 0
        depth = (2 if axes == 1 else 3) if weighted else 1
        shape, kind = (depth, 2 * m * bins), float if weighted else np.uint32
        self.every = np.zeros(shape, kind) if shape[1] <= _DENSE else None
        self.met: list[Cells] = []

    def add(self, rows: Rows, at: np.ndarray) -> None:
        """Count rows by the interval that each falls into, or the two of them, one after another.

        Shape (n,), int32.
        """
        ones: list[Any] = [np.uint32(1)]
        if rows.weight is not None:
            ones = [1.0, rows.weight] if self.axes == 1 else [1.0, rows.weight**2, rows.weight]
        self.rows += len(at)
        if self.every is None:
            mass = [np.where(rows.y == k, one, 0.0) for one in ones for k in (0, 1)]
            cells = Cells.of(self.axes, rows.groups, self._node(at), np.column_stack(mass))
            self.met.append(cells)
            if len(self.met) > 16:
                self.met = [reduce(Cells.__add__, self.met)]
            return
        if self.rows > np.iinfo(np.uint32).max:
            self.every = self.every.astype(float, copy=False)
        key = 2 * rows.groups.astype(np.int32) + rows.y
        key *= self.bins
        key += at
        for total, one in zip(self.every, ones, strict=True):
            np.add.at(total, key, one)

    def _node(self, at: np.ndarray) -> np.ndarray:
        """Cells as they are numbered in `Cells`."""
        if self.axes == 1:
            return self.bins + at.astype(np.int64)
        return squares(at >> CUTS, at & ((1 << CUTS) - 1), CUTS)

    def packed(self) -> np.ndarray:
        """Cells with rows, as `Cells.packed`; one score's counts of all, where that is smaller."""
        if self.every is None:
            return reduce(Cells.__add__, self.met).packed()
        every = self.every.reshape(-1, self.m, 2, self.bins)
        if self.axes == 1 and not self.weighted and 8 * self.rows > every.size:
            return every[0]
        some = every.any(axis=(0, 2))
        group, at = np.nonzero(some)
        mass = every[:, group, :, at].reshape(len(group), -1)
        return Cells.of(self.axes, group, self._node(at), mass).packed()


def merge_parts(parts: Iterable[Parts]) -> Parts:
    """Add parts up; clusters may be split between them.

    Parameters
    ----------
    parts : iterable of dict
        Of one plan, as `Adder.parts` returns them.
    """
    return reduce(_merge, parts)


def _merge(first: Parts, second: Parts) -> Parts:
    merged = {**first, **second}
    for name in first.keys() & second.keys():
        a, b = first[name], second[name]
        if name.startswith(("score\t", "joint\t")):
            axes = 1 if name.startswith("score") else 2
            merged[name] = add_scores(axes, a, b)
        elif not name.startswith("unit_"):
            merged[name] = a + b
    if "unit_key" in first and "unit_key" in second:
        both = [(part["unit_key"], part["unit_sum"]) for part in (first, second)]
        merged["unit_key"], merged["unit_sum"] = _merge_units(both)
    return merged


def _merge_units(units: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    keys, sums = (np.concatenate(part) for part in zip(*units, strict=True))
    return _add_units(keys, sums)


def _add_units(key: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of rows (n, k) by group and cluster (n, 2)."""
    distinct, unit = np.unique(key, axis=0, return_inverse=True)
    unit = unit.reshape(-1)
    return distinct, np.stack([np.bincount(unit, x, len(distinct)) for x in sums.T], axis=1)


def _check_target(y: np.ndarray, classes: int | None) -> None:
    """Refuse missing targets; classes that are not known come as -1."""
    missing = np.isnan(y) if classes is None else y < 0
    if missing.any():
        what = "missing" if classes is None else "missing, or none of the classes,"
        raise ValueError(
            f"y is {what} in {np.count_nonzero(missing)} rows. Leave these rows out, or pass "
            "classes=[...] with all labels."
        )


def _read(name: str, values: np.ndarray, classes: int | None) -> Predictions:
    """Predictions of one model, refused where they are none."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            lowest, highest = values.min(), values.max()
        if np.isnan(lowest):
            rows = np.isnan(values).reshape(len(values), -1).any(axis=1)
            raise ValueError(
                f"The predictions of {name!r} hold NaN in {np.count_nonzero(rows)} rows. Find why "
                "the model returns NaN, or leave these rows out."
            )
        if classes is not None and not (lowest >= 0 and highest <= 1):
            raise ValueError(
                f"The predictions of {name!r} run from {lowest:g} to {highest:g}: they are no "
                "probabilities. Pass labels, or apply the model's link function first."
            )
    elif (values < 0).any():
        raise ValueError(
            f"The predictions of {name!r} are missing, or none of the classes, in "
            f"{np.count_nonzero(values < 0)} rows. Pass classes=[...] if y lacks some."
        )
    if classes is None or values.dtype.kind != "f":
        return Predictions(values)
    if values.ndim == 1:  # as Predictions.from_proba, in half of its time
        both = np.empty((2, len(values)))
        np.subtract(1, values, out=both[0])
        both[1] = values
        return Predictions((values > 0.5).view(np.int8), both.T)
    return Predictions.from_proba(values)


def cluster_numbers(values: Any) -> np.ndarray:
    """Numbers of clusters by their texts, the same wherever and whenever they are made, (n,)."""
    import hashlib

    from fairuse_router.levels import level_text

    distinct, inverse = np.unique(np.asarray(values), return_inverse=True)
    told = [str(level_text(v)).encode() for v in distinct.tolist()]
    number = [int.from_bytes(hashlib.blake2b(t, digest_size=8).digest(), "big") >> 1 for t in told]
    return np.array(number, dtype=np.int64)[inverse.reshape(-1)]

"""Tests of an audit that knows sums over rows, and no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fairuse_router.audit.assemble import Compared
from fairuse_router.audit.judge import Comparisons
from fairuse_router.audit.parts import Parts, part_name
from fairuse_router.candidates.names import ROUTED
from fairuse_router.inference import PairedTest
from fairuse_router.inference.binned_auc import binned_areas, binned_delong
from fairuse_router.inference.cells import Cells
from fairuse_router.inference.counts import Counts, read_scores
from fairuse_router.inference.result import stack_tests
from fairuse_router.inference.sums import COUNT_TESTS, judge_sums
from fairuse_router.metrics import Metric

__all__ = ["Added", "misreport"]

_NO_TEST = {
    "auc": "no test: DeLong's with clusters needs the rows, and here are sums",
    "ece": "no test: the swap test needs the rows, and here are sums",
}


def misreport(candidate: str, report: str) -> str:
    """Name of a candidate's predictions under another report."""
    return f"{candidate} as {report}"


@dataclass(frozen=True)
class Added:
    """What an audit asks, answered from sums.

    Parameters
    ----------
    names : sequence of str
        Of the m groups.
    candidates : tuple of str
    baseline : str
    reports : mapping of str to tuple of str
        Per candidate, the reports under which it was asked, too.
    parts : dict of str to ndarray
        As `AuditSums` keeps them.
    plain, clustered : bool
    alpha : float
    tests : mapping of str to str
    """

    names: Sequence[str]
    candidates: tuple[str, ...]
    baseline: str
    reports: Mapping[str, Sequence[str]]
    parts: Parts
    plain: bool
    clustered: bool
    alpha: float = 0.1
    tests: Mapping[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> tuple[int, int]:
        """Rows that belong to a group, and rows that do not."""
        return int(self.parts["n"].sum()), int(self.parts["partial"].sum())

    def risks(self, metric: Metric, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows and risk, all groups together first, two arrays (1 + m,)."""
        n, mass = (_with_total(self.parts[kind]) for kind in ("n", "mass"))
        if metric.name == "auc":
            scores = zip(self._scores(name), (1, len(self.names)), strict=True)
            return n, 1 - np.concatenate([binned_areas(c, k).area for c, k in scores])
        with np.errstate(divide="ignore", invalid="ignore"):
            if metric.name == "ece":
                return n, np.abs(_with_total(self.parts[part_name("ece", name)])).sum(axis=1) / mass
            if metric.among is not None:
                mass = _with_total(self.parts[part_name("mass", metric.name)])
            return n, _with_total(self.parts[part_name("loss", metric.name, name)]) / mass

    def compared(self, metric: Metric, name: str) -> Compared:
        """Compare a candidate with the baseline."""
        whole, groups = self._test(metric, self.baseline, name)
        envy = None
        asked = self.reports.get(name, ())
        if asked and name != ROUTED and metric.name != "ece":
            envy = self._envy(metric, name, set(asked))
        return Compared(whole, groups, envy=envy)

    def truthfulness(self, metric: Metric) -> list[Comparisons]:
        """Compare truth to the routing with every other report that was asked."""
        family = []
        for report in self.reports.get(ROUTED, ()):
            test = self._test(metric, misreport(ROUTED, report), ROUTED)[1]
            others = [g for g, name in enumerate(self.names) if name != report]
            names = [self.names[g] for g in others]
            family.append(Comparisons(names, [report] * len(names), test.at(np.array(others, int))))
        return family

    def _envy(self, metric: Metric, name: str, asked: set[str]) -> PairedTest:
        """Gains of the own report over every group's, arrays (m, m)."""
        m = len(self.names)
        absent = self._test(metric, self.baseline, name)[1]
        unknown: dict[str, Any] = {
            name: np.full(m, np.nan)
            for name in absent.__dataclass_fields__
            if name not in ("n", "test", "reason")
        }
        absent = replace(absent, n=np.zeros(m, int), reason=np.full(m, "no rows"), **unknown)
        columns = [
            self._test(metric, misreport(name, h), name)[1] if h in asked else absent
            for h in self.names
        ]
        across = stack_tests(columns)
        turned = {
            f: np.asarray(getattr(across, f)).T for f in across.__dataclass_fields__ if f != "test"
        }
        return PairedTest(test=across.test, **turned)

    def _test(self, metric: Metric, first: str, second: str) -> tuple[PairedTest, PairedTest]:
        """Gains of the second over the first, on all groups as one and on each."""
        test = self._allowed(metric)
        if not test:
            return self._untested(metric, first, second)
        if metric.name == "auc":
            n, total = self.parts["n"].astype(int), self.parts["n"].sum(keepdims=True).astype(int)
            joint = Cells.unpacked(2, self.parts[part_name("joint", first, second)])
            one, other = self._scores(first), self._scores(second)
            whole = binned_delong(one[0], other[0], joint.together(), total, self.alpha)
            return whole, binned_delong(one[1], other[1], joint, n, self.alpha)
        kind = "lattice" if test == "lattice" else "gain"
        sums = self.parts[part_name(kind, metric.name, first, second)]
        m = len(self.names)  # of clusters, the last are sums over them whatever their groups
        whole_sums = sums[:, m:] if sums.shape[1] > m else sums.sum(axis=1, keepdims=True)
        whole = judge_sums(metric.name, whole_sums, test, self.alpha)
        return whole, judge_sums(metric.name, sums[:, :m], test, self.alpha)

    def _allowed(self, metric: Metric) -> str:
        """Name of the test for a metric; empty if sums know none.

        Raises
        ------
        ValueError
            If another one is wanted.
        """
        wanted = self.tests.get(metric.name)
        allowed: tuple[str, ...] = ("paired t",)
        if metric.rowwise is None:
            allowed = ("DeLong",) if metric.name == "auc" and not self.clustered else ()
        elif self.plain and metric.zero_one:
            allowed = (*COUNT_TESTS, "paired t")
        elif self.plain and metric.steps is not None:
            allowed = ("lattice", "paired t")
        if wanted is not None and wanted not in allowed:
            raise ValueError(
                f"tests={{{metric.name!r}: {wanted!r}}} is not possible with sums over rows alone. "
                f"Allowed: {', '.join(allowed) or 'none'}. Audit the rows themselves to use it."
            )
        return wanted or (allowed[0] if allowed else "")

    def _untested(self, metric: Metric, first: str, second: str) -> tuple[PairedTest, PairedTest]:
        """Gains without a test, which the reason says."""
        n, before = self.risks(metric, first)
        gain = before - self.risks(metric, second)[1]
        nothing = np.full(len(gain), np.nan)
        test = PairedTest(
            gain=gain,
            low=nothing,
            high=nothing,
            p_gain=nothing,
            p_violation=nothing,
            n=n.astype(int),
            test="none",
            se=nothing,
            se_null=nothing,
            rows_needed=nothing,
            reason=np.where(n > 0, _NO_TEST[metric.name], "no rows"),
        )
        return test.at(slice(0, 1)), test.at(slice(1, None))

    def _scores(self, name: str) -> tuple[Cells | Counts, Cells | Counts]:
        """Scores of a model, of all groups as one and of each."""
        if name not in self._read:
            scores = read_scores(self.parts[part_name("score", name)])
            self._read[name] = scores.together(), scores
        return self._read[name]

    @cached_property
    def _read(self) -> dict[str, tuple[Cells | Counts, Cells | Counts]]:
        return {}


def _with_total(values: np.ndarray) -> np.ndarray:
    """Sums of all groups before those of each, along the first axis."""
    return np.concatenate([values.sum(axis=0, keepdims=True), values])

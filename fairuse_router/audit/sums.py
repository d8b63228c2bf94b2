"""An audit's sums over rows: of parts that share no rows they add up, and make the same audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from fairuse_router.audit.added import Added, misreport
from fairuse_router.audit.arguments import AuditSettings, read_tests
from fairuse_router.audit.assemble import assemble
from fairuse_router.audit.audit import Audit
from fairuse_router.audit.merging import add_parts, hide_small, merge_levels
from fairuse_router.audit.parts import Parts, part_name
from fairuse_router.documents import plain, read_json, reading, write_json
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.binned_auc import binned_areas
from fairuse_router.inference.counts import read_scores
from fairuse_router.metrics import get_metric

__all__ = ["AuditSums", "models_and_pairs"]

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class AuditSums:
    """What an audit needs of rows, as sums per group that add up; `audit_sums` makes it.

    Error, Brier score, log loss, squared and absolute error are exact. AUC is that of scores
    rounded to `bins` steps, its standard error DeLong's of scores rounded to 128; every verdict on
    it holds whatever rounding has done. ECE adds up exactly; its test does not, so there is none,
    and the audit says so.

    Parameters
    ----------
    schema : GroupSchema
        Group attributes and levels.
    classes : tuple of str or None
        Texts of the labels; None: a regression.
    metrics, candidates : tuple of str
    baseline : str
    reports : mapping of str to tuple of str
        Per candidate, the reports under which it was asked besides everybody's own.
    bins : int
        Steps of the scores.
    weighted, clustered : bool
    parts : dict of str to ndarray
        The sums.
    clusters : ndarray of int
        Numbers of the clusters, made from their texts.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairuse_router.audit import audit_sums
    >>> frame = pd.DataFrame({"sex": ["F", "M"] * 30, "y": [0, 1, 1] * 20})
    >>> frame["p"], frame["q"] = 1 - frame.y, frame.y
    >>> def sums(part):
    ...     return audit_sums(
    ...         part, y="y", predictions={"generic": "p", "own": "q"}, groups=["sex"])
    >>> both = sums(frame[:40]) + sums(frame[40:])
    >>> [(r.group, r.n, r.gain, r.verdict) for r in both.audit().rationality]
    [('F', 30, 1.0, 'gain'), ('M', 30, 1.0, 'gain')]
    """

    schema: GroupSchema
    classes: tuple[str, ...] | None
    metrics: tuple[str, ...]
    candidates: tuple[str, ...]
    baseline: str
    reports: Mapping[str, tuple[str, ...]]
    bins: int
    weighted: bool
    clustered: bool
    parts: Parts
    clusters: np.ndarray

    def __add__(self, other: AuditSums) -> AuditSums:
        """Add the sums of other rows; levels that one of them lacks have no rows there.

        Raises
        ------
        ValueError
            If they are of other metrics, models or group attributes, or share clusters.
        """
        if not isinstance(other, AuditSums):
            return NotImplemented
        for name in ("classes", "metrics", "candidates", "baseline", "weighted", "clustered"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                raise ValueError(
                    f"These sums differ in {name}: {mine} and {theirs}. Make them alike, with the "
                    "same arguments (for classes, pass classes=[...] with all labels)."
                )
        shared = np.intersect1d(self.clusters, other.clusters)
        if len(shared):
            raise ValueError(
                f"{len(shared)} clusters have rows in both parts. Keep the rows of a cluster "
                "together in one part: what adds up over clusters does not within them."
            )
        schema = merge_levels(self.schema, other.schema)
        parts = add_parts((self.schema, self.parts), (other.schema, other.parts), schema)
        reports = {
            name: tuple(dict.fromkeys((*self.reports.get(name, ()), *other.reports.get(name, ()))))
            for name in self.candidates
        }
        return replace(
            self,
            schema=schema,
            reports={name: asked for name, asked in reports.items() if asked},
            bins=min(self.bins, other.bins),
            parts=parts,
            clusters=np.union1d(self.clusters, other.clusters),
        )

    def audit(
        self,
        *,
        alpha: float = 0.1,
        correction: str = "holm",
        tests: Mapping[str, str] | None = None,
        evidence: str = "held-out rows",
    ) -> Audit:
        """Return the audit of all rows that were added up.

        Parameters
        ----------
        alpha, correction, tests, evidence
            As in `audit_predictions`; tests that resample rows are not possible.

        Returns
        -------
        Audit
            By ECE, and by AUC with clusters, gains without tests.

        Raises
        ------
        ValueError, TypeError
            For settings that no test of sums can work with.

        Notes
        -----
        An interval of a gain in AUC is as much wider than DeLong's, and both p-values as much
        larger, as rounding can have moved the gain; `brackets` tells by how much that is.
        """
        settings = AuditSettings(
            alpha, correction, tests, baseline=self.baseline, rows=evidence
        ).checked([get_metric(name) for name in self.metrics])
        metrics = [get_metric(name) for name in self.metrics]
        source = self.source(alpha, read_tests(tests, metrics))
        return assemble(source, metrics, self.schema, settings)

    def source(self, alpha: float = 0.1, tests: Mapping[str, str] | None = None) -> Added:
        """Tests by these sums."""
        return Added(
            tuple(self.schema.group_names()),
            self.candidates,
            self.baseline,
            self.reports,
            self.parts,
            not (self.weighted or self.clustered),
            self.clustered,
            alpha,
            tests or {},
        )

    def brackets(self) -> dict[str, np.ndarray]:
        """Return how far rounding can have moved each gain in AUC over the baseline.

        Returns
        -------
        dict of str to ndarray of shape (m,)
            Per candidate: the area of the scores as they were differs from that of the baseline by
            the gain +- this, equal scores counted all for, or all against; nan where undefined.

        Raises
        ------
        ValueError
            If AUC was not added up.
        """
        if "auc" not in self.metrics:
            raise ValueError(f"metrics={self.metrics} are without 'auc', which alone is rounded.")
        half = {
            name: binned_areas(
                read_scores(self.parts[part_name("score", name)]), self.schema.n_groups
            ).half
            for name in self.candidates
        }
        base = half.pop(self.baseline)
        return {name: base + own for name, own in half.items()}

    def to_json(self, min_cell: int = 5) -> str:
        """Return the sums as JSON, for another site to add.

        Parameters
        ----------
        min_cell : int, default=5
            Nothing is told of groups with fewer rows; if that is one group, the next smallest is
            left out as well. Scores are counted in steps so wide that none holds fewer rows of a
            class: the bracket of AUC grows. Of ECE, bins with fewer rows are left out.

        Returns
        -------
        str
            Clusters are named by numbers made from their texts, which who knows the texts can make,
            too.
        """
        parts = hide_small(self.parts, self.schema.n_groups, min_cell)
        data = {
            "format": _FORMAT,
            "schema": self.schema.to_dict(),
            "min_cell": min_cell,
            "clusters": self.clusters.tolist(),
            "parts": {name: _short(values) for name, values in parts.items()},
        }
        told = ("classes", "metrics", "candidates", "baseline", "reports", "bins")
        data |= {name: plain(getattr(self, name)) for name in (*told, "weighted", "clustered")}
        return write_json(data)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`.

        Raises
        ------
        ValueError
            If it is malformed, or of another version.
        """
        with reading("text", "sums of an audit"):
            data = read_json(text)
            if data["format"] != _FORMAT:
                raise ValueError(
                    f"These sums are of format {data['format']!r}; this version reads {_FORMAT}."
                )
            sums = cls(
                schema=GroupSchema.from_dict(data["schema"]),
                classes=None if data["classes"] is None else tuple(map(str, data["classes"])),
                metrics=tuple(get_metric(str(name)).name for name in data["metrics"]),
                candidates=tuple(map(str, data["candidates"])),
                baseline=str(data["baseline"]),
                reports={k: tuple(map(str, v)) for k, v in data["reports"].items()},
                bins=int(data["bins"]),
                weighted=bool(data["weighted"]),
                clustered=bool(data["clustered"]),
                parts={name: _long(values) for name, values in data["parts"].items()},
                clusters=np.array(data["clusters"], dtype=np.int64),
            )
            sums._check()
        return sums

    def _check(self) -> None:
        """Refuse arrays of other shapes than these sums have."""
        m = self.schema.n_groups
        for name, expected in _shapes(self).items():
            shape = self.parts[name].shape
            if len(shape) != len(expected) or any(
                e is not None and s not in e for s, e in zip(shape, expected, strict=True)
            ):
                raise KeyError(f"{name!r} of shape {shape}")
            if name.startswith(("score", "joint")) and len(self.parts[name]):
                groups = self.parts[name][:, 0]
                if groups.min() < 0 or groups.max() >= m or self.parts[name][:, 1].min() < 1:
                    raise KeyError(f"{name!r} with groups or cells that are none")


def _shapes(sums: AuditSums) -> dict[str, tuple[Any, ...]]:
    """Names of all parts, and sizes that each axis may have; None for any."""
    m = sums.schema.n_groups
    models, pairs = models_and_pairs(sums.candidates, sums.baseline, sums.reports)
    found: dict[str, tuple[Any, ...]] = {"n": ((m,),), "mass": ((m,),), "partial": ((1,),)}
    for metric in sums.metrics:
        if metric == "auc":
            q = (6, 8) if sums.weighted else (4, 4)
            found |= {part_name("score", name): (None, (min(q),)) for name in models}
            if not sums.clustered:
                found |= {part_name("joint", *pair): (None, (max(q),)) for pair in pairs}
        elif metric == "ece":
            found |= {part_name(k, x): ((m,), (10,)) for k in ("ece", "ece rows") for x in models}
        else:
            own = get_metric(metric)
            found |= {part_name("loss", metric, name): ((m,),) for name in models}
            if own.among is not None:
                found |= {part_name(kind, metric): ((m,),) for kind in ("mass", "n")}
            if own.steps is not None and not (sums.weighted or sums.clustered):
                found |= {part_name("lattice", metric, *pair): ((5,), (m,)) for pair in pairs}
            width = m + 1 if sums.clustered else m
            found |= {part_name("gain", metric, *pair): ((10,), (width,)) for pair in pairs}
    return found


def _short(values: np.ndarray) -> Any:
    """Numbers as JSON holds them, whole ones without a decimal point."""
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    return plain(values.astype(np.int64).tolist() if whole else values.tolist(), undefined=True)


def _long(values: Any) -> np.ndarray:
    """Inverse of `_short`."""
    array = np.array(values, dtype=object)
    flat = [np.nan if v is None else float(v) for v in array.ravel().tolist()]
    return np.array(flat).reshape(array.shape)


def models_and_pairs(
    candidates: Sequence[str], baseline: str, reports: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[tuple[str, str]]]:
    """Names of all columns of predictions, and the pairs that are compared."""
    models, pairs = list(candidates), [(baseline, name) for name in candidates if name != baseline]
    for name, asked in reports.items():
        for report in asked:
            models.append(misreport(name, report))
            pairs.append((models[-1], name))
    return models, pairs

"""Comparisons in columns: m x m of them cost arrays, and a record only where one looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np

__all__ = [
    "Block",
    "Counts",
    "GainRecord",
    "GainTable",
    "count_verdicts",
    "distinct",
    "of_model",
    "violations",
]

_NUMBERS = ("n", "gain", "low", "high", "p_gain", "p_violation", "p_corrected", "rows_needed")
_WHOLE = ("n", "rows_needed")


@dataclass(frozen=True)
class GainRecord:
    """One comparison: what a group gains, how sure that is, and the verdict.

    Parameters
    ----------
    metric, candidate : str
    group : str or None
        None: all rows that belong to a group.
    other : str
        What it is compared with. Rationality: the baseline. Envy-freeness: the group whose report
        is filed instead. Truthfulness: the report that is filed instead.
    n : int or None
        Rows; None where a bundle leaves small counts out.
    gain : float or None
        Positive is better: for rationality the candidate over the baseline, for envy-freeness and
        truthfulness the true report over the other.
    low, high : float or None
        Interval of the gain at level 1 - alpha, for this comparison alone.
    p_gain, p_violation : float or None
        One-sided p-values, for this comparison alone.
    p_corrected : float or None
        The smaller of the two, corrected over the family; the verdict is drawn at alpha.
    verdict : {"gain", "violation", "undetermined", "same"}
        ``"same"``: both sides are one model, so the gain is 0 and there was nothing to test.
    test : str
    rows_needed : int or None
        Rows still needed to tell the observed gain from none with 80% power within the family; 0
        where the verdict is drawn; None where nothing can be said.
    reason : str
        Why nothing could be tested; empty otherwise.

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> record = audit.rationality[0]
    >>> record.group, record.other, record.n, record.gain, record.verdict, record.test
    ('F', 'generic', 20, 0.5, 'gain', 'mid-p McNemar')
    """

    metric: str
    candidate: str
    group: str | None
    other: str
    n: int | None
    gain: float | None
    low: float | None
    high: float | None
    p_gain: float | None
    p_violation: float | None
    p_corrected: float | None
    verdict: str
    test: str
    rows_needed: int | None
    reason: str


@dataclass(frozen=True)
class Counts:
    """How many comparisons were a gain, a violation, undetermined; not testable; and no test.

    The first three sum to the comparisons that could be tested; `same` are those of a model with
    itself, whose gain is 0.

    Examples
    --------
    >>> from fairuse_router import audit_predictions
    >>> y, sex = [0, 1, 1, 0] * 10, ["F", "M"] * 20
    >>> audit = audit_predictions(y, {"generic": [0, 1] * 20, "own": y}, sex)
    >>> counts = audit.summary()[-1].rationality
    >>> counts.gains, counts.violations, counts.undetermined, str(counts)
    (2, 0, 0, '2/0/0')
    """

    gains: int
    violations: int
    undetermined: int
    untested: int = 0
    same: int = 0

    @property
    def asked(self) -> int:
        """All comparisons."""
        return self.gains + self.violations + self.undetermined + self.untested + self.same

    def __str__(self) -> str:
        tested = f"{self.gains}/{self.violations}/{self.undetermined}"
        return f"{tested} ={self.same}" if self.same else tested


@dataclass(frozen=True)
class Block:
    """Comparisons of one kind for one metric and candidate.

    Parameters
    ----------
    metric, candidate, test : str
    groups : sequence of str or None, of length k
    others : sequence of str, of length k
    numbers : mapping of str to ndarray of shape (k,)
        The numbers of a `GainRecord`; nan is None.
    verdict, reason : ndarray of str, shape (k,)
    """

    metric: str
    candidate: str
    test: str
    groups: Sequence[str | None]
    others: Sequence[str]
    numbers: Mapping[str, np.ndarray]
    verdict: np.ndarray
    reason: np.ndarray

    def __len__(self) -> int:
        return len(self.groups)

    def records(self, rows: Iterable[int] | None = None) -> list[GainRecord]:
        """Return some comparisons; None: all."""
        index = np.arange(len(self)) if rows is None else np.fromiter(rows, dtype=np.int64)
        n, gain, low, high, p_gain, p_violation, corrected, more = (
            _none_for_nan(self.numbers[name][index], name in _WHOLE) for name in _NUMBERS
        )
        return [
            GainRecord(
                self.metric,
                self.candidate,
                self.groups[i],
                self.others[i],
                n[k],
                gain[k],
                low[k],
                high[k],
                p_gain[k],
                p_violation[k],
                corrected[k],
                str(self.verdict[i]),
                self.test,
                more[k],
                str(self.reason[i]),
            )
            for k, i in enumerate(index.tolist())
        ]

    def take(self, rows: np.ndarray) -> Block:
        """Return some comparisons as a block."""
        return replace(
            self,
            groups=[self.groups[i] for i in rows.tolist()],
            others=[self.others[i] for i in rows.tolist()],
            numbers={name: values[rows] for name, values in self.numbers.items()},
            verdict=self.verdict[rows],
            reason=self.reason[rows],
        )

    def untold(self, rows: np.ndarray) -> Block:
        """Return it without the numbers of comparisons that a mask names, which are not told."""
        numbers = {
            name: values if name in _WHOLE else np.where(rows, np.nan, values)
            for name, values in self.numbers.items()
        }
        return replace(self, numbers=numbers, verdict=np.where(rows, "undetermined", self.verdict))


def _none_for_nan(values: np.ndarray, whole: bool) -> list[Any]:
    """Numbers as records hold them."""
    found = np.asarray(values, dtype=float).tolist()
    if whole:
        return [None if v != v else int(v) for v in found]
    return [None if v != v else v for v in found]


class GainTable(Sequence[GainRecord]):
    """A sequence of `GainRecord`, which are made as they are asked for; equal to a tuple of them.

    Parameters
    ----------
    blocks : iterable of Block
    """

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks = tuple(block for block in blocks if len(block))

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def __iter__(self) -> Iterator[GainRecord]:
        for block in self.blocks:
            yield from block.records()

    @overload
    def __getitem__(self, index: int) -> GainRecord: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[GainRecord, ...]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        row = range(len(self))[index]
        for block in self.blocks:
            if row < len(block):
                return block.records([row])[0]
            row -= len(block)
        raise IndexError(index)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GainTable | tuple):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


def of_model(records: Sequence[GainRecord], metric: str, candidate: str) -> Sequence[GainRecord]:
    """Return the comparisons of one candidate by one metric."""
    if isinstance(records, GainTable):
        wanted = (metric, candidate)
        return GainTable(b for b in records.blocks if (b.metric, b.candidate) == wanted)
    return [r for r in records if (r.metric, r.candidate) == (metric, candidate)]


def by_model(records: Sequence[GainRecord]) -> Iterator[tuple[str, str, list[Block]]]:
    """Yield metric, candidate and blocks of their comparisons."""
    blocks = records.blocks if isinstance(records, GainTable) else [_block(r) for r in records]
    for metric, candidate in dict.fromkeys((b.metric, b.candidate) for b in blocks):
        yield (
            metric,
            candidate,
            [b for b in blocks if (b.metric, b.candidate) == (metric, candidate)],
        )


def _block(record: GainRecord) -> Block:
    """One comparison as a block."""
    told = {name: getattr(record, name) for name in _NUMBERS}
    return Block(
        record.metric,
        record.candidate,
        record.test,
        [record.group],
        [record.other],
        {name: np.array([np.nan if v is None else v], float) for name, v in told.items()},
        np.array([record.verdict]),
        np.array([record.reason]),
    )


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks of one metric, candidate and test as one."""
    return replace(
        blocks[0],
        groups=[group for block in blocks for group in block.groups],
        others=[other for block in blocks for other in block.others],
        numbers={k: np.concatenate([b.numbers[k] for b in blocks]) for k in _NUMBERS},
        verdict=np.concatenate([block.verdict for block in blocks]),
        reason=np.concatenate([block.reason for block in blocks]),
    )


def without_candidate(records: Sequence[GainRecord], candidate: str) -> Sequence[GainRecord]:
    """Return all comparisons but those of one candidate."""
    if isinstance(records, GainTable):
        return GainTable(b for b in records.blocks if b.candidate != candidate)
    return tuple(r for r in records if r.candidate != candidate)


def distinct(records: Sequence[GainRecord], *names: str) -> list[tuple[str, ...]]:
    """Return what occurs among metrics, candidates and tests, in order."""
    rows = records.blocks if isinstance(records, GainTable) else records
    return list(dict.fromkeys(tuple(getattr(r, name) for name in names) for r in rows))


def violations(records: Sequence[GainRecord]) -> list[GainRecord]:
    """Return the comparisons that are violations, the worst first."""
    if isinstance(records, GainTable):
        found = [
            record
            for block in records.blocks
            for record in block.records(np.flatnonzero(block.verdict == "violation"))
        ]
    else:
        found = [r for r in records if r.verdict == "violation"]
    return sorted(found, key=lambda r: r.gain or 0.0)


def any_same(records: Sequence[GainRecord]) -> bool:
    """Whether any comparison is of a model with itself."""
    if isinstance(records, GainTable):
        return any((block.verdict == "same").any() for block in records.blocks)
    return any(r.verdict == "same" for r in records)


def count_verdicts(records: Sequence[GainRecord]) -> Counts | None:
    """Count verdicts; None if nothing was asked."""
    if not len(records):
        return None
    if isinstance(records, GainTable):
        verdict = np.concatenate([block.verdict for block in records.blocks])
        tested = np.concatenate([~np.isnan(b.numbers["p_gain"]) for b in records.blocks])
    else:
        verdict = np.array([r.verdict for r in records])
        tested = np.array([r.p_gain is not None for r in records])
    same = int((verdict == "same").sum())
    gains, bad, open_ = (
        int((tested & (verdict == v)).sum()) for v in ("gain", "violation", "undetermined")
    )
    return Counts(gains, bad, open_, len(records) - int(tested.sum()) - same, same)

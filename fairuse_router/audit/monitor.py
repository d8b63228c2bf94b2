"""Monitoring without labels: what is reported, what is withheld, what is scored, by route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fairuse_router.audit.records import number
from fairuse_router.documents import Printed
from fairuse_router.grids import Column, Grid, numbers, wrap
from fairuse_router.groups import GroupSchema
from fairuse_router.inference import adjust, fisher

__all__ = ["Look", "Monitoring", "Reference", "look_at"]

_SHOWN = 20

_Found = tuple[str, str, float | None, float | None, int, int, float]


@dataclass(frozen=True)
class Reference:
    """What was seen in training, to compare deployment with.

    Parameters
    ----------
    n : int
        Rows.
    groups : ndarray of int, shape (m,)
        Rows of each group.
    levels : tuple of ndarray of int, shape (L_j + 1,)
        Per attribute, the rows that withhold it, and those that report each of its levels.
    scores : dict of int to ndarray
        Per route, out-of-fold probabilities of the second class (of several, the largest;
        predictions of a regression) of the rows that it serves.
    """

    n: int
    groups: NDArray[np.int64]
    levels: tuple[NDArray[np.int64], ...]
    scores: Mapping[int, NDArray[np.float64]]

    @classmethod
    def of(
        cls,
        group_ids: NDArray[np.int64],
        codes: NDArray[np.int64],
        routes: NDArray[np.int64],
        scores: NDArray[np.float64],
        scored: NDArray[np.bool_],
        schema: GroupSchema,
    ) -> Reference:
        """Count rows, and keep their scores by route."""
        return cls(
            len(codes),
            np.bincount(group_ids[group_ids >= 0], minlength=schema.n_groups),
            levels_of(codes, schema),
            {int(r): np.sort(scores[(routes == r) & scored]) for r in np.unique(routes)},
        )


def levels_of(codes: NDArray[np.int64], schema: GroupSchema) -> tuple[NDArray[np.int64], ...]:
    """Per attribute, the rows that withhold it, and those that report each of its levels."""
    return tuple(
        np.bincount(column, minlength=len(levels) + 1)
        for column, levels in zip(codes.T, schema.levels, strict=True)
    )


@dataclass(frozen=True)
class Look:
    """One share, or the scores of one route, then and now.

    Parameters
    ----------
    kind : {"reports", "withheld", "scores"}
    what : str
        Group, attribute or route; ``"sex in place of F"`` are those who withhold the attribute,
        among them and those who report the level.
    then, now : float or None
        Share of the rows; median score.
    n_then, n_now : int
        Rows behind them.
    p : float or None
        Fisher's exact test of a share, Kolmogorov and Smirnov's of scores, for this number alone.
    p_corrected : float or None
        The same, corrected (Holm) over all of this look.
    alarm : bool
    """

    kind: str
    what: str
    then: float | None
    now: float | None
    n_then: int
    n_now: int
    p: float | None
    p_corrected: float | None
    alarm: bool


@dataclass(frozen=True)
class Monitoring(Printed):
    """Rows from deployment, without labels, against the training rows. Print it.

    Over `looks` looks, however they overlap, the chance of any alarm without a change is at most
    `alpha`: each look is held to ``alpha / looks``, corrected (Holm) over all it looks at, by exact
    tests.

    Parameters
    ----------
    looks_at : tuple of Look
    n : int
        Rows of this look.
    looks : int
        How often one means to look.
    alpha : float
    """

    looks_at: tuple[Look, ...]
    n: int
    looks: int
    alpha: float

    @property
    def alarms(self) -> tuple[Look, ...]:
        """What moved."""
        return tuple(look for look in self.looks_at if look.alarm)

    def _lines(self) -> Iterator[str]:
        alarms = self.alarms
        yield from wrap(
            f"Monitoring of {self.n:,} rows without labels: {len(alarms)} alarm(s) among "
            f"{len(self.looks_at)} shares and scores. Any false alarm in {self.looks} looks: at "
            f"most {100 * self.alpha:g}%."
        )
        order = sorted(self.looks_at, key=lambda look: 2.0 if look.p is None else look.p)
        columns = [
            Column("what", 40, left=True),
            *numbers({"then": 8, "now": 8, "p": 9}),
            Column("", 8, left=True, gap=2),
        ]
        rows = [
            [
                f"{look.kind} of {look.what}",
                _show(look, look.then),
                _show(look, look.now),
                "n/a" if look.p is None else f"{look.p:.2g}",
                "ALARM" if look.alarm else "",
            ]
            for look in order[:_SHOWN]
        ]
        yield from ("", *Grid(columns, rows).lines())
        if alarms:
            yield from (
                "",
                *wrap("Labels tell what it costs: reaudit(X, y) on rows from deployment."),
            )


@dataclass(frozen=True)
class _Share:
    """A share that is looked at: rows of a kind among some rows, then and now."""

    kind: str
    what: str
    count: tuple[int, int]
    among: tuple[int, int]

    def found(self) -> _Found:
        """As a look has it, and its p; nan where no such row was ever seen."""
        (a, b), (n, m) = self.count, self.among
        p = float(fisher(a, n, b, m)[0]) if a + b else np.nan
        then, now = (c / of if of else None for c, of in zip(self.count, self.among, strict=True))
        return self.kind, self.what, then, now, n, m, p


def _shares(reference: Reference, now: Reference, schema: GroupSchema) -> Iterator[_Share]:
    """Groups, those who withhold, and those who withhold among them and who report one level.

    Who falls silent moves two shares of everybody at once, and the third by more than either.
    """
    rows = reference.n, now.n
    for name, a, b in zip(schema.group_names(), reference.groups, now.groups, strict=True):
        yield _Share("reports", name, (int(a), int(b)), rows)
    levels = zip(schema.attributes, schema.levels, reference.levels, now.levels, strict=True)
    for name, texts, before, after in levels:
        silent = int(before[0]), int(after[0])
        yield _Share("withheld", name, silent, rows)
        for k, text in enumerate(texts if any(silent) else (), 1):
            among = silent[0] + int(before[k]), silent[1] + int(after[k])
            yield _Share("withheld", f"{name} in place of {text}", silent, among)


def _show(look: Look, value: float | None) -> str:
    if value is None:
        return "n/a"
    return f"{value:.3f}" if look.kind == "scores" else f"{value:.1%}"


def look_at(
    reference: Reference,
    now: Reference,
    schema: GroupSchema,
    servers: Mapping[int, str],
    looks: int,
    alpha: float,
) -> Monitoring:
    """Compare rows from deployment with the training rows.

    Parameters
    ----------
    reference, now : Reference
    schema : GroupSchema
    servers : dict of int to str
        Routes in words.
    looks : int
    alpha : float

    Raises
    ------
    ValueError
        If `looks` is no positive whole number.
    """
    if isinstance(looks, bool) or not isinstance(looks, (int, np.integer)) or looks < 1:
        raise ValueError(
            f"looks={looks!r} is not allowed: say how often one means to look in all, such as 52 "
            "for a year of weekly looks."
        )
    found = [share.found() for share in _shares(reference, now, schema)]
    for route, scores in now.scores.items():
        before = reference.scores.get(route, np.zeros(0))
        p_value = np.nan
        if len(before) and len(scores):
            p_value = float(stats.ks_2samp(before, scores).pvalue)
        old, new_ = (None if not len(s) else float(np.median(s)) for s in (before, scores))
        found.append(("scores", servers[route], old, new_, len(before), len(scores), p_value))
    corrected = adjust(np.array([f[-1] for f in found]), "holm")
    return Monitoring(
        tuple(
            Look(*f[:-1], number(f[-1]), number(c), bool(c <= alpha / looks))
            for f, c in zip(found, corrected, strict=True)
        ),
        now.n,
        int(looks),
        alpha,
    )

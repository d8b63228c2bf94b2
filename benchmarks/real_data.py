"""Routed against every single technique on real data, by repeated 5-fold on untouched rows.

Run ``python -m benchmarks.real_data``; ``--quick`` takes heart with logistic regression, one
repetition. In each fold everything is fitted, and every route chosen, on the other four, in the
metric that is judged: error rates or log losses on the fold, averaged over folds and repetitions. A
technique serves everybody; where a group has no decoupled model it is served by generic. *Best in
hindsight* is the technique with the smallest risk on these very rows, generic among them, which
flatters it. Intervals are the corrected resampled t-test's (Nadeau & Bengio 2003), 90%. A group
counts as harmed if its risk is more than 0.002 above generic's, and as shown to be if that test
says so at 10% (Holm).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks.data import Data
from benchmarks.figures import ways_by_data
from benchmarks.outputs import write_csv
from benchmarks.paper_tables import require
from benchmarks.pool import CLASSES, among, served_model, train_pool
from benchmarks.protocol import DATA, MORE, TECHNIQUES, models
from benchmarks.rivals import shrunken, slope
from benchmarks.truth import CLIP
from fairuse_router import FairUseRouter
from fairuse_router.candidates.candidate import as_classes
from fairuse_router.inference import adjust
from fairuse_router.routing import Choice, choose

POLICIES: dict[str, Any] = {
    "priced": "priced",
    "shrunken": shrunken,
    "slope": slope,
    "tested": "tested",
    "certified": "certified",
    "best": "best",
}
RIVALS = {
    "slope": ("multilevel",),
    **dict.fromkeys(("priced", "tested"), (*TECHNIQUES, "multilevel")),
}
HARM, LEVEL, FOLDS = 0.002, 0.9, 5


@dataclass(frozen=True)
class Line:
    """One way to serve everybody, on one data set by one model class; risks in hundredths."""

    dataset: str
    model: str
    metric: str
    way: str
    risk: float
    gain: float
    beyond: float
    low: float
    high: float
    harmed: int
    shown: int
    groups: int


def fold_risks(
    data: Data, model: Any, metrics: Sequence[str], repeats: int, seed: int
) -> tuple[dict[str, dict[str, np.ndarray]], np.ndarray]:
    """Risks by metric and way, in every fold and group, (folds, m), and the rows behind each."""
    known = data.X[data.group_attributes].notna().all(axis=1).to_numpy()
    X, y = data.X[known].reset_index(drop=True), data.y[known]
    cells = X[data.group_attributes].astype(str).agg(", ".join, axis=1).to_numpy()
    names = sorted(set(cells))
    risks: dict[str, dict[str, list[np.ndarray]]] = {metric: {} for metric in metrics}
    rows = []
    splitter = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=seed)
    for train, test in splitter.split(X, np.char.add(cells.astype(str), y.astype(str))):
        own = [np.flatnonzero(cells[test] == name) for name in names]
        rows.append([len(r) for r in own])
        pool = Pool(X.iloc[train], y[train], X.iloc[test], data.group_attributes, model, seed)
        for metric in metrics:
            for way, told in pool.answers(metric):
                loss = losses(metric, y[test], *told)
                risks[metric].setdefault(way, []).append(
                    np.array([loss[r].mean() if len(r) else np.nan for r in own])
                )
    found = {m: {way: np.array(r) for way, r in own.items()} for m, own in risks.items()}
    return found, np.array(rows, dtype=float)


def losses(metric: str, y: np.ndarray, label: np.ndarray, proba: np.ndarray) -> np.ndarray:
    """Loss of every row, by labels or by probabilities of the second class."""
    if metric == "error":
        return label != y
    q = np.clip(proba, CLIP, 1 - CLIP)
    return -np.where(y > 0, np.log(q), np.log(1 - q))


class Pool:
    """Candidates trained once on the rows of four folds, and what they say of the fifth."""

    def __init__(
        self,
        X: pd.DataFrame,
        y: np.ndarray,
        X_test: pd.DataFrame,
        groups: list[str],
        model: Any,
        seed: int,
    ) -> None:
        names = ("generic", *TECHNIQUES, "multilevel")
        features = X.drop(columns=groups)
        self.candidates, self.evidence, schema = train_pool(
            features, X, groups, y, clone(model), names, seed
        )
        self.X, self.y, self.X_test, self.groups = X, y, X_test, groups
        self.model, self.seed = model, seed
        self.fresh = X_test.drop(columns=groups)
        self.ids = schema.group_ids(schema.encode(X_test))
        generic = self.candidates["generic"].models[0]
        self.base = np.column_stack(
            [generic.predict(self.fresh), generic.predict_proba(self.fresh)[:, 1]]
        )
        self.m = schema.n_groups

    def answers(self, metric: str) -> Iterator[tuple[str, np.ndarray]]:
        """Labels and probabilities, (2, n), of the test rows by every technique and policy."""
        yield "generic", self.base.T
        for name, way in TECHNIQUES.items():
            yield way, self.routed([Choice(name, "")] * self.m)
        for policy, rule in POLICIES.items():
            if policy == "certified":
                yield from self.certified(metric)
                continue
            seen = among(self.evidence, RIVALS.get(policy, tuple(TECHNIQUES)), metric)
            yield (
                f"routed, {policy}",
                self.routed(rule(seen) if callable(rule) else choose(rule, seen)),
            )

    def routed(self, choices: Sequence[Choice]) -> np.ndarray:
        """What the rows are told if their groups are served so."""
        out = self.base.copy()
        for g, choice in enumerate(choices):
            mine = np.flatnonzero(self.ids == g)
            if choice.candidate == "generic" or not len(mine):
                continue
            served = served_model(self.candidates, choice.candidate, choice.strength, g)
            if served is not None:
                zeros = np.zeros(len(mine), dtype=np.int64)
                rows = served.complete(self.fresh.iloc[mine], zeros)
                out[mine, 0] = served.estimator.predict(rows)
                out[mine, 1] = as_classes(
                    served.estimator, served.estimator.predict_proba(rows), "predict_proba", CLASSES
                )[:, 1]
        return out.T

    def certified(self, metric: str) -> Iterator[tuple[str, np.ndarray]]:
        """The certified policy, which trains on rows of its own choice, and its generic."""
        router = FairUseRouter(
            clone(self.model),
            self.groups,
            policy="certified",
            metric=metric,
            random_state=self.seed,
            handle_unknown="withhold",
        ).fit(self.X, self.y)
        withheld = self.X_test.assign(**dict.fromkeys(self.groups, "?"))
        for way, X in (("generic, certified", withheld), ("routed, certified", self.X_test)):
            yield way, np.array([router.predict(X), router.predict_proba(X)[:, 1]])


def resampled_t(gains: np.ndarray) -> tuple[float, float, float]:
    """Mean over folds, its standard error corrected for shared rows, degrees of freedom."""
    kept = gains[~np.isnan(gains)]
    if len(kept) < 2:
        return float("nan"), float("nan"), 1
    error = np.sqrt(kept.var(ddof=1) * (1 / len(kept) + 1 / (FOLDS - 1)))
    return float(kept.mean()), float(error), len(kept) - 1


def lines(
    name: str, kind: str, metric: str, risks: dict[str, np.ndarray], rows: np.ndarray
) -> list[Line]:
    """One line per way, ours after the techniques."""
    share = rows / rows.sum(axis=1, keepdims=True)
    whole = {way: np.nansum(share * r, axis=1) for way, r in risks.items()}
    single = ["generic", *TECHNIQUES.values()]
    best = min(single, key=lambda way: whole[way].mean())
    found = []
    for way in [*single, *(w for w in risks if w.startswith("routed"))]:
        base = risks["generic, certified" if way == "routed, certified" else "generic"]
        apart = base - risks[way]
        gain = np.nansum(rows * apart, axis=0) / np.maximum(rows.sum(axis=0), 1)
        p = np.ones(rows.shape[1])
        for g in range(rows.shape[1]):
            mean, error, df = resampled_t(apart[:, g])
            if error > 0:
                p[g] = stats.t.cdf(mean / error, df)
        beyond, error, df = resampled_t(whole[best] - whole[way])
        width = stats.t.ppf((1 + LEVEL) / 2, df) * error
        found.append(
            Line(
                name,
                kind,
                metric,
                way if way != best else f"{way} (best)",
                100 * whole[way].mean(),
                100 * (whole["generic"] - whole[way]).mean(),
                100 * beyond,
                100 * (beyond - width),
                100 * (beyond + width),
                int((gain < -HARM).sum()),
                int((adjust(p, "holm") <= 1 - LEVEL).sum()),
                rows.shape[1],
            )
        )
    return found


def show(found: list[Line]) -> None:
    """Print the lines of one data set and model class."""
    print(
        f"{found[0].metric:<22}{'risk':>7}{'gain':>7}{'over the best':>15}{'interval':>16}"
        f"{'harmed':>8}{'shown':>6}"
    )
    for x in found:
        print(
            f"{x.way:<22}{x.risk:>7.2f}{x.gain:>+7.2f}{x.beyond:>+15.2f}"
            f"{f'{x.low:+.2f} {x.high:+.2f}':>16}{f'{x.harmed} of {x.groups}':>8}{x.shown:>6}"
        )
    routed = next(x for x in found if x.way == "routed, priced")
    techniques = [x for x in found if x.way.split(" ")[0] in TECHNIQUES.values()]
    good = routed.high >= 0
    least = min(x.harmed for x in techniques)
    print(
        f"routed, priced: {'as good as' if good else 'WORSE than'} the best in hindsight within "
        f"the interval;\n{'no more' if routed.harmed <= least else 'MORE'} groups harmed than by "
        "every technique."
    )


def main() -> None:
    """Print the tables, and write every line to a CSV file if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--models", default="logistic regression,random forest")
    parser.add_argument("--data", default=",".join(DATA | MORE))
    parser.add_argument("--metrics", default="error,log_loss")
    parser.add_argument("--folder", help="folder of the authors' files, see paper_tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for all lines")
    parser.add_argument("--figure", help="picture of what lies beyond the best in hindsight")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.models, options.data = 1, "logistic regression", "heart"
    warnings.simplefilter("ignore")
    start, every = time.perf_counter(), []
    for name in options.data.split(","):
        data = require(name, options.folder)
        for kind in options.models.split(","):
            began = time.perf_counter()
            metrics = options.metrics.split(",")
            risks, rows = fold_risks(data, models()[kind], metrics, options.repeats, options.seed)
            print(
                f"\n{name}, {kind}: {rows.sum() / options.repeats:,.0f} rows, {options.repeats} x "
                f"{FOLDS} folds, {time.perf_counter() - began:.0f} s"
            )
            for metric in metrics:
                found = lines(name, kind, metric, risks[metric], rows)
                show(found)
                every += found
    print(
        f"\nseed {options.seed}, {time.perf_counter() - start:.0f} s. In hundredths (points of "
        "error); gains over generic, those of\ncertified over the generic deployed with it."
    )
    write_csv(every, options.csv)
    if options.figure:
        values = [
            (f"{x.dataset}, {x.model}", x.way, x.beyond, x.low, x.high, x.way.startswith("routed"))
            for x in every
            if x.metric == metrics[0]
        ]
        ways_by_data(values, "points of error beyond the best in hindsight", options.figure)


if __name__ == "__main__":
    main()

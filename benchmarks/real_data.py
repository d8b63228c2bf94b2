"""Routed against every single technique on real data, by repeated 5-fold on untouched rows.

Run ``python -m benchmarks.real_data``; ``--quick`` takes heart with logistic regression, one
repetition. In each fold everything is fitted, and every route chosen, on the other four; risks are
error rates on the fold, summed over folds and repetitions. A technique serves everybody; where a
group has no decoupled model it is served by generic. *Best in hindsight* is the technique with the
smallest error on these very rows, generic among them, which flatters it. Intervals are the
corrected resampled t-test's (Nadeau & Bengio 2003), 90%. A group counts as harmed if its error is
more than 0.2 points above generic's, and as shown to be if that test says so at 10% (Holm).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Mapping
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
from benchmarks.pool import CLASSES, among, train_pool
from benchmarks.protocol import DATA, TECHNIQUES, models
from benchmarks.rivals import shrunken, slope
from fairuse_router import FairUseRouter
from fairuse_router.inference import adjust
from fairuse_router.routing import choose

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
    """One way to serve everybody, on one data set by one model class; errors in points."""

    dataset: str
    model: str
    way: str
    error: float
    gain: float
    beyond: float
    low: float
    high: float
    harmed: int
    shown: int
    groups: int


def fold_risks(
    data: Data, model: Any, repeats: int, seed: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Error of every way in every fold and group, shape (folds, m), and the rows behind each."""
    known = data.X[data.group_attributes].notna().all(axis=1).to_numpy()
    X, y = data.X[known].reset_index(drop=True), data.y[known]
    cells = X[data.group_attributes].astype(str).agg(", ".join, axis=1).to_numpy()
    names = sorted(set(cells))
    risks: dict[str, list[np.ndarray]] = {}
    rows = []
    splitter = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=seed)
    for train, test in splitter.split(X, np.char.add(cells.astype(str), y.astype(str))):
        own = [np.flatnonzero(cells[test] == name) for name in names]
        rows.append([len(r) for r in own])
        parts = (X.iloc[train], y[train], X.iloc[test])
        for way, label in answers(parts, data.group_attributes, model, seed):
            wrong = label != y[test]
            risks.setdefault(way, []).append(
                np.array([wrong[r].mean() if len(r) else np.nan for r in own])
            )
    return {way: np.array(r) for way, r in risks.items()}, np.array(rows, dtype=float)


def answers(
    parts: tuple[pd.DataFrame, np.ndarray, pd.DataFrame], groups: list[str], model: Any, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Labels of the test rows by every technique and policy; one pool serves all that can."""
    X, y, X_test = parts
    names = ("generic", *TECHNIQUES, "multilevel")
    features, fresh = X.drop(columns=groups), X_test.drop(columns=groups)
    candidates, evidence, schema = train_pool(features, X, groups, y, clone(model), names, seed)
    ids = schema.group_ids(schema.encode(X_test))
    label = {name: labels(candidates[name], fresh, ids) for name in names if name != "multilevel"}
    for name, own in label.items():
        label[name] = np.where(own < 0, label["generic"], own)
    yield from ((TECHNIQUES.get(name, name), own) for name, own in label.items())
    for policy, rule in POLICIES.items():
        if policy == "certified":
            router = FairUseRouter(
                clone(model), groups, policy=policy, random_state=seed, handle_unknown="withhold"
            ).fit(X, y)
            yield "generic, certified", router.predict(X_test.assign(**dict.fromkeys(groups, "?")))
            yield "routed, certified", router.predict(X_test)
            continue
        rivals = RIVALS.get(policy, tuple(TECHNIQUES))
        seen = among(evidence, rivals)
        routed = label["generic"].copy()
        for g, choice in enumerate(rule(seen) if callable(rule) else choose(rule, seen)):
            mine = np.flatnonzero(ids == g)
            if choice.candidate == "multilevel":
                if len(mine):
                    routed[mine] = corrected(candidates, fresh.iloc[mine], g, choice.strength)
            else:
                routed[mine] = label[choice.candidate][mine]
        yield f"routed, {policy}", routed


def labels(candidate: Any, features: pd.DataFrame, ids: np.ndarray) -> np.ndarray:
    """Labels of a candidate under everybody's own report; -1 where it has no model."""
    if candidate.name == "generic":
        return np.asarray(candidate.models[0].predict(features))
    out = np.full(len(ids), -1)
    rows = np.flatnonzero((ids >= 0) & (candidate.model_of_group[ids] >= 0))
    if len(rows):
        out[rows] = candidate.evaluate(features.iloc[rows], ids[rows], "predict", CLASSES)
    return out


def corrected(
    candidates: Mapping[str, Any], features: pd.DataFrame, g: int, strength: float
) -> np.ndarray:
    """Labels of one group's rows with a part of its correction."""
    model = candidates["multilevel"].corrected
    routed = model.under_routes(np.array([g]), np.array([strength]))
    return routed.answer_as(routed.prepare(features), 0).label


def resampled_t(gains: np.ndarray) -> tuple[float, float, float]:
    """Mean over folds, its standard error corrected for shared rows, degrees of freedom."""
    kept = gains[~np.isnan(gains)]
    if len(kept) < 2:
        return float("nan"), float("nan"), 1
    error = np.sqrt(kept.var(ddof=1) * (1 / len(kept) + 1 / (FOLDS - 1)))
    return float(kept.mean()), float(error), len(kept) - 1


def lines(name: str, kind: str, risks: dict[str, np.ndarray], rows: np.ndarray) -> list[Line]:
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
        f"{'':<22}{'error':>7}{'gain':>7}{'over the best':>15}{'interval':>16}"
        f"{'harmed':>8}{'shown':>6}"
    )
    for x in found:
        print(
            f"{x.way:<22}{x.error:>6.1f}%{x.gain:>+7.2f}{x.beyond:>+15.2f}"
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
    parser.add_argument("--data", default=",".join(DATA))
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
            risks, rows = fold_risks(data, models()[kind], options.repeats, options.seed)
            found = lines(name, kind, risks, rows)
            print(
                f"\n{name}, {kind}: {rows.sum() / options.repeats:,.0f} rows, {options.repeats} x "
                f"{FOLDS} folds, {time.perf_counter() - began:.0f} s"
            )
            show(found)
            every += found
    print(
        f"\nseed {options.seed}, {time.perf_counter() - start:.0f} s. In points of error; gains "
        "over generic, those of\ncertified over the generic deployed with it."
    )
    write_csv(every, options.csv)
    if options.figure:
        values = [
            (f"{x.dataset}, {x.model}", x.way, x.beyond, x.low, x.high, x.way.startswith("routed"))
            for x in every
        ]
        ways_by_data(values, "points of error beyond the best in hindsight", options.figure)


if __name__ == "__main__":
    main()

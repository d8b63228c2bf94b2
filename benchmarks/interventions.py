"""The paper's remedies on real data: violations before and after, on rows that chose nothing.

Run ``python -m benchmarks.interventions``; ``--quick`` takes heart, two splits. Each split trains
on 60% of the rows, looks for violations of the one-hot logistic regression and picks the remedy on
20%, and reports on the last 20%, where nothing was chosen. Remedies (Suriyakumar et al. 2023,
sections 4.2 and 5): assign generic, or the best of generic, one-hot and decoupled, to groups in
which the one-hot model looked worse than generic; the best of the three to every group; equalized
sample sizes (training weights that make all groups count the same); an intersectional encoding,
decoupled models. Beside them the router, which is given the first 80%. A violation is a negative
gain over generic on the last 20%, as in the paper, so some are chance; *shown* are those that a
corrected test at 10% confirms.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from benchmarks.data import Data
from benchmarks.figures import ways_by_data
from benchmarks.outputs import write_csv
from benchmarks.paper_tables import require
from benchmarks.protocol import DATA, models
from fairuse_router import FairUseRouter
from fairuse_router.audit import Audit

REMEDIES = (
    "one-hot, no remedy",
    "assign generic",
    "assign decoupled",
    "best of three",
    "equalized sizes",
    "intersectional",
    "decoupled",
    "router, priced",
    "router, certified",
)
Outcome = dict[str, tuple[float, int, int]]


def group_outcome(audit: Audit, chosen: dict[str, str]) -> tuple[float, int, int]:
    """Gain over all rows in points, violations, and violations shown, if groups are served so."""
    records = {(r.candidate, r.group): r for r in audit.rationality if r.metric == "error"}
    total, rows, negative, shown = 0.0, 0, 0, 0
    sizes = {r.group: r.n for r in audit.risks if r.candidate == "generic" and r.group is not None}
    for group, candidate in chosen.items():
        rows += sizes[group]
        if candidate == "generic":
            continue
        record = records[candidate, group]
        if record.gain is None:
            continue
        total += record.n * record.gain
        negative += record.gain < 0
        shown += record.verdict == "violation"
    return 100 * total / max(rows, 1), negative, shown


def whole(audit: Audit, candidate: str) -> tuple[float, int, int]:
    """The same if one candidate serves everybody; generic where it has no model."""
    return group_outcome(audit, dict.fromkeys(audit.groups, candidate))


def one_split(data: Data, model: Any, seed: int) -> Outcome:
    """All remedies on one split."""
    known = data.X[data.group_attributes].notna().all(axis=1).to_numpy()
    X, y = data.X[known].reset_index(drop=True), data.y[known]
    cells = X[data.group_attributes].astype(str).agg("|".join, axis=1)
    strata = (cells + y.astype(str)).pipe(lambda s: s.mask(s.map(s.value_counts()) < 5, "rare"))
    rest, last = train_test_split(
        np.arange(len(y)), test_size=0.2, random_state=seed, stratify=strata
    )
    train, pick = train_test_split(
        rest, test_size=0.25, random_state=seed, stratify=strata.iloc[rest]
    )

    def fitted(rows: np.ndarray, policy: str = "best", weights: Any = None) -> FairUseRouter:
        router = FairUseRouter(
            clone(model),
            data.group_attributes,
            policy=policy,
            random_state=seed,
            handle_unknown="withhold",
        )
        return router.fit(X.iloc[rows], y[rows], sample_weight=weights)

    def audit(router: FairUseRouter, rows: np.ndarray) -> Audit:
        return router.audit(X.iloc[rows], y[rows], metrics="error")

    router = fitted(train)
    first, final = audit(router, pick), audit(router, last)
    remedies = {r.group: r for r in first.interventions("onehot") if r.group is not None}
    best = {g: r.best or "generic" for g, r in remedies.items()}
    counts = cells.iloc[train].map(cells.iloc[train].value_counts()).to_numpy()
    equal = fitted(train, weights=len(train) / (len(remedies) * counts))
    found = {
        "one-hot, no remedy": whole(final, "onehot"),
        "assign generic": group_outcome(
            final, {g: "generic" if r.violated else "onehot" for g, r in remedies.items()}
        ),
        "assign decoupled": group_outcome(
            final, {g: best[g] if r.violated else "onehot" for g, r in remedies.items()}
        ),
        "best of three": group_outcome(final, best),
        "equalized sizes": whole(audit(equal, last), "onehot"),
        "intersectional": whole(final, "intersectional"),
        "decoupled": whole(final, "decoupled"),
    }
    for policy in ("priced", "certified"):
        found[f"router, {policy}"] = whole(audit(fitted(rest, policy), last), "routed")
    return found


def show(name: str, outcomes: list[Outcome], groups: int, seconds: float) -> None:
    """Print one data set."""
    print(f"\n{name}: {len(outcomes)} splits, {groups} groups, {seconds:.0f} s")
    print(f"{'':<22}{'gain':>16}{'violations':>16}{'shown':>8}")
    table = {r: np.array([o[r] for o in outcomes], dtype=float) for r in REMEDIES}
    for remedy, values in table.items():
        error = values[:, :2].std(axis=0, ddof=1) / np.sqrt(len(values))
        mean = values.mean(axis=0)
        print(
            f"{remedy:<22}{f'{mean[0]:+.2f} ({error[0]:.2f})':>16}"
            f"{f'{mean[1]:.2f} ({error[1]:.2f})':>16}{mean[2]:>8.2f}"
        )


def draw(every: dict[str, list[Outcome]], path: str) -> None:
    """Draw the gain of every remedy with its 90% interval over splits."""
    values = []
    for name, outcomes in every.items():
        for remedy in REMEDIES:
            gain = np.array([o[remedy][0] for o in outcomes])
            width = 1.645 * gain.std(ddof=1) / np.sqrt(len(gain))
            ours = remedy.startswith("router")
            mean = float(gain.mean())
            values.append((name, remedy, mean, mean - width, mean + width, ours))
    ways_by_data(values, "gain in error over generic, points", path)


def main() -> None:
    """Print a table per data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="heart, two splits")
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--data", default=",".join(DATA))
    parser.add_argument("--folder", help="folder of the authors' files, see paper_tables")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for one line per remedy and split")
    parser.add_argument("--figure", help="picture of the gains")
    options = parser.parse_args()
    if options.quick:
        options.splits, options.data = 2, "heart"
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    model, every = models()["logistic regression"], {}
    for name in options.data.split(","):
        began, data = time.perf_counter(), require(name, options.folder)
        outcomes = [one_split(data, model, options.seed + i) for i in range(options.splits)]
        every[name] = outcomes
        groups = len(pd.DataFrame(data.X)[data.group_attributes].dropna().drop_duplicates())
        show(name, outcomes, groups, time.perf_counter() - began)
    print(
        f"\nlogistic regression, error, seeds from {options.seed}, "
        f"{time.perf_counter() - start:.0f} s. Gain over generic in points and violations per "
        "split,\nwith the standard error of the mean over splits. Rows of equalized sizes and of "
        "the router are against\ntheir own generic."
    )
    write_csv(
        [
            {"data": name, "split": i, "remedy": remedy}
            | dict(zip(("gain", "violations", "shown"), outcome[remedy], strict=True))
            for name, outcomes in every.items()
            for i, outcome in enumerate(outcomes)
            for remedy in REMEDIES
        ],
        options.csv,
    )
    if options.figure:
        draw(every, options.figure)


if __name__ == "__main__":
    main()

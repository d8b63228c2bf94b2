"""What half a report brings on real data: repeated 5-fold, attributes withheld at random.

Run ``python -m benchmarks.half_reports``; ``--quick`` takes one repetition on whas500. In each fold
a router with the default policy is fitted on the other four, on full reports. Every attribute of a
row of the fold is withheld with probability 0.25; *partial* are the rows that then tell something
and withhold something. Under ``partial="generic"`` they gain nothing, by construction. Gains over
generic in points (hundredths); intervals are the corrected resampled t-test's (Nadeau & Bengio
2003), 90%; *shown harmed* are pairs of a partial report and a group that sent it, of at least 20
rows a repetition, of which that test says so (Holm).
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
from scipy import stats
from sklearn.base import clone
from sklearn.model_selection import RepeatedStratifiedKFold

from benchmarks.data import Data
from benchmarks.outputs import write_csv
from benchmarks.protocol import DATA, MORE, models
from benchmarks.real_data import FOLDS, LEVEL, losses, resampled_t
from fairuse_router import FairUseRouter
from fairuse_router.inference import adjust

COHORTS = ("framingham", "whas500", "flchain")
METRICS = ("error", "log_loss")
WITHHELD, FEWEST = 0.25, 20


def fold_gains(data: Data, metric: str, repeats: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains of every row over generic, in every fold (rows, or NaN), and the report that was sent.

    Returns gains and numbers of reports, both (folds, n); a row is in one fold per repetition.
    """
    X, y, groups = data.X, data.y, data.group_attributes
    cells = X[groups].astype(str).agg(", ".join, axis=1).to_numpy()
    strata = np.char.add(cells.astype(str), y.astype(str))
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=repeats, random_state=seed)
    rng = np.random.default_rng(seed)
    gains, sent = np.full((repeats * FOLDS, len(y)), np.nan), []
    for i, (train, test) in enumerate(folds.split(X, strata)):
        model: Any = clone(models()["logistic regression"])
        router = FairUseRouter(model, groups, metric=metric, random_state=seed + i)
        router.fit(X.iloc[train], y[train])
        told = X.iloc[test].copy()
        for name in groups:
            told[name] = told[name].astype(object)
            told.loc[rng.random(len(test)) < WITHHELD, name] = "?"
        silent = told.assign(**dict.fromkeys(groups, "?"))
        risks = [
            losses(metric, y[test], router.predict(R), router.predict_proba(R)[:, 1])
            for R in (silent, told)
        ]
        gains[i, test] = risks[0].astype(float) - risks[1]
        report = np.full(len(y), "", dtype=object)
        report[test] = told[groups].astype(str).agg(", ".join, axis=1).to_numpy()
        sent.append(report)
    return gains, np.array(sent)


def line(name: str, data: Data, metric: str, repeats: int, seed: int) -> dict[str, Any]:
    """Gains of those who tell all and of those who tell a part, and who is shown to be harmed."""
    gains, sent = fold_gains(data, metric, repeats, seed)
    groups = data.X[data.group_attributes].astype(str).agg(", ".join, axis=1).to_numpy()
    silent = np.vectorize(lambda report: report.split(", ").count("?"))(sent)
    known = np.isfinite(gains)
    k = len(data.group_attributes)
    found = {"data": name, "metric": metric}
    for who, rows in (("full", silent == 0), ("partial", (silent > 0) & (silent < k))):
        each = np.where(known & rows, gains, np.nan)
        mean, error, df = resampled_t(np.nanmean(each, axis=1))
        width = stats.t.ppf((1 + LEVEL) / 2, df) * error
        found[who] = f"{100 * mean:+.2f} [{100 * (mean - width):+.2f}, {100 * (mean + width):+.2f}]"
    found["rows"] = int((known & (silent > 0) & (silent < k)).sum() / repeats)
    p = []
    for report in np.unique(sent[known & (silent > 0) & (silent < k)]):
        for group in np.unique(groups):
            rows = known & (sent == report) & (groups == group)[None, :]
            if rows.sum() >= FEWEST * repeats:
                few = np.where(rows.any(axis=1), rows.sum(axis=1), 1)
                own = np.where(rows, gains, 0.0).sum(axis=1) / few
                mean, error, df = resampled_t(np.where(rows.any(axis=1), own, np.nan))
                p.append(stats.t.cdf(mean / error, df) if error > 0 else 1.0)
    found["pairs"], found["shown harmed"] = len(p), int((adjust(np.array(p), "holm") <= 0.1).sum())
    return found


def main() -> None:
    """Print a line per data set and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--data", default=",".join(COHORTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for all lines")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.data = 1, "whas500"
    warnings.simplefilter("ignore")
    start, every = time.perf_counter(), []
    print(f"{'':<22}{'rows':>6}{'full reports':>26}{'partial reports':>26}{'shown harmed':>16}")
    for name in args.data.split(","):
        data = (DATA | MORE)[name]()
        for metric in METRICS:
            every.append(one := line(name, data, metric, args.repeats, args.seed))
            harmed = f"{one['shown harmed']} of {one['pairs']}"
            print(
                f"{f'{name}, {metric}':<22}{one['rows']:>6}{one['full']:>26}{one['partial']:>26}"
                f"{harmed:>16}",
                flush=True,
            )
    print(f"{args.repeats} x {FOLDS} folds, {time.perf_counter() - start:.0f} s")
    write_csv(every, args.csv)


if __name__ == "__main__":
    main()

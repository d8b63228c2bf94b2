"""Tables 1, 2, 5 and 6 of the paper, on every data set at hand, beside what the paper prints.

Run ``python -m benchmarks.paper_tables``; ``--quick`` takes heart with logistic regression only.
Three model classes x {1Hot, All, DCP} x {error, AUC, ECE}: risk, gain over generic, best and worst
gain over the groups, rationality and envy-freeness as gains/violations/undetermined, on the 20% of
the rows that were held out; then what the paper does not have: the routed system under each policy,
truthfulness, and attributes asked per person. Two protocols side by side. "split first": training
rows are weighted to balance the classes within groups, and so are the test rows, so that both sides
of a comparison are of balanced classes; error is then tested by a paired t-test. "rebalance first":
rows of the rarer class are copied until classes balance, then split, as the paper seems to have
done; copies of test rows are trained on, which flatters all and decoupled models most. Features are
counted as the paper counts them, without group attributes. Figures in brackets are the paper's
(``published.csv``: transcribed from the text of Tables 1, 5 and 6; empty where it is not legible;
Table 5 shows six blocks for seven names, and the one for mortality is taken to be the missing one).
Its counts come from bootstrap tests in which ties count as both gain and violation, so they may sum
to more than the groups.

Then Table 2, every group under the one-hot model: its risk and gain, and the gain if groups that it
harms were served by generic, by the best of generic, one-hot and decoupled, or if all groups were
served by that best. The best is chosen on the rows shown, as in the paper, which flatters it.

The credentialed data sets are read from a folder: ``--folder DIR --data apnea,saps`` (see
`benchmarks.authors_format`); without it the table says what is missing.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from benchmarks.authors_format import PRINTED, differences, load_authors
from benchmarks.data import Data
from benchmarks.figures import ways_by_data
from benchmarks.outputs import write_csv
from benchmarks.protocol import DATA, MORE, TECHNIQUES, balancing_weights, models, rebalanced
from fairuse_router import FairUseRouter
from fairuse_router.audit import Audit
from fairuse_router.metrics import get_metric
from fairuse_router.routing import POLICIES as EVERY_POLICY

METRICS = ("error", "auc", "ece")
PROTOCOLS = ("split first", "rebalance first")
POLICIES = ("priced", "tested", "certified", "best")
Row = dict[str, Any]
Part = tuple[pd.DataFrame, np.ndarray, np.ndarray | None]  # X, y, weights

REMEDIES = ("assign_generic", "assign_decoupled", "best_of_three")


def published(name: str, *keys: str) -> dict[tuple[str, ...], Row]:
    """The paper's figures of a file beside this one, by some of its columns."""
    with open(Path(__file__).parent / name, encoding="utf-8", newline="") as file:
        return {tuple(row[key] for key in keys): row for row in csv.DictReader(file)}


def halves(data: Data, protocol: str, seed: int) -> tuple[Part, Part]:
    """Rows to train and to test on by a protocol, with their weights."""
    known = data.X[data.group_attributes].notna().all(axis=1).to_numpy()
    X, y = data.X[known].reset_index(drop=True), data.y[known]
    if protocol == "rebalance first":
        rows = rebalanced(X, y, data.group_attributes, seed)
        X, y = X.iloc[rows].reset_index(drop=True), y[rows]
    cells = X[data.group_attributes].astype(str).agg("|".join, axis=1) + y.astype(str)
    rare = cells.map(cells.value_counts()) < 2
    strata = cells.mask(rare, "rare") if rare.sum() != 1 else None
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.2, random_state=seed, stratify=strata
    )
    return tuple(
        (
            X.iloc[part],
            y[part],
            None
            if protocol == "rebalance first"
            else balancing_weights(X.iloc[part], y[part], data.group_attributes),
        )
        for part in (train, test)
    )


def evaluate(
    name: str, data: Data, model: tuple[str, Any], policies: Any, protocol: str, seed: int
) -> tuple[list[Row], list[Row]]:
    """All techniques and policies on one data set by one model class; every group under one-hot."""
    (X, y, weights), (X_test, y_test, test_weights) = halves(data, protocol, seed)
    kind, estimator = model
    rows: list[Row] = []
    groups: list[Row] = []
    names = {"generic": "none", "multilevel": "multilevel", **TECHNIQUES}  # ours is the second
    for policy in policies:
        router = FairUseRouter(
            clone(estimator), data.group_attributes, policy=policy, random_state=seed
        ).fit(X, y, sample_weight=weights)
        asked = router.routing_table_.disclosure_plan().asked_per_person
        audit = router.audit(X_test, y_test, test_weights, metrics=METRICS)
        if not groups:
            groups = [{"protocol": protocol} | row for row in by_group(name, kind, audit)]
        for record in audit.summary():
            routed = record.candidate == "routed"
            if not routed and policy != policies[0]:
                continue
            technique = f"routed, {policy}" if routed else names[record.candidate]
            row = {
                "protocol": protocol,
                "model": kind,
                "dataset": name,
                "metric": record.metric,
                "technique": technique,
                "n_test": record.n,
                "risk": record.risk,
                "gain": record.gain,
                "best_gain": record.best_gain,
                "worst_gain": record.worst_gain,
                "asked": asked
                if routed
                else (0 if technique == "none" else len(router.group_attributes)),
            }
            for kind_of, counts in (
                ("rationality", record.rationality),
                ("envy_freeness", record.envy_freeness),
                ("truthfulness", record.truthfulness),
            ):
                row[kind_of] = "" if counts is None else str(counts)
            rows.append(row)
    return sorted(rows, key=lambda row: METRICS.index(row["metric"])), groups


def by_group(name: str, kind: str, audit: Audit) -> list[Row]:
    """Table 2: every group under the one-hot model, and what remedies would bring it."""
    return [
        {"model": kind, "dataset": name, "technique": "1Hot", "metric": r.metric}
        | {"group": r.group or "all", "n_test": r.n, "risk": r.risk, "gain": r.gain}
        | {remedy: getattr(r, remedy) for remedy in REMEDIES}
        for r in audit.interventions("onehot")
    ]


def show_groups(rows: list[Row], paper: dict[tuple[str, ...], Row]) -> None:
    """Print Table 2 of one data set by one model class, with the paper's figures in brackets."""
    heads = ("risk", "gain", "assign generic", "assign decoupled", "best of three")
    print(f"\n{'':<6}{'1Hot in the group':<24}{'rows':>6}" + "".join(f"{h:>18}" for h in heads))
    for row in rows:
        metric = get_metric(row["metric"])
        keys = ("model", "dataset", "technique", "metric", "group")
        printed = paper.get(tuple(row[key] for key in keys), {})
        cells = []
        for column in ("risk", "gain", *REMEDIES):
            write = metric.format if column == "risk" else metric.format_gain
            cell, theirs = write(row[column]), printed.get(column)
            if theirs:
                flip = column == "risk" and row["metric"] == "auc"  # an AUC is printed as such
                cell += f" [{write(1 - float(theirs) if flip else float(theirs))}]"
            cells.append(f"{cell:>18}")
        print(f"{row['metric']:<6}{row['group']:<24}{row['n_test']:>6}{''.join(cells)}")


def show(rows: list[Row], paper: dict[tuple[str, ...], Row]) -> None:
    """Print one data set by one model class."""
    head = f"{'':<6}{'technique':<19}{'risk':>16}{'gain':>18}{'best / worst gain':>34}"
    print(f"{head}{'rationality':>18}{'envy-freeness':>18}{'truthful':>12}{'asked':>7}")
    for row in rows:
        metric = get_metric(row["metric"])
        printed = paper.get((row["model"], row["dataset"], row["metric"], row["technique"]))

        def risk(value: Any, metric: Any = metric) -> str:
            return metric.format(None if value is None else float(value))

        def gain(value: Any, metric: Any = metric) -> str:
            return metric.format_gain(None if value is None else float(value))

        own = row["technique"] == "none"
        cells = [
            risk(row["risk"]),
            "" if own else gain(row["gain"]),
            "" if own else f"{gain(row['best_gain'])} / {gain(row['worst_gain'])}",
            row["rationality"],
            row["envy_freeness"],
        ]
        if printed is not None:
            theirs = float(printed["risk"])  # an AUC is printed as such
            cells[0] += f" [{risk(1 - theirs if row['metric'] == 'auc' else theirs)}]"
            cells[1] += f" [{gain(printed['gain'])}]"
            cells[2] += f" [{gain(printed['best_gain'])} / {gain(printed['worst_gain'])}]"
            for i, name in ((3, "rationality"), (4, "envy")):
                if printed[f"{name}_gains"]:
                    counts = f"{printed[f'{name}_gains']}/{printed[f'{name}_violations']}"
                    cells[i] += f" [{counts}]"
        first = row["metric"] if own else ""
        print(
            f"{first:<6}{row['technique']:<19}{cells[0]:>16}{cells[1]:>18}{cells[2]:>34}"
            f"{cells[3]:>18}{cells[4]:>18}{row['truthfulness']:>12}{row['asked']:>7.2f}"
        )


def draw(results: list[Row], path: str) -> None:
    """Draw each technique's gain in error, with the worst and the best gain over the groups."""
    values = [
        (
            f"{r['dataset']}, {r['model']}",
            r["technique"],
            *(100 * r[key] for key in ("gain", "worst_gain", "best_gain")),
            r["technique"].startswith("routed"),
        )
        for r in results
        if r["protocol"] == PROTOCOLS[0]
        and r["metric"] == "error"
        and r["technique"] != "none"
        and r["worst_gain"] is not None
    ]
    ways_by_data(values, "gain in error, points; line: worst to best group", path)


def find(name: str, folder: str | None) -> Data | None:
    """A data set from a package, or from the user's folder; None if it is neither."""
    if name in DATA or name in MORE:
        return (DATA | MORE)[name]()
    if folder is None or not (Path(folder) / f"{name}_data.csv").exists():
        return None
    return load_authors(folder, name)


def require(name: str, folder: str | None) -> Data:
    """The same, or the end of the command."""
    data = find(name, folder)
    if data is None:
        raise SystemExit(f"{name}: not one of {', '.join(DATA)}; give --folder DIR with its files.")
    return data


def main() -> None:
    """Print every table, and write every figure to a CSV file if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="heart, logistic regression")
    parser.add_argument("--data", help="data sets, comma-separated; default: all")
    parser.add_argument("--models", help="model classes, comma-separated; default: all three")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--protocols", default=",".join(PROTOCOLS))
    parser.add_argument("--folder", help="folder of NAME_data.csv and NAME_helper.csv")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for all figures")
    parser.add_argument("--figure", help="picture of the gains in error")
    options = parser.parse_args()
    allowed = {*DATA, *PRINTED}
    chosen = (options.data or ("heart" if options.quick else ",".join(DATA))).split(",")
    if options.data is None and not options.quick:
        chosen += [name for name in PRINTED if name not in DATA]
    kinds = (options.models or ("logistic regression" if options.quick else "")).split(",")
    policies, results, of_groups = options.policies.split(","), [], []
    for got, known in ((chosen, allowed), (kinds, {"", *models()}), (policies, set(EVERY_POLICY))):
        if not set(got) <= known:
            parser.error(f"{','.join(got)}: allowed are {', '.join(sorted(known - {''}))}")
    paper = published("published.csv", "model", "dataset", "metric", "technique")
    paper_groups = published(
        "published_groups.csv", "model", "dataset", "technique", "metric", "group"
    )
    start = time.perf_counter()
    warnings.simplefilter("ignore")  # a group of one class, a net that has not converged
    for name in chosen:
        data = find(name, options.folder)
        if data is None:
            print(
                f"\n{name}: needs the credentialed file: python -m benchmarks.paper_tables "
                f"--data {name} --folder DIR, with {name}_data.csv and {name}_helper.csv in DIR."
            )
            continue
        features = data.X.shape[1] - len(data.group_attributes)
        size = f"{len(data.y):,} rows, {features} features"
        apart = differences(name, data) if name in PRINTED else ["not in the paper"]
        print(f"\n{name}: {size}. {'; '.join(apart) or 'as in the paper'}.")
        for kind, model in models().items():
            if kinds != [""] and kind not in kinds:
                continue
            for protocol in options.protocols.split(","):
                began = time.perf_counter()
                rows, groups = evaluate(name, data, (kind, model), policies, protocol, options.seed)
                print(
                    f"\n{name}, {kind}, {protocol} ({rows[0]['n_test']} test rows, "
                    f"{time.perf_counter() - began:.0f} s)"
                )
                show(rows, paper)
                show_groups(groups, paper_groups)
                results, of_groups = results + rows, of_groups + groups
    print(
        f"\nseed {options.seed}, {time.perf_counter() - start:.0f} s. Brackets: the paper's. "
        "Counts: gains/violations/undetermined at 10%, Holm; the paper's: gains/violations."
    )
    write_csv(results + of_groups, options.csv)
    if options.figure and results:
        draw(results, options.figure)


if __name__ == "__main__":
    main()

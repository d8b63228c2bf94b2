"""Peers side by side: what people use today where predictions depend on groups.

Run ``python -m benchmarks.peers``; ``--quick`` takes four populations. On populations with known
truth (`benchmarks.data.rotterdam_population`, n = 2,000, 6 groups, effects in turn): true gain over
a logistic regression without group attributes, groups harmed (true error more than 0.2 points
above), time to fit, time to predict 10,000 rows relative to that one model, and what becomes of
someone who withholds (``"?"``) or whose group is empty in training. How fast their audits are:
``python -m benchmarks.audit_speed``. Peers come with the `bench` extra; one that is not installed
says so.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from benchmarks.data import rotterdam_population
from benchmarks.figures import Point, gain_and_harm
from benchmarks.known_truth import EFFECTS, rate
from benchmarks.outputs import write_csv
from benchmarks.truth import HARM
from fairuse_router import FairUseRouter

Predict = Callable[[pd.DataFrame], np.ndarray]
Fit = Callable[[pd.DataFrame, np.ndarray, list[str]], Predict]


def logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=500)


def generic(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    model = logistic().fit(X.drop(columns=groups), y)
    return lambda rows: model.predict(rows.drop(columns=groups))


def onehot(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), groups), remainder="passthrough"
    )
    return make_pipeline(encode, logistic()).fit(X, y).predict


def intersectional(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    def cells(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.drop(columns=groups).assign(cell=rows[groups].agg("|".join, axis=1))

    fitted = onehot(cells(X), y, ["cell"])
    return lambda rows: fitted(cells(rows))


def decoupled(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    """One model per group, as a loop over groups would write it."""
    models = {
        key: logistic().fit(part.drop(columns=groups), y[part.index])
        for key, part in X.groupby(groups)
    }

    def predict(rows: pd.DataFrame) -> np.ndarray:
        out = np.empty(len(rows), dtype=int)
        positions = pd.Series(np.arange(len(rows)), index=rows.index)
        for key, part in rows.groupby(groups):
            out[positions[part.index]] = models[key].predict(part.drop(columns=groups))
        return out

    return predict


def grouped(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    from sklego.meta import GroupedClassifier

    return GroupedClassifier(logistic(), groups=groups).fit(X, y).predict


def hierarchical(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    from sklego.meta import HierarchicalClassifier

    return HierarchicalClassifier(logistic(), groups=groups).fit(X, y).predict


def thresholds(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
    """One threshold per group on a shared score: fairlearn's post-processor as a personalizer."""
    from fairlearn.postprocessing import ThresholdOptimizer

    model = ThresholdOptimizer(
        estimator=logistic(), constraints="equalized_odds", predict_method="predict_proba"
    ).fit(X.drop(columns=groups), y, sensitive_features=X[groups])
    return lambda rows: model.predict(
        rows.drop(columns=groups), sensitive_features=rows[groups], random_state=0
    )


def routed(policy: str) -> Fit:
    def fit(X: pd.DataFrame, y: np.ndarray, groups: list[str]) -> Predict:
        router = FairUseRouter(logistic(), groups, policy=policy, random_state=0)
        return router.fit(X, y).predict

    return fit


WAYS: dict[str, Fit] = {
    "generic": generic,
    "one-hot": onehot,
    "intersectional": intersectional,
    "decoupled": decoupled,
    "sklego Grouped": grouped,
    "sklego Hierarchical": hierarchical,
    "fairlearn Threshold": thresholds,
    "router, priced": routed("priced"),
    "router, certified": routed("certified"),
}


def answers(predict: Predict, rows: pd.DataFrame, groups: list[str]) -> str:
    """What becomes of a person who withholds everything, in a few words."""
    withheld = rows.iloc[:200].copy()
    withheld[groups] = "?"
    try:
        predicted = np.asarray(predict(withheld))
    except Exception as error:  # the point is to see what it does
        return f"raises {type(error).__name__}"
    values = np.unique(predicted)
    return f"always {values[0]:g}" if len(values) == 1 else "an answer"


def one_population(seed: int, effect: str, ways: dict[str, Fit]) -> dict[str, dict[str, Any]]:
    """Gain, groups harmed, times and answers of every way on one population."""
    population = rotterdam_population(2000, n_groups=6, effect=effect, random_state=seed)
    fresh = population.sample(60_000, random_state=seed + 10**6)
    X, groups = population.to_frame().reset_index(drop=True), population.group_attributes
    rows, y = fresh.to_frame(), np.asarray(population.y)
    few = rows.iloc[:10_000]
    found: dict[str, dict[str, Any]] = {}
    base: np.ndarray | None = None
    for name, fit in ways.items():
        start = time.perf_counter()
        try:
            predict = fit(X, y, groups)
            fitting = time.perf_counter() - start
            label = np.asarray(predict(rows)).astype(int)
        except ImportError:
            found[name] = {"missing": True}
            continue
        except Exception as error:  # a group that training lacks, say
            found[name] = {"failed": f"{type(error).__name__}"}
            continue
        risk = fresh.true_group_risks(label)
        base = risk if base is None else base
        start = time.perf_counter()
        predict(few)
        found[name] = {
            "gain": 100 * float(np.nansum(fresh.law.shares * (base - risk))),
            "harmed": bool((risk - base > HARM).any()),
            "fit": fitting,
            "predict": time.perf_counter() - start,
            "withheld": answers(predict, rows, groups),
        }
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="four populations")
    parser.add_argument("--populations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=9000)
    parser.add_argument("--csv", help="file for one line per way and population")
    parser.add_argument("--figure", help="picture of gain and harm, e.g. peers.png")
    options = parser.parse_args()
    count = 4 if options.quick else options.populations
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    results = [
        one_population(options.seed + i, EFFECTS[1 + i % (len(EFFECTS) - 1)], WAYS)
        for i in range(count)
    ]
    print(
        f"{count} populations with an effect, n = 2,000, 6 groups, seeds from {options.seed}, "
        f"{time.perf_counter() - start:.0f} s.\nGain in points of error (Monte-Carlo error); share "
        "of populations with a group harmed, in percent;\nfit and predict relative to one model "
        "without group attributes, medians.\n"
    )
    points = []
    print(f"{'':<21}{'gain':>13}{'any harm':>13}{'fit':>7}{'predict':>9}  who withholds")
    for name in WAYS:
        own = [r[name] for r in results]
        good = [(r[name], r["generic"]) for r in results if "gain" in r[name]]
        if not good:
            print(f"{name:<21} {'not installed' if 'missing' in own[0] else own[0]['failed']}")
            continue
        gain = np.array([x["gain"] for x, _ in good])
        error = gain.std(ddof=1) / np.sqrt(len(gain))
        times = [
            np.median([x[what] / base[what] for x, base in good]) for what in ("fit", "predict")
        ]
        failed, harmed = len(own) - len(good), float(np.mean([x["harmed"] for x, _ in good]))
        spread = float(np.sqrt(harmed * (1 - harmed) / len(good)))
        ours = name.startswith("router")
        points.append(
            Point(name, float(gain.mean()), float(error), 100 * harmed, 100 * spread, ours)
        )
        print(
            f"{name:<21}{f'{gain.mean():+.2f} ({error:.2f})':>13}"
            f"{rate([x['harmed'] for x, _ in good]):>13}{times[0]:>7.1f}{times[1]:>9.2f}  "
            f"{good[0][0]['withheld']}{f'; failed on {failed}' if failed else ''}"
        )
    print(
        "\nHarm is against generic trained on all rows; certified promises none against the "
        "generic that is deployed\nwith it, which is trained on 60% of them. Failed: a group of "
        "one class, or absent from training."
    )
    lines = [
        {"population": i, "way": name, **values}
        for i, result in enumerate(results)
        for name, values in result.items()
    ]
    write_csv(lines, options.csv)
    if options.figure:
        gain_and_harm(points, "gain in error over no personalization, points", options.figure)


if __name__ == "__main__":
    main()

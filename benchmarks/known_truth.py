"""Every policy on populations whose true risks are known: how much gain, and who is harmed.

Run ``python -m benchmarks.known_truth``; ``--populations 30`` for a quick look. Populations: 10
covariates resampled from the Rotterdam breast cancer data, m = 4, 6, 12 groups, n = 500, 2,000 and
10,000 training rows, six kinds of group effect (`fairuse_router.datasets.make_population`). True
risks are means over fresh rows with the label noise integrated out. A group is harmed if its true
error is more than 0.2 points above generic's.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
import warnings
from dataclasses import asdict, dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.data import rotterdam_population
from fairuse_router import FairUseRouter

HARM = 0.002
EFFECTS = ("none", "intercept", "interaction", "slopes", "mixed")
ESTIMATORS = {
    "logistic": LogisticRegression(max_iter=500),
    "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
}
RULES: dict[str, dict] = {
    "shrunken": {"policy": "shrunken"},
    "best": {"policy": "best"},
    "tested": {"policy": "tested"},
    "certified": {"policy": "certified"},
    "paper: assign generic": {"policy": "assign_generic", "candidates": ("generic", "onehot")},
    "paper: best of three": {
        "policy": "best",
        "candidates": ("generic", "onehot", "decoupled"),
        "cv": 0.2,
    },
}
PLAIN = ("onehot", "intersectional", "decoupled")


@dataclass(frozen=True)
class Result:
    """One rule on one population; gains in error, in points, over the whole population."""

    rule: str
    seed: int
    n: int
    m: int
    effect: str
    gain: float
    oracle: float
    worst: float
    harmed: bool
    worse: bool
    deployed: int


def true_gains(router: FairUseRouter, fresh) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """True gain over generic of every candidate in every group of the law, and the group shares."""
    names = [tuple(record.report) for record in router.routing_table_.groups]
    ids = {report: g for g, report in enumerate(names)}
    cells = [ids.get(tuple(cell), -1) for cell in fresh.law.grid]
    known = np.array(cells)[fresh.law.group_ids(fresh.groups)]
    risks = {}
    for name, candidate in router.candidates_.items():
        served = (known >= 0) & (candidate.model_of_group[known] >= 0)
        label = router.candidates_["generic"].evaluate(
            fresh.features, np.zeros(len(fresh), dtype=int), "predict", router.classes_
        )
        label[served] = candidate.evaluate(
            fresh.features[served], known[served], "predict", router.classes_
        )
        risks[name] = fresh.true_group_risks(label)
    gains = {name: 100 * (risks["generic"] - risk) for name, risk in risks.items()}
    return gains, np.asarray(cells)


def routed_gain(router: FairUseRouter, gains: dict[str, np.ndarray], cells) -> np.ndarray:
    """True gain of the deployed route in every group of the law."""
    chosen = [router.routing_table_.groups[c].candidate if c >= 0 else "generic" for c in cells]
    return np.array([gains[name][i] for i, name in enumerate(chosen)])


def one_population(
    kind: str, seed: int, n: int, m: int, effect: str, fresh_rows: int, rules: list[str]
) -> list[Result]:
    """Some rules, and the plain candidates, on one population."""
    warnings.simplefilter("ignore")
    population = rotterdam_population(n, n_groups=m, effect=effect, random_state=seed)
    fresh = population.sample(fresh_rows, random_state=seed + 10**6)
    X, groups = population.to_array(), population.group_columns
    share = np.asarray(population.law.shares)
    base = FairUseRouter(clone(ESTIMATORS[kind]), groups, random_state=seed)
    results, oracle, gains = [], 0.0, None
    for name in rules:
        router = clone(base).set_params(**RULES[name]).fit(X, population.y)
        if gains is None or name == "certified":
            own, cells = true_gains(router, fresh)
            if gains is None:
                gains = own
                oracle = float(share @ np.nanmax(np.stack(list(gains.values())), axis=0))
                full = {plain: gains[plain] for plain in PLAIN}
        gain = routed_gain(router, own if name == "certified" else gains, cells)
        results.append(summary(name, seed, n, m, effect, gain, oracle, share))
    results += [summary(p, seed, n, m, effect, full[p], oracle, share) for p in PLAIN]
    return results


def summary(rule, seed, n, m, effect, gain, oracle, share) -> Result:
    """Reduce the true gains per group to one result."""
    gain = np.nan_to_num(gain)
    return Result(
        rule,
        seed,
        n,
        m,
        effect,
        float(share @ gain),
        oracle,
        float(gain.min()),
        bool((gain < -100 * HARM).any()),
        bool((gain < -1e-9).any()),
        int((gain != 0).sum()),
    )


def rate(flags: list[bool]) -> str:
    """A share in percent with its Monte-Carlo standard error."""
    p, n = np.mean(flags), len(flags)
    return f"{100 * p:5.1f} ({100 * np.sqrt(max(p * (1 - p), 1e-9) / n):.1f})"


def share_of_oracle(results: list[Result]) -> str:
    """Gain as a share of the oracle's, in percent, with a jackknife standard error."""
    gain, oracle = (np.array([getattr(r, a) for r in results]) for a in ("gain", "oracle"))
    if oracle.sum() <= 0:
        return "-"
    left_out = (gain.sum() - gain) / (oracle.sum() - oracle)
    error = np.sqrt((len(gain) - 1) * np.mean((left_out - left_out.mean()) ** 2))
    return f"{100 * gain.sum() / oracle.sum():5.0f} ({100 * error:.1f})"


def show(results: list[Result], title: str) -> None:
    """Print one table."""
    print(f"\n{title}")
    print(
        f"{'rule':<24}{'share of oracle':>16}{'any harm':>12}{'any worse':>12}{'worst group':>13}"
    )
    for rule in [*RULES, *PLAIN]:
        own = [r for r in results if r.rule == rule]
        if not own:
            continue
        worst = f"{np.mean([r.worst for r in own]):.2f}"
        harm, worse = rate([r.harmed for r in own]), rate([r.worse for r in own])
        print(f"{rule:<24}{share_of_oracle(own):>16}{harm:>12}{worse:>12}{worst:>13}")


def main() -> None:
    """Print the tables, and write every result to a CSV file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=225, help="number of populations")
    parser.add_argument("--estimator", choices=ESTIMATORS, default="logistic")
    parser.add_argument("--effects", default=",".join(EFFECTS))
    parser.add_argument("--rules", default=",".join(RULES), help="comma-separated")
    parser.add_argument("--fresh", type=int, default=120_000, help="rows for the true risks")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", help="file for one line per rule and population")
    options = parser.parse_args()
    effects, rules = options.effects.split(","), options.rules.split(",")
    if not set(rules) <= set(RULES) or "candidates" in RULES[rules[0]] or rules[0] == "certified":
        parser.error(f"--rules: start with one that trains every candidate on all rows: {[*RULES]}")
    cells = itertools.cycle(itertools.product(effects, (500, 2000, 10_000), (4, 6, 12)))
    work = [
        (options.estimator, options.seed + i, n, m, effect, options.fresh, rules)
        for i, (effect, n, m) in zip(range(options.populations), cells, strict=False)
    ]
    start = time.perf_counter()
    results = []
    for done, part in enumerate(
        Parallel(n_jobs=options.jobs, return_as="generator_unordered")(
            delayed(one_population)(*item) for item in work
        ),
        1,
    ):
        results += part
        if sys.stderr.isatty():
            print(f"\r{done} of {len(work)} populations", end="", file=sys.stderr)
    print(
        f"{options.populations} populations, {options.estimator}, error, seeds from "
        f"{options.seed}, {options.fresh:,} fresh rows each, {time.perf_counter() - start:.0f} s.\n"
        "In percent, Monte-Carlo standard errors in brackets; worst group: mean gain, in points."
    )
    if effects != ["none"]:
        some = [r for r in results if r.effect != "none"]
        show(some, "With an effect")
        for n in (500, 2000, 10_000):
            show([r for r in some if r.n == n], f"With an effect, n = {n:,}")
    if "none" in effects:
        show([r for r in results if r.effect == "none"], "Without an effect")
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(asdict(results[0])))
            writer.writeheader()
            writer.writerows(asdict(r) for r in results)


if __name__ == "__main__":
    main()

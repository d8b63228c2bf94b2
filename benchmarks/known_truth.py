"""Every policy on populations whose true risks are known: how much gain, and who is harmed.

Run ``python -m benchmarks.known_truth``; ``--populations 30`` for a quick look. Populations: 10
covariates resampled from the Rotterdam breast cancer data, m = 4, 6, 12 groups, n = 500, 2,000 and
10,000 training rows, kinds of group effect as in `fairuse_router.datasets.make_population`. True
risks are means over fresh rows with the label noise integrated out. A rule is told the metric that
it is judged by. A group is harmed if its true risk is more than 0.002 above generic's (0.2 points
of error), worse off if it is above at all. Envy: people, in percent, whose group another group's
route would serve better by more than that; asked: attributes per person, by the plan that asks
least.

"its base": the gain of a certified rule over the generic that it deploys, trained on 60% of the
rows; everything else is over generic trained on all. All rules but the certified ones and the
paper's best of three choose on one pool of candidates, trained once, so that they compare; those
three are fitted for the error only. `benchmarks.truth` judges rules of your own.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.data import rotterdam_population
from benchmarks.figures import Point, gain_and_harm
from benchmarks.outputs import write_csv
from benchmarks.pool import PLAIN, POOL
from benchmarks.rivals import shrunken, slope
from benchmarks.truth import METRICS, Judgement, Served, Study
from fairuse_router import FairUseRouter
from fairuse_router.routing import Choice, choose

EFFECTS = ("none", "intercept", "interaction", "slopes", "mixed")
DIFFER = EFFECTS[1:]  # the effects of the policy table
FAMILIES = {
    "logistic": LogisticRegression(max_iter=500),
    "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
    "stumps": HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=2, random_state=0),
    "forest": RandomForestClassifier(100, min_samples_leaf=5, random_state=0),
    "mlp": make_pipeline(
        StandardScaler(), MLPClassifier((32,), early_stopping=True, max_iter=100, random_state=0)
    ),
}
POOLED: dict[str, tuple[Any, tuple[str, ...], dict[str, float]]] = {  # rule, rivals, settings
    "priced 2": ("priced", POOL[1:], {"price": 2.0}),
    "priced 1": ("priced", POOL[1:], {"price": 1.0}),
    "shrunken": (shrunken, PLAIN, {}),
    "slope": (slope, ("multilevel",), {}),
    "tested": ("tested", POOL[1:], {}),
    "best": ("best", PLAIN, {}),
    "paper: assign generic": ("assign_generic", ("onehot",), {}),
}
ALONE: dict[str, dict] = {
    "paper: best of three": {
        "policy": "best",
        "candidates": ("generic", "onehot", "decoupled"),
        "cv": 0.2,
    },
    "certified": {"policy": "certified"},
}
CERTIFIED = {
    "certified": "certified, its base",
}
ALWAYS = POOL[1:]
RULES = (*POOLED, *ALONE)


@dataclass(frozen=True)
class Result(Judgement):
    """One rule on one population in one metric."""

    rule: str
    metric: str
    family: str
    seed: int
    n: int
    m: int
    effect: str


@dataclass(frozen=True)
class Setting:
    """One population, and what learns from it."""

    family: str
    seed: int
    n: int
    m: int
    effect: str
    fresh: int
    per_group: int


def _by_policy(policy: str | Callable) -> Callable:
    return policy if callable(policy) else lambda evidence: choose(policy, evidence)


def one_population(setting: Setting, rules: Sequence[str], metrics: Sequence[str]) -> list[Result]:
    """Some rules, and each candidate for everybody, on one population."""
    warnings.simplefilter("ignore")
    population = rotterdam_population(
        setting.n, n_groups=setting.m, effect=setting.effect, random_state=setting.seed
    )
    study = Study(
        population,
        clone(FAMILIES[setting.family]),
        setting.fresh,
        setting.per_group,
        setting.seed,
    )
    found = []

    def note(rule: str, metric: str, judgement: Judgement) -> None:
        place = {k: v for k, v in asdict(setting).items() if k not in ("fresh", "per_group")}
        found.append(Result(**asdict(judgement), rule=rule, metric=metric, **place))

    for metric in metrics:
        for name in (name for name in ALWAYS if name in study.names):
            everybody = [Choice(name, "")] * study.n_groups
            note(name, metric, study.judge(lambda _, all_=everybody: all_, metric))
        for rule in (rule for rule in rules if rule in POOLED):
            policy, rivals, settings = POOLED[rule]
            judgement = study.judge(_by_policy(policy), metric, rivals, **settings)
            note(rule, metric, judgement)
    for rule in (rule for rule in rules if rule in ALONE and "error" in metrics):
        for name, judgement in _alone(study, population, setting, rule):
            note(name, "error", judgement)
    return found


def _alone(study: Study, population, setting: Setting, rule: str) -> Iterator[tuple]:
    """A rule that trains on rows of its own choice; a certified one against its generic, too."""
    estimator = clone(FAMILIES[setting.family])
    router = FairUseRouter(estimator, population.group_columns, random_state=setting.seed)
    router.set_params(**ALONE[rule]).fit(population.to_array(), population.y)
    choices = [Choice(r.candidate, "", r.strength) for r in router.routing_table_.groups]
    own = Served(router.candidates_, router.schema_, study.truth, study.grid)
    oracle = study.oracle("error")
    yield rule, own.judge("error", choices, study.generic("error"), oracle)
    if rule in CERTIFIED:  # its promise compares with the generic that it deploys
        yield CERTIFIED[rule], own.judge("error", choices, own.risks("error", []), oracle)


def read_results(path: str) -> list[Result]:
    """Results of an earlier run, none if there is no such file."""
    if not path or not os.path.exists(path):
        return []
    types = {f.name: {"float": float, "int": int, "bool": "True".__eq__}.get(str(f.type), str)
             for f in fields(Result)}  # fmt: skip
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return [Result(**{name: types[name](text) for name, text in line.items()}) for line in lines]


def rate(flags: list[bool]) -> str:
    """A share in percent with its Monte-Carlo standard error."""
    p, n = np.mean(flags), len(flags)
    return f"{100 * p:5.1f} ({100 * np.sqrt(max(p * (1 - p), 1e-9) / n):.1f})"


def mean(values: list[float], digits: int) -> str:
    """A mean with its Monte-Carlo standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.{digits}f} ({error:.{digits}f})"


def share_of_oracle(results: list[Result]) -> tuple[float, float]:
    """Gain as a share of the oracle's, in percent, with a jackknife standard error."""
    gain, oracle = (np.array([getattr(r, a) for r in results]) for a in ("gain", "oracle"))
    if oracle.sum() <= 0 or len(gain) < 2:
        return np.nan, np.nan
    left_out = (gain.sum() - gain) / (oracle.sum() - oracle)
    error = np.sqrt((len(gain) - 1) * np.mean((left_out - left_out.mean()) ** 2))
    return 100 * gain.sum() / oracle.sum(), 100 * error


def rules_of(results: list[Result]) -> list[str]:
    """The rules in a table's order."""
    order = [name for rule in RULES for name in (rule, CERTIFIED.get(rule)) if name]
    present = {r.rule for r in results}
    return [rule for rule in (*order, *ALWAYS) if rule in present]


def show(results: list[Result], title: str) -> None:
    """Print one table: every rule in one metric."""
    count = len({(r.family, r.seed) for r in results})
    if not count:
        return
    print(f"\n{title}: {count} populations")
    heads = f"{'of oracle':>13}{'gain':>13}{'any harm':>13}{'any worse':>13}{'worst group':>14}"
    enviable = any(not np.isnan(r.envy) for r in results)
    print(f"{'rule':<21}{heads}" + f"{'envy':>12}" * enviable + f"{'asked':>13}")
    for rule in rules_of(results):
        own = [r for r in results if r.rule == rule]
        share, error = share_of_oracle(own)
        cells = [
            "-" if np.isnan(share) else f"{share:.0f} ({error:.1f})",
            mean([r.gain for r in own], 2),
            rate([r.harmed for r in own]),
            rate([r.worse for r in own]),
            mean([r.worst for r in own], 2),
            mean([r.envy for r in own], 1) if enviable else "",
            mean([r.asked for r in own], 2),
        ]
        widths = (13, 13, 13, 13, 14, 12 * enviable, 13)
        line = "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        print(f"{'always ' * (rule in ALWAYS) + rule:<21}{line}")


def show_all(results: list[Result], family: str, metrics: Sequence[str]) -> None:
    """Print the tables of one family."""
    for metric in metrics:
        own = [r for r in results if r.family == family and r.metric == metric]
        grouped = [r for r in own if r.effect in DIFFER]
        title = f"{family}, {metric}"
        show(grouped, f"{title}: groups differ ({', '.join(DIFFER)})")
        if metric == metrics[0]:
            for n in sorted({r.n for r in own}):
                show([r for r in grouped if r.n == n], f"{title}: groups differ, n = {n:,}")
        for effect in ("none", "linear", "curves", "label_shift"):
            show([r for r in own if r.effect == effect], f"{title}: effect {effect!r}")


def draw(results: list[Result], metric: str, path: str) -> None:
    """Draw gain and harm where groups differ, of the first family."""
    family = results[0].family
    own = [r for r in results if (r.family, r.metric) == (family, metric) and r.effect in DIFFER]
    points = []
    for rule in rules_of(own):
        mine = [r for r in own if r.rule == rule]
        share, error = share_of_oracle(mine)
        harm = np.mean([r.harmed for r in mine])
        spread = 100 * np.sqrt(harm * (1 - harm) / len(mine))
        name = "always " * (rule in ALWAYS) + rule
        ours = rule not in ALWAYS and not rule.startswith("paper")
        points.append(Point(name, share, error, 100 * harm, spread, ours))
    gain_and_harm(points, f"{family}: share of the oracle's gain in {metric}, %", path)


def arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--populations", type=int, default=225, help="per family")
    parser.add_argument("--families", default="logistic", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--effects", default=",".join(EFFECTS))
    parser.add_argument("--sizes", default="500,2000,10000")
    parser.add_argument("--rules", default=",".join(RULES), help="comma-separated")
    parser.add_argument("--metrics", default="error", help=f"of {', '.join(METRICS)}")
    parser.add_argument("--fresh", type=int, default=400_000, help="rows drawn for the truth")
    parser.add_argument("--per-group", type=int, default=15_000, help="most kept of each group")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", help="file for one line per rule, metric and population")
    parser.add_argument("--resume", action="store_true", help="go on where the CSV file ends")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin nothing after them")
    parser.add_argument("--figure", help="picture of gain and harm, of the first family")
    return parser, parser.parse_args()


def main() -> None:
    """Print the tables, and write every result to a CSV file and a picture if asked."""
    parser, options = arguments()
    families, effects = options.families.split(","), options.effects.split(",")
    rules, sizes = options.rules.split(","), [int(n) for n in options.sizes.split(",")]
    metrics = options.metrics.split(",")
    for got, allowed in ((rules, RULES), (families, FAMILIES), (metrics, METRICS)):
        if not set(got) <= set(allowed):
            parser.error(f"{','.join(got)}: allowed are {', '.join(allowed)}")
    cells = itertools.cycle(itertools.product(effects, sizes, (4, 6, 12)))
    work = [
        Setting(family, options.seed + i, n, m, effect, options.fresh, options.per_group)
        for i, (effect, n, m) in enumerate(itertools.islice(cells, options.populations))
        for family in families
    ]
    start = time.perf_counter()
    results = read_results(options.csv) if options.resume else []
    known = {(r.family, r.seed) for r in results}
    work = [setting for setting in work if (setting.family, setting.seed) not in known]
    end = start + 60 * options.minutes
    tasks = (delayed(one_population)(s, rules, metrics) for s in work if time.perf_counter() < end)
    parts = Parallel(n_jobs=options.jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(
        tasks
    )
    for done, part in enumerate(parts, 1):
        results += part
        if options.resume:
            write_csv(results, options.csv)
        if sys.stderr.isatty():
            print(f"\r{done} of {len(work)} populations", end="", file=sys.stderr)
    judged = len({(r.family, r.seed) for r in results})
    print(
        f"{judged} populations of {options.families}; seeds from "
        f"{options.seed}, {options.fresh:,} fresh rows each,\n"
        f"at most {options.per_group:,} of a group; {time.perf_counter() - start:.0f} s. "
        "Monte-Carlo standard errors in brackets.\nOf oracle: share, in percent, of the gain of "
        "the best of generic, one-hot, intersectional and\ndecoupled in every group. Gain, and the "
        "mean of the group that gains least: in hundredths\n(points of error). Any harm, envy: "
        "percent."
    )
    for family in families:
        show_all(results, family, metrics)
    write_csv(results, options.csv)
    if options.figure:
        draw(results, metrics[0], options.figure)


if __name__ == "__main__":
    main()

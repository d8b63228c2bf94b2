"""Every policy on populations whose true risks are known: how much gain, and who is harmed.

Run ``python -m benchmarks.known_truth``; ``--populations 30`` for a quick look. Populations: 10
covariates resampled from the Rotterdam breast cancer data, m = 4, 6, 12 groups, n = 500, 2,000 and
10,000 training rows, kinds of group effect as in `fairuse_router.datasets.make_population`. True
risks are means over fresh rows with the label noise integrated out, up to 15,000 in each group. A
group is harmed if its true error is more than 0.2 points above generic's (its log loss: 0.002).

"its base": the gain of a certified rule over the generic that it deploys, trained on 60% of the
rows; everything else is over generic trained on all.

All rules but the certified ones and the paper's best of three choose on one pool of candidates,
trained once, so that they compare.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.data import rotterdam_population
from fairuse_router import FairUseRouter, GroupSchema
from fairuse_router.candidates import Candidate
from fairuse_router.datasets import Population
from fairuse_router.fitting import cross_fit
from fairuse_router.metrics import get_metric
from fairuse_router.recipes import TrainingRows, make_recipes
from fairuse_router.routing.policies import Choice, Evidence, choose
from fairuse_router.splitting import split_rows

HARM = 0.002
CLIP = 0.005  # log losses of a forest's 0 and 1 would be infinite
PER_GROUP = 15_000
EFFECTS = ("none", "intercept", "interaction", "slopes", "mixed")
FAMILIES = {
    "logistic": LogisticRegression(max_iter=500),
    "boosting": HistGradientBoostingClassifier(max_iter=60, random_state=0),
    "forest": RandomForestClassifier(100, min_samples_leaf=5, random_state=0),
    "mlp": make_pipeline(
        StandardScaler(), MLPClassifier((32,), early_stopping=True, max_iter=100, random_state=0)
    ),
}
PLAIN = ("onehot", "intersectional", "decoupled")
POOLED: dict[str, tuple[str, tuple[str, ...], float]] = {  # policy, rivals, max_harmed
    "shrunken": ("shrunken", PLAIN, 0.4),
    "best": ("best", PLAIN, 0.4),
    "tested": ("tested", PLAIN, 0.4),
    "paper: assign generic": ("assign_generic", ("onehot",), 0.4),
    "slope": ("slope", ("multilevel",), 0.4),
    "slope 0.2": ("slope", ("multilevel",), 0.2),
    "slope 1": ("slope", ("multilevel",), 1.0),
}
ALONE: dict[str, dict] = {
    "certified": {"policy": "certified"},
    "certified multilevel": {"policy": "certified", "candidates": ("generic", "multilevel")},
    "paper: best of three": {
        "policy": "best",
        "candidates": ("generic", "onehot", "decoupled"),
        "cv": 0.2,
    },
}
CERTIFIED = {
    "certified": "certified, its base",
    "certified multilevel": "cert. mult., its base",
}
ALWAYS = (*PLAIN, "multilevel")
RULES = (*POOLED, *ALONE)
METRICS = ("error", "log_loss")


@dataclass(frozen=True)
class Result:
    """One rule on one population in one metric; gains over generic, in hundredths."""

    rule: str
    metric: str
    family: str
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


class Truth:
    """Fresh rows with known probabilities, and the risk of any predictions in every group."""

    def __init__(self, population: Population, rows: int, seed: int) -> None:
        fresh = population.sample(rows, random_state=seed)
        ids = fresh.law.group_ids(fresh.groups)
        self.m = len(fresh.law.shares)
        keep = np.concatenate([np.flatnonzero(ids == g)[:PER_GROUP] for g in range(self.m)])
        self.features, self.ids = fresh.features[keep], ids[keep]
        self.p = fresh.law.probability(self.features, fresh.groups[keep])
        self.shares = np.asarray(fresh.law.shares)

    def risks(self, positive: np.ndarray, proba: np.ndarray) -> np.ndarray:
        """Error and log loss in every group, shape (2, m), of labels and probabilities."""
        q = np.clip(proba, CLIP, 1 - CLIP)
        losses = [
            np.where(positive > 0, 1 - self.p, self.p),
            -self.p * np.log(q) - (1 - self.p) * np.log(1 - q),
        ]
        count = np.bincount(self.ids, minlength=self.m)
        return np.stack([np.bincount(self.ids, loss, self.m) / count for loss in losses])


class Deployed:
    """What candidates say of the fresh rows, each asked once."""

    def __init__(self, candidates: dict[str, Candidate], cells: np.ndarray, truth: Truth) -> None:
        known = cells[truth.ids]  # group in the schema of the training rows
        self.truth, self.known = truth, known
        self.answers: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.prepared = None
        for name, candidate in candidates.items():
            if candidate.corrected is not None:
                self.model = candidate.corrected
                self.prepared = self.model.prepare(truth.features)
                continue
            rows = (known >= 0) & (candidate.model_of_group[known] >= 0)
            if name == "generic":
                rows = np.ones(len(known), dtype=bool)
            label, proba = (
                self.answers["generic"][k].copy() if name != "generic" else np.zeros(len(known))
                for k in range(2)
            )
            features, groups = truth.features[rows], np.maximum(known[rows], 0)
            classes = np.array([0, 1])
            label[rows] = candidate.evaluate(features, groups, "predict", classes) == 1
            proba[rows] = candidate.evaluate(features, groups, "predict_proba", classes)[:, 1]
            self.answers[name] = label, proba

    def risks(self, choices: Sequence[Choice]) -> np.ndarray:
        """True risks of one choice per group of the schema, shape (2, m)."""
        label, proba = (part.copy() for part in self.answers["generic"])
        for g, choice in enumerate(choices):
            rows = np.flatnonzero(self.known == g)
            if choice.candidate in self.answers:
                label[rows], proba[rows] = (a[rows] for a in self.answers[choice.candidate])
            elif choice.candidate == "multilevel":
                routed = self.model.under_routes(np.array([g]), np.array([choice.strength]))
                answer = routed.answer_as(self.prepared[rows], 0)
                label[rows], proba[rows] = answer.label, answer.proba[:, 1]
        return self.truth.risks(label, proba)


def pool(estimator, population: Population, names: Sequence[str], seed: int):
    """Train candidates on all rows and fold by fold; return them, the evidence and the schema."""
    schema = GroupSchema.from_table(population.to_array(), population.group_columns)
    codes = schema.encode(population.to_array())
    classes = np.array([0, 1])
    rows = TrainingRows(
        population.features,
        schema.group_ids(codes),
        population.y,
        population.y,
        classes,
        schema.n_groups,
    )
    folds = split_rows(5, rows.features, rows.y, rows.groups, rows.target, None, seed)
    recipes = make_recipes(names, estimator, schema, None)
    candidates, scores, lacks = cross_fit(recipes, rows, folds, min_group_size=20)
    evidence = Evidence(
        rows.target,
        rows.groups,
        rows.n_groups,
        {name: s.predictions for name, s in scores.items()},
        {name: s.scored for name, s in scores.items()},
        lacks,
        get_metric("error"),
        20,
        margins={name: s.margins for name, s in scores.items() if s.margins is not None},
    )
    return candidates, evidence, schema


def among(evidence: Evidence, rivals: Sequence[str], max_harmed: float) -> Evidence:
    """Evidence on some of the candidates only."""
    names = ("generic", *rivals)
    return replace(
        evidence,
        predictions={name: evidence.predictions[name] for name in names},
        scored={name: evidence.scored[name] for name in names},
        max_harmed=max_harmed,
    )


def cells_of(schema: GroupSchema, population: Population) -> np.ndarray:
    """Group of the schema for every group of the law; -1 where training saw none."""
    ids = {schema.report_texts(code): g for g, code in enumerate(schema.group_codes)}
    return np.array([ids.get(tuple(cell), -1) for cell in population.law.grid])


def one_population(
    family: str, seed: int, n: int, m: int, effect: str, fresh_rows: int, rules: Sequence[str]
) -> list[Result]:
    """Some rules, and each candidate for everybody, on one population."""
    warnings.simplefilter("ignore")
    population = rotterdam_population(n, n_groups=m, effect=effect, random_state=seed)
    truth = Truth(population, fresh_rows, seed + 10**6)
    estimator = FAMILIES[family]
    names = ("generic", *(name for name in ALWAYS if name != "multilevel"), "multilevel")
    candidates, evidence, schema = pool(clone(estimator), population, names, seed)
    deployed = Deployed(candidates, cells_of(schema, population), truth)
    generic = deployed.risks([])
    risks = {name: deployed.risks([Choice(name, "")] * schema.n_groups) for name in candidates}
    oracle = generic - np.min([risks[name] for name in ("generic", *PLAIN)], axis=0)
    found = {name: (risks[name], generic) for name in ALWAYS if name in risks}
    for rule in rules:
        if rule in POOLED:
            policy, rivals, max_harmed = POOLED[rule]
            choices = choose(policy, among(evidence, rivals, max_harmed))
            found[rule] = deployed.risks(choices), generic
        else:
            base = FairUseRouter(clone(estimator), population.group_columns, random_state=seed)
            router = base.set_params(**ALONE[rule]).fit(population.to_array(), population.y)
            records = router.routing_table_.groups
            own = Deployed(router.candidates_, cells_of(router.schema_, population), truth)
            risk = own.risks([Choice(r.candidate, "", r.strength) for r in records])
            found[rule] = risk, generic
            if rule in CERTIFIED:  # its promise compares with the generic that it deploys
                found[CERTIFIED[rule]] = risk, own.risks([])
    results = []
    for rule, (risk, reference) in found.items():
        for k, metric in enumerate(METRICS):
            gain = 100 * (reference[k] - risk[k])
            results.append(
                Result(
                    rule,
                    metric,
                    family,
                    seed,
                    n,
                    m,
                    effect,
                    float(truth.shares @ gain),
                    float(truth.shares @ (100 * oracle[k])),
                    float(gain.min()),
                    bool((gain < -100 * HARM).any()),
                    bool((gain < -1e-9).any()),
                    int((gain != 0).sum()),
                )
            )
    return results


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
    """Print one table: both metrics side by side."""
    count = len({(r.family, r.seed) for r in results})
    if not count:
        return
    print(f"\n{title}: {count} populations")
    heads = ["share of oracle", "any harm", "worst"]
    print(f"{'':<22}" + "".join(f"{metric:^29}" for metric in METRICS))
    print(f"{'rule':<22}" + "".join(f"{heads[0]:>15}{heads[1]:>12}{heads[2]:>7}" for _ in METRICS))
    shown = [name for rule in RULES for name in (rule, CERTIFIED.get(rule)) if name]
    for rule in [*shown, *ALWAYS]:
        line = f"{'always ' * (rule in ALWAYS) + rule:<22}"
        for metric in METRICS:
            own = [r for r in results if r.rule == rule and r.metric == metric]
            if own:
                worst = f"{np.mean([r.worst for r in own]):.2f}"
                harm = rate([r.harmed for r in own])
                line += f"{share_of_oracle(own):>15}{harm:>12}{worst:>7}"
        if any(r.rule == rule for r in results):
            print(line)


def show_all(results: list[Result], family: str) -> None:
    """Print the tables of one family."""
    own = [r for r in results if r.family == family]
    grouped = [r for r in own if r.effect in ("intercept", "interaction", "slopes", "mixed")]
    show(grouped, f"{family}: groups differ (intercept, interaction, slopes, mixed)")
    for n in sorted({r.n for r in own}):
        show([r for r in grouped if r.n == n], f"{family}: groups differ, n = {n:,}")
    for effect in ("none", "linear", "curves", "label_shift"):
        show([r for r in own if r.effect == effect], f"{family}: effect {effect!r}")


def main() -> None:
    """Print the tables, and write every result to a CSV file if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=225, help="per family")
    parser.add_argument("--families", default="logistic", help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--effects", default=",".join(EFFECTS))
    parser.add_argument("--sizes", default="500,2000,10000")
    parser.add_argument("--rules", default=",".join(RULES), help="comma-separated")
    parser.add_argument("--fresh", type=int, default=1_000_000, help="rows drawn for the truth")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", help="file for one line per rule, metric and population")
    options = parser.parse_args()
    families, effects = options.families.split(","), options.effects.split(",")
    rules, sizes = options.rules.split(","), [int(n) for n in options.sizes.split(",")]
    if not set(rules) <= set(RULES) or not set(families) <= set(FAMILIES):
        parser.error(f"--rules are among {', '.join(RULES)}; --families among {[*FAMILIES]}")
    cells = itertools.cycle(itertools.product(effects, sizes, (4, 6, 12)))
    settings = list(itertools.islice(cells, options.populations))
    work = [
        (family, options.seed + i, n, m, effect, options.fresh, rules)
        for i, (effect, n, m) in enumerate(settings)
        for family in families
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
        f"{options.populations} populations for each of {options.families}; seeds from "
        f"{options.seed}, {options.fresh:,} fresh rows each; {time.perf_counter() - start:.0f} s.\n"
        "In percent, Monte-Carlo standard errors in brackets; worst: mean gain of the group that "
        "gains\nleast, in points (log loss: in hundredths). Share: of the gain of the best of "
        "generic, one-hot,\nintersectional and decoupled in every group, known to an oracle."
    )
    for family in families:
        show_all(results, family)
    if options.csv:
        with open(options.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(asdict(results[0])))
            writer.writeheader()
            writer.writerows(asdict(r) for r in results)


if __name__ == "__main__":
    main()

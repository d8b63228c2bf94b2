"""What those gain who tell a part, and whether it pays to tell less: on populations of known truth.

Run ``python -m benchmarks.withholding``; ``--populations 8`` for a quick look, ``--kind`` for
``logistic`` (the default; error, log loss and AUC), ``boosting``, ``none`` (no effect of groups) or
``many`` (144 groups by five attributes). Rotterdam covariates; every report is served

- *today*: full reports by the priced policy, all others by generic;
- *lattice*: every report by `choose_reports`, each further answer paying for itself;
- *flat*, *sequential*: the participatory systems of James et al. (2023), see
  `benchmarks.participatory`, on every third population, in error;
- *oracle*: by the best of generic and the multilevel corrections of the report and of what tells
  less, by true risk; *harm-free*: the best of those that harm none of the report's groups.

True risks: 8,000 fresh rows of every group (4,000 of 144), the label noise integrated out. Gains
over generic in points. Partial reports are drawn by withholding every attribute with probability
0.25. Harm: more than 0.2 points worse than generic. The seeds have chosen nothing.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from benchmarks.data import rotterdam_population
from benchmarks.outputs import write_csv
from benchmarks.participatory import Candidates, flat, sequential
from benchmarks.pool import among, train_pool
from benchmarks.truth import HARM, Truth
from fairuse_router.routing import Choice, choose, choose_reports

EFFECTS = ("intercept", "interaction", "slopes", "mixed")
SIZES = (2_000, 2_000, 2_000, 500, 10_000)
SEEDS = {"logistic": 3_500_000, "boosting": 3_510_000, "none": 3_520_000, "many": 3_540_000}
WITHHELD = (0.25, 0.5)
BINS = ((0, 10), (10, 30), (30, 100), (100, 10**9))
MARGIN_KEPT = 0.005


@dataclass(frozen=True)
class Setting:
    """One population."""

    kind: str
    number: int

    @property
    def seed(self) -> int:
        """Of its law and rows."""
        return SEEDS[self.kind] + self.number

    @property
    def n(self) -> int:
        """Training rows."""
        if self.kind == "many":
            return (2_000, 4_000, 8_000)[self.number % 3]
        size = SIZES[self.number % 5]
        return 2_000 if self.kind == "boosting" and size == 10_000 else size

    @property
    def grid(self) -> tuple[int, ...]:
        """Levels per attribute."""
        return (2, 3, 2, 4, 3) if self.kind == "many" else ((2, 3), (2, 2, 3))[self.number // 5 % 2]

    @property
    def effect(self) -> str:
        """How groups differ."""
        if self.kind == "none":
            return ("none", "linear")[self.number % 2]
        return EFFECTS[self.number // (1 if self.kind == "many" else 10) % 4]


@dataclass
class World:
    """A population with its models, and what is true of every group under every margin."""

    setting: Setting
    truth: Truth = field(init=False)

    def __post_init__(self) -> None:
        s = self.setting
        few = s.kind == "many"
        self.population = rotterdam_population(
            s.n,
            n_groups=s.grid,
            effect=s.effect,
            random_state=s.seed,
            smallest_share=1e-4 if few else 0.01,
        )
        rows, most = (1_500_000, 4_000) if few else (60 * 8_000, 8_000)
        self.truth = Truth(self.population, rows, most, s.seed + 10**7)
        boosted = s.kind == "boosting"
        model = HistGradientBoostingClassifier(random_state=0) if boosted else LogisticRegression()
        names = (
            ("generic", "intersectional", "multilevel") if boosted else ("generic", "multilevel")
        )
        frame = self.population.to_frame()
        candidates, self.evidence, self.schema = train_pool(
            self.population.features,
            frame,
            self.population.group_attributes,
            self.population.y,
            model,
            names,
            partial=True,
        )
        self.names = names[1:]
        self.candidates = candidates
        self.multilevel = candidates["multilevel"]
        self.row = self.multilevel.lattice.row_of_report
        self.codes = self.schema.report_codes
        self.full = self.schema.report_ids(self.schema.group_codes)
        told = [(self.codes == 0) | (self.codes == code) for code in self.schema.group_codes]
        self.below = np.array([t.all(axis=1) for t in told])  # (m, reports): tells no more
        self._prepared()

    def _prepared(self) -> None:
        model = self.multilevel.corrected
        self.base, self.steps = [], []
        for rows in self.truth.rows:
            prepared = model.prepare(self.truth.features[rows])
            self.base.append(prepared.margin)
            own = prepared.features @ model.table[:, :-1].T + model.table[:, -1]
            self.steps.append(own)

    def risks(self, metric: str, g: int, margin: np.ndarray) -> float:
        """True risk of one group under a margin."""
        truth = self.truth
        own = replace_rows(truth, g)
        q = 1 / (1 + np.exp(-margin))
        return float(own.risks(metric, margin > 0, q)[0])

    def generic(self, metric: str) -> np.ndarray:
        """True risks of generic as it is deployed, (m,)."""
        proba = self.candidates["generic"].models[0].predict_proba(self.truth.features)[:, 1]
        return self.truth.risks(metric, proba > 0.5, proba)

    def options(self, metric: str) -> np.ndarray:
        """True risks under every row of the table of corrections, (m, rows)."""
        return np.array(
            [
                [self.risks(metric, g, base + steps[:, r]) for r in range(steps.shape[1])]
                for g, (base, steps) in enumerate(zip(self.base, self.steps, strict=True))
            ]
        )

    def weights(self, choice: Choice, code: np.ndarray) -> np.ndarray:
        """What a choice for a report uses of every row of the table."""
        weights = np.zeros(len(self.multilevel.corrected.table))
        for layer, share in zip(self.multilevel.lattice.layers, choice.mix, strict=True):
            if share:
                weights[layer.start + int(layer.cells.of(code[None, :])[0])] += share
        return weights

    def served(self, metric: str, choices: Mapping[int, Choice], base: np.ndarray) -> np.ndarray:
        """True risk of every group under every report, (m, reports)."""
        out = np.repeat(base[:, None], len(self.codes), axis=1)
        known: dict[tuple, np.ndarray] = {}
        for report, choice in choices.items():
            if choice.candidate == "generic":
                continue
            if choice.mix:
                weights = self.weights(choice, self.codes[report])
            else:  # today's: of a group alone
                weights = np.zeros(len(self.multilevel.corrected.table))
                halves = choice.candidate.count("+") + 1
                weights[self.row[report]] = choice.strength / halves
            key = (choice.candidate, choice.strength, report, weights.tobytes())
            if "+" not in choice.candidate:
                key = (weights.tobytes(),)
            if key not in known:
                margins = (self._margin(g, weights, choice, report) for g in range(len(self.base)))
                known[key] = np.array([self.risks(metric, g, z) for g, z in enumerate(margins)])
            out[:, report] = known[key]
        return out

    def _margin(self, g: int, weights: np.ndarray, choice: Choice, report: int) -> np.ndarray:
        used = np.flatnonzero(weights)
        margin = self.base[g] + self.steps[g][:, used] @ weights[used]
        if "+" in choice.candidate:
            own = self.candidates[choice.candidate.split("+")[0]]
            rows = self.truth.rows[g]
            group = np.full(len(rows), int(np.flatnonzero(self.full == report)[0]))
            features = self.truth.features[rows]
            p = own.evaluate(features, group, "predict_proba", np.array([0, 1]))[:, 1]
            p = np.clip(p, MARGIN_KEPT, 1 - MARGIN_KEPT)
            scale = self.multilevel.corrected.scale
            margin = margin + choice.strength / 2 * (scale * np.log(p / (1 - p)) - self.base[g])
        return margin

    def sent(self, share: float) -> np.ndarray:
        """Probability of every report in every group, each attribute withheld with a share."""
        silent = (self.codes == 0).sum(axis=1)
        k = self.codes.shape[1]
        return self.below * share**silent * (1 - share) ** (k - silent)


def replace_rows(truth: Truth, g: int) -> Truth:
    """The truth of one group alone."""
    one = object.__new__(Truth)
    rows = truth.rows[g]
    one.m, one.p, one.ids = 1, truth.p[rows], np.zeros(len(rows), dtype=int)
    one.rows = [np.arange(len(rows))]
    return one


def summary(world: World, risks: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """How people fare if every group has these risks under every report it may send."""
    people = np.asarray(world.truth.shares)
    gain = 100 * (base[:, None] - risks)
    own = gain[np.arange(len(base)), world.full]
    silent = (world.codes == 0).sum(axis=1)
    part = (silent > 0) & (silent < world.codes.shape[1])
    out = {"full": float(people @ own)}
    harmed = gain < -100 * HARM
    for share in WITHHELD:
        sent = world.sent(share) * people[:, None]
        name = f"{100 * share:.0f}"
        out[f"all {name}"] = float((sent * gain).sum())
        if share == WITHHELD[0]:
            weight = sent[:, part]
            out[f"partial {name}"] = float((weight * gain[:, part]).sum() / weight.sum())
            out["partial harmed"] = 100 * float((weight * harmed[:, part]).sum() / weight.sum())
    mine = harmed[np.arange(len(base)), world.full]
    out["groups harmed"] = 100 * float(mine.mean())
    out["people harmed"] = 100 * float(people @ mine)
    out["any harmed"] = 100 * float(mine.any())
    less = np.where(world.below, gain, -np.inf).max(axis=1) - own
    out["better withholding"] = 100 * float(people @ (less > 100 * HARM))
    out["better misreporting"] = 100 * float(people @ (gain.max(axis=1) - own > 100 * HARM))
    return out


def oracles(world: World, metric: str, base: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """True risks (m, reports) under the best of the menu, and under the best that harms nobody."""
    options = world.options(metric)
    people, m = np.asarray(world.truth.shares), len(base)
    best, free = (np.repeat(base[:, None], len(world.codes), axis=1) for _ in range(2))
    for report, code in enumerate(world.codes):
        coarser = ((world.codes == 0) | (world.codes == code)).all(axis=1) & (world.row >= 0)
        menu = np.column_stack([base, *(options[:, world.row[q]] for q in np.flatnonzero(coarser))])
        mine = np.flatnonzero(world.below[:, report])
        total = people[mine] @ menu[mine]
        best[:, report] = menu[:, total.argmin()]
        harms = (menu[mine] > base[mine, None] + HARM).any(axis=0)
        free[:, report] = menu[:, np.where(harms, np.inf, total).argmin()]
    assert best.shape == (m, len(world.codes))
    yield "oracle", best
    yield "harm-free", free


def of_james(world: World) -> Iterator[tuple[str, np.ndarray]]:
    """True errors (m, reports) under the participatory systems."""
    codes = world.schema.encode(world.population.to_frame())
    models = Candidates(
        world.population.features, codes, world.population.y, world.setting.grid, world.setting.seed
    )
    ids = {report: i for i, report in enumerate(product(*(range(n + 1) for n in models.sizes)))}
    for name, served in (("flat", flat(models)), ("sequential", sequential(models)[0])):
        out = np.zeros((len(world.base), len(world.codes)))
        for key in set(served.values()):
            label = models.predict(key, world.truth.features)
            risk = world.truth.risks("error", label, label.astype(float))
            for report in (r for r, own in served.items() if own == key):
                out[:, ids[report]] = risk
        yield name, out


def one_population(setting: Setting) -> list[dict]:
    """Every rule on one population, in every metric."""
    world, found = World(setting), []
    metrics = ("error", "log_loss", "auc") if setting.kind == "logistic" else ("error",)
    if setting.kind == "none":
        metrics = ("error", "log_loss")
    for metric in metrics:
        evidence = among(world.evidence, world.names, metric)
        base = world.generic(metric)
        start = time.process_time()
        groups, partial = choose_reports(evidence)
        seconds = time.process_time() - start
        lattice = partial | dict(zip(world.full.tolist(), groups, strict=True))
        plain = choose("priced", replace(evidence, reports=None))
        today = dict(zip(world.full.tolist(), plain, strict=True))
        risks = {
            "today": world.served(metric, today, base),
            "lattice": world.served(metric, lattice, base),
            **dict(oracles(world, metric, base)),
        }
        if metric == "error" and setting.kind == "logistic" and setting.number % 3 == 0:
            risks |= dict(of_james(world))
        told = {"kind": setting.kind, "seed": setting.seed, "n": setting.n, "metric": metric}
        told |= {"grid": "x".join(map(str, setting.grid)), "effect": setting.effect}
        for rule, own in risks.items():
            line = told | {"rule": rule, "seconds": seconds if rule == "lattice" else ""}
            found.append(line | summary(world, own, base) | by_size(world, own, base))
    return found


def by_size(world: World, risks: np.ndarray, base: np.ndarray) -> dict[str, float]:
    """Gain and harm of full reports by the rows of their group, as sums over people."""
    if world.setting.kind != "many":
        return {}
    people = np.asarray(world.truth.shares)
    rows = np.bincount(world.evidence.rows.groups, minlength=len(people))
    gain = 100 * (base - risks[np.arange(len(base)), world.full])
    out = {}
    for low, high in BINS:
        mine = people * ((rows >= low) & (rows < high))
        out |= {
            f"people {low}": float(mine.sum()),
            f"gain {low}": float(mine @ gain),
            f"harmed {low}": 100 * float(mine @ (gain < -100 * HARM)),
        }
    return out


def mean(values: list[float], digits: int = 2) -> str:
    """Mean and its standard error."""
    v = np.array(values, dtype=float)
    error = v.std(ddof=1) / np.sqrt(len(v)) if len(v) > 1 else np.nan
    return f"{v.mean():.{digits}f} ({error:.{digits}f})"


COLUMNS = (
    "full",
    "partial 25",
    "all 25",
    "all 50",
    "groups harmed",
    "any harmed",
    "partial harmed",
    "better withholding",
    "better misreporting",
)


def show(found: list[dict]) -> None:
    """Print one table per metric."""
    for metric in dict.fromkeys(line["metric"] for line in found):
        mine = [line for line in found if line["metric"] == metric]
        seeds = {line["seed"] for line in mine}
        print(
            f"\n{mine[0]['kind']}, {metric}: {len(seeds)} populations, seeds from {min(seeds):.0f}"
        )
        print("| | " + " | ".join(COLUMNS) + " |")
        print("|---|" + "---|" * len(COLUMNS))
        for rule in dict.fromkeys(line["rule"] for line in mine):
            rows = [line for line in mine if line["rule"] == rule]
            cells = [mean([row[c] for row in rows]) for c in COLUMNS]
            note = "" if len(rows) == len(seeds) else f" ({len(rows)} populations)"
            print(f"| {rule}{note} | " + " | ".join(cells) + " |")
        _paired(mine)
        if mine[0].get("people 0", "") != "":
            _show_sizes(mine)


def _paired(found: list[dict]) -> None:
    """The lattice less today, and its share of what can be had without harm."""
    by_seed: dict[int, dict[str, dict]] = defaultdict(dict)
    for line in found:
        by_seed[line["seed"]][line["rule"]] = line
    for column in ("full", "partial 25", "all 25", "better misreporting"):
        differ = [s["lattice"][column] - s["today"][column] for s in by_seed.values()]
        print(f"lattice less today, {column}: {mean(differ, 3)}")
    for rule in ("oracle", "harm-free"):
        own = sum(s["lattice"]["partial 25"] for s in by_seed.values())
        best = sum(s[rule]["partial 25"] for s in by_seed.values())
        print(f"partial reporters have {100 * own / best:.0f}% of the {rule}'s gain")
    seconds = [s["lattice"]["seconds"] for s in by_seed.values()]
    print(f"choosing takes {np.mean(seconds):.2f} s, at most {np.max(seconds):.2f} s")


def _show_sizes(found: list[dict]) -> None:
    """Share of the oracle's gain at full reports, by the rows of the group."""
    for rule in ("today", "lattice"):
        cells = []
        for low, _ in BINS:
            own, best, people, harmed = (
                sum(line[f"{what} {low}"] for line in found if line["rule"] == r)
                for r, what in (
                    (rule, "gain"),
                    ("oracle", "gain"),
                    (rule, "people"),
                    (rule, "harmed"),
                )
            )
            cells.append(f"from {low} rows {100 * own / best:.0f}% (harmed {harmed / people:.1f}%)")
        whole = [sum(line["full"] for line in found if line["rule"] == r) for r in (rule, "oracle")]
        print(f"{rule}: {100 * whole[0] / whole[1]:.0f}% of the oracle; " + ", ".join(cells))


def read(path: str) -> list[dict]:
    """Figures of a file that ``--csv`` wrote."""
    texts = ("kind", "metric", "grid", "effect", "rule")
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {k: v if k in texts or v == "" else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def main() -> None:
    """Run the populations, print as they come, and sum up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kind", choices=SEEDS, default="logistic")
    parser.add_argument("--populations", type=int, default=160)
    parser.add_argument("--csv", help="write every population's figures to this file")
    parser.add_argument("--read", help="show the figures of such a file, and run nothing")
    args = parser.parse_args()
    if args.read:
        show(read(args.read))
        return
    found: list[dict] = []
    start = time.perf_counter()
    for number in range(args.populations):
        found += one_population(Setting(args.kind, number))
        write_csv(found, args.csv)
        print(
            f"{number + 1} of {args.populations}, {time.perf_counter() - start:.0f} s", flush=True
        )
    show(found)


if __name__ == "__main__":
    main()

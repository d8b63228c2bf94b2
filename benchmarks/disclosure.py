"""Who would be better off lying, how much is asked, and whether a collapsed plan keeps its word.

Run ``python -m benchmarks.disclosure``; ``--populations 6`` for a quick look. On populations with
known truth (10 Rotterdam covariates, 4, 6 and 12 groups, 500 and 2,000 training rows, logistic,
error), every system answers every report, and its true risk in every group under every report is
computed on fresh rows with the label noise integrated out:

- the policies of FairUseRouter, and ``"best"`` collapsed at half a point;
- one-hot for everybody (withheld attributes are zeros) and a decoupled model for every group;
- the flat and sequential participatory systems of James et al. (2023), `benchmarks.participatory`.

People are better off by *any other report* if some report, true or not, lowers the true risk of
their group by more than 0.2 points, and by *withholding* if some part of their own does. The
temptation is how much the best report lowers it, mean over all people. Attributes asked: by the
plan that asks least, except for the sequential system, which has its order. Gains and harm are over
a generic model trained on all rows.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from benchmarks.data import rotterdam_population
from benchmarks.outputs import write_csv
from benchmarks.participatory import Candidates, flat, sequential
from fairuse_router import FairUseRouter
from fairuse_router.routing import order_questions, settled, spread

MATTERS = 0.002
EFFECTS = ("intercept", "interaction", "slopes", "mixed", "none")
POLICIES: dict[str, dict] = {
    "priced": {},
    "best": {"policy": "best"},
    "tested": {"policy": "tested"},
    "certified": {"policy": "certified"},
}
TOLERANCES = (0.0025, 0.005, 0.01)
COLLAPSED = ("best", "priced")
Report = tuple[int, ...]


@dataclass
class World:
    """One population: rows to fit on, and fresh rows of every group to judge by."""

    population: object
    fresh: np.ndarray  # features
    p: np.ndarray
    groups: np.ndarray
    shares: np.ndarray
    levels: tuple[tuple[str, ...], ...]

    @classmethod
    def make(cls, seed: int, n: int, m: int, effect: str, per_group: int) -> World:
        """Draw it; at most `per_group` fresh rows of each group, weighted by its true share."""
        population = rotterdam_population(n, n_groups=m, effect=effect, random_state=seed)
        fresh = population.sample(60 * per_group, random_state=seed + 10**6)
        ids = fresh.law.group_ids(fresh.groups)
        rows = np.concatenate([np.flatnonzero(ids == g)[:per_group] for g in range(m)])
        p = fresh.probability(fresh.features[rows], fresh.groups[rows])
        law = population.law
        return cls(population, fresh.features[rows], p, ids[rows], law.shares, law.levels)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Levels per attribute."""
        return tuple(map(len, self.levels))

    @property
    def reports(self) -> list[Report]:
        """Every report, as codes; 0 is withheld."""
        return list(product(*(range(n + 1) for n in self.sizes)))

    def risks(self, label: np.ndarray) -> np.ndarray:
        """True error in every group."""
        loss = np.where(label == 1, 1 - self.p, self.p)
        return np.bincount(self.groups, weights=loss) / np.bincount(self.groups)

    def codes(self, groups: np.ndarray) -> np.ndarray:
        """Levels as numbers from 1."""
        columns = [
            [levels.index(str(v)) + 1 for v in groups[:, j]] for j, levels in enumerate(self.levels)
        ]
        return np.array(columns).T

    def texts(self, report: Report) -> list[str]:
        """One report as the router reads it."""
        return ["?" if c == 0 else self.levels[j][c - 1] for j, c in enumerate(report)]


@dataclass
class System:
    """A system under test: which model serves each report, and true risks of each model."""

    route: dict[Report, int]
    risks: np.ndarray  # (routes, groups)
    asked: float

    @classmethod
    def of(cls, world: World, keys: dict, predict: Callable, asked: float | None = None) -> System:
        """Ask every distinct model once."""
        distinct = list(dict.fromkeys(keys.values()))
        index = {key: i for i, key in enumerate(distinct)}
        route = {report: index[key] for report, key in keys.items()}
        risks = np.array([world.risks(predict(key)) for key in distinct])
        return cls(route, risks, least_asked(world, route) if asked is None else asked)

    def truthful(self, world: World) -> np.ndarray:
        """True risk of every group under its own report."""
        own = product(*(range(1, n + 1) for n in world.sizes))
        return np.array([self.risks[self.route[r], g] for g, r in enumerate(own)])

    def temptations(self, world: World) -> tuple[np.ndarray, np.ndarray]:
        """What each group gains by its best report: any at all, and any part of its own."""
        any_, part = [], []
        for g, own in enumerate(product(*(range(1, n + 1) for n in world.sizes))):
            mine = self.risks[self.route[own], g]
            parts = [
                r for r in world.reports if all(c in (0, o) for c, o in zip(r, own, strict=True))
            ]
            any_.append(mine - self.risks[list(self.route.values()), g].min())
            part.append(mine - min(self.risks[self.route[r], g] for r in parts))
        return np.array(any_), np.array(part)


def least_asked(world: World, route: dict[Report, int]) -> float:
    """Attributes asked per person by the plan that asks least."""
    grid = np.array([route[r] for r in world.reports]).reshape([n + 1 for n in world.sizes])
    weight = spread(world.shares.reshape(world.sizes), np.sum)
    return order_questions(settled(grid), weight).per_person


def of_router(world: World, router: FairUseRouter) -> System:
    """A fitted router as a system."""
    d = world.fresh.shape[1]

    def rows(features: np.ndarray, texts: list[list[str]]) -> np.ndarray:
        return np.column_stack([features.astype(object), np.array(texts, dtype=object)])

    texts = [world.texts(r) for r in world.reports]
    routes = router.route(rows(np.zeros((len(texts), d)), texts)).route.tolist()
    one = dict(zip(routes, texts, strict=True))
    keys = dict(zip(world.reports, routes, strict=True))
    return System.of(
        world, keys, lambda r: router.predict(rows(world.fresh, [one[r]] * len(world.fresh)))
    )


def plain_systems(world: World) -> Iterator[tuple[str, System]]:
    """One-hot for everybody, decoupled for everybody, flat and sequential participation."""
    X, y = world.population.features, world.population.y
    codes = world.codes(world.population.groups)
    k = len(world.sizes)

    def dummies(c: np.ndarray) -> np.ndarray:
        return np.hstack([c[:, [j]] == np.arange(1, n + 1) for j, n in enumerate(world.sizes)])

    onehot = LogisticRegression(max_iter=500).fit(np.hstack([X, dummies(codes)]), y)
    keys = {r: r for r in world.reports}
    added = {r: np.repeat(dummies(np.array([r])), len(world.fresh), axis=0) for r in keys}
    yield (
        "one-hot for all",
        System.of(world, keys, lambda r: onehot.predict(np.hstack([world.fresh, added[r]]))),
    )
    models = {(0,) * k: LogisticRegression(max_iter=500).fit(X, y)}
    for cell in product(*(range(1, n + 1) for n in world.sizes)):
        own = (codes == cell).all(axis=1)
        if own.sum() >= 20 and len(set(y[own])) > 1:
            models[cell] = LogisticRegression(max_iter=500).fit(X[own], y[own])
    keys = {r: r if r in models else (0,) * k for r in world.reports}
    yield "decoupled for all", System.of(world, keys, lambda r: models[r].predict(world.fresh))
    pool = Candidates(X, codes, y, world.sizes, seed=0)
    yield "flat", System.of(world, flat(pool), lambda key: pool.predict(key, world.fresh))
    served, order = sequential(pool)
    asked = asked_in_order(world, served, order)
    yield (
        "sequential",
        System.of(world, served, lambda key: pool.predict(key, world.fresh), asked),
    )


def asked_in_order(world: World, served: dict, order: tuple[int, ...]) -> float:
    """Questions per person when asked in one order until nothing below differs."""
    total = 0.0
    for g, own in enumerate(product(*(range(1, n + 1) for n in world.sizes))):
        for depth in range(len(order) + 1):
            heard = tuple(c if j in order[:depth] else 0 for j, c in enumerate(own))
            below = {
                key
                for r, key in served.items()
                if all(h in (0, c) for h, c in zip(heard, r, strict=True)) and all(r)
            }
            if below == {served[heard]}:
                break
        total += world.shares[g] * depth
    return total


def one_population(world: World) -> tuple[dict[str, dict], list[dict]]:
    """Every system, and every collapsed plan, on one population."""
    X, y = world.population.to_array(), world.population.y
    generic = LogisticRegression(max_iter=500).fit(world.population.features, y)
    base = world.risks(generic.predict(world.fresh))
    router = FairUseRouter(
        clone(generic), world.population.group_columns, handle_unknown="withhold", random_state=0
    )
    systems, kept = {}, []
    for name, settings in POLICIES.items():
        fitted = clone(router).set_params(**settings).fit(X, y)
        systems[name] = of_router(world, fitted)
        if name in COLLAPSED:
            kept += collapses(world, name, fitted, systems[name])
        if name == "best":
            table = fitted.routing_table_.collapse(0.005)
            systems["best, collapse=0.005"] = of_router(world, fitted.with_table(table))
    systems.update(plain_systems(world))
    return {name: summary(world, system, base) for name, system in systems.items()}, kept


def collapses(world: World, name: str, router: FairUseRouter, system: System) -> list[dict]:
    """True loss of every collapsed plan, held against its tolerance."""
    found, before = [], system.truthful(world)
    for per, tolerance in product(("everyone", "group"), TOLERANCES):
        table = router.routing_table_.collapse(tolerance, per)
        if not table.history:
            continue
        after = of_router(world, router.with_table(table))
        loss = after.truthful(world) - before
        worst = loss.max() if per == "group" else float(world.shares @ loss)
        found.append(
            {
                "name": name,
                "per": per,
                "tolerance": tolerance,
                "kept": bool(worst <= tolerance + 1e-12),
                "saved": system.asked - after.asked,
                "loss": float(world.shares @ loss),
            }
        )
    return found


def summary(world: World, system: System, base: np.ndarray) -> dict[str, float]:
    """One system on one population, in percent and points."""
    any_, part = system.temptations(world)
    gain = base - system.truthful(world)
    return {
        "any other": 100 * float(world.shares @ (any_ > MATTERS)),
        "withholding": 100 * float(world.shares @ (part > MATTERS)),
        "temptation": 100 * float(world.shares @ any_),
        "asked": system.asked,
        "gain": 100 * float(world.shares @ gain),
        "harmed": 100 * float((gain < -MATTERS).any()),
    }


def cell(values: list[float], digits: int) -> str:
    """A mean with its Monte-Carlo standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.{digits}f} ({error:.{digits}f})"


def show(results: list[dict[str, dict]], kept: list[dict]) -> None:
    """Print both tables."""
    print(
        f"\n{'system':<22}{'better off by':>18}{'':>6}{'temptation':>13}{'asked per':>13}"
        f"{'gain':>13}{'any group':>12}\n"
        f"{'':<22}{'any other':>12}{'withholding':>12}{'points':>13}{'person':>13}{'points':>13}"
        f"{'harmed':>12}"
    )
    digits = {"any other": 1, "withholding": 1, "temptation": 2, "asked": 2, "gain": 2, "harmed": 1}
    widths = (12, 12, 13, 13, 13, 12)
    for name in results[0]:
        cells = [cell([r[name][k] for r in results], d) for k, d in digits.items()]
        print(f"{name:<22}" + "".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
    print(
        f"\n{'collapsed plan':<32}{'plans':>6}{'kept its word':>16}{'attributes saved':>18}"
        f"{'true loss, points':>20}"
    )
    grouped = defaultdict(list)
    for item in kept:
        grouped[item["name"], item["per"], item["tolerance"]].append(item)
    for (name, per, tolerance), items in sorted(grouped.items()):
        cells = [
            cell([100.0 * i["kept"] for i in items], 1),
            cell([i["saved"] for i in items], 2),
            cell([100 * i["loss"] for i in items], 2),
        ]
        title = f"{name}, {tolerance}, per={per}"
        print(f"{title:<32}{len(items):>6}{cells[0]:>16}{cells[1]:>18}{cells[2]:>20}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--populations", type=int, default=90)
    parser.add_argument("--fresh", type=int, default=4000, help="most fresh rows per group")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--csv", help="file for one line per system and population")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    start, results, kept = time.perf_counter(), [], []
    for i in range(options.populations):
        world = World.make(
            options.seed + i,
            (500, 2000)[i % 2],
            (4, 6, 12)[i % 3],
            EFFECTS[i % 5],
            options.fresh,
        )
        found, plans = one_population(world)
        results.append(found)
        kept += plans
    print(
        f"{options.populations} populations, logistic, error, seeds from {options.seed}, at most "
        f"{options.fresh:,} fresh rows per group, {time.perf_counter() - start:.0f} s.\n"
        "Monte-Carlo standard errors in brackets. Better off, harmed: percent, by more than 0.2 "
        "points.\n"
        "Kept its word: percent of the plans that gave anything up whose true loss is within."
    )
    show(results, kept)
    write_csv(
        [
            {"population": i, "system": name, **values}
            for i, found in enumerate(results)
            for name, values in found.items()
        ],
        options.csv,
    )


if __name__ == "__main__":
    main()

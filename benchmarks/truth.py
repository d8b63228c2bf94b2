"""Judge routing rules on populations whose true risks are known: a library.

`Study` trains one pool of candidates on one population and judges any routes by exact risks on
fresh rows, the label noise integrated out. A rule of your own takes the out-of-fold evidence and
returns one choice per group:

>>> from sklearn.linear_model import LogisticRegression
>>> from fairuse_router.datasets import make_population
>>> from fairuse_router.routing import Choice, choose
>>> study = Study(make_population(1000, n_groups=4, effect="slopes", random_state=0),
...               LogisticRegression(), fresh=20_000)
>>> def always_decoupled(evidence):
...     return [Choice("decoupled", "") for _ in range(evidence.rows.m)]
>>> ours = study.judge(lambda e: choose("priced", e), among=("onehot", "decoupled"))
>>> theirs = study.judge(always_decoupled)
>>> ours.harmed, theirs.harmed
(False, True)

Metrics: error, log loss, AUC and expected calibration error. A rule sees the evidence with the
metric that it is judged by. A group is harmed if its true risk is more than 0.002 above generic's;
a person envies if another group's route lowers the true error of their group by more than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.pool import CLASSES, PLAIN, POOL, served_model, train_pool
from benchmarks.pool import among as only
from fairuse_router import GroupSchema
from fairuse_router.datasets import Population
from fairuse_router.routing import Choice, Evidence, order_questions, settled, spread

HARM = 0.002
CLIP = 0.005  # log losses of a forest's 0 and 1 would be infinite
METRICS = ("error", "log_loss", "auc", "ece")
ENVIOUS = 3_000  # rows of a group that are tried under other groups' routes
Rule = Callable[[Evidence], Sequence[Choice]]


@dataclass(frozen=True)
class Judgement:
    """How routes fare on one population, in one metric; gains over generic, in hundredths.

    Parameters
    ----------
    gain, oracle : float
        Mean gain over all people; that of the best of generic, one-hot, intersectional and
        decoupled in every group.
    worst : float
        Gain of the group that gains least.
    harmed, worse : bool
        Whether a group's risk is more than 0.002 above generic's; or above it at all.
    envy : float
        Share of people, in percent, whose group another group's route serves better; nan unless
        the metric is error.
    asked : float
        Attributes asked per person by the plan that asks least.
    """

    gain: float
    oracle: float
    worst: float
    harmed: bool
    worse: bool
    envy: float
    asked: float


class Truth:
    """Fresh rows with known probabilities, and the risk of any predictions in every group."""

    def __init__(self, population: Population, rows: int, per_group: int, seed: int) -> None:
        fresh = population.sample(rows, random_state=seed)
        ids = fresh.law.group_ids(fresh.groups)
        self.m = len(fresh.law.shares)
        keep = np.concatenate([np.flatnonzero(ids == g)[:per_group] for g in range(self.m)])
        self.features, self.ids = fresh.features[keep], ids[keep]
        self.p = fresh.law.probability(self.features, fresh.groups[keep])
        self.shares = np.asarray(fresh.law.shares)
        self.sizes = tuple(map(len, fresh.law.levels))
        self.rows = [np.flatnonzero(self.ids == g) for g in range(self.m)]

    def risks(self, metric: str, positive: np.ndarray, proba: np.ndarray) -> np.ndarray:
        """True risk in every group, shape (m,), of labels and probabilities."""
        if metric == "auc":
            return np.array([1 - _area(self.p[r], proba[r]) for r in self.rows])
        if metric == "ece":
            return np.array([_calibration_error(self.p[r], proba[r]) for r in self.rows])
        if metric == "error":
            loss = np.where(positive > 0, 1 - self.p, self.p)
        else:
            q = np.clip(proba, CLIP, 1 - CLIP)
            loss = -self.p * np.log(q) - (1 - self.p) * np.log(1 - q)
        return np.bincount(self.ids, loss, self.m) / np.bincount(self.ids, minlength=self.m)


def _area(p: np.ndarray, score: np.ndarray) -> float:
    """Expected AUC of scores, half credit for ties, if labels are Bernoulli(p)."""
    _, place = np.unique(score, return_inverse=True)
    positive, negative = np.bincount(place, p), np.bincount(place, 1 - p)
    below = np.cumsum(negative) - negative
    itself = p @ (1 - p)  # nobody is compared with themselves
    wins = positive @ (below + negative / 2) - itself / 2
    return float(wins / (p.sum() * (1 - p).sum() - itself))


def _calibration_error(p: np.ndarray, proba: np.ndarray) -> float:
    """ECE in ten equal bins, closed on the right, as the rows grow many."""
    bins = np.clip(np.ceil(10 * proba) - 1, 0, 9).astype(int)
    return float(np.abs(np.bincount(bins, proba - p, 10)).sum() / len(p))


class Served:
    """What fitted candidates say of the fresh rows, each asked once."""

    def __init__(
        self, candidates: dict[str, Any], schema: GroupSchema, truth: Truth, grid: np.ndarray
    ) -> None:
        known = {schema.report_texts(code): g for g, code in enumerate(schema.group_codes)}
        self.cells = np.array([known.get(tuple(cell), -1) for cell in grid])
        self.truth, self.candidates, self.n_groups = truth, candidates, schema.n_groups
        self.known = self.cells[truth.ids]  # group in the schema of the training rows
        self.answers: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.prepared: Any = None
        self._others: dict[tuple[str, int, float], np.ndarray] = {}
        self._few = np.concatenate([rows[:ENVIOUS] for rows in truth.rows])
        for name in sorted(candidates, key=lambda name: name != "generic"):
            if candidates[name].corrected is None:
                self.answers[name] = self._ask(name)
            else:
                self.prepared = candidates[name].corrected.prepare(truth.features)

    def _ask(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and probabilities for everybody's own report; generic's where it has no model."""
        candidate, size = self.candidates[name], len(self.known)
        if name == "generic":
            rows, label, proba = np.arange(size), np.zeros(size), np.zeros(size)
        else:
            can = (self.known >= 0) & (candidate.model_of_group[self.known] >= 0)
            rows = np.flatnonzero(can)
            label, proba = (part.copy() for part in self.answers["generic"])
        features, groups = self.truth.features[rows], np.maximum(self.known[rows], 0)
        label[rows] = candidate.evaluate(features, groups, "predict", CLASSES) == 1
        proba[rows] = candidate.evaluate(features, groups, "predict_proba", CLASSES)[:, 1]
        return label, proba

    def risks(self, metric: str, choices: Sequence[Choice]) -> np.ndarray:
        """True risks of one choice per group of the schema, shape (m,)."""
        label, proba = (part.copy() for part in self.answers["generic"])
        for g, choice in enumerate(choices):
            rows = np.flatnonzero(self.known == g)
            if choice.candidate in self.answers and choice.strength == 1:
                label[rows], proba[rows] = (a[rows] for a in self.answers[choice.candidate])
            else:
                label[rows], proba[rows] = self._part(rows, choice.candidate, g, choice.strength)
        return self.truth.risks(metric, label, proba)

    def envy(self, choices: Sequence[Choice]) -> float:
        """Share of people, in percent, whose group another group's route serves better."""
        truth, few = self.truth, self._few
        routes = [self._route(choices, g) for g in range(truth.m)]
        errors = {}
        for route in set(routes):
            label = self._under(route)
            loss = np.where(label > 0, 1 - truth.p[few], truth.p[few])
            count = np.bincount(truth.ids[few], minlength=truth.m)
            errors[route] = np.bincount(truth.ids[few], loss, truth.m) / count
        best = np.min(list(errors.values()), axis=0)
        own = np.array([errors[route][g] for g, route in enumerate(routes)])
        return 100 * float(truth.shares @ (own - best > HARM))

    def asked(self, choices: Sequence[Choice]) -> float:
        """Attributes asked per person by the plan that asks least."""
        generic = ("generic", -1, 1.0)
        number = {generic: 0}
        for g in range(self.truth.m):
            number.setdefault(self._route(choices, g), len(number))
        ends = np.array([number[self._route(choices, g)] for g in range(self.truth.m)])
        low, high = (spread(ends.reshape(self.truth.sizes), how) for how in (np.min, np.max))
        weight = spread(self.truth.shares.reshape(self.truth.sizes), np.sum)
        return order_questions(settled(np.where(low == high, low, 0)), weight).per_person

    def _route(self, choices: Sequence[Choice], g: int) -> tuple[str, int, float]:
        """Candidate, code and strength that serve a group of the law."""
        own = int(self.cells[g])
        if own < 0 or choices[own].candidate == "generic":
            return ("generic", -1, 1.0)
        return (choices[own].candidate, own, choices[own].strength)

    def _under(self, route: tuple[str, int, float]) -> np.ndarray:
        """Labels of the envious rows under a route."""
        name, code, strength = route
        if route not in self._others:
            if name == "generic":
                self._others[route] = self.answers["generic"][0][self._few]
            elif name not in self.answers or strength < 1:
                self._others[route] = self._part(self._few, name, code, strength)[0]
            elif self.candidates[name].model_of_group[code] < 0:
                self._others[route] = self.answers["generic"][0][self._few]
            else:
                codes = np.full(len(self._few), code)
                features = self.truth.features[self._few]
                answer = self.candidates[name].evaluate(features, codes, "predict", CLASSES)
                self._others[route] = answer == 1
        return self._others[route]

    def _part(
        self, rows: np.ndarray, name: str, g: int, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels and probabilities by a part of a candidate, or of the mean of two."""
        if name != "multilevel":
            served = served_model(self.candidates, name, strength, g)
            if served is None:
                return self.answers["generic"][0][rows], self.answers["generic"][1][rows]
            codes = np.zeros(len(rows), dtype=np.int64)
            X = served.complete(self.truth.features[rows], codes)
            told = served.estimator.predict_proba(X)[:, 1], served.estimator.predict(X)
            return told[1], told[0]
        model = self.candidates["multilevel"].corrected
        routed = model.under_routes(np.array([g]), np.array([strength]))
        answer = routed.answer_as(self.prepared[rows], 0)
        return answer.label, answer.proba[:, 1]

    def judge(
        self, metric: str, choices: Sequence[Choice], reference: np.ndarray, oracle: float
    ) -> Judgement:
        """Compare the true risks of some choices with others."""
        gain = 100 * (reference - self.risks(metric, choices))
        return Judgement(
            float(self.truth.shares @ gain),
            oracle,
            float(gain.min()),
            bool((gain < -100 * HARM).any()),
            bool((gain < -1e-9).any()),
            self.envy(choices) if metric == "error" else np.nan,
            self.asked(choices),
        )


class Study:
    """One population, one pool of candidates, and the truth about them.

    Parameters
    ----------
    population : Population
        Its rows train the candidates and are the evidence; its law is the truth.
    estimator : scikit-learn classifier, unfitted
    fresh : int, default=400_000
        Rows drawn for the truth.
    per_group : int, default=15_000
        Most of them that are kept of a group.
    seed : int, default=0
        Of the folds and the fresh rows.
    names : sequence of str
        Candidates to train; generic among them.
    """

    def __init__(
        self,
        population: Population,
        estimator: Any,
        fresh: int = 400_000,
        per_group: int = 15_000,
        seed: int = 0,
        names: Sequence[str] = POOL,
    ) -> None:
        self.truth = Truth(population, fresh, per_group, seed + 10**6)
        self.grid = population.law.grid
        candidates, self.evidence, schema = train_pool(
            population.features,
            population.to_array(),
            population.group_columns,
            population.y,
            estimator,
            names,
            seed,
        )
        self.n_groups = schema.n_groups
        self.served = Served(candidates, schema, self.truth, self.grid)
        self.names = tuple(name for name in candidates if name != "generic")
        self._generic = {metric: self.served.risks(metric, []) for metric in METRICS}
        self._always = {
            (metric, name): self.served.risks(metric, [Choice(name, "")] * self.n_groups)
            for metric in METRICS
            for name in self.names
        }

    def generic(self, metric: str) -> np.ndarray:
        """True risk of generic in every group."""
        return self._generic[metric]

    def oracle(self, metric: str) -> float:
        """Mean gain if every group had the best of the plain candidates, in hundredths."""
        best = [self._always[metric, name] for name in PLAIN if name in self.names]
        gain = self._generic[metric] - np.min([self._generic[metric], *best], axis=0)
        return 100 * float(self.truth.shares @ gain)

    def judge(
        self,
        rule: Rule,
        metric: str = "error",
        among: Sequence[str] | None = None,
        **settings: Any,
    ) -> Judgement:
        """Let a rule choose on the out-of-fold evidence, and judge what it chose.

        Parameters
        ----------
        rule : callable
            ``rule(evidence)`` returns one `Choice` per group.
        metric : {"error", "log_loss", "auc", "ece"}, default="error"
            What the rule is told to lower, and what it is judged by.
        among : sequence of str, default=None
            Candidates that the rule may choose beside generic; None: all that were trained.
        **settings
            Other fields of the evidence, such as ``price``.
        """
        rivals = self.names if among is None else among
        evidence = only(self.evidence, rivals, metric, **settings)
        choices = list(rule(evidence))
        return self.served.judge(metric, choices, self.generic(metric), self.oracle(metric))

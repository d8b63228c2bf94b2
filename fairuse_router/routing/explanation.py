"""Explaining predictions to the people they are about: what reporting changed, and for whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.documents import Written, plain
from fairuse_router.grids import wrap
from fairuse_router.groups import GroupSchema
from fairuse_router.metrics import named_metric
from fairuse_router.routing.plan import DisclosurePlan, Step
from fairuse_router.routing.routed import Unknown
from fairuse_router.routing.table import RoutingTable

Codes = NDArray[np.int64]
Serve = Callable[[Codes, str], NDArray[Any]]  # (report codes, method) -> answers


@dataclass(frozen=True)
class Answer:
    """What one person is told under one report.

    Parameters
    ----------
    withheld : tuple of str
        Attributes that the report leaves out.
    report : tuple of str
    candidate : str
        Who serves it.
    prediction : object
        The label; a number for a regression.
    probabilities : tuple of float or None
        Of the classes; None where the model has none.
    change : float or None
        The report that was given against this one: how much it moves the probability of the second
        of two classes; of more classes, half the sum of absolute differences; of a regression, the
        prediction. None where only labels exist.
    """

    withheld: tuple[str, ...]
    report: tuple[str, ...]
    candidate: str
    prediction: Any
    probabilities: tuple[float, ...] | None
    change: float | None


@dataclass(frozen=True)
class Told:
    """One answer of a person, in the order in which the disclosure plan asks.

    Parameters
    ----------
    attribute, level : str
    change : float or None
        What it moved, on top of the answers before: as `Answer.change`.
    gain, low, high : float or None
        What people gain, in the mean, who tell this attribute on top of the answers before, and its
        interval.
    """

    attribute: str
    level: str
    change: float | None
    gain: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PersonExplanation:
    """One prediction, explained.

    Parameters
    ----------
    given : Answer
        Under the report that was given.
    others : tuple of Answer
        With each attribute withheld in turn, and, if several were told, with all of them.
    reason : str
        Why this route, who stands behind it, and what it gained for such people, in words.
    rows : int or None
        Training rows of the groups that the report may come from: people like this one.
    gain, low, high : float or None
        Gain of the route over generic for them, and its interval; 0 under generic.
    unknown : dict of str to str
        Levels that were told, not known in training, and count as withheld, by attribute.
    walk : tuple of Told
        Where partial reports have routes of their own: the answers in the plan's order.
    next : Step or None
        What the plan would ask next, and what the answer would gain.
    """

    given: Answer
    others: tuple[Answer, ...]
    reason: str
    rows: int | None
    gain: float | None
    low: float | None
    high: float | None
    unknown: Mapping[str, str] = field(default_factory=dict)
    walk: tuple[Told, ...] = ()
    next: Step | None = None


@dataclass(frozen=True)
class Explanation(Written):
    """Predictions explained, one person after the other. Print it.

    A gain is a mean over a group; it does not say that this person's prediction is the better one
    (Suriyakumar et al. 2023, section 6).

    Parameters
    ----------
    people : tuple of PersonExplanation
    attributes : tuple of str
        Group attributes.
    classes : tuple or None
        Class labels; None for a regression.
    metric : str, default="error"
        Of the gains.
    """

    people: tuple[PersonExplanation, ...]
    attributes: tuple[str, ...]
    classes: tuple[Any, ...] | None
    metric: str = "error"

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, row: int) -> PersonExplanation:
        return self.people[row]

    def __str__(self) -> str:
        people = ["\n".join(self._person(i, person)) for i, person in enumerate(self.people)]
        return "\n\n".join(
            [*people, "A gain is a mean over a group, no promise to any one member."]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON can hold it.

        Infinities become the texts ``inf``, ``-inf``, as in a routing table; nan becomes None.
        """
        return plain(vars(self), undefined=True)

    def _person(self, i: int, person: PersonExplanation) -> Iterator[str]:
        """One person's explanation in lines of at most 80 columns."""
        told = self._told(person)
        others = person.others
        head = f"Row {i} reports {told or 'nothing'}: predicted {self._shown(person.given)}."
        yield from wrap(head)
        yield from wrap(person.reason, "  ")
        if not others:
            else_ = " else" if person.unknown else ""
            yield f"  Nothing{else_} was told that could be withheld."
        elif all(_same(person.given, answer) for answer in others):
            yield "  Withholding any or all of it would change nothing."
        else:
            for less, answer in self._distinct(person):
                yield from wrap(
                    f"Without {less}: {self._shown(answer)} by {answer.candidate}; "
                    f"{self._difference(person.given, answer)}.",
                    "  ",
                    "    ",
                )

        yield from self._walked(person)

    def _walked(self, person: PersonExplanation) -> Iterator[str]:
        """The answers in the plan's order, and what the next would gain."""
        if not person.walk and person.next is None:
            return
        shown = named_metric(self.metric).format_gain
        sign = "" if self.classes is not None and len(self.classes) > 2 else "+"
        parts = []
        for told in person.walk:
            moved = "" if told.change is None else f" moved it by {told.change:{sign}.3f}"
            worth = "" if told.gain is None else f", for {shown(told.gain)} in the mean"
            parts.append(f"{told.attribute} = {told.level}{moved}{worth}")
        text = f"In the plan's order: {'; '.join(parts)}." if parts else ""
        if person.next is not None and person.next.ask is not None and person.next.gain is not None:
            step = person.next
            limits = f"{shown(step.low)} to {shown(step.high)}"
            text += f" {step.ask} next would bring {shown(step.gain)} in the mean, {limits}."
        yield from wrap(text.strip(), "  ", "    ")

    def _distinct(self, person: PersonExplanation) -> Iterator[tuple[str, Answer]]:
        """What was left out, in words, and the answer; one entry if it is always the same."""
        said = {(a.prediction, a.probabilities, a.candidate) for a in person.others}
        if len(person.others) > 1 and len(said) == 1:
            yield "any or all of it", person.others[-1]
            return
        for answer in person.others:
            less = [a for a in answer.withheld if a not in person.given.withheld]
            yield " and ".join(less) if len(less) < 3 else "any of it", answer

    def _told(self, person: PersonExplanation) -> str:
        """What the person reported, levels that were not known included."""
        report = dict(zip(self.attributes, person.given.report, strict=True)) | dict(person.unknown)
        silent = set(person.given.withheld) - set(person.unknown)
        return ", ".join(f"{name} = {text}" for name, text in report.items() if name not in silent)

    def _shown(self, answer: Answer) -> str:
        """The prediction, with the probability that goes with it."""
        if self.classes is None:
            return f"{answer.prediction:.4g}"
        if answer.probabilities is None:
            return str(answer.prediction)
        which = 1 if len(self.classes) == 2 else self.classes.index(answer.prediction)
        return f"{answer.prediction}, P({self.classes[which]}) = {answer.probabilities[which]:.3f}"

    def _difference(self, given: Answer, answer: Answer) -> str:
        """What the fuller report changed, in words."""
        if _same(given, answer):
            return "telling it changed nothing"
        flipped = self.classes is not None and given.prediction != answer.prediction
        if answer.change is None:
            return "telling it changed the prediction"
        sign = "" if self.classes is not None and len(self.classes) > 2 else "+"
        what = "telling it changed the prediction and" if flipped else "telling it"
        return f"{what} moved it by {answer.change:{sign}.3f}"


def _same(given: Answer, answer: Answer) -> bool:
    """Whether two answers are the same, as far as can be told."""
    return given.prediction == answer.prediction and not answer.change


def explain_rows(
    serve: Serve,
    codes: Codes,
    table: RoutingTable,
    classes: Sequence[Any] | NDArray[Any] | None,
    proba: bool,
    unknown: Unknown | None = None,
) -> Explanation:
    """Explain the predictions of some rows.

    Parameters
    ----------
    serve : callable
        ``serve(codes, method)``: predictions for the rows under other reports.
    codes : ndarray of int64, shape (n, k)
        The reports that were given.
    table : RoutingTable
    classes : sequence or None
        None for a regression.
    proba : bool
        Whether there are probabilities.
    unknown : dict of int to dict of str to str, default=None
        `unknown_levels` of the rows.
    """
    k = codes.shape[1]
    sets = [(), *((j,) for j in range(k)), *([tuple(range(k))] if k > 1 else [])]
    variants = []
    for withheld in sets:
        other = codes.copy()
        other[:, list(withheld)] = 0
        label = serve(other, "predict")
        variants.append((other, label, serve(other, "predict_proba") if proba else None))
    unknown = unknown or {}
    walks = _walks(serve, codes, table, classes, proba)
    routed = table.explain(codes, unknown)
    words = routed.words.tolist()
    people = []
    for i, told in enumerate(codes > 0):
        answers = [
            _answer(i, table, variant, variants[0], classes)
            for withheld, variant in zip(sets, variants, strict=True)
            if all(told[j] for j in withheld) or (len(withheld) > 1 and told.sum() > 1)
        ]
        people_like, gain, low, high = (
            None if np.isnan(v) else float(v) for v in routed.numbers[i]
        )
        rows = None if people_like is None else int(people_like)
        given, others = answers[0], tuple(answers[1:])
        people.append(
            PersonExplanation(
                given, others, words[i], rows, gain, low, high, unknown.get(i, {}), *walks[i]
            )
        )
    labels = None if classes is None else tuple(np.asarray(classes).tolist())
    return Explanation(tuple(people), table.schema.attributes, labels, table.metric)


def _walks(
    serve: Serve,
    codes: Codes,
    table: RoutingTable,
    classes: Sequence[Any] | NDArray[Any] | None,
    proba: bool,
) -> list[tuple[tuple[Told, ...], Step | None]]:
    """The answers of every row in the plan's order, and the plan's next question."""
    if not table.partial:
        return [((), None)] * len(codes)
    plan, schema = table.disclosure_plan(), table.schema
    orders = [_order(plan, schema, code) for code in codes]
    variants, heard = [], np.zeros_like(codes)
    for t in range(codes.shape[1] + 1):
        label = serve(heard, "predict")
        probabilities = serve(heard, "predict_proba") if proba else None
        variants.append((heard.copy(), label, probabilities))
        for i, (order, _) in enumerate(orders):
            if t < len(order):
                heard[i, order[t]] = codes[i, order[t]]
    walks = []
    for i, (order, step) in enumerate(orders):
        walk = []
        for t, j in enumerate(order):
            moved = _answer(i, table, variants[t], variants[t + 1], classes).change
            record = table.record(variants[t][0][i])
            found = None if record is None else record.further.get(schema.attributes[j])
            level = schema.levels[j][codes[i, j] - 1]
            walk.append(Told(schema.attributes[j], level, moved, *(found or (None, None, None))))
        walks.append((tuple(walk), step))
    return walks


def _order(plan: DisclosurePlan, schema: GroupSchema, code: Codes) -> tuple[list[int], Step | None]:
    """Told attributes in the order in which the plan asks, those it does not ask last."""
    answers: dict[str, str | None] = {}
    order: list[int] = []
    while (step := plan.next(answers)).ask is not None:
        j = schema.attributes.index(step.ask)
        if code[j] == 0:
            answers[step.ask] = None
            continue
        answers[step.ask] = schema.levels[j][code[j] - 1]
        order.append(j)
    rest = [j for j in np.flatnonzero(code).tolist() if j not in order]
    told = {schema.attributes[j]: schema.levels[j][code[j] - 1] for j in np.flatnonzero(code)}
    return order + rest, plan.next(told)


def _answer(
    i: int,
    table: RoutingTable,
    variant: tuple[Codes, NDArray[Any], NDArray[Any] | None],
    given: tuple[Codes, NDArray[Any], NDArray[Any] | None],
    classes: Sequence[Any] | NDArray[Any] | None,
) -> Answer:
    """What row `i` is told under one variant of its report."""
    (codes, label, proba), schema = variant, table.schema
    if (table.look_up(codes[i : i + 1]) == table.look_up(given[0][i : i + 1])).all():
        label, proba = given[1], given[2]  # one route says the same, whatever rounds how
    change = None
    if classes is None:
        change = float(given[1][i] - label[i])
    elif proba is not None and given[2] is not None:
        moved = given[2][i] - proba[i]
        change = float(moved[1]) if len(moved) == 2 else float(np.abs(moved).sum() / 2)
    route = table.routes[int(table.look_up(codes[i : i + 1])[0])]
    return Answer(
        tuple(name for name, c in zip(schema.attributes, codes[i], strict=True) if c == 0),
        schema.report_texts(codes[i]),
        route.candidate,
        np.asarray(label[i]).item(),
        None if proba is None else tuple(float(p) for p in proba[i]),
        change,
    )

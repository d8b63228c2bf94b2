"""The disclosure plan: what each person needs to be asked, in which order, and where to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairuse_router.documents import Written, number, plain
from fairuse_router.grids import Grid, clip, count, numbers, wrap
from fairuse_router.levels import level_text
from fairuse_router.metrics import named_metric
from fairuse_router.routing.asking import Questions, order_questions, spread
from fairuse_router.routing.collapse import Price, price, prices
from fairuse_router.routing.display import server_in_words
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.paying import gains_of_reports, may_stop
from fairuse_router.routing.picture import draw_tree

_MOST_LINES = 60


@dataclass(frozen=True)
class Step:
    """Where a form stands: the next question, or the route.

    Parameters
    ----------
    report : tuple of str
        What has been told, the withheld mark for the rest.
    ask : str or None
        The attribute to ask next; None: nothing more need be asked.
    choices : tuple of str
        Its levels. To decline is always allowed.
    candidate : str
        Who serves the person if nothing more is told.
    route : int
        Index into the table's routes.
    rows : int
        Training rows of the groups that the report may come from.
    gain, low, high : float or None
        What people like this gain, in the mean, by answering the question, and its interval; None
        where nothing is asked, or partial reports have no routes of their own.

    Examples
    --------
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord, RoutingTable
    >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
    >>> picks = {("F", "<60"): "onehot", ("M", "<60"): "decoupled"}
    >>> groups = [schema.report_texts(code) for code in schema.group_codes]
    >>> records = [GroupRecord(g, 50, picks.get(g, "generic"), "forced") for g in groups]
    >>> table = RoutingTable.from_choices(
    ...     schema, records, policy="best", metric="error", alpha=0.1)
    >>> step = table.disclosure_plan().next({})
    >>> step.ask, step.choices, step.candidate, step.rows
    ('age', ('<60', '60+'), 'generic', 200)
    >>> table.disclosure_plan().next({"age": "60+"}).ask is None
    True
    """

    report: tuple[str, ...]
    ask: str | None
    choices: tuple[str, ...]
    candidate: str
    route: int
    rows: int
    gain: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, eq=False)
class DisclosurePlan(Written):
    """What each person needs to be asked, in which order, and where to stop.

    No order of questions asks less of the training rows' groups and ends at the same routes
    (exact); of several, the one whose answers gain most, soonest. Where partial reports have routes
    of their own it stops, too, where no further answer pays, out of fold and in the mean. Print it,
    `plot` it, hand `to_dict` to a form, or ask it for the `next` question.

    Parameters
    ----------
    table : RoutingTable
        The table that it is for.
    original : RoutingTable
        The table before anything was given up; the same if nothing was.

    Examples
    --------
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.routing import GroupRecord, RoutingTable
    >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
    >>> picks = {("F", "<60"): "onehot", ("M", "<60"): "decoupled"}
    >>> groups = [schema.report_texts(code) for code in schema.group_codes]
    >>> records = [GroupRecord(g, 50, picks.get(g, "generic"), "forced") for g in groups]
    >>> table = RoutingTable.from_choices(
    ...     schema, records, policy="best", metric="error", alpha=0.1)
    >>> plan = table.disclosure_plan()
    >>> plan.next({}).ask, plan.next({"age": "<60"}).ask, plan.next({"age": "60+"}).ask
    ('age', 'sex', None)
    >>> plan.asked_per_person
    1.5
    """

    table: RoutingGrid
    original: RoutingGrid

    @property
    def asked_per_person(self) -> float:
        """Attributes asked, mean over the training rows' groups, if nobody declines."""
        return self._questions(frozenset()).per_person

    @cached_property
    def price(self) -> Price:
        """What was given up to get here, see `collapse`."""
        gone = np.flatnonzero(self._of_groups(self.original) * (self._of_groups(self.table) == 0))
        return price(self.original, tuple(gone.tolist()))

    def curve(self) -> list[Price]:
        """Gain against attributes asked per person: the best trades, from no loss to no question.

        Returns
        -------
        list of Price
            The first gives up nothing. A tolerance of ``at_most`` leads to each.
        """
        return prices(self.original)

    def next(self, answers: Mapping[str, Any]) -> Step:
        """The next question, or the route.

        Parameters
        ----------
        answers : dict of str to object
            Level by attribute, as told so far, in any order; ``"?"`` or a missing value where the
            person declined.

        Returns
        -------
        Step

        Raises
        ------
        TypeError
            If the answers are no dict.
        ValueError
            For an attribute or a level that is not known.
        """
        code, declined = self._read(answers)
        return self._step(code, declined)

    def to_dict(self) -> dict[str, Any]:
        """The plan as data that a form can follow.

        Returns
        -------
        dict
            ``tree`` is a node: ``report``, ``candidate``, ``route``, its ``strength``, ``rows``,
            and the gain of the route with its interval. A node with ``ask`` goes on: ``branches``
            leads from each level of that attribute to the next node, ``declined`` from no answer;
            ``next`` is what the answer gains in the mean, and its interval, or None.
            The rest tells what the plan costs. Infinities are the texts ``inf``, ``-inf``; None is
            undefined.
        """
        schema, cost = self.table.schema, self.price
        return {
            "attributes": list(schema.attributes),
            "levels": [list(levels) for levels in schema.levels],
            "asked_per_person": self.asked_per_person,
            "given_up": plain(number(cost.given_up)),
            "given_up_at_most": plain(number(cost.at_most)),
            "metric": self.table.metric,
            "tree": plain(self._whole_tree()),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the tree of questions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None makes a new figure.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ImportError
            Without matplotlib: ``pip install "fairuse-router[plot]"``.
        """
        return draw_tree(self.to_dict()["tree"], self.table.schema.attributes, ax)

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._lines(), "", *self._tail()])

    # the questions
    def _questions(self, declined: frozenset[int]) -> Questions:
        """The cheapest order once some attributes are declined for good."""
        if declined not in self._known:
            grid, axes = self.table.grid, range(self.table.grid.ndim)
            groups = self.table.weights().reshape([n - 1 for n in grid.shape])
            for axis in declined:
                groups = groups.sum(axis=axis, keepdims=True)
            weight = spread(groups, np.sum, declined)
            gain = self._gains[tuple(slice(0, 1) if j in declined else slice(None) for j in axes)]
            free = may_stop(self.table, declined)
            self._known[declined] = order_questions(free, weight, declined, weight * gain)
        return self._known[declined]

    @cached_property
    def _known(self) -> dict[frozenset[int], Questions]:
        return {}

    @cached_property
    def _gains(self) -> NDArray[np.float64]:
        return gains_of_reports(self.table)

    @staticmethod
    def _of_groups(table: RoutingGrid) -> NDArray[np.int64]:
        """Route of every group."""
        return table.grid[tuple(table.schema.group_codes.T)]

    def _read(self, answers: Mapping[str, Any]) -> tuple[NDArray[np.int64], frozenset[int]]:
        """Codes of the answers, and the attributes that were declined."""
        if not isinstance(answers, Mapping):
            raise TypeError(
                f"answers is a {type(answers).__name__}; pass a dict of attribute to level, {{}} "
                "to begin with."
            )
        schema = self.table.schema
        code, declined = np.zeros(len(schema.levels), dtype=np.int64), set()
        for name, value in answers.items():
            if name not in schema.attributes:
                raise ValueError(
                    f"answers names {name!r}; the group attributes are {list(schema.attributes)}."
                )
            j, text = schema.attributes.index(name), level_text(value)
            if text is None or text == schema.withheld:
                declined.add(j)
            elif text in schema.levels[j]:
                code[j] = schema.levels[j].index(text) + 1
            elif schema.handle_unknown == "withhold":
                declined.add(j)
            else:
                raise ValueError(
                    f"answers[{name!r}]={text!r} is not known. Allowed: {list(schema.levels[j])}, "
                    f"or {schema.withheld!r} to decline."
                )
        return code, frozenset(declined)

    def _step(self, code: NDArray[np.int64], declined: frozenset[int]) -> Step:
        schema = self.table.schema
        questions, place = self._questions(declined), tuple(code)
        j, route = int(questions.ask[place]), int(self.table.grid[place])
        return Step(
            schema.report_texts(code),
            None if j < 0 else schema.attributes[j],
            () if j < 0 else schema.levels[j],
            self.table.routes[route].candidate,
            route,
            int(questions.weight[place]),
            *self._further(code, j),
        )

    def _further(
        self, code: NDArray[np.int64], j: int
    ) -> tuple[float | None, float | None, float | None]:
        """What telling one attribute more gains, where that is known."""
        record = self.table.record(code) if j >= 0 and self.table.partial else None
        found = None if record is None else record.further.get(self.table.schema.attributes[j])
        gain, low, high = found or (None, None, None)
        return gain, low, high

    def _whole_tree(self) -> dict[str, Any]:
        """The node of whoever has told nothing yet, and all below it."""
        return self._tree(np.zeros(len(self.table.schema.levels), dtype=np.int64), frozenset())

    def _tree(self, code: NDArray[np.int64], declined: frozenset[int]) -> dict[str, Any]:
        """One node and all below it; its gain and interval are numbers, None where undefined."""
        step = self._step(code, declined)
        node: dict[str, Any] = {
            "report": list(step.report),
            "candidate": step.candidate,
            "route": step.route,
            "strength": self.table.routes[step.route].strength,
            "rows": step.rows,
        }
        for name, value in zip(("gain", "low", "high"), self.table.standing(code)[1:], strict=True):
            node[name] = number(value)
        if step.ask is not None:
            j = self.table.schema.attributes.index(step.ask)
            branches = {}
            for level, text in enumerate(step.choices, 1):
                after = code.copy()
                after[j] = level
                branches[text] = self._tree(after, declined)
            node["ask"] = step.ask
            node["next"] = None if step.gain is None else [step.gain, step.low, step.high]
            node["branches"] = branches
            node["declined"] = self._tree(code, declined | {j})
        return node

    # the text
    def _head(self) -> list[str]:
        k, asked = len(self.table.schema.levels), self.asked_per_person
        if asked == 0:
            text = (
                "Disclosure plan: nobody need be asked anything; one model serves everyone. "
                f"{count(k, 'question')} saved per person."
            )
        else:
            text = (
                f"Disclosure plan: {asked:.2f} of {count(k, 'attribute')} asked per person, the "
                f"least that leads everybody to {self._goal}."
            )
        if self.price.groups:
            text += f" {self._collapsed()}"
        return wrap(text)

    @property
    def _goal(self) -> str:
        same = "the same route as a full report"
        return f"{same}, or to where no further answer pays" if self.table.partial else same

    def _collapsed(self) -> str:
        metric, names = named_metric(self.table.metric), self.table.schema.group_names()
        groups = "; ".join(f"({names[g]})" for g in self.price.groups[:5])
        more = "" if len(self.price.groups) <= 5 else f" and {len(self.price.groups) - 5} more"
        saved = price(self.original).asked - self.price.asked
        return (
            f"Collapsed: {groups}{more} went back to generic, which saves {saved:.2f} questions "
            f"per person and gives up {metric.format_gain(self.price.given_up)} in {metric.name} "
            f"per person, at most {metric.format_gain(self.price.at_most)}."
        )

    def _lines(self) -> list[str]:
        """The tree, indented."""
        lines = list(_node_lines(self._whole_tree(), "everyone", "", self.table.metric))
        if len(lines) > _MOST_LINES:
            rest = len(lines) - _MOST_LINES
            lines = [*lines[:_MOST_LINES], f"... and {rest} more lines: see to_dict()"]
        return lines

    def _tail(self) -> list[str]:
        """What it would cost to ask less."""
        points = self.curve()
        if self.asked_per_person == 0 and len(points) == 1:
            return []
        if len(points) == 1:
            return ["No question can be saved by giving up gain."]
        metric = named_metric(self.table.metric)
        title = (
            f"To ask less (means per person, {metric.name}; tolerance: the collapse= that "
            "leads there):"
        )
        heads = {"asked": 7, "gain": 10, "given up": 10, "at most": 10, "tolerance": 12, "": 0}
        rows = []
        for point in points:
            gains = [metric.format_gain(v) for v in (point.gain, -point.given_up, -point.at_most)]
            here = "  <- this plan" if point.groups == self.price.groups else ""
            rows.append([f"{point.asked:.2f}", *gains, _round_up(point.at_most), here])
        return [*wrap(title), *Grid(numbers(heads), rows).lines()]


def _node_lines(node: Mapping[str, Any], name: str, indent: str, metric: str) -> Iterator[str]:
    """One node and all below it, as lines of text."""
    who = f"{indent}{name} ({count(node['rows'], 'row')})"
    if "ask" not in node:
        yield from wrap(f"{who} -> {_end(node, metric)}", then=f"{indent}      ")
        return
    yield clip(f"{who}: ask {node['ask']}{_next_gain(node, metric)}")
    for level, after in node["branches"].items():
        yield from _node_lines(after, level, f"{indent}  ", metric)
    declined = node["declined"]
    if "ask" in declined or declined["route"]:
        yield from _node_lines(declined, "declined", f"{indent}  ", metric)


def _next_gain(node: Mapping[str, Any], metric: str) -> str:
    """What the answer to a question gains, in the mean."""
    if node["next"] is None:
        return ""
    gain, low, high = (named_metric(metric).format_gain(v) for v in node["next"])
    return f", gain {gain} [{low}, {high}]"


def _end(node: Mapping[str, Any], metric: str) -> str:
    """The end of a way: who serves, and what that gained."""
    if node["route"] == 0:
        return "generic"
    shown = [named_metric(metric).format_gain(node[name]) for name in ("gain", "low", "high")]
    who = server_in_words(node["candidate"], node["strength"])
    if node["low"] is None:
        return f"{who}, gain {shown[0]}"
    return f"{who}, gain {shown[0]} [{shown[1]}, {shown[2]}]"


def _round_up(tolerance: float) -> str:
    """A tolerance with four significant digits that is no smaller."""
    if tolerance <= 0 or not math.isfinite(tolerance):
        return f"{max(tolerance, 0.0):g}"
    unit = 10.0 ** (math.floor(math.log10(tolerance)) - 3)
    return f"{math.ceil(tolerance / unit) * unit:.4g}"

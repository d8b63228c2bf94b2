"""Policies: how a candidate is chosen for each group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fairuse_router.candidates.names import GENERIC
from fairuse_router.routing.policies.evidence import Choice, Evidence
from fairuse_router.routing.policies.lattice import choose_on_lattice
from fairuse_router.routing.policies.priced import priced, with_small_groups
from fairuse_router.routing.policies.recalibration import recalibrated_where_it_pays
from fairuse_router.routing.policies.tested import assign_generic, certify, without_fading

__all__ = [
    "POLICIES",
    "Choice",
    "Evidence",
    "choose",
    "choose_certified",
    "choose_reports",
    "nominate",
]

CERTIFIED = "certified"
PRICED = "priced"
CERTIFICATION_SHARE = 0.4  # of the rows, opened once
_BOLD = 0.25  # of the price, where a test follows
_ROUNDING = 1e-12  # a gain of less than this part of the risks is none


def choose(policy: str, evidence: Evidence) -> list[Choice]:
    """Choose a candidate for every group on out-of-fold evidence.

    Parameters
    ----------
    policy : {"priced", "tested", "best", "assign_generic"}
        ``"priced"``: in every group the option with the largest ``E - price H``, if that is
        positive: E is what the option should add to everybody's mean gain in the metric, in points
        (hundredths), H the probability that it harms the group (by more than 0.2 points), to a
        sceptic who lets no group borrow a gain. Options are a quarter, half, three quarters and all
        of the ``"multilevel"`` correction; where generic is not linear, also half and all of its
        mean with ``"intersectional"``; where multilevel cannot be had, parts of the other
        candidates, at twice the price: the best of several is in part the luckiest. Multilevel
        may serve groups of half ``min_group_size``, and a gain of less than 0.1 points counts as
        none. What looks worse out of fold in the metric by more than half a standard error is never
        deployed. Promises no error rate: a price, 2 is careful and 1 bold; nothing under label
        shift.

        ``"best"``: the largest out-of-fold gain in the metric, ties (up to rounding) to generic.
        Promises nothing: with several candidates the largest gain is in part luck. With ``cv=0.2``
        it is the best of three on a hold-out of Suriyakumar et al. (2023, section 5).

        ``"tested"``: chooses as ``"priced"`` at a quarter of the price, and deploys where a
        one-sided test in the metric (exact McNemar for errors) shows a gain, Holm-corrected with
        weights n_g. Promises a family-wise error of alpha, up to the reuse of the rows that
        nominated the candidate and to the refit on all rows.

        ``"assign_generic"``: the first candidate after generic serves every group but those in
        which the same test shows a violation, Holm-corrected: the intervention of that name of
        Suriyakumar et al. Promises nothing: what cannot be shown is deployed.

        Where the evidence has recalibrated candidates, groups that were given to one of the others
        are then served by its recalibrated version where that pays: see
        `recalibrated_where_it_pays`.
    evidence : Evidence

    Returns
    -------
    list of Choice, one per group

    Raises
    ------
    ValueError
        For an unknown policy.

    Examples
    --------
    >>> from fairuse_router.candidates.scores import Scores
    >>> from fairuse_router.inference.compare import Rows
    >>> from fairuse_router.metrics import Predictions, get_metric
    >>> y, sex = np.array([0, 1] * 100), np.repeat([0, 1], 100)
    >>> wrong = np.where(np.arange(200) < 40, 1 - y, y)  # generic errs in the first group
    >>> everybody = np.ones(200, dtype=bool)
    >>> labels = {"generic": wrong, "onehot": y}
    >>> scores = {name: Scores(Predictions(told), everybody) for name, told in labels.items()}
    >>> evidence = Evidence(Rows(y, sex, 2), scores, [get_metric("error")])
    >>> [choice.candidate for choice in choose("best", evidence)]
    ['onehot', 'generic']
    """
    if policy not in RULES:
        raise ValueError(f"policy={policy!r} is not known. Allowed: {', '.join(RULES)}.")
    if not evidence.rivals:
        return [Choice(GENERIC, "no other candidate was asked for")] * evidence.rows.m
    if policy == PRICED and evidence.told is not None:
        return choose_reports(evidence)[0]
    eligible = evidence.eligible()
    if policy == PRICED:
        eligible = with_small_groups(evidence, eligible)
    if not eligible.any():
        return [Choice(GENERIC, evidence.why_none(g)) for g in range(evidence.rows.m)]
    chosen = [
        choice if eligible[g].any() else Choice(GENERIC, evidence.why_none(g))
        for g, choice in enumerate(RULES[policy](evidence, eligible))
    ]
    return recalibrated_where_it_pays(chosen, evidence)


def choose_reports(evidence: Evidence) -> tuple[list[Choice], dict[int, Choice]]:
    """Choose a route for every report, where the evidence has what partial ones tell.

    As ``"priced"`` does, one answer after the other: see `choose_on_lattice`.

    Returns
    -------
    groups : list of Choice
        One per group.
    partial : dict of int to Choice
        By the number of the report in the grid; all that tell something and withhold something.

    Examples
    --------
    >>> from fairuse_router.candidates.lattice import Lattice, Reports
    >>> from fairuse_router.candidates.scores import Scores, answer
    >>> from fairuse_router.groups import GroupSchema
    >>> from fairuse_router.inference.compare import Rows
    >>> from fairuse_router.metrics import get_metric
    >>> schema = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("<60", "60+")))
    >>> rng = np.random.default_rng(0)
    >>> codes = rng.integers(1, 3, (400, 2))
    >>> x = rng.normal(size=400)
    >>> slope = np.where(codes[:, 0] == 1, 2.0, -2.0)  # the sign depends on sex alone
    >>> y = (slope * x + rng.logistic(size=400) > 0).astype(int)
    >>> told = np.column_stack([0 * x, slope * x, 0 * x, slope * x])  # nothing, sex, age, both
    >>> everybody = np.ones(400, dtype=bool)
    >>> scores = {
    ...     "generic": Scores(answer(0 * x, False), everybody),
    ...     "multilevel": Scores(
    ...         answer(slope * x, False), everybody, margins=told[:, [0, 3]], told=told)}
    >>> evidence = Evidence(
    ...     Rows(y, schema.group_ids(codes), 4), scores, [get_metric("error")],
    ...     reports=Reports(Lattice.of(schema), codes))
    >>> groups, partial = choose_reports(evidence)
    >>> {schema.report_name(schema.report_codes[r]): c.candidate for r, c in partial.items()}
    {'F, ?': 'multilevel', 'M, ?': 'multilevel', '?, <60': 'generic', '?, 60+': 'generic'}
    >>> [choice.own for choice in groups]  # the age adds nothing
    [False, False, False, False]
    """
    assert evidence.reports is not None
    chosen = choose_on_lattice(evidence)
    full = evidence.reports.lattice.full.cells.reports.tolist()
    return [chosen.pop(report) for report in full], chosen


def nominate(evidence: Evidence) -> list[Choice]:
    """Choose as ``"priced"``, bolder, since a test guards the groups: at a quarter of the price."""
    settings = replace(evidence.settings, price=evidence.settings.price * _BOLD)
    return choose(PRICED, replace(evidence, settings=settings))


def choose_certified(inner: Evidence, outer: Evidence) -> list[Choice]:
    """Choose on some rows, open the others once, and deploy what they show.

    Nominates on `inner` by `nominate`; then each nominee is tested against generic on `outer`,
    one-sided in the metric (exact McNemar for errors), Holm-corrected with weights n_g.
    The models must have seen no row of `outer`, and be deployed as they are, without a refit.

    For independent rows and errors the guarantee is exact: the probability that any deployed group
    is truly worse than the generic that is deployed with it is at most alpha. That generic was
    trained on a part of the rows only: against one trained on all rows nothing is promised, and
    with few rows (500, say) the loss of training rows outweighs what the groups gain.

    Where the rows opened are the latest, the promise is of the mean over their time, and a gain
    that fades is not deployed, see `without_fading`. The promise holds later if the gain does not
    fall below that mean: if the world has changed before and then stays, not where it turns round
    afterwards (``python -m benchmarks.known_benefit``).
    """
    shown = _confirmed(nominate(inner), outer, "on rows opened once")
    return without_fading(shown, outer) if outer.settings.in_time else shown


def _confirmed(nominees: list[Choice], evidence: Evidence, where: str) -> list[Choice]:
    """Nominees that a test confirms; why nobody was nominated, where nobody was."""
    tested = certify(nominees, evidence, where)
    return [
        new if old.candidate != GENERIC else old for old, new in zip(nominees, tested, strict=True)
    ]


def _tested(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    return _confirmed(nominate(evidence), evidence, "out of fold")


def _best(evidence: Evidence, eligible: NDArray[np.bool_]) -> list[Choice]:
    risks = [evidence.risks(evidence.metric, name) for name in evidence.rivals]
    generic, own = (np.column_stack(part) for part in zip(*risks, strict=True))
    with np.errstate(invalid="ignore"):
        gains = generic - own
        real = gains > _ROUNDING * np.maximum(np.abs(generic), np.abs(own))
    gains = np.where(eligible & np.isfinite(gains) & real, gains, -np.inf)
    return [
        Choice(evidence.rivals[int(row.argmax())], "the largest gain out of fold")
        if row.max() > 0
        else Choice(GENERIC, "no other candidate gains out of fold")
        for row in gains
    ]


Rule = Callable[[Evidence, NDArray[np.bool_]], list[Choice]]
RULES: dict[str, Rule] = {
    PRICED: priced,
    "best": _best,
    "tested": _tested,
    "assign_generic": assign_generic,
}
POLICIES = (*RULES, CERTIFIED)

"""The sections of a card, each made of numbers that stand in the routing table or an audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairuse_router.audit import REAUDIT, Audit, GainRecord
from fairuse_router.audit.display import partial_text, summary_rows, untested_text, used_tests
from fairuse_router.audit.leaks import Leakage
from fairuse_router.candidates.names import GENERIC, ROUTED
from fairuse_router.card.forest import corrections_picture, gains_picture
from fairuse_router.card.origin import WORDS
from fairuse_router.card.page import Section
from fairuse_router.card.verdict import verdict
from fairuse_router.grids import Column, Grid, rows_text
from fairuse_router.metrics import Metric, named_metric
from fairuse_router.routing.display import server_in_words
from fairuse_router.routing.honest import HonestGain, HonestGains
from fairuse_router.routing.paying import sent_as_they_are
from fairuse_router.routing.policies.promises import promise_of
from fairuse_router.routing.table import RoutingTable


def sections(
    table: RoutingTable,
    audit: Audit | None,
    selection: Audit | None,
    honest: HonestGains | None,
    description: str,
) -> Iterator[Section]:
    """Yield the sections of a card in their order, all but where it comes from.

    Parameters
    ----------
    table : RoutingTable
    audit : Audit or None
        The claim.
    selection : Audit or None
        Evidence of the choice; shown where there is no claim.
    honest : HonestGains or None
    description : str
    """
    shown = audit or selection
    yield Section("Verdict", [verdict(table, shown, audit is not None)])
    if description:
        yield Section("What it is for", [description])
    yield Section("The words", points=WORDS)
    yield _routes(table)
    yield _asked(table)
    yield _promise(table, _policy_test(table, selection))
    if shown is not None:
        candidate = ROUTED if ROUTED in shown.candidates else shown.candidates[-1]
        yield from audit_sections(shown, _evidence(shown, audit is not None), [candidate])
    correction = corrections_picture(table)
    if correction is not None:
        yield Section("How much of the correction is real", picture=correction)
    if honest is not None:
        yield _honest(honest)
    if shown is not None:
        yield from remedies(shown)


def leaks_section(leakage: Leakage) -> Section:
    """Whether withholding an attribute keeps it from whoever sees the features."""
    given = [leak.attribute for leak in leakage.leaks if leak.auc is not None and leak.auc >= 0.9]
    told = "Features may give away what a person withholds. AUC of telling each attribute by them, "
    told += "cross-fitted: 0.5 is nothing, 1 makes withholding fiction."
    points = [f"Withholding {name} is fiction: the features give it away." for name in given]
    return Section("Whether withholding is real", [told], points, leakage.grid())


def _asked(table: RoutingTable) -> Section:
    """What people are asked, as the plan says it, and what happens where they do not answer."""
    head, *lines = str(table.disclosure_plan()).split("\n\n")
    tree = lines[0].split("\n") if len(lines) > 0 else []
    return Section(
        "What people are asked",
        [" ".join(head.split())],
        points=_branches(tree) if len(table.routes) > 1 else [],
    )


def _branches(lines: Sequence[str]) -> list[str]:
    """The lines of the plan's tree, unfolded, their depth as arrows."""
    points: list[str] = []
    before = -1
    for line in filter(str.strip, lines):
        depth = (len(line) - len(line.lstrip())) // 2
        if depth > before + 1:  # a branch is one step deeper; what is more is a folded line
            points[-1] += f" {line.strip()}"
        else:
            points.append("\u2023 " * depth + line.strip())
            before = depth
    return points


def gain_with_interval(
    metric: Metric, gain: float | None, low: float | None, high: float | None
) -> str:
    """Write a gain, and its interval if it has one."""
    text = metric.format_gain(gain)
    if low is None or high is None:
        return text
    return f"{text} ({metric.format_gain(low)} to {metric.format_gain(high)})"


def _routes(table: RoutingTable) -> Section:
    metric = named_metric(table.metric)
    rows = []
    for name, record in zip(table.schema.group_names(), table.groups, strict=True):
        gain = gain_with_interval(metric, record.gain, record.low, record.high)
        server = server_in_words(record.candidate, record.strength)
        rows.append([name, rows_text(record.rows), server, gain, record.reason])
    level = f"{100 * (1 - table.alpha):.0f}%"
    where = "on rows opened once" if table.policy == "certified" else "out of fold"
    return Section(
        "Who is served by what",
        [
            f"Groups by {', '.join(table.schema.attributes)}. Gains are in {metric.name} over the "
            f"generic model, which sees no group attribute; positive is better; {where}, with "
            f"{level} intervals.",
            _withholding(table),
        ],
        points=[f"{', '.join(c.report)}: {c.event}, {c.reason}." for c in table.history],
        grid=Grid(
            [
                "group",
                "training rows",
                Column("served by", left=True),
                "gain",
                Column("why", left=True),
            ],
            rows,
        ),
    )


def _withholding(table: RoutingTable) -> str:
    """Who serves those who withhold, and what is taken for granted of them."""
    if not table.partial:
        why = f" ({table.note})" if table.note else ""
        return (
            "Whoever withholds an attribute is served by the generic model, unless all groups that "
            f"the report may come from share a route{why}."
        )
    routed = [r for r in table.partial if r.candidate != GENERIC]
    sent = sent_as_they_are(table)
    full = sent[tuple(table.schema.group_codes.T)].sum()
    silent = int(sent.sum() - full)
    known = (
        f"{silent:,} training rows withheld something and are among them."
        if silent
        else "No training row withheld anything, so nothing is known of those who do."
    )
    return (
        f"{len(routed)} of {len(table.partial) - 1} partial reports have routes of their own, "
        "chosen on all rows that tell as much: withholding was taken as independent of the "
        f"outcome. {known} A re-audit compares the outcomes of those who withhold."
    )


def _policy_test(table: RoutingTable, selection: Audit | None) -> str | None:
    """Name of the test by which a policy chose, None if it may be the exact one.

    An audit of the rows that chose tells: it tests error by mid-p McNemar where policies do by the
    exact one, else as they do.
    """
    used = []
    if selection is not None and selection.evidence != REAUDIT:
        used = [r.test for r in selection.rationality if r.metric == table.metric]
    if used:
        return None if "McNemar" in used[0] else used[0]
    return None if table.metric == "error" else f"of {table.metric}"


def _promise(table: RoutingTable, test: str | None) -> Section:
    known = promise_of(table.policy, test)
    if known is None:
        return Section("What the policy promises", [f"The policy {table.policy!r} is not known."])
    rule, promise = (text.replace("`", "") for text in known)
    return Section(
        "What the policy promises",
        [
            f"Policy {table.policy!r}, alpha = {table.alpha:g}. Rule: {rule}. "
            f"Promise: {promise}; for independent rows, and people drawn as the training rows were."
        ],
    )


def audit_sections(audit: Audit, note: str, candidates: Sequence[str]) -> Iterator[Section]:
    """Yield a summary of all candidates, and the groups under some, such as the deployed routing.

    Parameters
    ----------
    audit : Audit
    note : str
        Which rows it is of.
    candidates : sequence of str
    """
    for name in audit.metrics:
        metric = named_metric(name)
        head = ["model", "all", "gain", "worst group", "best group"]
        head += ["rationality", "envy-freeness", "truthfulness"]
        yield Section(
            f"Audit: {name}",
            [
                f"{note} Counts are gains / violations / undetermined (= a model with itself) at "
                f"{100 * audit.alpha:g}%, correction: {audit.correction}.",
                " ".join(filter(None, [used_tests(audit, name), untested_text(audit, metric)])),
            ],
            grid=Grid(head, summary_rows(audit, metric)),
        )
        for candidate in candidates:
            which = f", {candidate}" if len(candidates) > 1 else ""
            yield _groups(audit, metric, candidate, f"Each group: {name}{which}")


def _evidence(audit: Audit, is_claim: bool) -> str:
    """Say which rows an audit is of, and what they can support."""
    if is_claim:
        return f"On {audit.n:,} {audit.evidence}, which no model has seen{partial_text(audit)}."
    rows = rows_of(audit)
    if audit.evidence == REAUDIT:
        return (
            f"{rows}. They come from deployment, and by them routes were withdrawn, which flatters "
            "the others: this is evidence of the withdrawal, not a claim."
        )
    return (
        f"{rows}. They also chose the routes, which flatters them: this is evidence of the choice, "
        "not a claim."
    )


def rows_of(audit: Audit) -> str:
    """How many rows of what kind an audit is of, and how many more told a part."""
    return f"On {audit.n:,} {audit.evidence}{partial_text(audit)}"


def _groups(audit: Audit, metric: Metric, candidate: str, title: str) -> Section:
    risks = {(r.candidate, r.group): r.risk for r in audit.risks if r.metric == metric.name}
    rows = []
    for r in audit.rationality:
        if (r.metric, r.candidate) != (metric.name, candidate):
            continue
        pair = [metric.format(risks.get((c, r.group))) for c in (audit.baseline, candidate)]
        gain = gain_with_interval(metric, r.gain, r.low, r.high)
        rows.append([r.group or "", rows_text(r.n), *pair, gain, verdict_text(r)])
    heads = ("group", "rows", audit.baseline, candidate, "gain")
    return Section(
        title,
        points=_violations(audit, metric, candidate),
        picture=gains_picture(audit, candidate, metric.name),
        grid=Grid([*heads, Column("verdict", left=True)], rows),
    )


def verdict_text(record: GainRecord) -> str:
    """Write a verdict, with the rows still needed where it is open and that can be said."""
    if record.verdict == "same":
        return "same model"
    if record.verdict != "undetermined":
        return record.verdict
    if record.reason:
        return f"undetermined: {record.reason}"
    if not record.rows_needed:
        return "undetermined"
    return f"undetermined: {record.rows_needed:,} more rows might tell"


def _violations(audit: Audit, metric: Metric, candidate: str) -> list[str]:
    """Sentences on what a candidate owes, such as the deployed routing."""
    base = f"the {GENERIC} model" if audit.baseline == GENERIC else audit.baseline
    found = []
    for r in (*audit.rationality, *audit.truthfulness):
        if (r.metric, r.candidate, r.verdict) != (metric.name, candidate, "violation"):
            continue
        lost = metric.format_gain(None if r.gain is None else -r.gain)
        how = f"from {base}" if r.other == audit.baseline else f"by reporting {r.other}"
        found.append(f"Violation: {r.group} would gain {lost} {how}.")
    return found


def _honest(honest: HonestGains) -> Section:
    metric = named_metric(honest.metric)

    def row(name: str, gain: HonestGain) -> list[str]:
        corrected = gain_with_interval(metric, gain.gain, gain.low, gain.high)
        return [name, metric.format_gain(gain.naive), corrected]

    return Section(
        "Gains corrected for choosing",
        [
            f"The rows that chose the routes flatter them. Corrected by BBC-CV (Tsamardinos et al. "
            f"2018), {honest.n_resamples} resamples, {100 * (1 - honest.alpha):.0f}% intervals. "
            "They describe this fitted router: models fitted again on other rows gain otherwise."
        ],
        grid=Grid(["", "naive", "honest"], [row(k, v) for k, v in honest.named().items()]),
    )


def remedies(audit: Audit) -> Iterator[Section]:
    """Yield what the paper's interventions would bring, where there is a one-hot model."""
    if "onehot" not in audit.candidates:
        return
    for name in audit.metrics:
        metric = named_metric(name)
        rows = [
            [
                r.group or "",
                metric.format_gain(r.gain),
                metric.format_gain(r.assign_generic),
                metric.format_gain(r.assign_decoupled),
                metric.format_gain(r.best_of_three),
                r.best or "",
            ]
            for r in audit.interventions("onehot")
            if r.metric == name and r.group is not None
        ]
        yield Section(
            f"Remedies for the one-hot model: {name}",
            [
                f"Gains over {audit.baseline} if groups in which the one-hot model looks worse "
                f"were served by {audit.baseline}, by the best of {audit.baseline}, one-hot and "
                "decoupled, and if every group was (Suriyakumar et al. 2023, Table 2). Chosen on "
                "the rows shown, which flatters them."
            ],
            grid=Grid(
                [
                    "group",
                    "one-hot",
                    "assign generic",
                    "assign decoupled",
                    "best of three",
                    Column("best", left=True),
                ],
                rows,
            ),
        )

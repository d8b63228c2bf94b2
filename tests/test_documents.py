"""Documents: what is read back must be what was written, or be refused by name."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_routers import LOGISTIC
from small_routers import router as small_router

from fairuse_router import Audit, GroupSchema, RoutingTable
from fairuse_router.audit.between import Between
from fairuse_router.audit.calibrating import Calibration
from fairuse_router.audit.federated import Federation, federate
from fairuse_router.audit.leaks import Leakage
from fairuse_router.audit.monitor import Monitoring
from fairuse_router.audit.net_benefit import DecisionCurve
from fairuse_router.audit.places import Places, Stability
from fairuse_router.audit.queue import Ranking
from fairuse_router.audit.reaudit import Reaudit
from fairuse_router.audit.records import AuditRecords
from fairuse_router.audit.summing import audit_sums
from fairuse_router.card import AuditCard, Card
from fairuse_router.card.origin import Origin
from fairuse_router.card.paged import Paged
from fairuse_router.cli.cells import Reading
from fairuse_router.documents import Document, Printed, Written
from fairuse_router.routing import Change, DisclosurePlan, GroupRecord, Part, Route
from fairuse_router.routing.explanation import Explanation
from fairuse_router.routing.grid import RoutingGrid
from fairuse_router.routing.honest import HonestGains

KINDS = {
    "group schema": GroupSchema,
    "routing table": RoutingTable,
    "audit": Audit,
    "honest gains": HonestGains,
    "card": Card,
    "audit's card": AuditCard,
    "route": Route,
    "part of a route": Part,
    "group's record": GroupRecord,
    "change": Change,
    "reading": Reading,
    "origin": Origin,
}
READERS = {kind: of.from_dict for kind, of in KINDS.items()}
WRITTEN_ONLY = {
    "re-audit": Reaudit,
    "explanation": Explanation,
    "plan": DisclosurePlan,
    "monitoring": Monitoring,
    "gaps between groups": Between,
    "federation": Federation,
    "leakage": Leakage,
    "ranking": Ranking,
    "decision curve": DecisionCurve,
    "places": Places,
    "stability": Stability,
    "calibration": Calibration,
}
BASES = {Written, Printed, Document, AuditRecords, Paged, RoutingGrid}


OPTIONAL = {"history", "n_partial", "metric", "n_resamples", "alpha"}  # some have defaults
OPTIONAL |= {"strength", "unavailable", "real", "origin"}
OPTIONAL |= {"partial", "note", "report", "parts", "base", "keeps", "further", "leakage"}


@pytest.fixture(scope="module")
def written(rows):
    router = small_router(LOGISTIC, n_resamples=5, random_state=0).fit(rows.frame, rows.y)
    audit, table = router.audit(rows.frame, rows.y), router.routing_table_
    audit = replace(audit, evidence="held-out rows")
    places = np.arange(len(rows.y)) % 2
    told = pd.DataFrame(
        {"y": rows.y, "g": rows.frame["sex"], "p": router.predict_proba(rows.frame)[:, 1]}
    )
    parts = [
        audit_sums(part, y="y", groups=["g"], predictions={"generic": "p", "routed": "p"})
        for _, part in told.groupby(places)
    ]
    return {
        "group schema": router.schema_,
        "routing table": table,
        "audit": audit,
        "honest gains": router.honest_gains_,
        "card": Card.of(router, audit),
        "route": table.routes[-1],
        "part of a route": Part(1, 0.5),
        "group's record": table.groups[0],
        "change": table.to_generic({3: "why"}, "withdrawn").history[0],
        "reading": Reading(("NA", "?"), ("x",), "patient"),
        "origin": Card.of(router).origin,
        "audit's card": AuditCard.of(audit),
        "re-audit": router.reaudit(rows.frame, rows.y),
        "explanation": router.explain(rows.frame[:3]),
        "plan": table.disclosure_plan(),
        "monitoring": router.monitor(rows.frame),
        "gaps between groups": router.between_groups(rows.frame, rows.y),
        "federation": federate(dict(zip(("north", "south"), parts, strict=True))),
        "leakage": router.leakage(rows.frame),
        "ranking": router.ranking(rows.frame, rows.y),
        "decision curve": router.decision_curve(rows.frame, rows.y),
        "places": router.by_place(rows.frame, rows.y, places),
        "stability": router.without_each(rows.frame, rows.y, places),
        "calibration": router.calibration(rows.frame, rows.y),
    }


@pytest.fixture(scope="module")
def documents(written):
    return json.loads(json.dumps({kind: written[kind].to_dict() for kind in KINDS}))


def everything(of):
    return {of}.union(*map(everything, of.__subclasses__()))


def test_every_class_with_to_json_is_here():
    assert everything(Written) - BASES == {*KINDS.values(), *WRITTEN_ONLY.values()}


@pytest.mark.parametrize("kind", [*KINDS, *WRITTEN_ONLY])
def test_one_way_of_writing(written, kind):
    text = written[kind].to_json()
    assert "\n" not in text
    plain = json.loads(text, parse_constant=pytest.fail)
    assert plain == json.loads(json.dumps(written[kind].to_dict()))
    for indent in (None, 0, 1, 2):
        again = json.dumps(plain, indent=indent, sort_keys=True, ensure_ascii=False)
        assert written[kind].to_json(indent=indent) == again


@pytest.mark.parametrize("kind", KINDS)
def test_json_there_and_back(written, kind):
    assert KINDS[kind].from_json(written[kind].to_json()) == written[kind]


def test_infinities_there_and_back_and_no_nan(written):
    record, change = written["group's record"], written["change"]
    table, audit, honest = (written[k] for k in ("routing table", "audit", "honest gains"))
    sure = {"gain": -math.inf, "low": -math.inf, "high": math.inf}
    record, change = replace(record, risks={"generic": math.inf}, **sure), replace(change, **sure)
    gain = replace(audit.rationality[0], group="inf", reason="-inf", **sure)
    honest = replace(
        honest, overall=replace(honest.overall, **sure), groups={"inf": honest.overall}
    )
    table = replace(table, groups=(record, *table.groups[1:]), history=(change,))
    audit = replace(audit, groups=("inf", *audit.groups), rationality=(gain,))
    card = Card(table, audit, None, honest, "inf")
    for document in (record, change, table, audit, honest, card):
        text = document.to_json()
        again = type(document).from_json(text)
        assert again == document
        assert again.to_json() == text
        assert {"Infinity", "NaN"}.isdisjoint(text.replace("-", " ").split())
        assert '"-inf"' in text
    assert again.table.groups[0].gain == -math.inf
    assert again.audit.rationality[0].group == "inf"
    with pytest.raises(ValueError, match="Out of range float"):
        replace(record, gain=math.nan).to_json()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["NaN", '{"gain": Infinity}', "[" * 200_000], ids=len)
def test_what_no_document_holds(kind, text):
    with pytest.raises(ValueError, match=f"^text is not an? {kind} as to_dict|^text is not {kind}"):
        KINDS[kind].from_json(text)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_a_later_version_are_passed_over(documents, written, kind):
    assert READERS[kind]({**documents[kind], "later": 1}) == written[kind]


def test_a_number_that_is_a_text(documents):
    data = documents["group's record"]
    for wrong in ("nan", "1.0", "Infinity", [1.0]):
        with pytest.raises(ValueError, match=r"^data is not a group's record .*TypeError"):
            GroupRecord.from_dict({**data, "gain": wrong})


@pytest.mark.parametrize("kind", READERS)
def test_there_and_back(documents, kind):
    again = READERS[kind](documents[kind]).to_dict()
    assert json.loads(json.dumps(again)) == documents[kind]


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("wrong", [None, 5, "text", [], {}, {"n": 3}], ids=repr)
def test_other_data(kind, wrong):
    with pytest.raises(ValueError, match=rf"is not (an? )?{kind} as to_dict|got fields"):
        READERS[kind](wrong)


@pytest.mark.parametrize("kind", READERS)
def test_a_part_that_is_missing_or_a_number(documents, kind):
    for name in set(documents[kind]) - OPTIONAL:
        missing = {key: value for key, value in documents[kind].items() if key != name}
        with pytest.raises(ValueError, match=r"as to_dict and to_json write it|got fields"):
            READERS[kind](missing)
        if isinstance(documents[kind][name], (list, dict)):
            with pytest.raises(ValueError, match=r"as to_dict|got fields|grid|records for"):
                READERS[kind]({**documents[kind], name: 5})


@pytest.mark.parametrize("reader", [kind.from_json for kind in KINDS.values()])
def test_text_that_is_no_json(reader):
    with pytest.raises(ValueError, match=r"^text is not .*JSONDecodeError"):
        reader("{")
    with pytest.raises(ValueError, match=r"^text is not .*TypeError"):
        reader(None)


def test_a_table_that_contradicts_itself(documents):
    data = documents["routing table"]
    with pytest.raises(ValueError, match="points past the"):
        RoutingTable.from_dict({**data, "grid": [99] * len(data["grid"])})
    with pytest.raises(ValueError, match="grid has 8 entries; the group attributes need 9"):
        RoutingTable.from_dict({**data, "grid": data["grid"][1:]})


def served(data):
    """A group that generic does not serve, and its route."""
    return next(g for g, r in enumerate(data["groups"]) if r["candidate"] != "generic")


def change(name, value, within=None):
    def apply(data):
        (data if within is None else data[within][-1])[name] = value

    return apply


def all_generic(data):
    for record in data["groups"]:
        record["candidate"] = "generic"


def first_of_a_group(data):
    data["routes"][0] = {"candidate": "onehot", "group": 0, "strength": 1.0}


def partial_that_tells(data):
    full = [i for i, route in enumerate(data["grid"]) if route]
    data["grid"][1] = data["grid"][full[0]]


CONTRADICTIONS = {
    "records": all_generic,
    "reversed": lambda data: data.update(grid=[data["grid"][0], *data["grid"][:0:-1]]),
    "first": first_of_a_group,
    "partial": partial_that_tells,
    "fractions": lambda data: data.update(grid=[v + 0.9 for v in data["grid"]]),
    "texts": lambda data: data.update(grid=[str(v) for v in data["grid"]]),
    "truths": lambda data: data.update(grid=[bool(v) for v in data["grid"]]),
    "negative group": change("group", -1, "routes"),
    "group beyond": change("group", 99, "routes"),
    "half a group": change("group", 0.5, "routes"),
    "no group": change("group", None, "routes"),
    "strength 0": change("strength", 0.0, "routes"),
    "strength 2": change("strength", 2.0, "routes"),
    "another strength": change("strength", 0.5, "routes"),
    "alpha": change("alpha", math.nan),
    "alpha 1": change("alpha", 1),
    "alpha text": change("alpha", "0.1"),
    "policy": change("policy", 3),
    "others": lambda data: data["groups"].reverse(),
    "rows": change("rows", -1, "groups"),
    "half rows": change("rows", 1.5, "groups"),
    "gain": change("gain", math.nan, "groups"),
    "candidate": change("candidate", "magic", "groups"),
}


@pytest.mark.parametrize("how", CONTRADICTIONS)
def test_a_table_whose_parts_contradict_each_other_is_refused(documents, how):
    data = json.loads(json.dumps(documents["routing table"]))
    assert any(r["candidate"] != "generic" for r in data["groups"])
    CONTRADICTIONS[how](data)
    with pytest.raises(ValueError, match=r"group|route|grid|alpha|policy|report"):
        RoutingTable.from_dict(data)


class Page:
    """The one call of IPython's printers that documents make."""

    def __init__(self):
        self.told = ""

    def text(self, text):
        self.told += text


def test_notebooks_show_what_print_does(rows):
    router = small_router(LOGISTIC, random_state=0).fit(rows.frame, rows.y)
    for shown in (
        router.audit(rows.frame, rows.y),
        router.routing_table_.disclosure_plan(),
        router.route(rows.frame),
        router.explain(rows.frame[:1]),
    ):
        page = Page()
        vars(type(shown))["_repr_pretty_"](shown, page, False)  # IPython looks no further
        assert page.told == str(shown)
        assert len(page.told) < len(repr(shown))

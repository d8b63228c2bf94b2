"""Documents: what is read back must be what was written, or be refused by name."""

import json

import pytest
from small_routers import LOGISTIC
from small_routers import router as small_router

from fairuse_router import Audit, GroupSchema, RoutingTable
from fairuse_router.card import Card
from fairuse_router.routing.honest import HonestGains

READERS = {
    "group schema": GroupSchema.from_dict,
    "routing table": RoutingTable.from_dict,
    "audit": Audit.from_dict,
    "honest gains": HonestGains.from_dict,
    "card": Card.from_dict,
}


OPTIONAL = {"history", "n_partial", "metric", "n_resamples", "alpha"}  # some have defaults


@pytest.fixture(scope="module")
def documents(rows):
    router = small_router(LOGISTIC, n_resamples=5, random_state=0).fit(rows.frame, rows.y)
    audit = router.audit(rows.frame, rows.y)
    written = {
        "group schema": router.schema_.to_dict(),
        "routing table": router.routing_table_.to_dict(),
        "audit": audit.to_dict(),
        "honest gains": router.honest_gains_.to_dict(),
        "card": Card.of(router, audit).to_dict(),
    }
    return json.loads(json.dumps(written))


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


@pytest.mark.parametrize(
    ("reader", "argument"), [(RoutingTable.from_json, "text"), (Audit.from_json, "document")]
)
def test_text_that_is_no_json(reader, argument):
    with pytest.raises(ValueError, match=f"^{argument} is not an? .*JSONDecodeError"):
        reader("{")
    with pytest.raises(ValueError, match=f"^{argument} is not an? .*TypeError"):
        reader(None)


def test_a_table_that_contradicts_itself(documents):
    data = documents["routing table"]
    with pytest.raises(ValueError, match="points past the"):
        RoutingTable.from_dict({**data, "grid": [99] * len(data["grid"])})
    with pytest.raises(ValueError, match="grid has 8 entries; the group attributes need 9"):
        RoutingTable.from_dict({**data, "grid": data["grid"][1:]})

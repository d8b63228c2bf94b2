"""Mutants of documents and bundles: refused by a ValueError, or equal in effect; 2,000 of them."""

import itertools
import json
from contextlib import nullcontext, suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_routers import LOGISTIC
from small_routers import router as small_router

from fairuse_router import Audit, Bundle, GroupSchema, RoutingTable
from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.digest import BLANK, KEY, seal

WRITTEN = Path(__file__).parent / "data" / "bundle_v1.onnx"
VALUES = [
    *(None, 0, 1, -1, 2, 0.5, 1e6, -1e-9, 2**70, True, [], {}, [[]]),
    *("", "?", "inf", "-inf", "generic", "onehot", "error", "gain", "violation", "male", "string"),
]


def places_of(data):
    """Every place of nested data: what holds it, and its key."""
    places, walk = [], [data]
    while walk:
        part = walk.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part))
        places += [(part, key) for key in keys]
        walk += [part[key] for key in keys if isinstance(part[key], (dict, list))]
    return places


def mutate(data, rng):
    """Change one place: another value, its neighbour's, a negative, twice, or nothing at all."""
    places = places_of(data)
    part, key = places[rng.integers(len(places))]
    how = rng.integers(6)
    value = part[key]
    if how == 0 and isinstance(part, dict):
        del part[key]
    elif how == 1 and isinstance(part, list):
        part.insert(0, json.loads(json.dumps(value)))
    elif how == 2:
        other, place = places[rng.integers(len(places))]
        part[key] = json.loads(json.dumps(other[place]))
    elif how == 3 and isinstance(value, (int, float)):
        part[key] = [-value, value + 1, value / 3][rng.integers(3)]
    elif how == 4 and isinstance(value, list) and len(value) > 1:
        part[key] = value[::-1]
    else:
        part[key] = VALUES[rng.integers(len(VALUES))]


def mutants(data, seed):
    """Copies with one change, or two."""
    rng = np.random.default_rng(seed)
    text = json.dumps(data)
    while True:
        copy = json.loads(text)
        for _ in range(rng.integers(1, 3)):
            mutate(copy, rng)
        yield copy


@pytest.fixture(scope="module")
def documents(rows):
    router = small_router(LOGISTIC, n_resamples=5, random_state=0).fit(rows.frame, rows.y)
    audit = router.audit(rows.frame, rows.y)
    return {"table": router.routing_table_, "audit": audit, "schema": router.schema_}


def use_table(table):
    str(table)
    table.disclosure_plan()
    table.collapse(0.01)
    return table.explain(table.schema.report_codes)


def use_audit(audit):
    str(audit)
    audit.summary()
    audit.interventions_text()
    if audit.truthfulness:
        audit.temptation_text()
    for table in ("gains", "risks", "summary", "interventions"):
        audit.to_frame(table=table)


USES = {
    "table": (RoutingTable, use_table, 700),
    "audit": (Audit, use_audit, 600),
    "schema": (GroupSchema, lambda schema: schema.group_names(), 100),
}


@pytest.mark.parametrize("kind", USES)
def test_mutants_of_documents(documents, kind):
    """What is read can be used, and says the same when it is written and read again."""
    of, use, count = USES[kind]
    read = 0
    for mutant in itertools.islice(mutants(documents[kind].to_dict(), 1), count):
        try:
            again = of.from_dict(mutant)
        except ValueError:
            continue
        read += 1
        with nullcontext() if kind != "audit" else suppress(ValueError):
            use(again)  # some views need what an audit may lack
        assert of.from_json(again.to_json()) == again
    assert 0 < read < count / 2


def contradicts(audit):
    """Whether records speak of what the audit does not have, or verdicts of what was not shown."""
    every = [*audit.risks, *audit.rationality, *audit.envy_freeness, *audit.truthfulness]
    known = all(
        r.metric in audit.metrics
        and r.candidate in audit.candidates
        and (r.group is None or r.group in audit.groups)
        for r in every
    )
    drawn = [r for r in every if getattr(r, "verdict", "") in ("gain", "violation")]
    return not known or any(r.p_corrected is None or r.p_corrected > audit.alpha for r in drawn)


def test_audits_that_are_read_do_not_contradict_themselves(documents):
    for mutant in itertools.islice(mutants(documents["audit"].to_dict(), 2), 100):
        try:
            audit = Audit.from_dict(mutant)
        except ValueError:
            continue
        assert not contradicts(audit)


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(WRITTEN)


@pytest.fixture(scope="module")
def people(bundle):
    """Rows under every report."""
    levels = [["?", *texts] for texts in bundle.schema.levels]
    rng, X = np.random.default_rng(0), []
    for told in itertools.product(*levels):
        row = dict(zip(bundle.schema.attributes, told, strict=True))
        for c in bundle.layout.columns:
            row[c.name] = float(rng.normal()) if c.numeric else "typical"
        X.append(row)
    return X


def answers(bundle, X):
    """All that a bundle says of rows."""
    found = [bundle.classes_.tolist(), bundle.predict(X).tolist()]
    found += [bundle.route(X).candidate.tolist(), bundle.layout.names]
    if any(output["name"] == "probabilities" for output in bundle.outputs):
        found.append(bundle.predict_proba(X).tolist())
    return found


@pytest.mark.parametrize("key", metadata.KEYS)
def test_mutants_of_a_bundles_metadata(bundle, people, key):
    """One part of the metadata is another: the file is refused, or answers as it did."""
    model = onnx.load(WRITTEN)
    properties = {p.key: p.value for p in model.metadata_props}
    part, name = json.loads(properties[metadata.PREFIX + key]), metadata.PREFIX + key
    expected, read = answers(bundle, people), 0
    for mutant in itertools.islice(mutants(part, 3), 75):
        parts = {**properties, name: json.dumps(mutant)}
        try:
            metadata.read(parts)  # cheap, and the first that a reader does
        except ValueError:
            continue
        onnx.helper.set_model_props(model, {**parts, KEY: BLANK})
        try:
            other = Bundle(seal(model.SerializeToString()))
            found = answers(other, people)
            str(other.routing_table), other.audit_, repr(other)
        except ValueError:
            continue
        read += 1
        assert found == expected, mutant
    assert read < 75

"""Bundles of routers whose partial reports have routes of their own."""

import json

import numpy as np
import pytest
from forced import every_report, serve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from lattices import LOGISTIC
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import Ridge

from fairuse_router import Bundle, FairUseRouter, RoutingTable, export_bundle
from fairuse_router.bundle import update_bundle
from fairuse_router.bundle.file.hidden import small_groups, write_table
from fairuse_router.datasets import make_population
from fairuse_router.routing.records import GroupRecord

COMMON = {
    "deadline": None,
    "derandomize": True,
    "phases": [Phase.generate],
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}


def fitted(sizes=(2, 3), effect="mixed", estimator=LOGISTIC, seed=4, n=900, target=None, **more):
    population = make_population(n, n_groups=sizes, effect=effect, random_state=seed)
    X = population.to_frame()
    rng = np.random.default_rng(seed)
    for name in population.group_attributes:
        X.loc[rng.random(n) < 0.1, name] = "?"
    y = population.y if target is None else target(population)
    router = FairUseRouter(
        estimator,
        population.group_attributes,
        candidates=("generic", "intersectional"),
        random_state=0,
        **{"cv": 3, **more},
    )
    return router.fit(X, y), X, y


def any_routes(router, rng):
    """The router with routes drawn at random for every report, as the rule could choose them."""
    table, schema = router.routing_table_, router.schema_
    partial = schema.report_codes[(schema.report_codes == 0).any(axis=1)]
    chosen = {}

    def record(code):
        text = schema.report_texts(code)
        coarser = [
            text_of
            for text_of, (other, candidate) in chosen.items()
            if candidate != "generic" and ((other == 0) | (other == code)).all()
        ]
        base = coarser[rng.integers(len(coarser))] if coarser and rng.random() < 0.7 else None
        kind = rng.integers(3) if code.any() else 0
        if kind == 0 and base is None:
            return GroupRecord(text, 10, "generic", "drawn")
        if kind < 2 and base is not None:
            kept = made[base]
            return GroupRecord(
                text, 10, kept.candidate, "drawn", strength=kept.strength, base=base, keeps=True
            )
        strength = float(rng.choice([0.25, 0.5, 0.75, 1.0]))
        return GroupRecord(text, 10, "multilevel", "drawn", strength=strength, base=base)

    made = {}
    for code in sorted(schema.report_codes, key=lambda c: (c > 0).sum()):
        own = record(code)
        made[own.report] = own
        if not code.all():
            chosen[own.report] = (code, own.candidate)
    drawn = RoutingTable.from_choices(
        schema,
        [made[schema.report_texts(code)] for code in schema.group_codes],
        policy=table.policy,
        metric=table.metric,
        alpha=table.alpha,
        partial=[made[schema.report_texts(code)] for code in partial],
    )
    return serve(router, drawn)


def assert_agree(router, bundle, X, tolerance=1e-5):
    method = "predict_proba" if hasattr(router, "predict_proba") else "predict"
    for asked in every_report(router, X):
        own, theirs = (getattr(model, method)(asked) for model in (router, bundle))
        np.testing.assert_allclose(theirs, own, atol=tolerance * np.abs(own).max())
        np.testing.assert_array_equal(bundle.route(asked).candidate, router.route(asked).candidate)
        np.testing.assert_array_equal(bundle.route(asked).reason, router.route(asked).reason)


@settings(max_examples=6, **COMMON)
@given(
    sizes=st.sampled_from([(2, 2), (2, 3), (3, 2), (2, 2, 2)]),
    seed=st.integers(0, 10**6),
    boosted=st.booleans(),
)
def test_router_and_bundle_agree_on_every_report_of_random_tables(
    tmp_path_factory, sizes, seed, boosted
):
    boosting = HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=4)
    router, X, _ = fitted(sizes, n=300, estimator=boosting if boosted else LOGISTIC, seed=seed % 50)
    rng = np.random.default_rng(seed)
    router = any_routes(router, rng)
    path = tmp_path_factory.mktemp("bundle") / "router.onnx"
    export_bundle(router, path, X, min_cell=0)
    bundle = Bundle.load(path)
    assert bundle.routing_table == router.routing_table_
    rows = X.iloc[:40]
    assert_agree(router, bundle, rows)
    # no answer depends on a column that is withheld
    for asked in every_report(router, rows):
        code = router.schema_.encode(asked.iloc[:1])[0]
        told = router.predict(asked)
        for j in np.flatnonzero(code == 0):
            name = router.schema_.attributes[j]
            route = router.routing_table_.routes[router.routing_table_.look_up(code[None])[0]]
            used = [route.report, *(part.report for part in route.parts)]
            if route.group is not None:
                used.append(router.schema_.report_ids(router.schema_.group_codes[[route.group]])[0])
            levels = router.schema_.report_codes[[u for u in used if u is not None]]
            assert (levels[:, j] == 0).all(), (code, name, route)
        np.testing.assert_array_equal(told, router.predict(asked))


def test_a_chosen_table_is_served_and_told_in_full(tmp_path):
    router, X, _ = fitted((2, 3), "slopes", n=1500)
    table = router.routing_table_
    routed = [r for r in table.partial if r.candidate != "generic"]
    assert routed
    assert any(route.parts for route in table.routes)
    path = tmp_path / "router.onnx"
    export_bundle(router, path, X, min_cell=0)
    bundle = Bundle.load(path)
    assert bundle.metadata["fairuse_router.format_version"] == "2"
    assert_agree(router, bundle, X.iloc[:60])
    told = json.loads(bundle.metadata["fairuse_router.routing_table"])
    assert len(told["partial"]) == len(table.partial)
    assert bundle.routing_table == table


def test_a_mean_that_starts_from_a_coarser_report_is_the_same_in_the_file(tmp_path):
    # half of the mean with intersectional, on top of the route of a partial report
    boosting = HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=4)
    router, X, _ = fitted((2, 2), estimator=boosting, n=300)
    table, schema = router.routing_table_, router.schema_
    base = schema.report_texts(schema.report_codes[1])
    partial = [
        GroupRecord(schema.report_texts(code), 9, "multilevel", "", strength=0.5)
        if schema.report_texts(code) == base
        else GroupRecord(schema.report_texts(code), 9, "generic", "")
        for code in schema.report_codes
        if not code.all()
    ]
    groups = []
    for code in schema.group_codes:
        below = base if code[1] == 1 else None
        name = "intersectional+multilevel"
        groups.append(GroupRecord(schema.report_texts(code), 9, name, "", strength=0.5, base=below))
    kept = {"policy": table.policy, "metric": table.metric, "alpha": table.alpha}
    router = serve(router, RoutingTable.from_choices(schema, groups, partial=partial, **kept))
    export_bundle(router, tmp_path / "router.onnx", X)
    assert_agree(router, Bundle.load(tmp_path / "router.onnx"), X.iloc[:50])
    # by hand: z = zb + (mean - zb) / 2, zb half way from generic to the partial correction
    correction = router.candidates_["multilevel"].corrected
    features = X[[c for c in X if c not in schema.attributes]]
    prepared = correction.prepare(features)
    n = len(X)
    row = router.candidates_["multilevel"].lattice.row_of_report
    start = (prepared.margin + correction.margin(prepared, np.full(n, row[1]))) / 2
    full = correction.margin(prepared, np.zeros(n, dtype=int))
    proba = router.candidates_["intersectional"].evaluate(
        features, np.zeros(n, dtype=int), "predict_proba", router.classes_
    )
    p = np.clip(proba[:, 1], 0.005, 0.995)
    mean = (correction.scale * np.log(p / (1 - p)) + full) / 2
    asked = X.assign(
        **dict(zip(schema.attributes, schema.report_texts(schema.group_codes[0]), strict=True))
    )
    expected = 1 / (1 + np.exp(-(start + mean) / 2))
    np.testing.assert_allclose(router.predict_proba(asked)[:, 1], expected, atol=1e-9)


def test_a_regression_has_a_lattice_too(tmp_path):
    rng = np.random.default_rng(0)

    def target(population):
        sign = np.where(population.groups[:, 0] == "a0", 1, -1)
        return population.features[:, 0] * sign + rng.normal(size=len(population.y))

    router, X, _ = fitted((2, 3), estimator=Ridge(), target=target, metric="squared_error", n=600)
    assert any(r.candidate == "multilevel" for r in router.routing_table_.partial)
    export_bundle(router, tmp_path / "router.onnx", X)
    assert_agree(router, Bundle.load(tmp_path / "router.onnx"), X.iloc[:50])


def test_withdrawing_a_coarser_route_leaves_finer_ones_as_they_are(tmp_path):
    router, X, _ = fitted((2, 3), "slopes", n=1500)
    path = tmp_path / "router.onnx"
    export_bundle(router, path, X)
    table = router.routing_table_
    parts = {part.report for route in table.routes for part in route.parts}
    gone = sorted(parts)[0]
    less = table.reports_to_generic({gone: "no longer"}, "withdrawn")
    code = table.schema.report_codes[gone]
    assert less.look_up(code[None])[0] == 0
    assert [change.report for change in less.history] == [table.schema.report_texts(code)]
    other = router.with_table(less)
    full = X[(X[router.schema_.attributes[0]] != "?") & (X[router.schema_.attributes[1]] != "?")]
    np.testing.assert_array_equal(other.predict_proba(full), router.predict_proba(full))
    update_bundle(other, path, tmp_path / "less.onnx")
    assert_agree(other, Bundle.load(tmp_path / "less.onnx"), X.iloc[:40])


def test_numbers_of_few_people_cannot_be_worked_out_from_partial_reports():
    router, _, _ = fitted((2, 3), "slopes", n=1500)
    table = router.routing_table_
    smallest = min(r.rows for r in table.groups)
    hidden = small_groups(table, smallest + 1)
    groups = {name for name in table.schema.group_names() if name in hidden}
    assert len(groups) == 2
    data = write_table(table, hidden, smallest + 1)
    shown = {tuple(r["report"]): r["rows"] for r in (*data["groups"], *data["partial"])}
    for g, name in enumerate(table.schema.group_names()):
        if name not in groups:
            continue
        code = table.schema.group_codes[g]
        for mask in ([1, 0], [0, 1], [0, 0]):
            assert shown[table.schema.report_texts(code * mask)] is None
    assert any(v is not None for v in shown.values())
    assert RoutingTable.from_dict({**data, "schema": table.schema.to_dict()}).note == ""


@pytest.mark.parametrize("damage", ["finer", "weights", "lost", "kept"])
def test_a_table_that_contradicts_itself_is_refused(damage):
    router, _, _ = fitted((2, 3), "slopes", n=1500)
    data = router.routing_table_.to_dict()
    own = next(i for i, route in enumerate(data["routes"]) if route.get("parts"))
    partial = next(i for i, route in enumerate(data["routes"]) if "report" in route)
    if damage == "finer":  # a route for a partial report that starts from more than it tells
        data["routes"][partial]["parts"] = [{"report": 11, "weight": 0.1}]
    elif damage == "weights":
        data["routes"][own]["parts"][0]["weight"] = 2.0
    elif damage == "lost":
        data["partial"] = data["partial"][1:]
    else:
        data["partial"][1]["candidate"] = "nobody"
    with pytest.raises(ValueError, match=r"route|record|report"):
        RoutingTable.from_dict(data)

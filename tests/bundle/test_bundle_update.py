"""Updating a bundle: another table over the same models, in under a second, and nothing else."""

import time
from dataclasses import replace

import numpy as np
import onnx
import pytest
from forced import every_report, force
from onnx import numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.bundle import update_bundle
from fairuse_router.bundle.file.digest import BLANK, KEY, seal

ROUTES = ("onehot", "decoupled", "generic", "intersectional")
MODELS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(20, min_samples_leaf=5, random_state=0),
    "boosting": HistGradientBoostingClassifier(max_iter=20, random_state=0),
}


@pytest.fixture(scope="module", params=MODELS)
def written(request, rows, tmp_path_factory):
    """A router, its bundle, and the router with two routes withdrawn."""
    path, X = tmp_path_factory.mktemp("update") / "router.onnx", rows.frame
    router = force(FairUseRouter(MODELS[request.param], rows.groups, cv=2).fit(X, rows.y), ROUTES)
    export_bundle(router, path, X, precision="exact")
    table = router.routing_table_.to_generic({0: "harm", 3: "harm"}, "withdrawn")
    return router, path, router.with_table(table), X


def test_the_updated_bundle_answers_as_the_updated_router(written, tmp_path):
    _, path, after, X = written
    update_bundle(after, path, tmp_path / "after.onnx")
    bundle = Bundle.load(tmp_path / "after.onnx")
    for asked in every_report(after, X):
        assert np.array_equal(bundle.predict(asked), after.predict(asked))
        assert np.abs(bundle.predict_proba(asked) - after.predict_proba(asked)).max() < 1e-5
        assert np.array_equal(bundle.route(asked).candidate, after.route(asked).candidate)
    assert [c.event for c in bundle.routing_table.history] == ["withdrawn"] * 2
    assert bundle.routing_table.history == after.routing_table_.history
    assert bundle.routing_table.groups == after.routing_table_.groups
    assert bundle.audit_ == after.audit_


def test_nothing_changes_but_routes_table_and_audit(written, tmp_path):
    _, path, after, _ = written
    update_bundle(after, path, tmp_path / "after.onnx")
    before, now = onnx.load(path), onnx.load(tmp_path / "after.onnx")
    moved = [
        (numpy_helper.to_array(a), numpy_helper.to_array(b))
        for a, b in zip(before.graph.initializer, now.graph.initializer, strict=True)
        if a != b
    ]
    assert len(moved) == 1
    assert (moved[0][0] != moved[0][1]).sum() == 2
    changed = {
        a.key
        for a, b in zip(before.metadata_props, now.metadata_props, strict=True)
        if (a.key, a.value) != (b.key, b.value)
    }
    assert changed == {f"fairuse_router.{k}" for k in ("audit", "routing_table", "sha256")}
    for model in (before, now):
        del model.graph.initializer[:], model.metadata_props[:]
    assert before == now


def test_an_update_takes_less_than_a_second_and_the_same_bytes_each_time(written, tmp_path):
    _, path, after, _ = written
    seconds = []
    for name in ("one.onnx", "two.onnx"):
        start = time.perf_counter()
        update_bundle(after, path, tmp_path / name)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1
    content = (tmp_path / "one.onnx").read_bytes()
    assert content == (tmp_path / "two.onnx").read_bytes()
    update_bundle(after, tmp_path / "two.onnx", tmp_path / "two.onnx")  # in place, and once more
    assert content == (tmp_path / "two.onnx").read_bytes()


def test_updating_back_gives_the_file_that_was(written, tmp_path):
    router, path, after, _ = written
    update_bundle(after, path, tmp_path / "after.onnx")
    update_bundle(router, tmp_path / "after.onnx", tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == path.read_bytes()


def test_after_a_re_audit(rows, tmp_path):
    path = tmp_path / "router.onnx"
    X = rows.frame.astype({"x": np.float32, "z": np.float32})
    router = force(
        FairUseRouter(LogisticRegression(), rows.groups, cv=2).fit(X, rows.y), ("decoupled",)
    )
    export_bundle(router, path, X)
    against = router.predict(X.assign(sex="?", age="?"))
    result = router.reaudit(X, against, update="withdraw")
    assert result.updated
    update_bundle(router, path, path)
    bundle = Bundle.load(path)
    assert np.array_equal(bundle.predict(X), router.predict(X))
    assert bundle.audit_.evidence == "re-audit rows"
    assert len(bundle.routing_table.history) == len(result.violated)
    assert "Since then back to generic" in str(bundle.routing_table)


def test_a_regression_and_reports_as_codes(rows, tmp_path):
    X = rows.frame.astype({"x": np.float32, "z": np.float32})
    model = FairUseRouter(LinearRegression(), rows.groups, cv=2, metric="squared_error")
    router = force(model.fit(X, X["x"] * rows.y), ROUTES)
    export_bundle(router, tmp_path / "r.onnx", X, report="codes")
    after = router.with_table(router.routing_table_.to_generic({1: "harm"}, "withdrawn"))
    update_bundle(after, tmp_path / "r.onnx", tmp_path / "a.onnx")
    bundle = Bundle.load(tmp_path / "a.onnx")
    for asked in every_report(after, X[:20]):
        np.testing.assert_allclose(
            bundle.predict(asked), after.predict(asked), rtol=1e-4, atol=1e-5
        )


def test_small_cells_stay_out_of_the_history(written, tmp_path):
    router, path, _, _ = written
    table = router.routing_table_.to_generic(
        {0: "withdrawn: -50.0% on 4 rows"}, "withdrawn", rows={0: 4}, gain={0: -0.5}
    )
    update_bundle(router.with_table(table), path, tmp_path / "a.onnx")
    (change,) = Bundle.load(tmp_path / "a.onnx").routing_table.history
    assert (change.rows, change.gain, change.low, change.high) == (None,) * 4
    assert b"-50.0%" not in (tmp_path / "a.onnx").read_bytes()
    assert change.candidate == "onehot"


def test_bundles_of_other_routers_are_refused(written, rows, tmp_path):
    router, path, _, X = written
    other = force(
        FairUseRouter(LogisticRegression(C=0.01), rows.groups, cv=2).fit(X, rows.y), ROUTES
    )
    other.routing_table_ = replace(
        other.routing_table_,
        groups=tuple(
            replace(g, risks={**g.risks, "generic": 0.123}) for g in other.routing_table_.groups
        ),
    )
    with pytest.raises(ValueError, match="was not written from this router"):
        update_bundle(other, path, tmp_path / "a.onnx")
    narrow = FairUseRouter(LogisticRegression(), rows.groups, cv=2)
    narrow.fit(X.drop(columns="z"), rows.y)
    with pytest.raises(ValueError, match="was not written from this router"):
        update_bundle(narrow, path, tmp_path / "a.onnx")
    plain = [replace(g, candidate="decoupled") for g in router.routing_table_.groups]
    more = router.with_table(
        type(router.routing_table_).from_choices(
            router.schema_, plain, policy="best", metric="error", alpha=0.1
        )
    )
    with pytest.raises(ValueError, match="holds no model for the route to 'decoupled' of group 0"):
        update_bundle(more, path, tmp_path / "a.onnx")
    with pytest.raises(ValueError, match="its folder does not exist"):
        update_bundle(router, path, tmp_path / "none" / "a.onnx")
    with pytest.raises(ValueError, match="there is no such file"):
        update_bundle(router, tmp_path / "none.onnx", tmp_path / "a.onnx")
    assert not (tmp_path / "a.onnx").exists()


def test_a_damaged_history_is_refused(written, tmp_path):
    _, path, after, _ = written
    update_bundle(after, path, tmp_path / "a.onnx")
    for old, new in (
        ('"event": "withdrawn"', '"event": 1'),
        ('"history": [{', '"history": 7, "past": [{'),
        ('"rows": 80}], "metric"', '"rows": "many"}], "metric"'),
    ):
        model = onnx.load(tmp_path / "a.onnx")
        for entry in model.metadata_props:
            if entry.key == "fairuse_router.routing_table":
                assert old in entry.value, entry.value[-400:]
                entry.value = entry.value.replace(old, new)
            elif entry.key == KEY:
                entry.value = BLANK
        with pytest.raises(ValueError, match="history"):
            Bundle(seal(model.SerializeToString()))

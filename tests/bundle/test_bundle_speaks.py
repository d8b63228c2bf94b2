"""A file audits, re-audits and explains as the router does, without scikit-learn."""

import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from forced import force
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.svm import LinearSVC

from fairuse_router import Bundle, FairUseRouter, export_bundle
from fairuse_router.bundle import update_bundle
from fairuse_router.routing import Route

MODELS = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(5, min_samples_leaf=5, random_state=0),
    "scores": LinearSVC(),
    "regression": LinearRegression(),
}


def parts(rows, kind):
    """Rows to fit and to audit, of a kind of target."""
    y = rows.y if kind != "regression" else rows.y + rows.frame["x"].to_numpy()
    return (rows.frame[:500], y[:500]), (rows.frame[500:], y[500:])


@pytest.fixture(scope="module", params=MODELS)
def told(request, many_rows, tmp_path_factory):
    """A router, the bundle that holds all of it, and rows that it has not seen."""
    kind = request.param
    training, (X, y) = parts(many_rows, kind)
    metric = "squared_error" if kind == "regression" else "error"
    router = FairUseRouter(
        MODELS[kind], many_rows.groups, cv=2, policy="priced", metric=metric, n_resamples=20
    ).fit(*training)
    path = tmp_path_factory.mktemp("speaks") / "router.onnx"
    audit = router.audit(X, y)
    settings = {"precision": "exact", "audit": audit, "candidates": "all", "min_cell": 0}
    export_bundle(router, path, X, **settings)
    return router, Bundle.load(path), X, y, audit, path


def close(a, b):
    """Whether two documents are one, but for rounding."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(close, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return a == pytest.approx(b, rel=1e-6, abs=1e-9)
    return a == b


def test_the_audit_of_the_file_is_the_routers(told):
    router, bundle, X, y, audit, _ = told
    assert close(bundle.audit(X, y).to_dict(), audit.to_dict())
    assert bundle.held_out_ == audit
    assert bundle.audit_ == router.audit_
    assert bundle.honest_gains_ == router.honest_gains_
    assert bundle.audit(X, y).envy_freeness  # of candidates that serve nobody, too


def test_metrics_weights_clusters_and_other_groups(told, many_rows):
    router, bundle, X, y, _, _ = told
    rng = np.random.default_rng(0)
    weight, clusters = rng.integers(0, 3, len(y)), np.arange(len(y)) // 2
    more = {"alpha": 0.2, "correction": "bonferroni"}
    if hasattr(router, "predict_proba"):
        more["metrics"] = ["brier", "auc"]
    for given in ({"sample_weight": weight}, {"clusters": clusters}, {"by": "sex"}):
        mine, theirs = (who.audit(X, y, **given, **more) for who in (bundle, router))
        assert close(mine.to_dict(), theirs.to_dict())


def test_reaudit_and_explain_are_the_routers(told):
    router, bundle, X, y, _, _ = told
    for given in ({}, {"clusters": np.arange(len(y)) // 2}, {"alpha": 0.3}):
        mine, theirs = bundle.reaudit(X, y, **given), router.reaudit(X, y, **given)
        assert close(mine.to_dict(), theirs.to_dict())
        assert mine.table.to_dict() == theirs.table.to_dict()
    silent = X[:4].assign(sex="?")
    for asked in (X[:4], silent):
        assert str(bundle.explain(asked)) == str(router.explain(asked))


def test_a_file_without_the_others_compares_what_serves(told, tmp_path):
    router, bundle, X, y, audit, _ = told
    export_bundle(router, tmp_path / "r.onnx", X, precision="exact")
    lean = Bundle.load(tmp_path / "r.onnx")
    assert lean.held_out_ is None
    found = lean.audit(X, y)
    assert found.candidates == ("generic", "routed")
    mine = [r for r in audit.rationality if r.candidate == "routed"]
    assert close([r.__dict__ for r in found.rationality], [r.__dict__ for r in mine])
    assert close([r.__dict__ for r in found.truthfulness], [r.__dict__ for r in audit.truthfulness])
    assert close(lean.reaudit(X, y).to_dict(), router.reaudit(X, y).to_dict())
    kept = {(r.candidate, r.group) for r in bundle.routing_table.routes}
    assert {("decoupled", g) for g in range(4)} <= kept
    assert len(lean.routing_table.routes) < len(bundle.routing_table.routes)


@pytest.mark.parametrize("report", ["texts", "codes"])
def test_what_serves_is_as_certified_with_or_without_the_others(told, report, tmp_path):
    router, _, X, y, _, _ = told
    certificate = export_bundle(
        router, tmp_path / "r.onnx", X, precision="exact", report=report, candidates="all"
    )
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert np.array_equal(bundle.predict(X), router.predict(X)) or bundle.classes_ is None
    beside = set(range(len(bundle.routing_table.routes))) - set(bundle.routing_table.grid.flat)
    asked = len(X) * (1 + certificate["reports"] + len(beside))
    assert certificate["checks"] == asked
    assert close(bundle.audit(X, y).to_dict(), router.audit(X, y).to_dict())
    assert [i["name"] for i in bundle.inputs] == ["X", "report"]  # the other has a default


@pytest.mark.parametrize("told", ["logistic"], indirect=True)
def test_an_updated_file_still_compares_all(told, tmp_path):
    router, _, X, y, _, path = told
    forced = force(deepcopy(router), ("generic", "onehot", "decoupled", "generic"))
    update_bundle(forced, path, tmp_path / "u.onnx")
    bundle = Bundle.load(tmp_path / "u.onnx")
    assert Route("decoupled", 2) in bundle.routing_table.routes
    assert np.array_equal(bundle.predict(X), forced.predict(X))
    assert close(bundle.audit(X, y).to_dict(), forced.audit(X, y).to_dict())
    assert "routed" not in bundle.held_out_.candidates  # that spoke of other routes


def test_small_groups_of_the_held_out_rows_are_left_out(many_rows, tmp_path):
    (X, y), _ = parts(many_rows, "logistic")
    few = np.r_[500:503, 504:507, 508:511, 512:960]  # F, M, F of old, old, young: fewer of M, young
    X_test, y_test = many_rows.frame.iloc[few], many_rows.y[few]
    keep = (X_test["sex"] == "F") | (X_test["age"] == "old")
    keep |= np.arange(len(few)) < 12
    X_test, y_test = X_test[keep], y_test[keep]
    router = FairUseRouter(LogisticRegression(), many_rows.groups, cv=2).fit(X, y)
    audit = router.audit(X_test, y_test)
    sizes = {r.group: r.n for r in audit.rationality}
    small = [name for name, n in sizes.items() if n < 5]
    assert len(small) == 1
    export_bundle(router, tmp_path / "r.onnx", X, audit=audit)
    held = Bundle.load(tmp_path / "r.onnx").held_out_
    hidden = {r.group for r in held.rationality if r.n is None}
    assert hidden >= set(small)
    assert len(hidden) == 2
    for record in (*held.risks, *held.rationality, *held.truthfulness):
        if record.group in hidden:
            assert record.n is None
            assert getattr(record, "gain", None) is getattr(record, "risk", None) is None
    assert "hidden" in str(held)


def test_training_counts_of_few_people_are_left_out(many_rows, tmp_path):
    X = many_rows.frame[:400]
    y = np.where((X["sex"] == "F") & (X["age"] == "old"), np.arange(400) < 10, many_rows.y[:400])
    router = FairUseRouter(LogisticRegression(), many_rows.groups, cv=2).fit(X, y)
    export_bundle(router, tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    assert router.class_counts_.min() < 5
    assert bundle._parts["class_counts"][int(router.class_counts_.min(axis=1).argmin())] is None
    kinds = ("group size", "class rate")  # partial reports beside a small group are left out, too
    theirs, mine = (
        {(s.kind, s.group): s for s in speaker.reaudit(X, y).shifts if s.kind in kinds}
        for speaker in (router, bundle)
    )
    assert len(mine) == len(theirs) - 1


def refusals(router, X, y):
    """Calls that must be refused, and what the message says."""
    return [
        (lambda b: b.audit(X, y[:-1]), f"X has {len(X)} rows, y has {len(y) - 1}"),
        (lambda b: b.audit(X, y[:, None]), "pass one label per row"),
        (lambda b: b.audit(X[:0], y[:0]), "X has no rows"),
        (lambda b: b.audit(X, y, alpha=2), "alpha=2 is not allowed"),
        (lambda b: b.reaudit(X, y, sample_weight=np.full(len(y), np.nan)), "contains NaN"),
        (lambda b: b.audit(X, y, sample_weight=[1.0]), "give one number per row"),
    ]


def test_refusals(told, tmp_path):
    router, bundle, X, y, audit, _ = told
    for call, message in refusals(router, X, y):
        with pytest.raises(ValueError, match=message):
            call(bundle)
    for given, kind, message in (
        ({"audit": router.audit_}, ValueError, "whose rows chose the routes"),
        ({"audit": replace(audit, groups=("a",))}, ValueError, "audit has the groups"),
        ({"audit": 1}, TypeError, "audit is a int"),
        ({"candidates": "some"}, ValueError, "candidates='some' is not allowed"),
    ):
        with pytest.raises(kind, match=message):
            export_bundle(router, tmp_path / "r.onnx", X, **given)
    assert not (tmp_path / "r.onnx").exists()


def test_metrics_of_the_users_own_must_be_passed(many_rows, tmp_path):
    def cost(y, label):
        return float(np.mean(np.where(y == 1, 5, 1) * (y != label)))

    X, y = many_rows.frame[:200], many_rows.y[:200]
    X_test, y_test = many_rows.frame[200:300], many_rows.y[200:300]
    chosen = {"cv": 2, "metric": cost, "policy": "best"}
    router = FairUseRouter(LogisticRegression(), many_rows.groups, **chosen).fit(X, y)
    export_bundle(router, tmp_path / "r.onnx", X)
    bundle = Bundle.load(tmp_path / "r.onnx")
    with pytest.raises(ValueError, match="chosen by 'cost', a metric of the user's own"):
        bundle.audit(X_test, y_test)
    quick = {"alpha": 0.45, "n_resamples": 20}
    mine = bundle.audit(X_test, y_test, metrics=cost, **quick)
    theirs = router.audit(X_test, y_test, **quick)
    assert mine.rationality == tuple(r for r in theirs.rationality if r.candidate == "routed")


_ALONE = """
import sys
from copy import deepcopy
for name in ("sklearn", "skl2onnx", "pandas", "joblib", "onnx"):
    sys.modules[name] = None  # an import fails
import numpy as np
from fairuse_router import Bundle
path, rows = sys.argv[1:]
data = np.load(rows, allow_pickle=True)
bundle = Bundle.load(path)
print(bundle.audit(data["X"], data["y"]))
print(bundle.reaudit(data["X"], data["y"]))
print(bundle.explain(data["X"][:2]))
"""


@pytest.mark.parametrize("told", ["logistic"], indirect=True)
def test_without_scikit_learn(told, tmp_path):
    router, _, X, y, audit, path = told
    np.savez(tmp_path / "rows.npz", X=X.to_numpy(dtype=object), y=y)
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", _ALONE, str(path), str(tmp_path / "rows.npz")],
        check=True,
        capture_output=True,
        text=True,
    )
    expected = f"{audit}\n{router.reaudit(X, y)}\n{router.explain(X[:2])}\n"
    assert found.stdout == expected

"""The reader: verification, processes, session options, refusals, and every kind of table."""

import multiprocessing
import pickle

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
from forced import EVERY, force
from joblib import Parallel, delayed
from platforms import FORKS
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter
from fairuse_router.bundle import Bundle, export_bundle
from fairuse_router.bundle.file.digest import BLANK, KEY, seal
from fairuse_router.datasets import load_heart

GROUPS = ["sex", "age_group"]


@pytest.fixture(scope="module")
def heart():
    X, y = load_heart(return_X_y=True, as_frame=True)
    return X[[*GROUPS, *X.select_dtypes("number").columns]].drop(columns="ca"), y


def exported(estimator, heart, folder, **settings):
    X, y = heart
    router = FairUseRouter(estimator, GROUPS, cv=2, random_state=0, **settings).fit(X, y)
    export_bundle(force(router, EVERY), folder / "r.onnx", X)
    return router, folder / "r.onnx"


@pytest.fixture(scope="module")
def logistic(heart, tmp_path_factory):
    clf = make_pipeline(StandardScaler(), LogisticRegression())
    return exported(clf, heart, tmp_path_factory.mktemp("reader"))


# verification
def test_verify_alone_and_against_the_router(logistic, heart):
    router, path = logistic
    bundle = Bundle.load(path)
    alone = bundle.verify(heart[0])
    assert alone["label_flips"] == 0
    assert alone["reports"] == 9
    assert alone["checks"] >= 9 * len(heart[0])
    compared = bundle.verify(heart[0], router)
    assert compared["max_difference"] == bundle.certificate["max_difference"]
    assert compared["checks"] == bundle.certificate["checks"]
    assert bundle.verify(heart[0][:1])["rows"] == 1
    assert bundle.verify(heart[0], max_checks=90)["checks"] < 900
    with pytest.raises(ValueError, match="no rows"):
        bundle.verify(heart[0][:0])


@pytest.mark.parametrize("report", ["texts", "codes"])
def test_verify_an_exact_bundle(report, heart, tmp_path):
    forest = make_pipeline(
        SimpleImputer(), RandomForestClassifier(20, min_samples_leaf=3, random_state=0)
    )
    router = FairUseRouter(forest, GROUPS, cv=2, random_state=0).fit(*heart)
    force(router, EVERY)
    export_bundle(router, tmp_path / "r.onnx", heart[0], precision="exact", report=report)
    bundle = Bundle.load(tmp_path / "r.onnx")
    for found in (bundle.verify(heart[0]), bundle.verify(heart[0], router)):
        assert found["label_flips"] == 0
        assert found["max_difference"] <= 1e-9
    assert bundle.predict_proba(heart[0]).dtype == np.float64


def test_verify_finds_another_router(logistic, heart):
    X, y = heart
    other = FairUseRouter(
        make_pipeline(StandardScaler(), LogisticRegression(C=0.01)), GROUPS, cv=2, random_state=0
    ).fit(X, y)
    with pytest.raises(ValueError, match="fails its verification"):
        Bundle.load(logistic[1]).verify(X, force(other, EVERY))


def test_a_graph_that_contradicts_its_table_is_found(logistic, heart):
    """Two reports change places in the graph only; the digest is right."""
    model = onnx.load(logistic[1])
    properties = {p.key: p.value for p in model.metadata_props}
    encoder = next(n for n in model.graph.node if n.op_type == "LabelEncoder")
    keys = next(a for a in encoder.attribute if a.name == "keys_strings")
    keys.strings[-1], keys.strings[-2] = keys.strings[-2], keys.strings[-1]
    onnx.helper.set_model_props(model, {**properties, KEY: BLANK})
    bundle = Bundle(seal(model.SerializeToString(deterministic=True)))
    with pytest.raises(ValueError, match="contradicts itself"):
        bundle.predict(heart[0])
    with pytest.raises(ValueError, match="contradicts itself"):
        bundle.verify(heart[0])


# processes
def _predict(bundle, X):
    return bundle.predict(X).tolist()


def test_pickled(logistic, heart):
    bundle = Bundle.load(logistic[1], session_options={"intra_op_num_threads": 1})
    again = pickle.loads(pickle.dumps(bundle))
    assert again.predict(heart[0]).tolist() == bundle.predict(heart[0]).tolist()
    assert again.session.get_session_options().intra_op_num_threads == 1
    assert repr(again) == repr(bundle)


@pytest.mark.slow
def test_used_in_other_processes_by_joblib(logistic, heart):
    bundle = Bundle.load(logistic[1])
    parts = [heart[0][i::3] for i in range(3)]
    answers = Parallel(n_jobs=2)(delayed(_predict)(bundle, part) for part in parts)
    assert answers == [_predict(bundle, part) for part in parts]


@FORKS
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_used_after_a_fork(heart, tmp_path):
    """The child has no threads of its parent's session; it must not wait for them."""
    many = pd.concat([heart[0]] * 40, ignore_index=True)
    forest = make_pipeline(SimpleImputer(), RandomForestClassifier(30, random_state=0))
    _, path = exported(forest, heart, tmp_path)
    bundle = Bundle.load(path, session_options={"intra_op_num_threads": 2})
    expected = _predict(bundle, many)
    parent = bundle.session
    with multiprocessing.get_context("fork").Pool(2) as pool:
        answers = pool.starmap_async(_predict, [(bundle, many)] * 2).get(timeout=60)
    assert answers == [expected, expected]
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    # not pickled: the child has the parent's bundle, and opens a session of its own
    child = context.Process(
        target=lambda: queue.put((_predict(bundle, many), bundle.session is parent))
    )
    child.start()
    assert queue.get(timeout=60) == (expected, False)
    child.join(10)
    assert bundle.session is parent


# session options
def test_session_options_reach_the_session(logistic):
    options = {"intra_op_num_threads": 1, "session.intra_op.allow_spinning": "0"}
    settings = Bundle.load(logistic[1], session_options=options).session.get_session_options()
    assert settings.intra_op_num_threads == 1
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"


@pytest.mark.parametrize("options", [{"threads": 1}, {"intra_op_num_threads": "two"}])
def test_wrong_session_options_are_named(logistic, options):
    with pytest.raises(TypeError, match=f"session_options: '{next(iter(options))}'"):
        Bundle.load(logistic[1], session_options=options)


# numbers that the router refuses
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(StandardScaler(), LogisticRegression()),
        LinearSVC(max_iter=100_000, dual=False),
        make_pipeline(SimpleImputer(), LogisticRegression(max_iter=10_000)),
        RandomForestClassifier(5, random_state=0),
        HistGradientBoostingClassifier(max_iter=5),
    ],
    ids=["scaled", "svc", "imputed", "forest", "boosting"],
)
def test_missing_and_infinite_numbers_as_the_router_takes_them(value, estimator, heart, tmp_path):
    router, path = exported(estimator, heart, tmp_path)
    bundle = Bundle.load(path)
    X = heart[0][:9].astype({"chol": float}).copy()
    X.loc[3, "chol"] = value
    try:
        expected = router.predict(X)
    except ValueError:
        with pytest.raises(ValueError, match=r"Column 'chol' of X is .* in row 3"):
            bundle.predict(X)
    else:
        assert bundle.predict(X).tolist() == expected.tolist()


@pytest.mark.parametrize("texts", [False, True])
def test_a_number_too_large_for_float32_is_infinite_in_every_layout(texts, tmp_path):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"dose": rng.normal(size=200), "sex": rng.choice(["F", "M"], 200)})
    X["site"] = rng.choice(["north", "south"], 200) if texts else rng.normal(size=200)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
        remainder="passthrough",
    )
    forest = make_pipeline(encode, RandomForestClassifier(5, random_state=0))
    router = FairUseRouter(forest, ["sex"], cv=2, random_state=0).fit(X, X["dose"] > 0)
    export_bundle(router, tmp_path / "b.onnx", X)
    X.loc[3, "dose"] = 1e300
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="too large"):
        router.predict(X)
    with pytest.raises(ValueError, match="'dose' of X is infinite in row 3"):
        Bundle.load(tmp_path / "b.onnx").predict(X)


# rows and columns
def test_every_kind_of_table(logistic, heart):
    router, path = logistic
    bundle, X = Bundle.load(path), heart[0]
    expected = router.predict(X).tolist()
    tables = [
        X,
        pl.from_pandas(X),
        X.convert_dtypes(),
        X.astype({"sex": "category", "chol": "float32"}),
        X.set_index(pd.Index(range(1000, 1000 + len(X)))),
    ]
    for table in tables:
        assert bundle.predict(table).tolist() == expected
    gaps = X.astype({"chol": float}).head(5).copy()
    gaps.loc[2, "chol"] = np.nan
    for table in (gaps, pl.from_pandas(gaps, nan_to_null=True), gaps.to_numpy(object)):
        with pytest.raises(ValueError, match=r"'chol' of X is missing in row 2"):
            bundle.predict(table)
    names = list(X)
    with pytest.raises(ValueError, match="order"):
        bundle.predict(X[names[::-1]])
    with pytest.raises(ValueError, match=r"missing: \['chol'\]"):
        bundle.predict(X.drop(columns="chol"))
    with pytest.raises(ValueError, match="no number"):
        bundle.predict(X.assign(chol="high"))


def test_unknown_levels_raise_or_withhold(heart, tmp_path):
    X = heart[0][:4].assign(sex=["male", "other", "?", None])
    clf = make_pipeline(StandardScaler(), LogisticRegression())
    for unknown in ("error", "withhold"):
        router, path = exported(clf, heart, tmp_path, handle_unknown=unknown)
        bundle = Bundle.load(path)
        if unknown == "error":
            with pytest.raises(ValueError, match="not seen in training: \\['other'\\]"):
                bundle.predict(X)
        else:
            assert bundle.predict(X).tolist() == router.predict(X).tolist()
            assert bundle.route(X).route.tolist() == router.route(X).route.tolist()


def test_no_rows(logistic, heart):
    bundle = Bundle.load(logistic[1])
    assert bundle.predict(heart[0][:0]).shape == (0,)
    assert bundle.predict_proba(heart[0][:0]).shape == (0, 2)
    assert len(bundle.route(heart[0][:0])) == 0


def test_the_graph_itself_guards_rows_and_levels(logistic):
    session = Bundle.load(logistic[1]).session
    X = np.zeros((3, session.get_inputs()[0].shape[1]), dtype=np.float32)
    report = np.array([["male", "60+"]] * 3, dtype=object)
    assert len(session.run(None, {"X": X, "report": report})[0]) == 3
    for rows in (0, 1, 2, 4):
        fewer = np.array([["male", "60+"]] * rows, dtype=object).reshape(rows, 2)
        with pytest.raises(Exception, match="inputs_differ_in_their_number_of_rows"):
            session.run(None, {"X": X, "report": fewer})
    report[1, 0] = "other"
    with pytest.raises(Exception, match="unknown_level_in_report"):
        session.run(None, {"X": X, "report": report})


@FORKS
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("asks", [True, False])
def test_children_answer_right_after_the_parent_did(logistic, heart, asks):
    """Destroying the inherited session would wait for threads that the child does not have."""
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        bundle = Bundle.load(logistic[1], session_options={"intra_op_num_threads": 2})
        expected, queue = _predict(bundle, heart[0]), context.Queue()

        def child(bundle=bundle, queue=queue):
            queue.put(_predict(bundle, heart[0]) if asks else None)

        children = [context.Process(target=child) for _ in range(3)]
        for each in children:
            each.start()
        assert [queue.get(timeout=30) for _ in children] == [expected if asks else None] * 3
        for each in children:
            each.join(30)
            assert each.exitcode == 0


@pytest.mark.parametrize("texts", [False, True])
def test_every_input_must_have_as_many_rows_as_the_others(tmp_path, texts):
    X, y = load_heart(return_X_y=True, as_frame=True)
    columns = ["thalach", "oldpeak", "chol", *(["thal"] if texts else []), "sex", "age_group"]
    X = X[columns].assign(thal=X["thal"].astype(str)) if texts else X[columns]
    numbers = make_pipeline(
        make_column_transformer(  # one number is dropped, so that no model reads it
            (SimpleImputer(), ["thalach", "chol"]),
            *([(OneHotEncoder(handle_unknown="ignore"), ["thal"])] if texts else []),
            remainder="drop",
        ),
        LogisticRegression(max_iter=2000),
    )
    _, path = exported(numbers, (X, y), tmp_path)
    bundle = Bundle.load(path)
    names = [i["name"] for i in bundle.inputs]
    whole = bundle.layout.features(X[:4])
    whole["report"] = bundle.layout.reports(bundle.schema, bundle.schema.encode(X[:4]))
    assert len(bundle.session.run(None, whole)[0]) == 4
    for name in names:
        for other in (0, 1, 3, 5):
            rows = np.resize(whole[name], (other, whole[name].shape[1]))
            with pytest.raises(Exception, match=r"inputs_differ|Reshape|reshape|indices|index"):
                bundle.session.run(None, {**whole, name: rows})

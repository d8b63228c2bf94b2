"""The router in place of a classifier: what works with a classifier works with it."""

import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from fairuse_router import FairUseRouter

# the solver is deterministic and quick on few rows
LOGISTIC = LogisticRegression(solver="newton-cholesky")


def router(estimator=LOGISTIC, groups=("sex", "age"), **settings):
    return FairUseRouter(estimator, list(groups), **{"cv": 3, **settings})


def quiet_fit(model, X, y, **params):
    """Fit, letting pass the one warning that group columns were removed from the estimator."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Group columns were removed")
        return model.fit(X, y, **params)


MANY_LEVELS = {"handle_unknown": "withhold", "max_levels": 100_000, "cv": 3}
CHECKED = [
    FairUseRouter(LOGISTIC, [-1], candidates=("generic", "onehot", "decoupled"), **MANY_LEVELS),
    FairUseRouter(
        Ridge(), [-1], candidates=("generic", "decoupled"), metric="squared_error", **MANY_LEVELS
    ),
]


def expected_failures(model):
    """The checks that cannot hold for a router, each with the reason."""
    if not is_classifier(model):
        return {}
    return {
        "check_classifiers_train": "asks for 83% accuracy on blobs of two columns; one of them is "
        "the group attribute here, and the other alone cannot give that"
    }


@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore:No group has min_group_size")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# scikit-learn's tools, on a DataFrame with string group columns
def test_cross_val_score_beats_the_estimator_alone(rows):
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    routed = cross_val_score(router(), rows.frame, rows.y, cv=folds)
    generic = cross_val_score(LOGISTIC, rows.frame[["x", "z"]], rows.y, cv=folds)
    assert routed.shape == (3,)
    assert routed.mean() > generic.mean() + 0.05  # a quarter of the rows has the slope reversed
    auc = cross_val_score(router(), rows.frame, rows.y, cv=folds, scoring="roc_auc")
    assert (auc > 0.85).all()


def test_grid_search_over_the_estimator_and_over_the_policy(rows):
    search = GridSearchCV(
        router(), {"estimator__C": [1e-4, 1.0], "policy": ["best", "priced"]}, cv=2
    ).fit(rows.frame, rows.y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_params_["estimator__C"] == 1.0
    best = search.best_estimator_
    assert best.estimator.C == best.candidates_["generic"].models[0].C == 1.0
    assert best.policy == best.routing_table_.policy == search.best_params_["policy"]
    assert search.predict(rows.frame).shape == rows.y.shape


def select(frame):
    return frame[["x", "sex", "age", "z"]]


def test_the_router_ends_a_pipeline(rows):
    chain = Pipeline([("select", FunctionTransformer(select)), ("router", router())])
    chain.fit(rows.frame, rows.y)
    alone = router().fit(select(rows.frame), rows.y)
    assert np.array_equal(chain.predict_proba(rows.frame), alone.predict_proba(select(rows.frame)))
    assert chain.score(rows.frame, rows.y) == alone.score(select(rows.frame), rows.y)
    assert list(chain["router"].feature_names_in_) == ["x", "sex", "age", "z"]
    assert is_classifier(chain)


def test_pipelines_that_put_out_pandas(rows):
    scale = ColumnTransformer(
        [("scale", StandardScaler(), ["x", "z"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    chain = make_pipeline(scale, router()).set_output(transform="pandas").fit(rows.frame, rows.y)
    assert list(chain[-1].feature_names_in_) == ["x", "z", "sex", "age"]
    inside = make_pipeline(StandardScaler(), LOGISTIC).set_output(transform="pandas")
    fitted = router(inside).fit(rows.frame, rows.y)
    onehot = fitted.candidates_["onehot"].models[0][-1]
    assert list(onehot.feature_names_in_) == ["x", "z", "sex_F", "sex_M", "age_old", "age_young"]
    withheld = rows.frame.assign(sex="?", age="?")
    assert np.allclose(chain.predict_proba(withheld), fitted.predict_proba(withheld))


def test_clone_get_params_and_set_params(rows):
    first = router(alpha=0.2, withheld=None).fit(rows.frame, rows.y)
    copy = clone(first)
    assert not hasattr(copy, "routing_table_")
    assert copy.get_params(deep=False).keys() == first.get_params(deep=False).keys()
    for name, value in first.get_params(deep=False).items():
        if name != "estimator":
            assert copy.get_params()[name] == value, name
    assert copy.estimator is not first.estimator
    assert first.get_params()["estimator__C"] == 1.0
    copy.set_params(estimator__C=0.5, policy="best", group_attributes=["sex"])
    assert (
        copy.fit(rows.frame.drop(columns="age"), rows.y).candidates_["generic"].models[0].C == 0.5
    )
    with pytest.raises(ValueError, match="Invalid parameter 'polcy'"):
        copy.set_params(polcy="best")


@pytest.mark.parametrize("through", ["pickle", "joblib"])
def test_a_saved_router_is_the_same_router(rows, tmp_path, through):
    first = router(policy="best").fit(rows.frame, rows.y)
    if through == "pickle":
        again = pickle.loads(pickle.dumps(first))
    else:
        joblib.dump(first, tmp_path / "router.joblib")
        again = joblib.load(tmp_path / "router.joblib")
    assert np.array_equal(again.predict_proba(rows.frame), first.predict_proba(rows.frame))
    assert again.routing_table_ == first.routing_table_
    assert again.schema_ == first.schema_
    assert str(again.audit_) == str(first.audit_)
    assert str(again.audit(rows.frame, rows.y)) == str(first.audit(rows.frame, rows.y))


def test_html_shows_the_routing_table_once_there_is_one(rows):
    model = router(policy="best")
    assert "fairuse-routing-table" not in model._repr_html_()
    model.fit(rows.frame, rows.y)
    for page in (model._repr_html_(), model._repr_mimebundle_()["text/html"]):
        assert model.routing_table_.to_html() in page
        for text in ("<td>M</td><td>old</td>", "decoupled", "served by", "LogisticRegression"):
            assert text in page
    plain = model._repr_mimebundle_()["text/plain"]
    assert plain == repr(model)
    assert plain.startswith("FairUseRouter(")
    assert "policy='best'" in plain


# dataframes of every kind
def reference(rows, **settings):
    return router(DecisionTreeClassifier(random_state=0), policy="best", **settings).fit(
        rows.frame, rows.y
    )


def test_every_backend_gives_the_same_router(rows, make_table):
    table = make_table(rows.columns)
    groups = rows.group_positions if isinstance(table, np.ndarray) else rows.groups
    for estimator in (DecisionTreeClassifier(random_state=0), LOGISTIC):
        expected = router(estimator, policy="best").fit(rows.frame, rows.y)
        fitted = router(estimator, groups, policy="best").fit(table, rows.y)
        assert [g.candidate for g in fitted.routing_table_.groups] == [
            g.candidate for g in expected.routing_table_.groups
        ]
        assert fitted.schema_.levels == expected.schema_.levels
        assert np.array_equal(fitted.predict(table), expected.predict(rows.frame))
        np.testing.assert_allclose(
            fitted.predict_proba(table), expected.predict_proba(rows.frame), rtol=1e-9
        )
        assert np.array_equal(fitted.route(table).route, expected.route(rows.frame).route)
        assert fitted.score(table, rows.y) == expected.score(rows.frame, rows.y)
        gains = [t.gain for t in fitted.audit(table, rows.y).rationality]
        assert gains == pytest.approx(
            [t.gain for t in expected.audit(rows.frame, rows.y).rationality], nan_ok=True
        )


def test_features_in_are_the_whole_of_x(rows, make_table):
    table = make_table(rows.columns)
    if isinstance(table, np.ndarray):
        fitted = router(groups=rows.group_positions).fit(table, rows.y)
        assert not hasattr(fitted, "feature_names_in_")
    else:
        fitted = router().fit(table, rows.y)
        assert list(fitted.feature_names_in_) == ["x", "sex", "z", "age"]
    assert fitted.n_features_in_ == 4
    assert [c.position for c in fitted.feature_columns_] == [0, 2]
    assert not hasattr(fitted, "get_feature_names_out")
    assert not hasattr(fitted, "transform")


def test_negative_positions_and_positions_on_frames(rows):
    expected = router().fit(rows.frame, rows.y)
    for groups in ([1, 3], [-3, -1], [np.int64(1), "age"]):
        fitted = router(groups=groups).fit(rows.frame, rows.y)
        assert fitted.schema_ == expected.schema_
        assert np.array_equal(fitted.predict_proba(rows.frame), expected.predict_proba(rows.frame))


def test_the_index_of_a_frame_means_nothing(rows):
    expected = router(policy="best").fit(rows.frame, rows.y)
    for index in (np.arange(len(rows.y))[::-1], np.zeros(len(rows.y), dtype=int)):
        frame = rows.frame.set_index(index)
        fitted = router(policy="best").fit(frame, pd.Series(rows.y))
        assert fitted.routing_table_ == expected.routing_table_
        assert np.array_equal(fitted.predict_proba(frame), expected.predict_proba(rows.frame))
        assert fitted.audit_.to_json() == expected.audit_.to_json()


LABELS = {
    "text": np.array(["no", "yes"]),
    "objects": np.array(["no", "yes"], dtype=object),
    "booleans": np.array([False, True]),
    "far integers": np.array([-7, 40]),
    "floats": np.array([0.0, 1.0]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_every_type(rows, name):
    expected = router(policy="best").fit(rows.frame, rows.y)
    y = LABELS[name][rows.y]
    for target in (y, y.tolist(), pd.Series(y), pd.Series(y).astype("category")):
        fitted = router(policy="best").fit(rows.frame, target)
        assert list(fitted.classes_) == list(LABELS[name])
        labels = fitted.predict(rows.frame)
        assert labels.dtype == fitted.classes_.dtype
        assert np.array_equal(labels, LABELS[name][expected.predict(rows.frame)])
        assert np.array_equal(fitted.predict_proba(rows.frame), expected.predict_proba(rows.frame))
        assert fitted.score(rows.frame, target) == expected.score(rows.frame, rows.y)


def test_columns_of_probabilities_are_classes_where_a_group_misses_one(rows):
    y = rows.y + np.where((rows.cells != "M/old") & (np.array(rows.columns["z"]) > 1), 2, 0)
    names = np.array(["a", "b", "c", "d"])[y]
    fitted = router(GaussianNB(), policy="best").fit(rows.frame, names)
    assert list(fitted.classes_) == ["a", "b", "c", "d"]
    own = rows.cells == "M/old"
    assert set(fitted.route(rows.frame[own]).candidate) == {"decoupled"}
    model = fitted.candidates_["decoupled"].models[2]
    assert list(model.classes_) == ["a", "b"]
    answer = fitted.predict_proba(rows.frame)
    assert answer.shape == (len(y), 4)
    assert np.allclose(answer.sum(axis=1), 1)
    assert (answer[own][:, 2:] == 0).all()
    assert np.array_equal(answer[own][:, :2], model.predict_proba(rows.frame.loc[own, ["x", "z"]]))


def test_decision_function_stands_in_where_there_are_no_probabilities(rows):
    fitted = router(LinearSVC()).fit(rows.frame, rows.y)
    assert not hasattr(fitted, "predict_proba")
    margin = fitted.decision_function(rows.frame)
    assert np.array_equal(fitted.predict(rows.frame), (margin > 0).astype(int))
    assert not hasattr(router().fit(rows.frame, rows.y), "decision_function")


def test_score_is_accuracy_of_the_routing(rows):
    fitted = router().fit(rows.frame, rows.y)
    weight = np.arange(len(rows.y))
    labels = fitted.predict(rows.frame)
    assert fitted.score(rows.frame, rows.y) == accuracy_score(rows.y, labels)
    assert fitted.score(rows.frame, rows.y, weight) == accuracy_score(
        rows.y, labels, sample_weight=weight
    )


# determinism and parallel work
def test_two_jobs_give_the_bits_of_one(rows):
    for estimator in (LOGISTIC, DecisionTreeClassifier(random_state=0)):
        one = router(estimator, policy="best", n_jobs=1).fit(rows.frame, rows.y)
        two = router(estimator, policy="best", n_jobs=2).fit(rows.frame, rows.y)
        assert two.routing_table_.to_json() == one.routing_table_.to_json()
        assert two.audit_.to_json() == one.audit_.to_json()
        assert np.array_equal(two.predict_proba(rows.frame), one.predict_proba(rows.frame))


def test_random_state_fixes_the_folds(rows):
    fits = [router(random_state=s).fit(rows.frame, rows.y) for s in (3, 3, 4)]
    first, same, other = (fit.routing_table_.to_json() for fit in fits)
    assert first == same
    assert first != other
    legacy = [np.random.RandomState(3), np.random.RandomState(3)]
    first, same = (router(random_state=s).fit(rows.frame, rows.y) for s in legacy)
    assert first.routing_table_ == same.routing_table_


# metadata routing
def test_metadata_routing_switched_on_changes_nothing(rows):
    estimator = make_pipeline(StandardScaler(), LOGISTIC)
    expected = router(estimator).fit(rows.frame, rows.y)
    with sklearn.config_context(enable_metadata_routing=True):
        fitted = router(estimator).fit(rows.frame, rows.y)
        assert fitted.routing_table_ == expected.routing_table_
        assert cross_val_score(router(), rows.frame, rows.y, cv=2, params={}).min() > 0.7


@pytest.mark.parametrize("asks", [True, False])
def test_metadata_routing_inside_the_estimator_is_obeyed(rows, asks):
    weight = np.where(np.array(rows.columns["x"]) > 0, 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        estimator = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=asks),
            GaussianNB().set_fit_request(sample_weight=True),
        )
        fitted = router(estimator).fit(rows.frame, rows.y, sample_weight=weight)
    mean = np.average(rows.frame["x"], weights=weight if asks else None)
    generic, onehot = (fitted.candidates_[c].models[0] for c in ("generic", "onehot"))
    assert generic[0].mean_[0] == pytest.approx(mean)
    assert onehot[0].transformer_.mean_[0] == pytest.approx(mean)
    assert np.allclose(onehot[-1].class_prior_, generic[-1].class_prior_)
    prior = np.bincount(rows.y, weight) / weight.sum()
    assert np.allclose(onehot[-1].class_prior_, prior)


def test_metadata_routing_brings_weights_and_clusters_to_the_router(rows):
    clusters = np.arange(len(rows.y)) // 2
    weight = np.linspace(0.5, 2.0, len(rows.y))
    with sklearn.config_context(enable_metadata_routing=True):
        asks = router(LogisticRegression(solver="newton-cholesky"))
        asks.set_fit_request(sample_weight=True, clusters=True)
        chain = Pipeline([("router", asks)])
        chain.fit(rows.frame, rows.y, sample_weight=weight, clusters=clusters)
    alone = router().fit(rows.frame, rows.y, weight, clusters)
    assert chain["router"].routing_table_ == alone.routing_table_


# estimators of every kind
def named_columns():
    """An encoder that names the group columns, as users of a classifier have it."""
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["x", "z"]),
            ("texts", OneHotEncoder(), ["sex", "age"]),
        ]
    )


def other_columns():
    return ColumnTransformer([("numbers", StandardScaler(), ["x", "z"])])


KINDS = {
    "search": GridSearchCV(
        make_pipeline(StandardScaler(), LOGISTIC), {"logisticregression__C": [0.1, 1.0]}, cv=2
    ),
    "calibrated": CalibratedClassifierCV(make_pipeline(StandardScaler(), LOGISTIC), cv=2),
    "stacking": StackingClassifier(
        [("nb", GaussianNB()), ("lr", make_pipeline(StandardScaler(), LOGISTIC))], LOGISTIC, cv=2
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_meta_estimators_work_end_to_end(rows, name):
    fitted = router(KINDS[name], policy="best", cv=2).fit(rows.frame, rows.y)
    assert fitted.routing_table_.groups[2].candidate == "decoupled"
    assert fitted.routing_table_.groups[2].gain > 0.2
    assert fitted.score(rows.frame, rows.y) > 0.8
    assert np.allclose(fitted.predict_proba(rows.frame).sum(axis=1), 1)


def test_arrays_that_a_step_turns_into_dataframes(rows):
    frame = rows.frame
    chain = make_pipeline(StandardScaler(), LOGISTIC).set_output(transform="pandas")
    named = router(chain).fit(frame, rows.y)
    fitted = router(chain, rows.group_positions).fit(frame.to_numpy(object), rows.y)
    assert set(fitted.candidates_) == set(named.candidates_)
    for g, record in enumerate(fitted.routing_table_.groups):
        assert record.risks == named.routing_table_.groups[g].risks
        assert not record.unavailable


def test_methods_that_an_estimator_has_only_once_it_is_fitted(rows):
    stack = StackingClassifier([("nb", GaussianNB()), ("lr", LOGISTIC)], cv=2)
    assert not hasattr(stack, "predict_proba")  # it names no final estimator
    model = router(stack, cv=2)
    assert not hasattr(model, "predict_proba")
    fitted = model.fit(rows.frame, rows.y)
    assert np.allclose(fitted.predict_proba(rows.frame).sum(axis=1), 1)
    assert not hasattr(fitted, "decision_function")  # of a router with probabilities


def test_an_encoder_that_names_the_group_columns_gives_the_same_router(rows):
    with pytest.warns(UserWarning, match="Group columns were removed") as caught:
        named = router(make_pipeline(named_columns(), LOGISTIC), policy="best").fit(
            rows.frame, rows.y
        )
    assert len(caught) == 1
    assert "['sex', 'age'] of the ColumnTransformer's 'texts'" in str(caught[0].message)
    assert caught[0].filename == __file__
    other = router(make_pipeline(other_columns(), LOGISTIC), policy="best").fit(rows.frame, rows.y)
    assert named.routing_table_ == other.routing_table_
    assert np.array_equal(named.predict_proba(rows.frame), other.predict_proba(rows.frame))


def test_selectors_by_type_see_the_features_only(rows):
    by_type = ColumnTransformer(
        [
            ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
            ("texts", OneHotEncoder(), make_column_selector(dtype_exclude="number")),
        ]
    )
    frame = rows.frame.assign(site=np.tile(["a", "b"], len(rows.y) // 2))
    fitted = router(make_pipeline(by_type, LOGISTIC)).fit(frame, rows.y)
    encoder = fitted.candidates_["generic"].models[0][0]
    assert list(encoder.get_feature_names_out()) == [
        "numbers__x",
        "numbers__z",
        "texts__site_a",
        "texts__site_b",
    ]


def test_drop_in_for_a_program_with_a_classifier(rows):
    """The same program with clf and with the router: nothing else changes."""

    def program(model):
        train, test = rows.frame[:240], rows.frame[240:]
        quiet_fit(model, train, rows.y[:240])
        return accuracy_score(rows.y[240:], model.predict(test)), model.predict_proba(test)

    clf = make_pipeline(named_columns(), LOGISTIC)
    before, proba = program(clf)
    after, routed = program(router(clf))
    assert routed.shape == proba.shape
    assert after > before

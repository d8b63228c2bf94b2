"""Injection and pruning: candidates stay ordinary estimators, and the user's steps stay theirs."""

import warnings
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import RFE
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from fairuse_router.candidates.injection import KeepLast, inject
from fairuse_router.candidates.pruning import prune

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
D = np.eye(2)[RNG.integers(0, 2, 80)]
Y = (X[:, 0] + D[:, 0] + RNG.normal(size=80) > 0.5).astype(int)
XD = np.hstack([X, D])


class Recorder(ClassifierMixin, BaseEstimator):
    """A final step that remembers what it was given."""

    seen: ClassVar[list] = []

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y):
        Recorder.seen.append(np.asarray(X.todense() if sparse.issparse(X) else X))
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.repeat(self.classes_[0], X.shape[0])

    def predict_proba(self, X):
        return np.tile([0.6, 0.4], (X.shape[0], 1))


def pipe():
    return Pipeline([("scale", StandardScaler()), ("clf", Recorder())])


SHAPES = {
    "bare": Recorder(),
    "pipeline": pipe(),
    "nested pipeline": Pipeline([("outer", MinMaxScaler()), ("inner", pipe())]),
    "grid over pipeline": GridSearchCV(pipe(), {"clf__C": [1.0, 2.0]}, cv=2),
    "pipeline over grid": Pipeline(
        [("scale", StandardScaler()), ("search", GridSearchCV(Recorder(), {"C": [1.0, 2.0]}, cv=2))]
    ),
    "calibrated": CalibratedClassifierCV(pipe(), cv=2),
    "stacking": StackingClassifier([("a", pipe())], final_estimator=LogisticRegression(), cv=2),
    "voting": VotingClassifier([("a", pipe()), ("b", pipe())]),
    "bagging": BaggingClassifier(pipe(), n_estimators=2),
    "grid over steps": GridSearchCV(pipe(), {"scale": [StandardScaler(), MinMaxScaler()]}, cv=2),
    "random over steps": RandomizedSearchCV(
        make_pipeline(pipe()), {"pipeline__scale": [StandardScaler()]}, cv=2, n_iter=1
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_final_input_grows_by_exactly_the_added_columns(name):
    estimator = SHAPES[name]
    Recorder.seen = []
    clone(estimator).fit(X, Y)
    widths = {a.shape[1] for a in Recorder.seen}
    Recorder.seen = []
    inject(estimator, 2).fit(XD, Y)
    assert {a.shape[1] for a in Recorder.seen} == {w + 2 for w in widths}
    for seen in Recorder.seen:  # the dummies arrive unscaled
        assert set(np.unique(seen[:, -2:])) <= {0.0, 1.0}


@pytest.mark.parametrize("name", SHAPES)
def test_parameter_names_are_the_users(name):
    estimator = SHAPES[name]
    assert set(inject(estimator, 2).get_params()) == set(estimator.get_params())
    assert set(clone(inject(estimator, 2)).get_params()) == set(estimator.get_params())


def test_a_grid_over_preprocessing_finds_the_users_steps():
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("clf", LogisticRegression())]),
        {"scale__with_mean": [True, False], "clf__C": [0.1, 1.0]},
        cv=2,
    )
    fitted = inject(search, 2).fit(XD, Y)
    assert fitted.best_estimator_["clf"].n_features_in_ == 5
    assert isinstance(fitted.best_estimator_["scale"], KeepLast)


def test_injecting_leaves_the_original_alone():
    estimator = pipe()
    inject(estimator, 2)
    assert isinstance(estimator["scale"], StandardScaler)


def test_frames_and_sparse_steps_keep_the_last_columns():
    frame = pd.DataFrame({"a": X[:, 0], "b": list("xyz" * 26 + "xy")})
    frame[["g_0", "g_1"]] = D
    encode = ColumnTransformer([("n", "passthrough", ["a"]), ("c", OneHotEncoder(), ["b"])])
    encode.sparse_threshold = 1.0
    Recorder.seen = []
    inject(make_pipeline(encode, StandardScaler(with_mean=False), Recorder()), 2).fit(frame, Y)
    assert Recorder.seen[0].shape == (80, 1 + 3 + 2)
    assert (Recorder.seen[0][:, -2:] == D).all()


def test_pandas_output_inside_a_pipeline():
    frame = pd.DataFrame(XD, columns=["a", "b", "c", "g_0", "g_1"])
    steps = make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform="pandas")
    fitted = inject(steps, 2).fit(frame, Y)
    assert list(fitted[-1].feature_names_in_) == ["a", "b", "c", "g_0", "g_1"]


def test_stack_with_passthrough_injects_into_its_final_pipeline():
    Recorder.seen = []
    stack = StackingClassifier([("a", LogisticRegression())], pipe(), passthrough=True, cv=2)
    inject(stack, 2).fit(XD, Y)
    assert (Recorder.seen[0][:, -2:] == D).all()


@pytest.mark.parametrize(
    "estimator",
    [BaggingClassifier(pipe(), max_features=0.5), RFE(make_pipeline(pipe(), LogisticRegression()))],
)
def test_meta_estimators_that_drop_columns_are_refused(estimator):
    with pytest.raises(ValueError, match="hands only some columns on"):
        inject(estimator, 2)


def test_parameters_with_one_entry_per_column_are_padded():
    boosting = HistGradientBoostingClassifier(
        categorical_features=[True, False, False], monotonic_cst=[0, 1, 0], max_iter=2
    )
    fitted = inject(boosting, 2).fit(np.abs(XD).round(), Y)
    assert list(fitted.monotonic_cst) == [0, 1, 0, 0, 0]
    assert list(fitted.categorical_features) == [True, False, False, False, False]
    tree = inject(DecisionTreeClassifier(monotonic_cst=[1, 0, 0]), 2).fit(XD, Y)
    assert list(tree.monotonic_cst) == [1, 0, 0, 0, 0]


NAMES = ["a", "sex", "b", "age", "c"]
GROUPS = [1, 3]


def pruned(estimator, names=NAMES):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return prune(estimator, names, 5, GROUPS), [str(w.message) for w in caught]


def selectors(estimator):
    return [c for *_, c in estimator.transformers]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (["a", "sex", "age"], ["a"]),
        ("sex", []),
        ("b", "b"),
        (slice("a", "b"), ["a", "b"]),
        ([0, 1, 4], [0, 2]),
        ([-1, -2], [2]),
        (slice(0, 4), [0, 1]),
        ([True, True, False, False, True], [0, 2]),
        (np.array([False, True, False, True, False]), []),
        (4, 2),
    ],
)
def test_selectors_lose_the_group_columns(selector, expected):
    ct, _ = pruned(ColumnTransformer([("t", StandardScaler(), selector)]))
    assert selectors(ct) == [expected]


def test_callable_selectors_stay():
    choose = make_column_selector(dtype_include="number")
    ct, warned = pruned(ColumnTransformer([("t", StandardScaler(), choose)]))
    assert isinstance(selectors(ct)[0], make_column_selector)
    assert not warned


def test_one_warning_names_what_was_removed():
    ct = ColumnTransformer(
        [("num", StandardScaler(), ["a", "age"]), ("cat", OneHotEncoder(), ["sex"])]
    )
    _, warned = pruned(make_pipeline(ct, LogisticRegression()))
    assert len(warned) == 1
    for text in ("['age']", "'num'", "['sex']", "'cat'"):
        assert text in warned[0]


def test_pruning_reaches_below_meta_estimators_and_unions():
    ct = ColumnTransformer([("num", StandardScaler(), ["a", "sex"])])
    search = GridSearchCV(make_pipeline(FeatureUnion([("u", ct)]), LogisticRegression()), {})
    inner, _ = pruned(CalibratedClassifierCV(search))
    assert selectors(inner.estimator.estimator[0].transformer_list[0][1]) == [["a"]]


def test_categories_of_removed_columns_go_with_them():
    encoder = OrdinalEncoder(categories=[["x", "y"], ["f", "m"]])
    ct, _ = pruned(ColumnTransformer([("c", make_pipeline(encoder), ["b", "sex"])]))
    assert ct.transformers[0][1][0].categories == [["x", "y"]]


def test_lengths_are_cut_to_the_features():
    tree, _ = pruned(DecisionTreeClassifier(monotonic_cst=[1, 0, -1, 0, 1]))
    assert list(tree.monotonic_cst) == [1, -1, 1]
    boosting, _ = pruned(HistGradientBoostingClassifier(categorical_features=["sex", "b"]))
    assert boosting.categorical_features == ["b"]
    boosting, _ = pruned(HistGradientBoostingClassifier(categorical_features=[1, 2]))
    assert boosting.categorical_features == [1]
    boosting, _ = pruned(HistGradientBoostingClassifier(monotonic_cst={"sex": 1, "c": -1}))
    assert boosting.monotonic_cst == {"c": -1}


def test_sets_of_columns_are_renumbered_and_what_they_lose_is_told():
    boosting, warned = pruned(HistGradientBoostingClassifier(interaction_cst=[{0, 2}, [4], {1, 3}]))
    assert boosting.interaction_cst == [{0, 1}, [2]]
    assert "[1, 3] of HistGradientBoostingClassifier(interaction_cst=...)" in warned[0]
    boosting, warned = pruned(HistGradientBoostingClassifier(interaction_cst=[{1}, {3}]))
    assert boosting.interaction_cst is None
    boosting, warned = pruned(HistGradientBoostingClassifier(interaction_cst="no_interactions"))
    assert boosting.interaction_cst == "no_interactions"
    assert not warned
    with pytest.raises(ValueError, match=r"interaction_cst=\.\.\.\) names column 5; X has 5"):
        pruned(HistGradientBoostingClassifier(interaction_cst=[{0, 5}]))


class OtherPackage(DecisionTreeClassifier):
    """A tree with the parameters per column that XGBoost and LightGBM have."""

    def __init__(
        self,
        monotone_constraints=None,
        feature_types=None,
        interaction_constraints=None,
        categorical_feature=None,
    ):
        super().__init__()
        self.monotone_constraints = monotone_constraints
        self.feature_types = feature_types
        self.interaction_constraints = interaction_constraints
        self.categorical_feature = categorical_feature


def test_parameters_per_column_of_other_packages_follow():
    whole = OtherPackage((1, 0, -1, 0, 1), ["q", "c", "q", "c", "c"], None, ["b", "sex"])
    cut, _ = pruned(whole)
    assert cut.monotone_constraints == (1, -1, 1)
    assert cut.feature_types == ["q", "q", "c"]
    assert cut.categorical_feature == ["b"]
    padded = inject(cut, 2)
    assert padded.monotone_constraints == (1, -1, 1, 0, 0)
    assert padded.feature_types == ["q", "q", "c", "q", "q"]
    sets, _ = pruned(OtherPackage(interaction_constraints=[["a", "sex"], ["b", "c"]]))
    assert sets.interaction_constraints == [["a"], ["b", "c"]]
    with pytest.raises(ValueError, match="train candidates="):
        inject(sets, 2)
    with pytest.raises(ValueError, match="Pass a tuple, a list or a dict"):
        pruned(OtherPackage(monotone_constraints="(1,0,0,0,0)"))


@pytest.mark.parametrize("kind", [list, tuple, lambda v: np.array(v, dtype=object)])
def test_values_of_a_grid_are_pruned_and_injected(kind):
    def columns(*names):
        return ColumnTransformer([("num", StandardScaler(), list(names))])

    pipe = Pipeline([("ct", columns("a", "sex")), ("clf", DecisionTreeClassifier())])
    choices = np.empty(2, dtype=object)
    choices[:] = [columns("b", "age"), "passthrough"]
    search, warned = pruned(GridSearchCV(pipe, {"ct": kind(choices.tolist())}))
    assert selectors(search.estimator[0]) == [["a"]]
    assert selectors(search.param_grid["ct"][0]) == [["b"]]
    assert search.param_grid["ct"][1] == "passthrough"
    assert warned[0].count("'age'") == warned[0].count("'sex'") == 1
    wrapped = inject(search, 2).param_grid["ct"][0]
    assert isinstance(wrapped, KeepLast)
    assert selectors(wrapped.transformer) == [["b"]]


def test_grids_of_parameters_per_column_follow():
    grid = [{"monotonic_cst": [[1, 0, -1, 0, 1], None], "max_depth": np.array([1, 2])}]
    search, _ = pruned(GridSearchCV(DecisionTreeClassifier(), grid, cv=2))
    assert search.param_grid[0]["monotonic_cst"] == [[1, -1, 1], None]
    fitted = inject(search, 2).fit(XD, Y)
    assert fitted.param_grid[0]["monotonic_cst"] == [[1, -1, 1, 0, 0], None]


def test_what_cannot_be_pruned_raises_and_says_what_to_edit():
    inner = ColumnTransformer([("s", StandardScaler(), [0])])
    with pytest.raises(ValueError, match="'outer' selects group columns"):
        pruned(ColumnTransformer([("outer", inner, ["sex", "a"])]))
    ct = ColumnTransformer([("cat", OneHotEncoder(), ["sex"]), ("num", "passthrough", ["a"])])
    with pytest.raises(ValueError, match="monotonic_cst"):
        pruned(make_pipeline(ct, DecisionTreeClassifier(monotonic_cst=[0, 0, 1])))
    with pytest.raises(ValueError, match="'nope'"):
        pruned(ColumnTransformer([("t", StandardScaler(), ["nope"])]))
    with pytest.raises(ValueError, match="mask has 2 entries"):
        pruned(ColumnTransformer([("t", StandardScaler(), [True, False])]))


def test_steps_that_are_no_estimators_are_left_alone():
    plain = Pipeline([("none", "passthrough"), ("clf", LogisticRegression())])
    assert inject(plain, 2).steps[0][1] == "passthrough"
    text = ColumnTransformer([("t", CountVectorizer(), "a")])
    assert selectors(pruned(text)[0]) == ["a"]


def test_what_counts_columns_behind_a_column_transformer_is_left_alone():
    ct = ColumnTransformer([("o", OrdinalEncoder(), ["b"]), ("rest", "passthrough", ["a", "c"])])
    for settings in ({"categorical_features": [0, 1]}, {"monotonic_cst": [0, 1, 0, 0, 0]}):
        boosting = HistGradientBoostingClassifier(**settings)
        chain, message = pruned(make_pipeline(ct, boosting))
        assert not message
        for name, value in settings.items():
            assert chain[-1].get_params()[name] == value
    named = HistGradientBoostingClassifier(categorical_features=["o__b"])
    assert pruned(make_pipeline(ct, named))[0][-1].categorical_features == ["o__b"]


@pytest.mark.parametrize(
    "ct",
    [
        ColumnTransformer([("o", OrdinalEncoder(), ["sex", "b"])], remainder="drop"),
        ColumnTransformer([("o", OrdinalEncoder(), ["b"])], remainder="passthrough"),
        ColumnTransformer([("o", OrdinalEncoder(), make_column_selector("b"))]),
    ],
)
def test_what_may_have_counted_group_columns_is_refused(ct):
    boosting = HistGradientBoostingClassifier(categorical_features=[0])
    with pytest.raises(ValueError, match=r"categorical_features=\.\.\.\) counts the columns"):
        pruned(make_pipeline(ct, boosting))

"""Bad input: every error names the argument, what was got, what is allowed, and the remedy."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from fairuse_router import FairUseRouter


def router(estimator=None, groups=("sex", "age"), **settings):
    estimator = GaussianNB() if estimator is None else estimator
    return FairUseRouter(estimator, groups, **{"cv": 2, "policy": "best", **settings})


def refused(call, *texts, kind=ValueError):
    """Assert that a call raises, and that its message holds every text."""
    with pytest.raises(kind) as error:
        call()
    for text in texts:
        assert text in str(error.value), f"{text!r} is not in: {error.value}"


@pytest.fixture(scope="module")
def fitted(rows):
    return router().fit(rows.frame, rows.y)


# group columns
def test_an_unknown_group_column(rows):
    refused(
        lambda: router(groups=["sex", "race"]).fit(rows.frame, rows.y),
        "group_attributes",
        "'race' is not a column of X",
        "['x', 'sex', 'z', 'age']",
    )
    refused(
        lambda: router(groups=["sex"]).fit(rows.frame.to_numpy(), rows.y),
        "group_attributes names the column 'sex'",
        "array without column names",
        "Pass positions (integers), or X as a dataframe",
    )
    for position in (4, -5):
        refused(
            lambda p=position: router(groups=[p]).fit(rows.frame, rows.y),
            f"group_attributes: column {position} is out of range",
            "4 columns",
        )


@pytest.mark.parametrize(
    ("groups", "texts", "kind"),
    [
        ([], ["group_attributes is empty", "name at least one column"], ValueError),
        (["sex", 1], ["group_attributes=['sex', 1] names one column twice"], ValueError),
        ([1.0], ["group_attributes: 1.0 is a float", "str or int"], TypeError),
        ([True], ["group_attributes: True is a bool", "str or int"], TypeError),
        (None, ["group_attributes=None", "str or int"], TypeError),
    ],
)
def test_group_columns_named_wrongly(rows, groups, texts, kind):
    refused(lambda: router(groups=groups).fit(rows.frame, rows.y), *texts, kind=kind)


def test_every_column_a_group_column(rows):
    frame = rows.frame[["sex", "age"]]
    refused(lambda: router().fit(frame, rows.y), "X has 2 feature(s)", "all of them group_attr")


def test_unseen_levels_at_predict(rows, fitted):
    frame = rows.frame[:4].assign(sex=["F", "other", "?", "X"])
    for method in (fitted.predict, fitted.predict_proba, fitted.route):
        refused(
            lambda m=method: m(frame),
            "Group attribute 'sex'",
            "not seen in training: ['X', 'other']",
            "Known levels: ['F', 'M']",
            "'?' or a missing value withholds",
            "handle_unknown='withhold'",
        )
    refused(lambda: fitted.audit(frame, rows.y[:4]), "['X', 'other']")
    lenient = router(handle_unknown="withhold").fit(rows.frame, rows.y)
    withheld = frame.assign(sex=["F", "?", "?", "?"])
    assert np.array_equal(lenient.predict_proba(frame), lenient.predict_proba(withheld))
    assert lenient.route(frame).report == lenient.route(withheld).report


def test_handle_unknown_of_another_kind(rows):
    refused(
        lambda: router(handle_unknown="ignore").fit(rows.frame, rows.y),
        "handle_unknown='ignore'",
        "'error'",
        "'withhold'",
    )


@pytest.mark.parametrize("gap", ["?", None, np.nan, ""])
def test_all_rows_withheld_in_training(rows, gap):
    frame = rows.frame.assign(age=pd.Series([gap] * len(rows.y), dtype=object))
    refused(
        lambda: router().fit(frame, rows.y),
        "Group attribute 'age'",
        "every training row withholds it",
        "Drop it from group_attributes",
    )


def test_no_row_reports_a_whole_group(rows):
    """Each attribute is known somewhere, but never both: that is no error, only no group."""
    frame = rows.frame.copy()
    frame.loc[:160, "sex"] = "?"
    frame.loc[161:, "age"] = "?"
    with pytest.warns(UserWarning, match="No group has min_group_size=20 rows.*largest has 0"):
        fitted = router().fit(frame, rows.y)
    assert set(fitted.route(rows.frame).candidate) == {"generic"}
    assert [g.rows for g in fitted.routing_table_.groups] == [0] * 4


def test_levels_that_share_a_text(rows):
    frame = rows.frame.assign(sex=pd.Series(np.tile(np.array([1, "1"], dtype=object), 160)))
    refused(
        lambda: router().fit(frame, rows.y),
        "Group attribute 'sex'",
        "share the text '1'",
        "Give every level a text of its own",
    )


def test_a_continuous_column_as_a_group(rows):
    refused(
        lambda: router(groups=["sex", "x"]).fit(rows.frame, rows.y),
        "Group attribute 'x' has more than max_levels=100 levels",
        "looks continuous",
        "Cut it into bands, or raise max_levels",
    )


def test_a_grid_too_large_to_hold(rows):
    frame = rows.frame.assign(**{f"g{j}": rows.frame["x"] for j in range(4)})
    refused(
        lambda: router(groups=[f"g{j}" for j in range(4)], max_levels=1000).fit(frame, rows.y),
        "group_attributes=['g0', 'g1', 'g2', 'g3'] span",
        "at most 1,000,000",
        "merge levels",
    )


def test_a_dummy_with_the_name_of_a_feature(rows):
    frame = rows.frame.assign(sex_F=0.0)
    refused(lambda: router().fit(frame, rows.y), "['sex_F']", "Rename or drop them")


# the target
def test_one_class(rows):
    for y in (np.zeros(len(rows.y)), np.array(["no"] * len(rows.y))):
        refused(
            lambda y=y: router().fit(rows.frame, y), f"y has one class only, {y.tolist()[0]!r};"
        )


@pytest.mark.parametrize("gap", [np.nan, None])
def test_gaps_in_the_target(rows, gap):
    y = rows.y.astype(object)
    y[[3, 5]] = gap
    refused(
        lambda: router().fit(rows.frame, y),
        "Input y contains NaN",
        f"2 of {len(y)} rows",
        "Drop the rows",
    )
    if gap is not None:
        refused(lambda: router().fit(rows.frame, y.astype(float)), "Input y contains NaN")
    refused(lambda: router().fit(rows.frame, pd.Series(y).astype("Int64")), "y", "NaN")


def test_targets_of_another_kind(rows):
    refused(lambda: router().fit(rows.frame, rows.frame["x"]), "Unknown label type", "continuous")
    two = np.column_stack([rows.y, rows.y])
    refused(lambda: router().fit(rows.frame, two), "y should be a 1d array")
    refused(lambda: router().fit(rows.frame, None), "requires y")
    infinite = np.where(rows.y > 0, np.inf, 0.0)
    refused(lambda: router().fit(rows.frame, infinite), "y contains infinity")


def test_targets_of_another_length(rows, fitted):
    refused(
        lambda: router().fit(rows.frame, rows.y[:-1]),
        "inconsistent numbers of samples",
        "X has 320 rows, y has 319",
    )
    refused(lambda: fitted.audit(rows.frame, rows.y[:-1]), "X has 320 rows, y has 319")


def test_labels_that_the_models_do_not_know(rows, fitted):
    refused(
        lambda: fitted.audit(rows.frame, rows.y + 1),
        "y has labels that the models do not know: ['2']",
        "Known: [0, 1]",
    )


# the table
def test_other_columns_at_predict(rows, fitted):
    frame = rows.frame
    for other, text in (
        (frame.rename(columns={"x": "w"}), "Feature names unseen at fit time"),
        (frame.drop(columns="x"), "Feature names seen at fit time, yet now missing"),
        (frame[["sex", "x", "z", "age"]], "must be in the same order"),
        (pl.from_pandas(frame.drop(columns="z")), "z"),
        (pl.from_pandas(frame[["z", "x", "sex", "age"]]), "order"),
    ):
        for method in (fitted.predict, fitted.predict_proba, fitted.route):
            refused(lambda m=method, o=other: m(o), text)


def test_other_widths_at_predict(rows):
    array = rows.frame.to_numpy()
    fitted = router(groups=[1, 3]).fit(array, rows.y)
    for wrong in (array[:, :3], np.hstack([array, array])):
        refused(
            lambda w=wrong: fitted.predict(w),
            f"X has {wrong.shape[1]} features",
            "expecting 4 features",
        )


def test_wrong_shapes(rows, fitted):
    for wrong in (rows.y, rows.frame["x"], np.zeros((2, 2, 2))):
        refused(lambda w=wrong: router(groups=[0]).fit(w, rows.y), "Expected 2D array", "Reshape")
        refused(lambda w=wrong: fitted.predict(w), "Expected 2D array")
    refused(lambda: router(groups=[0]).fit(3.0, rows.y), "Expected 2D array")


def test_empty_tables(rows, fitted):
    for empty in (rows.frame[:0], pl.from_pandas(rows.frame[:0]), rows.frame.to_numpy()[:0]):
        groups = [1, 3]
        refused(
            lambda e=empty, g=groups: router(groups=g).fit(e, []),
            "Found array with 0 sample(s)",
            "minimum of 1 is required",
        )
    refused(lambda: fitted.predict(rows.frame[:0]), "0 sample(s)")
    refused(lambda: router(groups=[0]).fit(np.empty((5, 0)), np.arange(5) % 2), "0 feature(s)")


def test_duplicate_column_names(rows, fitted):
    frame = rows.frame.set_axis(["x", "sex", "x", "age"], axis=1)
    text = ("X has duplicate column names: ['x']", "rename or drop the copies")
    refused(lambda: router().fit(frame, rows.y), *text)
    refused(lambda: fitted.predict(frame), *text)


def test_sparse_and_lazy_tables(rows):
    refused(
        lambda: router(groups=[0]).fit(sparse.csr_matrix(np.eye(4)), [0, 1, 0, 1]),
        "X is a sparse csr_matrix",
        "toarray()",
        kind=TypeError,
    )
    lazy = pl.from_pandas(rows.frame).lazy()
    refused(lambda: router().fit(lazy, rows.y), "lazy", ".collect()", kind=TypeError)


def test_one_row_and_no_fit(rows):
    refused(lambda: router().fit(rows.frame[:1], rows.y[:1]), "y has one class only")
    for method in ("predict", "predict_proba", "route"):
        refused(
            lambda m=method: getattr(router(), m)(rows.frame),
            "FairUseRouter instance is not fitted yet",
            kind=NotFittedError,
        )
    refused(lambda: router().audit(rows.frame, rows.y), "not fitted", kind=NotFittedError)


# weights and clusters
def test_weights_that_weigh_nothing(rows):
    n = len(rows.y)
    for weight, text in (
        (-np.ones(n), "sample_weight must be non-negative.*minimum of -1.0"),
        (np.zeros(n), "(?i)sample.weight.* at least one"),
        (np.full(n, np.nan), "(?i)sample.weight contains NaN"),
        (np.ones(n - 1), r"sample_weight.*\(319,\)"),
    ):
        with pytest.raises(ValueError, match=text):
            router().fit(rows.frame, rows.y, weight)


def test_clusters_of_another_length(rows):
    refused(
        lambda: router().fit(rows.frame, rows.y, clusters=np.ones(5)),
        "clusters has the shape (5,) for 320 rows",
    )
    refused(lambda: router().fit(rows.frame, rows.y, clusters="site"), "clusters has the shape ()")
    refused(
        lambda: router().fit(rows.frame, rows.y, clusters=np.zeros(320)),
        "clusters has one cluster only",
        "at least two",
    )


def test_clusters_that_are_missing_or_have_no_order(rows):
    for missing in (None, float("nan"), pd.NA):
        clusters = np.array([missing, *"ab" * 200], dtype=object)[:320]
        refused(
            lambda c=clusters: router().fit(rows.frame, rows.y, clusters=c),
            "clusters is missing in 1 of 320 rows",
            "one each",
        )
    mixed = np.array([1, *"ab" * 200], dtype=object)[:320]
    refused(
        lambda: router().fit(rows.frame, rows.y, clusters=mixed),
        "clusters mixes types that have no order",
        kind=TypeError,
    )


# settings
@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"policy": "greedy"}, ["policy='greedy'", "priced", "best"]),
        ({"metric": "hope"}, ["metric='hope'", "error", "log_loss", "auc", "callable"]),
        ({"metric": "squared_error"}, ["metric='squared_error'", "GaussianNB", "'error'"]),
        ({"alpha": 0}, ["alpha=0 ", "between 0 and 0.5"]),
        ({"alpha": np.float64(0.9)}, ["alpha=0.9 ", "between 0 and 0.5"]),
        ({"alpha": "small"}, ["alpha='small'", "between 0 and 0.5"]),
        ({"alpha": float("nan")}, ["alpha=nan", "between 0 and 0.5"]),
        ({"min_group_size": 1}, ["min_group_size=1", "at least 2"]),
        ({"min_group_size": None}, ["min_group_size=None", "at least 2"]),
        ({"withheld": 0}, ["withheld=0", "None"]),
        ({"max_levels": "many"}, ["max_levels='many'"]),
        ({"n_resamples": -1}, ["n_resamples=-1", "0 (no honest gains) or more"]),
        ({"n_resamples": None}, ["n_resamples=None", "0 (no honest gains) or more"]),
        ({"cv": 1}, ["cv=1 is not allowed", "at least 2 folds"]),
        ({"cv": 1.5}, ["cv=1.5 is not allowed", "between 0 and 1"]),
        ({"cv": "loo"}, ["cv='loo'", "splitter", "'prefit'"]),
        ({"cv": True}, ["cv=True", "splitter"]),
        ({"cv": []}, ["cv=", "at least one"]),
        ({"candidates": ("generic", "svm")}, ["'svm'", "'intersectional'", "at most once"]),
        ({"candidates": ("onehot",)}, ["candidates=('onehot',)", "'generic' always"]),
        ({"candidates": ("generic",) * 2}, ["candidates=", "at most once"]),
        ({"candidates": "generic"}, ["candidates='generic'", "sequence"]),
        ({"candidates": 3}, ["candidates=3 is not allowed", "sequence"]),
        ({"candidates": None}, ["candidates=None is not allowed", "sequence"]),
        ({"n_resamples": 2.5}, ["n_resamples=2.5", "0 (no honest gains) or more"]),
        ({"audit_only": ["race"]}, ["audit_only: 'race' is not a column of X"]),
        ({"audit_only": []}, ["audit_only is empty"]),
        ({"audit_only": 2.5}, ["audit_only=2.5 is not allowed", "by str or int"]),
        ({"group_attributes": 2.5}, ["group_attributes=2.5 is not allowed", "by str or int"]),
        ({"group_attributes": None}, ["group_attributes=None is not allowed", "by str or int"]),
    ],
)
def test_settings_that_cannot_work(rows, settings, texts):
    model = router().set_params(**settings)
    refused(lambda: model.fit(rows.frame, rows.y), *texts, kind=(ValueError, TypeError))


def test_a_metric_that_needs_probabilities(rows):
    for metric in ("log_loss", "brier", "auc", "ece"):
        refused(
            lambda m=metric: router(LinearSVC(), metric=m).fit(rows.frame, rows.y),
            f"metric='{metric}' needs probabilities",
            "LinearSVC has no predict_proba",
            "metric='error'",
            "CalibratedClassifierCV",
        )
    fitted = router(LinearSVC()).fit(rows.frame, rows.y)
    refused(
        lambda: fitted.audit(rows.frame, rows.y, metrics=["error", "auc"]),
        "'auc'",
        "probabilities",
    )


def test_audits_of_what_is_none(rows, fitted):
    for settings, *texts in (
        ({"metrics": 5}, "metrics=5 is not allowed", "'error'"),
        ({"metrics": b"error"}, "metrics=b'error' is not allowed"),
        ({"by": 2.5}, "by=2.5 is not allowed", "by str or int"),
        ({"by": "race"}, "by: 'race' is not a column of X"),
        ({"clusters": 5}, "clusters has the shape ()"),
    ):
        refused(
            lambda s=settings: fitted.audit(rows.frame, rows.y, **s),
            *texts,
            kind=(ValueError, TypeError),
        )


def test_metrics_of_regressors(rows):
    refused(
        lambda: router(Ridge()).fit(rows.frame, rows.columns["x"]),
        "metric='error' does not fit the estimator Ridge",
        "'squared_error'",
    )


def test_estimators_that_are_none(rows):
    for wrong in (None, "logistic", GaussianNB):
        refused(
            lambda w=wrong: FairUseRouter(w, ["sex"]).fit(rows.frame, rows.y),
            "estimator",
            "LogisticRegression()",
            kind=TypeError,
        )
    frozen = FrozenEstimator(GaussianNB().fit(rows.frame[["x", "z"]], rows.y))
    refused(
        lambda: router(frozen).fit(rows.frame, rows.y),
        "estimator is a FrozenEstimator",
        "cv='prefit'",
        "'generic'",
        kind=TypeError,
    )


def test_labels_that_pandas_marks_as_missing(rows):
    for labels in (pd.array([pd.NA, *"ab" * 200], dtype="string"), [pd.NA, *[0, 1] * 200]):
        y = pd.Series(labels[: len(rows.y)])
        refused(lambda y=y: router().fit(rows.frame, y), "NaN or None in 1 of")


def test_rows_without_a_label_are_no_class(rows):
    y = np.where(np.arange(len(rows.y)) % 3 == 0, -1, rows.y)
    semi = SelfTrainingClassifier(GaussianNB())
    refused(lambda: router(semi).fit(rows.frame, y), "y is -1 in", "SelfTrainingClassifier")
    assert -1 in router().fit(rows.frame, y).classes_


def test_censored_times_and_several_outcomes_are_refused_in_words():
    X = np.column_stack([np.arange(20.0), np.arange(20) % 2])
    censored = np.array([(True, 1.5)] * 20, dtype=[("event", bool), ("time", float)])
    with pytest.raises(ValueError, match=r"event, time, .*Fix a horizon.*docs/clinic.md"):
        FairUseRouter(GaussianNB(), [1]).fit(X, censored)
    with pytest.raises(ValueError, match=r"3 outcomes at once.* a router for each column"):
        FairUseRouter(GaussianNB(), [1]).fit(X, np.eye(20)[:, :3].astype(int))

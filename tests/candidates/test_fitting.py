"""Fitting and scoring: no row is scored by a model that saw it, and nobody is served by half."""

import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import (
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from small_routers import LOGISTIC, router, training

from fairuse_router.candidates.crossfit import Training, cross_fit
from fairuse_router.candidates.folds import keep_back, split_rows
from fairuse_router.candidates.recipes import make_recipes
from fairuse_router.rows import TrainingRows

# small tables keep tests quick; that they are small is said in test_parts_of_a_correction
pytestmark = pytest.mark.filterwarnings("ignore:policy='certified' on")


# out of fold
class Watch(ClassifierMixin, BaseEstimator):
    """Remembers the ids in its first column, in training and when asked."""

    log = None

    def fit(self, X, y):
        self.ids_ = np.asarray(X)[:, 0].astype(int)
        self.classes_ = np.unique(y)
        self.width_ = np.shape(X)[1]
        return self

    def predict(self, X):
        self.log.append((self.width_, self.ids_, np.asarray(X)[:, 0].astype(int)))
        return np.repeat(self.classes_[0], len(X))


def watched(rows, **settings):
    """Fit with a watched estimator: (width, training ids, judged ids) of every question."""

    class Watched(Watch):
        log = []  # noqa: RUF012

    router(Watched(), **settings).fit(rows.frame.assign(x=np.arange(len(rows.y))), rows.y)
    assert Watched.log
    return Watched.log


SPLITTERS = {
    "folds": 4,
    "hold-out": 0.2,
    "KFold": KFold(3, shuffle=True, random_state=0),
    "repeated": RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0),
    "shuffled": ShuffleSplit(2, test_size=0.4, random_state=0),
    "predefined": PredefinedSplit(np.arange(320) % 5 - 1),  # -1: never judged
    "pairs": [(np.arange(160), np.arange(160, 320)), (np.arange(160, 320), np.arange(160))],
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_no_row_is_scored_by_a_model_that_saw_it(rows, name):
    for _, trained, judged in watched(rows, cv=SPLITTERS[name]):
        assert not set(trained) & set(judged)


def test_every_candidate_judges_every_row_once(rows):
    log = watched(rows, cv=4, candidates=("generic", "decoupled"))
    own = np.concatenate([judged for _, trained, judged in log if len(trained) > 200])
    assert sorted(own) == list(range(320))  # generic, on each fold
    cells = rows.cells
    by_group = [j for _, t, j in log if len(t) < 200 and cells[t[0]] == cells[j[0]]]
    assert sorted(np.concatenate(by_group)) == list(range(320))


def test_a_model_that_memorises_is_seen_through(rows):
    """Labels are coin flips: 1-nearest-neighbour knows its training rows by heart, no others."""
    coin = np.random.default_rng(0).integers(0, 2, len(rows.y))
    for cv in (5, 0.5, RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=0)):
        fitted = router(KNeighborsClassifier(1), cv=cv).fit(rows.frame, coin)
        assert fitted.score(rows.frame, coin) == 1.0
        risks = [r for g in fitted.routing_table_.groups for r in g.risks.values()]
        assert 0.3 < np.mean(risks) < 0.7
        assert min(risks) > 0.2


def test_folds_are_stratified_by_group_and_class(rows):
    data, _ = training(rows)
    strata = data.groups * 2 + data.target
    share = np.bincount(strata) / len(strata)
    for cv in (4, 0.2):
        for seed in (None, 0):
            folds = split_rows(cv, data, seed)
            assert len(folds) == (4 if cv == 4 else 1)
            for trained, judged in folds:
                assert sorted([*trained, *judged]) == list(range(320))
                assert len(judged) == pytest.approx(320 * (0.25 if cv == 4 else 0.2), abs=2)
                counts = np.bincount(strata[judged], minlength=8)
                assert np.abs(counts - share * len(judged)).max() <= 1.5


def test_a_share_is_one_hold_out(rows):
    fitted = router(cv=0.2).fit(rows.frame, rows.y)
    assert sum(r.n for r in fitted.audit_.risks if r.candidate == "generic" and r.group) == 64
    assert [g.rows for g in fitted.routing_table_.groups] == [80] * 4
    assert len(fitted.candidates_["generic"].models[0].theta_) == 2
    full = GaussianNB().fit(rows.frame[["x", "z"]], rows.y)  # refitted on all rows
    assert np.array_equal(fitted.candidates_["generic"].models[0].theta_, full.theta_)


def test_rows_that_were_never_judged_do_not_choose(rows):
    """M/old is judged in the first split only; what it would say of other rows is not asked."""
    own = np.flatnonzero(rows.cells == "M/old")
    fold = np.full(len(rows.y), -1)
    fold[::3] = 0
    judged = np.flatnonzero(fold == 0)
    y = rows.y.copy()
    fitted = router(cv=PredefinedSplit(fold)).fit(rows.frame, y)
    counts = {r.group: r.n for r in fitted.audit_.risks if r.candidate == "generic" and r.group}
    assert counts["M, old"] == len(np.intersect1d(own, judged))
    trained = np.setdiff1d(np.arange(320), judged)
    by_hand = GaussianNB().fit(rows.frame.loc[trained, ["x", "z"]], y[trained])
    mine = np.intersect1d(own, judged)
    wrong = by_hand.predict(rows.frame.loc[mine, ["x", "z"]]) != y[mine]
    assert fitted.routing_table_.groups[2].risks["generic"] == pytest.approx(wrong.mean())


def test_few_judged_rows_leave_generic(rows):
    fitted = router(cv=ShuffleSplit(1, test_size=40, random_state=0), min_group_size=20)
    table = fitted.fit(rows.frame, rows.y).routing_table_
    assert {g.candidate for g in table.groups} == {"generic"}
    assert all("too few rows to choose" in g.reason for g in table.groups)


def test_rows_judged_more_than_once_are_averaged(rows):
    data, schema = training(rows)
    splitter = RepeatedStratifiedKFold(n_splits=2, n_repeats=3, random_state=0)
    folds = split_rows(splitter, data, None)
    assert len(folds) == 6
    recipes = make_recipes(("generic", "onehot"), GaussianNB(), schema, ["x", "z"])
    scores = cross_fit(Training(recipes, min_group_size=5), data, folds).scores
    proba, votes = np.zeros((320, 2)), np.zeros((320, 2))
    for trained, judged in folds:
        model = GaussianNB().fit(data.features.iloc[trained], data.y[trained])
        proba[judged] += model.predict_proba(data.features.iloc[judged]) / 3
        votes[judged, model.predict(data.features.iloc[judged])] += 1
    generic = scores["generic"]
    assert generic.scored.all()
    np.testing.assert_allclose(generic.predictions.proba, proba)
    assert np.array_equal(generic.predictions.label, votes.argmax(axis=1))


def test_a_tied_vote_goes_to_the_likelier_class(rows):
    data, schema = training(rows)
    splitter = RepeatedStratifiedKFold(n_splits=2, n_repeats=2, random_state=0)
    folds = split_rows(splitter, data, None)
    recipes = make_recipes(("generic",), GaussianNB(), schema, ["x", "z"])
    scores = cross_fit(Training(recipes, min_group_size=5), data, folds).scores
    votes = np.zeros((320, 2))
    for trained, judged in folds:
        model = GaussianNB().fit(data.features.iloc[trained], data.y[trained])
        votes[judged, model.predict(data.features.iloc[judged])] += 1
    tied = votes[:, 0] == votes[:, 1]
    assert tied.any()
    predictions = scores["generic"].predictions
    assert np.array_equal(predictions.label[tied], predictions.proba[tied].argmax(axis=1))


def test_repeats_are_no_new_evidence_of_envy(rows):
    def pairs(cv):
        fitted = router(LOGISTIC, cv=cv).fit(rows.frame, rows.y)
        return [t for t in fitted.audit_.envy_freeness if t.candidate == "decoupled"]

    once = pairs(4)
    often = pairs(RepeatedStratifiedKFold(n_splits=4, n_repeats=5, random_state=0))
    assert [t.n for t in often] == [t.n for t in once]
    assert max(t.n for t in often) == 80


def test_clusters_count_in_envy_as_in_rationality(rows):
    """Every row comes four times: with clusters that say so, intervals must not shrink."""
    copies = np.repeat(np.arange(len(rows.y)), 4)
    frame = rows.frame.iloc[copies].reset_index(drop=True)

    def widths(frame, y, clusters=None):
        fitted = router(LOGISTIC, metric="brier").fit(frame, y, clusters=clusters)
        found = {}
        for kind in ("rationality", "envy_freeness"):
            tests = getattr(fitted.audit_, kind)
            found[kind] = np.nanmean([t.high - t.low for t in tests if t.high is not None])
        return found

    honest, fooled = widths(frame, rows.y[copies], copies), widths(frame, rows.y[copies])
    for kind in honest:
        assert honest[kind] > 1.6 * fooled[kind], kind


def test_folds_are_capped_by_the_largest_cell(rows):
    few = rows.frame[:12]
    y = np.array([0, 1] * 6)
    y[:4] = [0, 0, 1, 1]
    with pytest.warns(UserWarning, match="No group has min_group_size"):
        fitted = router(cv=10).fit(few, y)
    assert set(fitted.route(few).candidate) == {"generic"}
    strata = np.arange(12) // 3  # four cells of three rows

    def folds(groups, clusters=None):
        codes = np.ones((12, 1), dtype=int)
        data = TrainingRows(few, groups, y, y, None, 12, clusters=clusters, codes=codes)
        return split_rows(10, data, 0)

    assert len(folds(strata)) == 3
    assert len(folds(np.arange(12))) == 2  # every cell one row
    assert len(folds(np.zeros(12, dtype=int), np.arange(12) // 4)) == 3


def test_tiny_cells_make_no_warning_storm(rows):
    frame = rows.frame.copy()
    frame["age"] = np.where(np.arange(320) < 9, [f"rare {i}" for i in range(320)], frame["age"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cv in (5, 0.2):
            fitted = router(LOGISTIC, cv=cv, n_jobs=1).fit(frame, rows.y)
            fitted.audit(frame, rows.y)
            str(fitted.audit_)
    assert len(fitted.routing_table_.groups) == 2 * 11
    served = {g.candidate for g in fitted.routing_table_.groups if g.rows < 20}
    assert served == {"generic"}


def test_leave_one_site_out(rows):
    sites = np.arange(320) // 4 % 4
    fitted = router(cv=LeaveOneGroupOut()).fit(rows.frame, rows.y, clusters=sites)
    assert {r.n for r in fitted.audit_.risks if r.group is None} == {320}


# availability
def test_a_decoupled_model_needs_enough_rows_in_every_training_part(rows):
    def reasons(n, cv=5):
        """The group M/old with n rows."""
        own = np.flatnonzero(rows.cells == "M/old")
        keep = np.setdiff1d(np.arange(320), own[n:])
        fitted = router(cv=cv, min_group_size=20).fit(rows.frame.iloc[keep], rows.y[keep])
        return fitted.routing_table_.groups[2].unavailable

    assert reasons(26) == {}  # parts of at least 20
    assert reasons(24) == {"decoupled": "19 rows to train on, min_group_size is 20"}
    assert reasons(19)["decoupled"] == "19 rows to train on, min_group_size is 20"
    assert reasons(30, cv=0.5)["decoupled"] == "15 rows to train on, min_group_size is 20"


def test_a_decoupled_model_needs_two_classes_in_every_training_part(rows):
    own = rows.cells == "M/old"
    reason = "one class only among its training rows"
    for positives in (0, 1):
        y = np.where(own, 0, rows.y)
        y[np.flatnonzero(own)[:positives]] = 1
        fitted = router().fit(rows.frame, y)
        record = fitted.routing_table_.groups[2]
        assert record.unavailable == {"decoupled": reason}, positives
        assert record.candidate != "decoupled"
        assert [g.unavailable for g in fitted.routing_table_.groups[:2]] == [{}, {}]
    y[np.flatnonzero(own)[:6]] = 1
    assert router().fit(rows.frame, y).routing_table_.groups[2].unavailable == {}


def test_without_probabilities_a_decoupled_model_needs_every_class(rows):
    own = rows.cells == "M/old"
    y = np.where(own, rows.y, rows.y + np.where(np.array(rows.columns["z"]) > 1, 1, 0))
    fitted = router(LinearSVC()).fit(rows.frame, y)
    text = "a class is absent from its training rows, and the estimator has no predict_proba"
    assert fitted.routing_table_.groups[2].unavailable["decoupled"] == text
    assert fitted.decision_function(rows.frame).shape == (320, 3)
    assert (
        "decoupled"
        not in router(GaussianNB()).fit(rows.frame, y).routing_table_.groups[2].unavailable
    )


def test_a_level_that_only_one_group_has_costs_nobody_else_a_model(rows):
    """A strict encoder knows the site of its own training rows only: others' rows break it."""
    site = np.where(rows.cells == "M/old", "far", np.tile(["a", "b"], 160))
    site = np.where(np.random.default_rng(0).random(320) < 0.3, "a", site)
    frame = rows.frame.assign(site=site)
    strict = make_column_transformer(
        (OneHotEncoder(handle_unknown="error"), ["site"]), (StandardScaler(), ["x", "z"])
    )
    fitted = router(make_pipeline(strict, LOGISTIC)).fit(frame, rows.y)
    assert all("decoupled" not in g.unavailable for g in fitted.routing_table_.groups)
    assert fitted.routing_table_.groups[2].candidate == "decoupled"
    assert "nan" not in str(fitted.audit_)
    with pytest.warns(UserWarning, match=r"leaves out the reports \['M, old'\].*unknown cat"):
        audit = fitted.audit(frame, rows.y)
    assert "nan" not in str(audit)
    assert {t.other for t in audit.truthfulness} >= {"F, old", "?, ?"}


def test_a_row_that_breaks_one_groups_model_costs_that_group_only(rows):
    """One row of M/old has a site of its own: its group's model cannot be judged on it."""
    site = np.tile(["a", "b", "a", "b", "b", "a", "b", "a"], 40)
    site[np.flatnonzero(rows.cells == "M/old")[7]] = "only here"
    frame = rows.frame.assign(site=site)
    loose = make_column_transformer((FailsOnNews(), ["site"]), (StandardScaler(), ["x", "z"]))
    fitted = router(make_pipeline(loose, LOGISTIC)).fit(frame, rows.y)
    reasons = [g.unavailable for g in fitted.routing_table_.groups]
    assert "cannot place" in reasons[2]["decoupled"]
    assert reasons[0] == reasons[1] == reasons[3] == {}


class FailsOnNews(OneHotEncoder):
    """A one-hot encoder that is strict about news in small training sets only."""

    def __init__(self):
        super().__init__(handle_unknown="ignore", sparse_output=False)

    def fit(self, X, y=None):
        self.small_ = len(X) < 100
        return super().fit(X, y)

    def transform(self, X):
        if self.small_ and not np.isin(np.asarray(X)[:, 0], self.categories_[0]).all():
            raise ValueError("cannot place this site")
        return super().transform(X)


# rows that withhold
def test_rows_that_withhold_train_generic_and_are_no_evidence(rows):
    frame = rows.frame.copy()
    frame.loc[:49, "sex"] = "?"
    frame.loc[40:89, "age"] = None
    fitted = router(LOGISTIC).fit(frame, rows.y)
    features = frame[["x", "z"]]
    generic, onehot = (fitted.candidates_[n].models[0] for n in ("generic", "onehot"))
    assert np.allclose(generic.coef_, clone(LOGISTIC).fit(features, rows.y).coef_)
    told = np.arange(320) >= 90
    dummies = np.column_stack(
        [(frame[c] == v) & told for c, v in (("sex", "F"), ("sex", "M"), ("age", "old"))]
        + [(frame["age"] == "young") & told]
    ).astype(float)
    by_hand = clone(LOGISTIC).fit(np.hstack([features, dummies]), rows.y)
    assert np.allclose(onehot.coef_, by_hand.coef_)
    assert sum(g.rows for g in fitted.routing_table_.groups) == 230
    assert sum(len(m.classes_) > 0 for m in fitted.candidates_["decoupled"].models) == 4
    lone = fitted.routing_table_.groups
    without = router(LOGISTIC, cv=3).fit(frame[told], rows.y[told])
    assert [g.rows for g in lone] == [g.rows for g in without.routing_table_.groups]


def test_generic_alone(rows):
    fitted = router(candidates=("generic",)).fit(rows.frame, rows.y)
    assert list(fitted.candidates_) == ["generic"]
    assert set(fitted.route(rows.frame).candidate) == {"generic"}
    assert "no other candidate was asked for" in str(fitted.routing_table_)
    str(fitted.audit(rows.frame, rows.y))


def test_progress_goes_to_standard_error(rows, capsys):
    router(verbose=1, cv=2).fit(rows.frame, rows.y)
    out, err = capsys.readouterr()
    assert out == ""
    assert "fitted 12 of 12 " in err
    router(cv=2).fit(rows.frame, rows.y)
    assert capsys.readouterr() == ("", "")


def test_certified_opens_later_rows_where_folds_run_in_time(many_rows):
    data, _ = training(many_rows)
    n = len(data.y)
    seen, opened, again, in_time = keep_back(TimeSeriesSplit(4), data, 0.4, None)
    assert in_time
    assert (seen.max(), opened.min(), len(opened)) == (n - 384 - 1, n - 384, 384)
    assert isinstance(again, TimeSeriesSplit)
    fitted = router(policy="certified", cv=TimeSeriesSplit(4)).fit(many_rows.frame, many_rows.y)
    generic = clone(GaussianNB()).fit(
        many_rows.frame[["x", "z"]][: n - 384], many_rows.y[: n - 384]
    )
    wrong = generic.predict(many_rows.frame[["x", "z"]][n - 384 :]) != many_rows.y[n - 384 :]
    (own,) = (r for r in fitted.audit_.risks if (r.candidate, r.group) == ("generic", None))
    assert own.n == 384
    assert own.risk == pytest.approx(wrong.mean())


def test_certified_opens_what_the_last_of_the_users_splits_judges(many_rows):
    data, _ = training(many_rows)
    rows = np.random.default_rng(0).permutation(len(data.y))
    parts = np.array_split(rows, 4)
    pairs = [(np.concatenate(parts[:i] + parts[i + 1 :]), parts[i]) for i in range(4)]
    seen, opened, again, in_time = keep_back(pairs, data, 0.4, None)
    assert not in_time
    assert np.array_equal(opened, np.sort(parts[3]))
    assert np.array_equal(seen, np.sort(np.concatenate(parts[:3])))
    for (trained, judged), part in zip(again, parts[:3], strict=True):
        assert np.array_equal(seen[judged], np.sort(part))
        assert not np.isin(seen[trained], np.concatenate([part, opened])).any()
    fold = np.full(len(data.y), -1)
    fold[parts[3]] = 0
    for cv in (PredefinedSplit(fold), [pairs[3]]):
        seen, opened, again, _ = keep_back(cv, data, 0.4, None)
        assert np.array_equal(opened, np.sort(parts[3]))
        assert again == 5
        fitted = router(policy="certified", cv=cv).fit(many_rows.frame, many_rows.y)
        assert {r.n for r in fitted.audit_.risks if r.group is None} <= {len(parts[3])}


def test_certified_opens_no_cluster_that_it_has_seen(many_rows):
    n = len(many_rows.y)
    clusters = np.arange(n) // 100
    data, _ = training(many_rows, clusters=clusters)
    with pytest.warns(UserWarning, match="groups parameter is ignored by TimeSeriesSplit"):
        seen, opened, *_ = keep_back(TimeSeriesSplit(4), data, 0.4, None)
    assert not np.isin(clusters[opened], clusters[seen]).any()
    everything = np.arange(n)
    with pytest.raises(ValueError, match=r"leaves 960 rows to choose on and 0 to certify on"):
        keep_back([(everything, everything)], data, 0.4, None)

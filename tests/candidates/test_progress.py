"""scikit-learn's callbacks: what they are told of a fit, from its beginning to its end."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from small_routers import LOGISTIC, router

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks since 1.9")


class Witness:
    """Writes down what it is told."""

    max_propagation_depth = None

    def __init__(self):
        self.told, self.fitted = [], None

    def setup(self, estimator, context):
        self.told.append("setup")

    def teardown(self, estimator, context):
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None):
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, metadata=None, fitted_estimator=None):
        self.told.append(f"end {context.task_name}")
        if fitted_estimator is not None:
            self.fitted, self.metadata = fitted_estimator, metadata
        return True  # asks to stop, which is not heeded


class Alone(Witness):
    """Is handed on to nobody."""

    max_propagation_depth = 0


@pytest.mark.parametrize("jobs", [None, 2])
def test_callbacks_are_told_of_every_part(rows, jobs):
    witness, weight = Witness(), np.ones(len(rows.y))
    fitted = router(candidates=("generic", "decoupled"), cv=2, n_jobs=jobs)
    fitted.set_callbacks(witness).fit(rows.frame, rows.y, sample_weight=weight)
    places = ("all rows", "fold 1", "fold 2")
    parts = [f"{name}, {place}" for place in places for name in fitted.candidates_]
    inner = [f"{what} {part}" for part in parts for what in ("begin", "end")]
    assert witness.told == [
        *("setup", "begin fit", "begin train", *inner, "end train"),
        *("begin choose and audit", "end choose and audit", "end fit", "teardown"),
    ]
    assert (witness.fitted.predict(rows.frame) == fitted.predict(rows.frame)).all()
    assert witness.metadata["sample_weight"] is weight
    plain = router(candidates=("generic", "decoupled"), cv=2).fit(rows.frame, rows.y, weight)
    assert str(plain.routing_table_) == str(fitted.routing_table_)


def test_callbacks_are_torn_down_where_a_fit_fails(rows):
    witness = Alone()
    broken = router(cv=2, min_group_size=0).set_callbacks(witness)
    with pytest.raises(ValueError, match="min_group_size=0"):
        broken.fit(rows.frame, rows.y)
    assert witness.told == ["setup", "begin fit", "teardown"]
    broken.set_params(min_group_size=5).fit(rows.frame, rows.y)
    assert witness.told[-2:] == ["end fit", "teardown"]
    assert pickle.loads(pickle.dumps(broken.set_callbacks())).predict(rows.frame).shape == (320,)


def test_scores_of_a_monitor_are_those_of_the_router(rows):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    fitted = router(cv=2).set_callbacks(monitor).fit(rows.frame, rows.y)
    (entry,) = monitor.get_logs().data
    assert entry["accuracy"] == fitted.score(rows.frame, rows.y)


def test_a_search_hands_its_callbacks_on(rows):
    witness = Witness()
    search = GridSearchCV(router(LOGISTIC, cv=2), {"alpha": [0.1, 0.2]}, cv=2)
    search.set_callbacks(witness).fit(rows.frame, rows.y)
    assert witness.told.count("begin train") == 5
    assert witness.told.count("setup") == witness.told.count("teardown") == 1
    assert witness.told.count("begin generic, all rows") == 5


def test_clones_keep_callbacks_and_classes_are_refused(rows):
    witness = Witness()
    clone(router(cv=2).set_callbacks(witness)).fit(rows.frame, rows.y)
    assert witness.told[0] == "setup"
    with pytest.raises(TypeError, match="callbacks"):
        router().set_callbacks(Witness)

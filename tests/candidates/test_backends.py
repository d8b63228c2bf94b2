"""joblib's backends: candidates are fitted wherever it runs tasks, and are the same everywhere."""

import joblib
import pytest
from joblib.parallel import ParallelBackendBase, register_parallel_backend
from small_routers import LOGISTIC, router


def fitted(rows, n_jobs=None):
    return router(LOGISTIC, cv=3, n_jobs=n_jobs).fit(rows.frame, rows.y)


@pytest.fixture(scope="module")
def alone(rows):
    return fitted(rows)


def agree(one, other, rows):
    assert one.routing_table_.to_json() == other.routing_table_.to_json()
    assert (one.predict_proba(rows.frame) == other.predict_proba(rows.frame)).all()


@pytest.mark.parametrize("backend", ["sequential", "threading", "multiprocessing"])
def test_a_backend_changes_nothing(rows, alone, backend):
    with joblib.parallel_config(backend, n_jobs=2):
        agree(fitted(rows), alone, rows)


def test_progress_is_told_by_a_backend_that_answers_at_the_end(rows, capfd):
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        router(LOGISTIC, cv=2, verbose=1).fit(rows.frame, rows.y)
    told = capfd.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "of" in told[0]


class AtOnce(ParallelBackendBase):
    """Runs tasks when they come, and gives no generator: what Spark's and Ray's have in common."""

    supports_return_generator = False
    supports_retrieve_callback = False

    def effective_n_jobs(self, n_jobs):
        return 1

    def apply_async(self, func, callback=None):
        result = func()
        if callback:
            callback(result)

        class Done:
            def get(self, timeout=None):
                return result

        return Done()

    submit = apply_async


def test_a_backend_of_ones_own_that_gives_lists(rows, alone):
    register_parallel_backend("at once", AtOnce)
    with joblib.parallel_config("at once"):
        agree(fitted(rows), alone, rows)


def test_dask(rows, alone):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    cluster = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with (
        distributed.Client(**cluster, dashboard_address=None),
        joblib.parallel_config("dask"),
    ):
        agree(fitted(rows), alone, rows)


def test_n_jobs_that_is_none_is_still_refused(rows):
    with pytest.raises(ValueError, match="n_jobs"):
        fitted(rows, n_jobs="many")

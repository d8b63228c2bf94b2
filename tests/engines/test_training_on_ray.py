"""Training under joblib's Ray backend, on a real Ray of this machine."""

import joblib
import numpy as np
import pytest
from engines_needed import need
from sklearn.linear_model import LogisticRegression

from fairuse_router import FairUseRouter


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_ray_trains_the_same_router(monkeypatch):
    need("ray")
    import ray
    from ray.util.joblib import register_ray

    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(0, 2, 300), rng.normal(size=(300, 2))])
    y = (X[:, 1] + X[:, 0] * X[:, 2] + rng.normal(size=300) > 0).astype(int)
    router = FairUseRouter(LogisticRegression(), [0], cv=3, random_state=0)
    alone = router.fit(X, y)
    table, answers = alone.routing_table_.to_json(), alone.predict_proba(X)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # a cluster of this process alone
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        register_ray()
        with joblib.parallel_config(backend="ray", n_jobs=2):
            router.set_params(n_jobs=2).fit(X, y)
    finally:
        ray.shutdown()
    assert router.routing_table_.to_json() == table
    assert np.array_equal(router.predict_proba(X), answers)

"""A population with four groups, its audit, and a way to pick records of it."""

import numpy as np

from fairuse_router.audit import audit_rows
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Predictions, get_metric

SCHEMA = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("old", "young")))
NAMES = SCHEMA.group_names()
TABLES = ("overall", "rationality", "envy_freeness", "truthfulness")


def population(seed=0, n=800, noise=(1.2, 0.8, 0.2)):
    rng = np.random.default_rng(seed)
    groups = rng.integers(-1, 4, n)
    z = rng.normal(0, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)

    def predict(scale):
        return Predictions.from_proba(1 / (1 + np.exp(-z - scale * rng.normal(size=n))))

    names = ("generic", "onehot", "decoupled")
    return y, groups, dict(zip(names, map(predict, noise), strict=True)), predict


def full_audit(**changes):
    y, groups, models, predict = population()
    measured = [get_metric(k) for k in ("error", "auc", "brier")]
    under = [predict(0.5 * h) for h in range(4)]
    moments = MisreportMoments.measure(y, models["onehot"], under.__getitem__, groups, 4, measured)
    settings = {
        "routed": predict(0.3),
        "metrics": ["error", "auc", "brier", "ece"],
        "misreports": {"onehot": moments},
        "truthfulness": {name: predict(0.6) for name in ["?, ?", "F, ?", *NAMES]},
        "available": {"decoupled": np.array([True, False, True, True])},
    }
    return (
        audit_rows(y, models, groups, SCHEMA, **{**settings, **changes}),
        y,
        groups,
        models,
        under,
    )


def select(records, **wanted):
    return [r for r in records if all(getattr(r, k) == v for k, v in wanted.items())]

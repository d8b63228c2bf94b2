"""A population with four groups, its audit, and a way to pick records of it."""

import numpy as np

from fairuse_router import audit
from fairuse_router.audit.arguments import AuditSettings, read_metrics
from fairuse_router.candidates.scores import Scores
from fairuse_router.groups import GroupSchema
from fairuse_router.inference.compare import Rows
from fairuse_router.inference.envy import MisreportMoments
from fairuse_router.metrics import Predictions, get_metric
from fairuse_router.routing.policies.evidence import Evidence

SCHEMA = GroupSchema(("sex", "age"), (0, 1), (("F", "M"), ("old", "young")))
NAMES = SCHEMA.group_names()
TABLES = ("overall", "rationality", "envy_freeness", "truthfulness")


def audit_rows(y, models, groups, schema, **given):
    """Audit predictions by name; `available` and `scored` by candidate, and settings of a test."""
    able = given.pop("available", {})
    unavailable = {
        name: dict.fromkeys(np.flatnonzero(~np.asarray(can)).tolist(), "no model")
        for name, can in able.items()
        if not np.all(can)
    }
    scored, misreports = given.pop("scored", {}), given.pop("misreports", None) or {}
    scores = {
        name: Scores(p, scored.get(name, np.ones(len(p), dtype=bool)), misreports.get(name))
        for name, p in models.items()
    }
    rows = Rows(y, groups, schema.n_groups, given.pop("weight", None), given.pop("clusters", None))
    metrics = read_metrics(given.pop("metrics", "error"))
    routed, under = given.pop("routed", None), given.pop("truthfulness", None)
    routing = None if routed is None else audit.Routing(routed, under=under)
    evidence = Evidence(rows, scores, metrics, unavailable=unavailable)
    return audit.audit_rows(evidence, schema, AuditSettings(**given), routing)


def measure(y, own, under, groups, m, metrics, weight=None, columns=None, clusters=None):
    """Misreports of rows given by their parts."""
    rows = Rows(y, groups, m, weight, clusters)
    return MisreportMoments.measure(rows, own, under, metrics, columns)


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
    moments = measure(y, models["onehot"], under.__getitem__, groups, 4, measured)
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

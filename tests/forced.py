"""Routers whose routes are set by hand, so that a test reaches every kind of model."""

from dataclasses import replace

from fairuse_router.routing.deployment import Deployment
from fairuse_router.routing.table import RoutingTable

EVERY = ("onehot", "decoupled", "intersectional", "generic")


def force(router, picks):
    """Serve group g by candidate ``picks[g % len(picks)]``, where it can."""
    table, records = router.routing_table_, []
    for g, record in enumerate(table.groups):
        name = picks[g % len(picks)]
        served = router.candidates_[name].model_of_group[g] >= 0
        records.append(replace(record, candidate=name if served else "generic", strength=1.0))
    forced = RoutingTable.from_choices(
        table.schema, records, policy=table.policy, metric=table.metric, alpha=table.alpha
    )
    return serve(router, forced)


def serve(router, table):
    """Serve a table, whatever it says, and keep what was measured of the old one."""
    router.routing_table_ = table
    router.deployment_ = Deployment(router.candidates_, table, getattr(router, "classes_", None))
    return router


def every_report(router, X):
    """The rows of X under every report of the grid."""
    schema = router.schema_
    for code in schema.report_codes:
        asked = X.copy()
        for name, text in zip(schema.attributes, schema.report_texts(code), strict=True):
            asked[name] = text
        yield asked

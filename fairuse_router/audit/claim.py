"""Whether an audit can be the claim of a router: of its groups, on rows that chose nothing."""

from __future__ import annotations

from fairuse_router.audit.audit import Audit
from fairuse_router.audit.records import OF_TRAINING
from fairuse_router.routing.grid import RoutingGrid


def check_claim(audit: object, table: RoutingGrid, selection: Audit | None) -> None:
    """Refuse an audit that cannot be the claim of this router.

    Raises
    ------
    TypeError
        If it is no Audit.
    ValueError
        If it is of other groups, of the rows that chose the routes, or of rows of training.
    """
    if not isinstance(audit, Audit):
        raise TypeError(
            f"audit is a {type(audit).__name__}; pass router.audit(X_test, y_test), or None."
        )
    names = tuple(table.schema.group_names())
    if audit.groups != names:
        raise ValueError(
            f"audit has the groups {list(audit.groups)}; the router's are {list(names)}. Pass "
            "router.audit(X_test, y_test)."
        )
    if audit.evidence.endswith(OF_TRAINING):
        raise ValueError(
            f"audit is of {audit.evidence}: the models have seen them. Pass router.audit(X_test, "
            "y_test) on rows that fit was not given, or nothing."
        )
    if audit == selection:
        raise ValueError(
            "audit is router.audit_, whose rows chose the routes, and which is shown anyway. Pass "
            "router.audit(X_test, y_test) on other rows, or nothing."
        )

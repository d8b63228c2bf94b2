"""Updating a bundle: another routing table over the same models, without retraining."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from fairuse_router.audit import Audit
from fairuse_router.audit.audit import without_routing
from fairuse_router.audit.claim import check_claim
from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.arguments import check_count
from fairuse_router.bundle.file.digest import BLANK, KEY, seal
from fairuse_router.bundle.file.hidden import small_groups, write_audit, write_honest, write_table
from fairuse_router.bundle.file.places import route_places
from fairuse_router.bundle.graph.override import find_routes, is_shared
from fairuse_router.bundle.reader import Bundle
from fairuse_router.documents import check_path, check_target, write_whole
from fairuse_router.routing.deployed import Deployed, check_router
from fairuse_router.routing.table import RoutingTable

_NAME = "updated_routes"


def update_bundle(
    router: Deployed | RoutingTable,
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    min_cell: int = 5,
    audit: Audit | None = None,
) -> None:
    """Write a bundle again with another routing table, its models as they are.

    After ``router.reaudit(X, y, update="withdraw")`` or ``router.with_table(table)``, or from the
    file alone with the table of ``bundle.reaudit(X, y)``: nothing is trained, converted or compared
    anew. The models, their numbers and the certificate stay; the routes inside the graph, the
    routing table and the audits are replaced. Routes keep the numbers that they have in `source`.

    Parameters
    ----------
    router : FairUseRouter or RoutingTable
        The one that `source` was written from, serving another table; or that table.
    source : str or path
        The bundle to update, as `export_bundle` wrote it.
    path : str or path
        File to write; it may be `source`. It appears whole or not at all.
    min_cell : int, default=5
        Numbers that rest on fewer rows are left out, as in `export_bundle`.
    audit : Audit, default=None
        Of the new routing on held-out rows. None: what the file has of the old one stays as far as
        it is not about the routes.

    Raises
    ------
    TypeError
        If `router` is neither FairUseRouter nor RoutingTable, or `source` or `path` no path.
    ValueError
        If `source` cannot be read, is of another router, or lacks a model that the table needs, or
        if the audit is of other groups.

    Notes
    -----
    The certificate still holds if each report now leads to a model that its rows were compared
    under: generic was, by the report that withholds everything.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairuse_router import Bundle, FairUseRouter, export_bundle
    >>> rng = np.random.default_rng(0)
    >>> X = np.column_stack([rng.normal(size=400), rng.integers(0, 2, 400)])
    >>> y = (X[:, 0] * np.where(X[:, 1] == 1, 1, -1) > 0).astype(int)
    >>> router = FairUseRouter(LogisticRegression(), [1]).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = export_bundle(router, f"{folder}/router.onnx", X)
    ...     cautious = router.with_table(router.routing_table_.collapse(1.0))
    ...     update_bundle(cautious, f"{folder}/router.onnx", f"{folder}/cautious.onnx")
    ...     bundle = Bundle.load(f"{folder}/cautious.onnx")
    >>> bool((bundle.predict(X) == cautious.predict(X)).all())
    True
    """
    if not isinstance(router, RoutingTable):
        check_router(router)
    check_target(path)
    check_count("min_cell", min_cell, 0)
    source = check_path(source, "source")
    bundle = Bundle.load(source)
    name = f"source={str(source)!r}"
    old = bundle.routing_table
    if isinstance(router, RoutingTable):
        new, mine = router, bundle.audit_
        _check_table(old, new, name)
    else:
        new, mine = router.routing_table_, router.audit_
        _check_same(bundle, router, name)
    if audit is not None:
        check_claim(audit, new, mine)
    table = replace(new, routes=old.routes, grid=_renumbered(new, old, name))
    model = onnx.load_model_from_string(source.read_bytes())
    _replace_routes(model.graph, bundle.layout, old, table, name)
    held_out, honest = audit or bundle.held_out_, bundle.honest_gains_
    if not np.array_equal(table.grid, old.grid):
        if new is router:  # a router has already forgotten what no longer holds
            mine = _without_routing(mine)
        held_out, honest = audit or _without_routing(held_out), None
    hidden = small_groups(new, min_cell)
    _replace_properties(
        model,
        {
            "routing_table": write_table(table, hidden, min_cell),
            "audit": write_audit(mine, hidden, min_cell),
            "held_out": write_audit(held_out, hidden, min_cell),
            "honest_gains": write_honest(honest, hidden),
        },
    )
    content = seal(model.SerializeToString(deterministic=True))
    Bundle(content, "the updated bundle")  # reads what is to be written, or raises
    write_whole(content, path)


def _without_routing(audit: Audit | None) -> Audit | None:
    """What an audit still says of the candidates, if it says anything."""
    left = None if audit is None else without_routing(audit)
    return left if left is not None and len(left.candidates) > 1 else None


def _check_table(old: RoutingTable, new: RoutingTable, name: str) -> None:
    """Refuse a table of other groups, or of other numbers of the same groups."""
    same = new.schema == old.schema and all(map(_same_record, old.groups, new.groups))
    if not same:
        raise ValueError(
            f"{name} is of another router than the table: its groups or the risks of its "
            "candidates differ. Pass a table made from that of the bundle."
        )


def _check_same(bundle: Bundle, router: Deployed, name: str) -> None:
    """Refuse a bundle of another router: other columns, classes, or numbers of the same groups."""
    own = getattr(router, "classes_", None)
    classes = None if bundle.classes_ is None else bundle.classes_.tolist()
    mine = [(c.name, c.position, c.numeric) for c in router.feature_columns_]
    theirs = [(c.name, c.position, c.numeric) for c in bundle.layout.columns]
    same = (
        bundle.schema == router.schema_
        and mine == theirs
        and classes == (None if own is None else own.tolist())
        and all(
            _same_record(a, b)
            for a, b in zip(bundle.routing_table.groups, router.routing_table_.groups, strict=True)
        )
    )
    if not same:
        raise ValueError(
            f"{name} was not written from this router: its columns, classes or the risks of its "
            "candidates differ. Write a bundle of this router by export_bundle."
        )


def _same_record(a: Any, b: Any) -> bool:
    """Whether two records are of one group and one fit, as far as both say."""
    rows = a.rows is None or b.rows is None or a.rows == b.rows
    known = (set(a.risks) & set(b.risks)) - {"routed"}
    return rows and all(a.risks[n] == b.risks[n] for n in known)


def _renumbered(new: RoutingTable, old: RoutingTable, name: str) -> NDArray[np.int64]:
    """The grid of a table in the route numbers of another."""
    place = {route: i for i, route in enumerate(old.routes)}
    missing = [route for route in new.routes if route not in place]
    if missing:
        raise ValueError(
            f"{name} holds no model for the route to {missing[0].candidate!r} of group "
            f"{missing[0].group}; an update can only drop routes. Use export_bundle."
        )
    return np.array([place[route] for route in new.routes], dtype=np.int64)[new.grid]


def _replace_routes(
    graph: onnx.GraphProto, layout: Any, old: RoutingTable, new: RoutingTable, name: str
) -> None:
    """Put the routes of one table in the place of the other's."""
    place = find_routes(graph, layout, old)
    if place is None:
        raise ValueError(
            f"{name} does not hold its routes where this version writes them. Write the bundle by "
            "export_bundle."
        )
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    after = numpy_helper.from_array(route_places(new, layout)[0], place.input[0])
    if is_shared(graph, place):
        after.name = place.input[0] = _NAME
        graph.initializer.append(after)
    else:
        tensors[place.input[0]].CopyFrom(after)


def _replace_properties(model: onnx.ModelProto, parts: dict[str, Any]) -> None:
    """Replace some of the metadata, None by nothing, and make room for the digest."""
    values = {p.key: p.value for p in model.metadata_props}
    for key, part in parts.items():
        if part is None and key not in metadata.KEYS:
            values.pop(metadata.PREFIX + key, None)
        else:
            values[metadata.PREFIX + key] = metadata.to_json(part)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {**values, KEY: BLANK})

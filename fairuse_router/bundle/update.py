"""Updating a bundle: another routing table over the same models, without retraining."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from fairuse_router.bundle.file import metadata
from fairuse_router.bundle.file.arguments import check_count
from fairuse_router.bundle.file.digest import BLANK, KEY, seal
from fairuse_router.bundle.graph.routes import route_places
from fairuse_router.bundle.reader import Bundle
from fairuse_router.documents import check_path, check_target, write_whole
from fairuse_router.routing.deployed import Deployed, check_router
from fairuse_router.routing.table import RoutingTable

_NAME = "updated_routes"


def update_bundle(
    router: Deployed,
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    min_cell: int = 5,
) -> None:
    """Write a bundle again with the router's present routing table, its models as they are.

    After ``router.reaudit(X, y, update="withdraw")`` or ``router.with_table(table)``: nothing is
    trained, converted or compared anew. The models, their numbers and the certificate stay; the
    routes inside the graph, the routing table and the audit are replaced. Routes keep the numbers
    that they have in `source`.

    Parameters
    ----------
    router : FairUseRouter
        The one that `source` was written from, serving another table.
    source : str or path
        The bundle to update, as `export_bundle` wrote it.
    path : str or path
        File to write; it may be `source`. It appears whole or not at all.
    min_cell : int, default=5
        Numbers that rest on fewer rows are left out, as in `export_bundle`.

    Raises
    ------
    TypeError
        If `router` is no FairUseRouter, or `source` or `path` no path.
    ValueError
        If `source` cannot be read, is of another router, or lacks a model that the table needs.

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
    check_router(router)
    check_target(path)
    check_count("min_cell", min_cell, 0)
    source = check_path(source, "source")
    bundle = Bundle.load(source)
    name = f"source={str(source)!r}"
    old, new = bundle.routing_table, router.routing_table_
    _check_same(bundle, router, name)
    table = replace(new, routes=old.routes, grid=_renumbered(new, old, name))
    model = onnx.load_model_from_string(source.read_bytes())
    _replace_routes(model.graph, bundle.layout, old, table, name)
    hidden = metadata.small_groups(new, min_cell)
    audit = None if router.audit_ is None else router.audit_.to_dict()
    _replace_properties(
        model,
        {
            "routing_table": metadata.write_table(table, hidden, min_cell),
            "audit": audit and metadata.suppress(audit, hidden, min_cell),
        },
    )
    content = seal(model.SerializeToString(deterministic=True))
    Bundle(content, "the updated bundle")  # reads what is to be written, or raises
    write_whole(content, path)


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
    before, after = (route_places(table, layout)[0] for table in (old, new))
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    found = [
        node
        for node in graph.node
        if node.op_type in ("GatherND", "GatherElements")
        and node.input[0] in tensors
        and np.array_equal(numpy_helper.to_array(tensors[node.input[0]]), before)
    ]
    if len(found) != 1:
        raise ValueError(
            f"{name} does not hold its routes where this version writes them. Write the bundle by "
            "export_bundle."
        )
    own = found[0].input[0]
    tensor = numpy_helper.from_array(after, own)
    if sum(list(node.input).count(own) for node in graph.node) > 1:  # an equal constant, shared
        tensor.name = found[0].input[0] = _NAME
        graph.initializer.append(tensor)
    else:
        tensors[own].CopyFrom(tensor)


def _replace_properties(model: onnx.ModelProto, parts: dict[str, Any]) -> None:
    """Replace some of the metadata, and make room for the digest."""
    values = {metadata.PREFIX + key: metadata.to_json(part) for key, part in parts.items()}
    values[KEY] = BLANK
    for entry in model.metadata_props:
        if entry.key in values:
            entry.value = values[entry.key]

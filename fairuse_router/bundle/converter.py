"""The converter of routers for skl2onnx: bare, in a Pipeline, wherever skl2onnx meets one.

The graph is the bundle's, without metadata and certificate: skl2onnx hands a converter no rows to
compare on. Group columns come as the inputs that skl2onnx declares for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import (
    BooleanTensorType,
    DoubleTensorType,
    FloatTensorType,
    Int32TensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.base import is_classifier

from fairuse_router.bundle.draft import Draft
from fairuse_router.bundle.file.arguments import OLDEST, OPSETS
from fairuse_router.bundle.file.layout import Layout
from fairuse_router.bundle.graph.builder import ML, Graph, value_info
from fairuse_router.bundle.graph.routes import same_rows
from fairuse_router.routing.deployed import Deployed

_KINDS = {
    StringTensorType: object,
    FloatTensorType: np.float32,
    DoubleTensorType: np.float64,
    Int64TensorType: np.int64,
    Int32TensorType: np.int32,
    BooleanTensorType: np.bool_,
}
_ALIAS = "FairUseRouter"


@dataclass(frozen=True)
class _Given:
    """One column of X, as skl2onnx gives it: a tensor of shape (n, 1) and its numpy type."""

    tensor: str
    kind: Any


def parse(scope: Any, router: Deployed, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare a router's operator and its outputs."""
    operator = scope.declare_local_operator(_ALIAS, router)
    operator.inputs = inputs
    for name, kind in outputs_of(router):
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return list(operator.outputs)


def outputs_of(router: Deployed) -> list[tuple[str, Any]]:
    """Names and types of the outputs, by skl2onnx's names: ``variable`` is a regression's."""
    _allow_options(type(router))
    route = ("route", Int64TensorType([None]))
    if not is_classifier(router):
        return [("variable", FloatTensorType([None, 1])), route]
    is_text = np.asarray(router.classes_).dtype.kind in "OUS"
    label = ("label", StringTensorType([None]) if is_text else Int64TensorType([None]))
    width = len(router.classes_)
    if hasattr(router, "predict_proba"):
        return [label, ("probabilities", FloatTensorType([None, width])), route]
    if hasattr(router, "decision_function"):
        return [label, ("scores", FloatTensorType([None, None])), route]
    return [label, route]


def calculate_shapes(operator: Any) -> None:
    """Give the outputs their types; they were declared with them."""
    for variable, (_, kind) in zip(
        operator.outputs, outputs_of(operator.raw_operator), strict=False
    ):
        variable.type = kind


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add a router's graph to the model that skl2onnx writes.

    Raises
    ------
    ValueError
        If the columns that reach the router are not those it was fitted on.
    """
    router = operator.raw_operator
    opsets = {**OPSETS["fast"], "": container.target_opset_any_domain("")}
    if opsets[""] < OLDEST:
        raise ValueError(
            f"target_opset={opsets['']} is too old for a router: pass {OLDEST} or more."
        )
    names = getattr(router, "feature_names_in_", None)
    layout = Layout.of(
        router.feature_columns_, router.n_features_in_, None if names is None else tuple(names)
    )
    inner = Draft(router, layout, opsets).assemble()
    graph = Graph(opsets)
    inputs = [_declare(i, v) for i, v in enumerate(operator.inputs)]
    columns = _columns(graph, operator.inputs, router)
    rows = same_rows(graph, [f"given{i}" for i in range(len(operator.inputs))])
    width = graph.constant([len(router.schema_.attributes)], np.int64)
    size = graph.op("Concat", rows, width, axis=0)
    report = graph.op("Reshape", _report(graph, router, columns), size, allowzero=1)
    results = graph.inline(inner, [*_features(graph, layout, columns), report])
    outputs = list(zip(results, inner.graph.output, strict=True))
    if not is_classifier(router):
        column = graph.op("Reshape", results[0], graph.constant([-1, 1], np.int64))
        outputs[0] = (column, value_info("variable", np.float32, ["N", 1]))
    _add(graph.to_model(inputs, outputs), scope, operator, container)


def _declare(i: int, variable: Any) -> Any:
    kind = _KINDS.get(type(variable.type))
    if kind is None:
        raise ValueError(
            f"The input {variable.raw_name!r} of the router is {type(variable.type).__name__}; "
            f"allowed are {', '.join(t.__name__ for t in _KINDS)}."
        )
    return value_info(f"given{i}", kind, ["N", variable.type.shape[1]])


def _columns(graph: Graph, variables: Sequence[Any], router: Deployed) -> list[_Given]:
    """The columns of X one by one, in the order of training."""
    found = []
    names = list(getattr(router, "feature_names_in_", ()))
    told = [variable.raw_name for variable in variables]
    order = list(range(len(variables)))
    if sorted(told) == sorted(names):  # by name, in whichever order they were declared
        order = [told.index(name) for name in names]
    for i in order:
        variable = variables[i]
        width, kind = variable.type.shape[1], _KINDS[type(variable.type)]
        if width == 1:
            found.append(_Given(f"given{i}", kind))
            continue
        for j in range(width or router.n_features_in_):
            one = graph.op("Gather", f"given{i}", graph.constant([j], np.int64), axis=1)
            found.append(_Given(one, kind))
    if len(found) != router.n_features_in_:
        raise ValueError(
            f"{len(found)} columns reach the router, which was fitted on {router.n_features_in_}, "
            "group attributes included. Steps before it must let the group columns pass; better, "
            "put them inside the router's own estimator."
        )
    return found


def _features(graph: Graph, layout: Layout, columns: Sequence[_Given]) -> list[str]:
    """Tensors for the feature inputs of the bundle's graph."""
    tensors = []
    for column in layout.columns:
        given = columns[column.position]
        if column.numeric == (given.kind is object):
            raise ValueError(
                f"The column {column.name!r} reaches the router as "
                f"{'text' if column.numeric else 'numbers'}; in training it was "
                f"{'numbers' if column.numeric else 'text'}. Give it the type it had; behind a "
                "ColumnTransformer with text columns skl2onnx makes text of all columns: put the "
                "steps inside the router's own estimator, which receives the columns as they are."
            )
        number = given.kind in (object, np.float32)
        tensors.append(given.tensor if number else graph.cast(given.tensor, np.float32))
    return [graph.op("Concat", *tensors, axis=1)] if layout.joined else tensors


def _report(graph: Graph, router: Deployed, columns: Sequence[_Given]) -> str:
    """Texts of the reports, shape (n, k)."""
    schema = router.schema_
    texts = [
        _level_texts(graph, columns[position], levels, name)
        for position, levels, name in zip(
            schema.positions, schema.levels, schema.attributes, strict=True
        )
    ]
    return graph.op("Concat", *texts, axis=1)


def _level_texts(graph: Graph, given: _Given, levels: Sequence[str], name: str) -> str:
    """Text of every level, as `level_text` writes it; an unknown number is no level's text."""
    if given.kind is object:
        return given.tensor
    unknown = "unknown"
    while unknown in levels:
        unknown += "_"
    if given.kind is np.bool_:
        whole = graph.cast(given.tensor, np.int64)
        return _look_up(graph, whole, "int64s", [0, 1], ["False", "True"], unknown)
    if given.kind in (np.int64, np.int32):
        known = [text for text in levels if re.fullmatch(r"-?\d+", text)]
        _refuse_none(known, levels, name)
        whole = graph.cast(given.tensor, np.int64)
        return _look_up(graph, whole, "int64s", [int(t) for t in known], known, unknown)
    known = [text for text in levels if _is_number(text)]
    _refuse_none(known, levels, name)
    number = graph.cast(given.tensor, np.float32) if given.kind is np.float64 else given.tensor
    text = _look_up(graph, number, "floats", [float(t) for t in known], known, unknown)
    return graph.op("Where", graph.op("IsNaN", number), graph.constant([[""]], object), text)


def _refuse_none(known: Sequence[str], levels: Sequence[str], name: str) -> None:
    if not known:
        raise ValueError(
            f"The group attribute {name!r} reaches the router as numbers; in training its levels "
            f"were {list(levels)[:5]}. Declare a text input of one column for it, one input per "
            "column of X in the order of training, or by the columns' names."
        )


def _look_up(
    graph: Graph, tensor: str, kind: str, keys: list[Any], texts: list[str], unknown: str
) -> str:
    attributes: dict[str, Any] = {f"keys_{kind}": keys, "values_strings": texts}
    return graph.op("LabelEncoder", tensor, domain=ML, default_string=unknown, **attributes)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _add(model: Any, scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a model under names of their own."""
    prefix = scope.get_unique_operator_name("router") + "_"
    graph = model.graph
    _prefix(graph, prefix)
    before = zip(operator.inputs, graph.input, strict=True)
    after = zip(graph.output, operator.outputs, strict=False)  # a caller may want fewer
    pairs = [(v.onnx_name, i.name) for v, i in before], [(o.name, v.onnx_name) for o, v in after]
    for k, (source, target) in enumerate([*pairs[0], *pairs[1]]):
        node = helper.make_node("Identity", [source], [target], f"{prefix}identity{k}")
        container.nodes.append(node)
    container.nodes.extend(graph.node)
    container.initializers.extend(graph.initializer)
    for entry in model.opset_import:
        container.node_domain_version_pair_sets.add((entry.domain, entry.version))


def _prefix(graph: Any, prefix: str) -> None:
    """Put a prefix before all names of a graph and of the graphs inside it, which read its own."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = prefix + value.name
    for node in graph.node:
        node.name = prefix + node.name
        for names in (node.input, node.output):
            names[:] = [prefix + name if name else name for name in names]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _prefix(attribute.g, prefix)


def _allow_options(kind: type) -> None:
    """Register a kind of router once it is met: of others skl2onnx takes no ``zipmap=False``."""
    if kind not in sklearn_operator_name_map:
        update_registered_converter(
            kind, _ALIAS, calculate_shapes, convert, parser=parse, options={"zipmap": [False]}
        )

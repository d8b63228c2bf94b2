"""Converted: single fitted estimators, handed to skl2onnx and read back as nodes of our graph."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx._parse import _parse_sklearn
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common._registration import get_converter
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline

from fairuse_router.bundle.families.encoders import ENCODERS
from fairuse_router.bundle.families.others import register_others
from fairuse_router.bundle.file.names import feature_text
from fairuse_router.bundle.file.session import open_session
from fairuse_router.bundle.graph.blocks import Answer, Part, flat, text_codes
from fairuse_router.bundle.graph.builder import ML, Graph
from fairuse_router.candidates.injection import KeepLast, is_estimator


def transform_by_skl2onnx(graph: Graph, estimator: Any, part: Part) -> Part:
    """Transform some columns by one fitted transformer."""
    if isinstance(estimator, SimpleImputer):
        estimator = _for_texts(estimator)
    model = _convert(graph, estimator, part, {})
    output = model.graph.output[0].type.tensor_type
    text = output.elem_type == 8
    width = output.shape.dim[1].dim_value if len(output.shape.dim) == 2 else 0
    tensor = graph.inline(model, [part.tensor])[0]
    if not text:
        tensor = graph.cast(tensor, graph.kind)
    return Part(tensor, width or _output_width(estimator), text)


def classify_by_skl2onnx(graph: Graph, estimator: Any, part: Part, method: str | None) -> Answer:
    """Answer by one fitted classifier."""
    raw = {"raw_scores": True} if method == "decision_function" else {}
    indexed = _with_index_labels(estimator)
    model = _convert(graph, indexed, part, raw)
    label, values = graph.inline(model, [part.tensor])
    label = _class_index(graph, label, indexed)
    if method is None:
        return Answer(label)
    values = graph.cast(values, graph.kind)
    if method == "predict_proba":
        _try_weighted_neighbours(estimator, model, "predict_proba")
        shape = graph.constant([-1, len(estimator.classes_)], np.int64)
        return Answer(label, graph.op("Reshape", values, shape))
    return Answer(label, _as_decisions(graph, estimator, model, values))


def regress_by_skl2onnx(graph: Graph, estimator: Any, part: Part) -> Answer:
    """Answer by one fitted regressor."""
    model = _convert(graph, estimator, part, {})
    _try_weighted_neighbours(estimator, model, "predict")
    values = graph.cast(graph.inline(model, [part.tensor])[0], graph.kind)
    return Answer(values=graph.op("Reshape", values, graph.constant([-1, 1], np.int64)))


def _convert(graph: Graph, estimator: Any, part: Part, raw: dict[str, bool]) -> ModelProto:
    estimator = _nameless(estimator)
    register_others(estimators_inside(estimator))
    number = DoubleTensorType if graph.kind == np.float64 else FloatTensorType
    types = [("i0", (StringTensorType if part.text else number)([None, part.width]))]
    options = {
        id(e): {"zipmap": False} for e in estimators_inside(estimator) if "zipmap" in _options(e)
    }
    if raw and "raw_scores" in _options(estimator):
        options[id(estimator)] = {**options.get(id(estimator), {}), **raw}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_sklearn(
            estimator,
            "leaf",
            types,
            target_opset={d: v for d, v in graph.opsets.items() if d in ("", "ai.onnx.ml")},
            options=options,
        )


def _nameless(estimator: Any) -> Any:
    """Return XGBoost models without their columns' names, by which onnxmltools finds no column."""

    def named(value: Any) -> list[Any]:
        boosters = [e.get_booster() for e in estimators_inside(value) if hasattr(e, "get_booster")]
        return [b for b in boosters if getattr(b, "feature_names", None) is not None]

    if named(estimator):
        estimator = copy.deepcopy(estimator)
        for booster in named(estimator):
            booster.feature_names = None
    return estimator


def estimators_inside(value: Any) -> Iterator[Any]:
    """Yield the fitted estimators inside an estimator, itself included."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from estimators_inside(item)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        yield from estimators_inside(value.ravel().tolist())
    elif is_estimator(value):
        yield value
        for item in vars(value).values():
            yield from estimators_inside(item)


def _options(estimator: Any) -> dict[str, Any]:
    alias = sklearn_operator_name_map.get(type(estimator))
    return (get_converter(alias).get_allowed_options() or {}) if alias else {}


def _with_index_labels(estimator: Any) -> Any:
    """Return a copy whose labels are 0 to K-1, the positions in its ``classes_``."""
    classes = np.asarray(estimator.classes_)
    index = np.arange(len(classes))
    relabelled = copy.copy(estimator)
    if "classes_" in vars(relabelled):
        relabelled.classes_ = index
    elif hasattr(relabelled, "label_binarizer_"):
        relabelled.label_binarizer_ = copy.copy(relabelled.label_binarizer_)
        relabelled.label_binarizer_.classes_ = index
    inner = getattr(relabelled, "estimators_", None)
    if isinstance(inner, list):
        relabelled.estimators_ = [
            _with_index_labels(e) if np.array_equal(getattr(e, "classes_", ()), classes) else e
            for e in inner
        ]
    return relabelled


def _class_index(graph: Graph, label: str, estimator: Any) -> str:
    """Labels as positions in ``classes_``, of an estimator that would not take those for labels."""
    classes = np.asarray(estimator.classes_)
    if classes.dtype.kind not in "biuf":
        return text_codes(graph, flat(graph, label), classes.tolist(), np.arange(len(classes) + 1))
    label = flat(graph, graph.cast(label, np.int64))
    if np.array_equal(classes, np.arange(len(classes))):
        return label
    places = list(range(len(classes)))
    keys = [int(c) for c in classes]
    return graph.op("LabelEncoder", label, domain=ML, keys_int64s=keys, values_int64s=places)


def _for_texts(imputer: SimpleImputer) -> SimpleImputer:
    """Return a copy whose missing and fill values are the texts that the bundle is fed."""
    changed = copy.copy(imputer)
    changed.missing_values = feature_text(imputer.missing_values)
    changed.statistics_ = np.array([feature_text(s) for s in imputer.statistics_], dtype=object)
    changed.fill_value = None
    return changed


def _output_width(transformer: Any) -> int | None:
    try:
        return len(transformer.get_feature_names_out())
    except (AttributeError, ValueError, TypeError):
        return None


def _as_decisions(graph: Graph, estimator: Any, model: ModelProto, values: str) -> str:
    """Decisions [n, S] from what a converted model writes for them, after a trial.

    skl2onnx writes both signs of a binary score, and converters of other packages, which know
    nothing of scores, probabilities: of two classes, their log-odds may be the decision.
    """
    rows = np.random.default_rng(0).normal(size=(16, estimator.n_features_in_))
    rows[0] = 0
    wanted, found = _trial(estimator, model, rows, "decision_function")
    values = graph.op("Reshape", values, graph.constant([-1, found.shape[1]], np.int64))
    if wanted.shape[1] == 1 and found.shape[1] == 2:
        second = graph.op("Gather", values, graph.constant([1], np.int64), axis=1)
        if _agree(wanted, found[:, 1:]):
            return second
        with np.errstate(all="ignore"):
            odds = np.log(found[:, 1:] / found[:, :1])
        if _agree(wanted, odds):
            smallest = graph.numbers(np.finfo(np.float32).tiny)
            first = graph.op("Gather", values, graph.constant([0], np.int64), axis=1)
            first, second = (graph.op("Max", v, smallest) for v in (first, second))
            return graph.op("Log", graph.op("Div", second, first))
    elif wanted.shape == found.shape and _agree(wanted, found):
        return values
    raise ValueError(
        f"what its converter writes for decisions is not the decision_function of "
        f"{type(estimator).__name__}"
    )


def _agree(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> bool:
    """Whether most rows are alike; single precision may take another branch of a tree."""
    alike = np.isclose(wanted, found, rtol=1e-3, atol=1e-3).all(axis=1)
    return bool(alike.mean() > 0.5)


def _try_weighted_neighbours(estimator: Any, model: ModelProto, method: str) -> None:
    """Refuse neighbours weighted by distance that skl2onnx weighs alike, between training rows."""
    rows = getattr(estimator, "_fit_X", None)
    if getattr(estimator, "weights", None) != "distance" or not isinstance(rows, np.ndarray):
        return
    rows = (rows[:16] + rows[-16:]) / 2
    if not _agree(*_trial(estimator, model, rows, method)):
        raise ValueError(
            "skl2onnx does not weigh its neighbours by their distance; pass weights='uniform'"
        )


def _trial(
    estimator: Any, model: ModelProto, rows: NDArray[np.float64], method: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Answers of the estimator's method, and of the converted model, for some rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a model fitted on a dataframe misses the names
        wanted = np.asarray(getattr(estimator, method)(rows), dtype=np.float64)
    session = open_session(model.SerializeToString())
    kind = np.float64 if "double" in session.get_inputs()[0].type else np.float32
    found = np.asarray(session.run(None, {"i0": rows.astype(kind)})[-1], dtype=np.float64)
    return wanted.reshape(len(rows), -1), found.reshape(len(rows), -1)


def _parse_keep_last(
    scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None
) -> list[Any]:
    """Split the columns, transform the first, and put the last on the right again."""
    widths = [variable.type.shape[1] for variable in inputs]
    split = sum(widths) - model.n_last
    head, last, start = [], [], 0
    for variable, width in zip(inputs, widths, strict=True):
        before = min(max(split - start, 0), width)
        head += _cut(scope, variable, range(before))
        last += _cut(scope, variable, range(before, width))
        start += width
    first = model.transformer_
    while isinstance(first, Pipeline):
        first = first.steps[0][1]
    if not isinstance(first, (*ENCODERS, KeepLast)) and not hasattr(first, "transformers_"):
        head = _join(scope, head)
    out = _parse_sklearn(scope, model.transformer_, head, custom_parsers=custom_parsers)
    return _join(scope, [*out, *last])


def _cut(scope: Any, variable: Any, columns: range) -> list[Any]:
    """Some columns of a variable, as a list of none or one."""
    if not columns:
        return []
    if len(columns) == variable.type.shape[1]:
        return [variable]
    operator = scope.declare_local_operator("SklearnArrayFeatureExtractor")
    operator.inputs = [variable]
    operator.column_indices = list(columns)
    operator.outputs.append(scope.declare_local_variable("columns", variable.type))
    return list(operator.outputs)


def _join(scope: Any, variables: list[Any]) -> list[Any]:
    if len(variables) == 1:
        return variables
    operator = scope.declare_local_operator("SklearnConcat")
    operator.inputs = variables
    kind = type(variables[0].type)
    operator.outputs.append(scope.declare_local_variable("joined", kind([None, None])))
    return list(operator.outputs)


def _no_shape(operator: Any) -> None:
    """Nothing is left to do: the wrapper is taken apart when the model is parsed."""


def _no_nodes(scope: Any, operator: Any, container: Any) -> None:
    """As `_no_shape`."""


# the wrapper that lets added columns pass by a Pipeline's steps
update_registered_converter(
    KeepLast, "FairUseRouterKeepLast", _no_shape, _no_nodes, parser=_parse_keep_last
)

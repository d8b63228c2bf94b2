"""Sub-models: one fitted estimator of the router as an ONNX model with known inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from fairuse_router.bundle.families.blended import answer_blended
from fairuse_router.bundle.families.compose import answer
from fairuse_router.bundle.families.corrected import answer_corrected
from fairuse_router.bundle.families.finish import Finish
from fairuse_router.bundle.families.request import Request, Routed, Source, Told
from fairuse_router.bundle.families.scores import score
from fairuse_router.bundle.families.walk import nest_of
from fairuse_router.bundle.file.layout import runs_of
from fairuse_router.bundle.file.session import open_session
from fairuse_router.bundle.graph.blocks import Answer, Block, Part, spread
from fairuse_router.bundle.graph.builder import Graph, all_nodes, value_info
from fairuse_router.candidates.blended import Blended
from fairuse_router.candidates.candidate import ServedModel
from fairuse_router.candidates.corrected import Corrected

CODE = "code"


@dataclass(frozen=True)
class SubModel:
    """One model that a routing table uses, ready to be inlined.

    Parameters
    ----------
    model : ModelProto
        Inputs: one tensor [N, width] per run, then codes int64 [N] if it has any. Outputs:
        ``label`` int64 [N], the position among the router's classes, and ``values`` [N, S], as far
        as it has them. With a finish the values are scores, and there is no label.
    runs : tuple of tuple of int or Told
        Where its columns come from: neighbours that are numbers side by side, every text alone.
    kind : numpy dtype
        Type of its numbers.
    finish : Finish or None
        What is still to be made of its scores.
    codes : ndarray of int64, shape (n_routes,), or None
        What a corrected or blended model is told beside its columns: the row of its table for each
        route.
    guarded : bool
        It breaks on zero rows, so that it must not be run on them.
    """

    model: ModelProto
    runs: tuple[tuple[Source, ...], ...]
    kind: np.dtype[Any]
    finish: Finish | None = None
    codes: NDArray[np.int64] | None = None
    guarded: bool = False

    @property
    def width(self) -> int | None:
        """Values a row, once it is finished; None if there are labels only."""
        for output in self.model.graph.output:
            if output.name == "values":
                own = int(output.type.tensor_type.shape.dim[1].dim_value)
                return own if self.finish is None else self.finish.values(own)
        return None

    def named(self, outputs: Sequence[str]) -> Answer:
        """Tensors that stand for its outputs, by what they are."""
        names = [output.name for output in self.model.graph.output]
        return Answer(**dict(zip(names, outputs, strict=True)))

    def nothing(self) -> list[NDArray[Any]]:
        """Its outputs for no rows."""
        shapes = [o.type.tensor_type.shape.dim for o in self.model.graph.output]
        kinds = [np.int64 if o.name == "label" else self.kind for o in self.model.graph.output]
        return [
            np.empty((0, *(d.dim_value for d in shape[1:])), dtype=kind)
            for shape, kind in zip(shapes, kinds, strict=True)
        ]


def build_submodel(
    served: ServedModel, routed: Routed, request: Request, finish: Finish | None
) -> SubModel:
    """Convert one fitted estimator.

    Parameters
    ----------
    served : ServedModel
        The estimator, and what it is told.
    routed : Routed
    request : Request
    finish : Finish or None
        To be left to the caller.

    Raises
    ------
    ValueError
        If skl2onnx, or the runtime, cannot do it; the message names the candidate.
    """
    sources = routed.sources(served)
    codes = None
    if isinstance(served.estimator, (Blended, Corrected)):
        sources, code = sources[:-1], sources[-1]
        assert isinstance(code, Told)
        codes = code.values.astype(np.int64)
    numeric = routed.are_numbers(sources)
    runs = runs_of(numeric)
    shapes = [(numeric[run[0]], len(run)) for run in runs]
    try:
        model = _convert(served.estimator, shapes, routed, request, finish is not None)
        guarded = not _runs_on_no_rows(model)
    except Exception as error:
        raise ValueError(_refusal(served, error)) from error
    own = tuple(tuple(sources[j] for j in run) for run in runs)
    return SubModel(model, own, request.number, finish, codes, guarded)


def _inputs(graph: Graph, shapes: Sequence[tuple[bool, int]]) -> tuple[list[Any], Block]:
    """Inputs of a model, numbers or texts of some width, and the block that they are."""
    types = [graph.kind if number else object for number, _ in shapes]
    inputs = [value_info(f"x{j}", types[j], ["N", width]) for j, (_, width) in enumerate(shapes)]
    return inputs, tuple(
        Part(f"x{j}", width, not number) for j, (number, width) in enumerate(shapes)
    )


def _convert(
    estimator: Any,
    shapes: Sequence[tuple[bool, int]],
    routed: Routed,
    request: Request,
    scores_only: bool,
) -> ModelProto:
    graph, method = Graph(request.opsets, request.number), request.method
    inputs, block = _inputs(graph, shapes)
    if scores_only:
        values, width = score(graph, estimator, block, method)
        return graph.to_model(inputs, [_values(graph, values, width)])
    if isinstance(estimator, (Blended, Corrected)):
        inputs.append(value_info(CODE, np.int64, ["N"]))
    if isinstance(estimator, Blended):
        label, values = answer_blended(graph, estimator, block, routed, CODE)
    elif isinstance(estimator, Corrected):
        label, values = answer_corrected(graph, estimator, block, CODE)
    else:
        label, values = answer(graph, estimator, block, method)
    if request.classes is None:
        return graph.to_model(inputs, [_values(graph, values, 1)])
    n_classes = len(request.classes)
    own = np.searchsorted(request.classes, estimator.classes_)
    if len(own) < n_classes:
        label = graph.op("Gather", graph.constant(own, np.int64), label)
    outputs = [(label, value_info("label", np.int64, ["N"]))]
    if values:
        if method == "predict_proba":
            values = spread(graph, values, own, n_classes)
        outputs.append(_values(graph, values, _n_values(estimator, n_classes, method)))
    return graph.to_model(inputs, outputs)


def _values(graph: Graph, values: str, width: int) -> tuple[str, Any]:
    return values, value_info("values", graph.kind, ["N", width])


def _n_values(estimator: Any, n_classes: int, method: str | None) -> int:
    """Columns of the probabilities or scores."""
    if method == "predict_proba":
        return n_classes
    if n_classes == 2:
        return 1
    pairs = getattr(nest_of(estimator)[1], "decision_function_shape", "ovr") == "ovo"
    return n_classes * (n_classes - 1) // 2 if pairs else n_classes


# on no rows Scan fails in older runtimes, and the others end the process (TopK: before 1.31)
_WANT_ROWS = frozenset({"TopK", "OneHot", "Einsum", "Scan"})


def _runs_on_no_rows(model: ModelProto) -> bool:
    """Whether all runtimes that may serve the model survive an empty batch."""
    session = open_session(model.SerializeToString())
    if any(node.op_type in _WANT_ROWS for node in all_nodes(model.graph.node)):
        return False
    types = {
        **{"tensor(string)": object, "tensor(double)": np.float64, "tensor(float)": np.float32},
        "tensor(int64)": np.int64,
    }
    feed = {i.name: np.empty((0, *i.shape[1:]), types[i.type]) for i in session.get_inputs()}
    try:
        answers = session.run(None, feed)
    except Exception:  # the runtime has no one exception for this
        return False
    return all(answer.shape[0] == 0 for answer in answers)


def _refusal(served: ServedModel, error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    detail = lines[0][:300] if lines else type(error).__name__
    if "not supported yet by this library" in detail:  # what it advises would be refused here
        detail = (
            "its converter does not write version 5 of ai.onnx.ml, which precision='exact' needs; "
            "pass precision='fast'"
        )
    return (
        f"The candidate {served.candidate!r} cannot be written to ONNX: "
        f"{type(served.estimator).__name__} was refused ({detail}). Use estimators that skl2onnx "
        "converts (skl2onnx.supported_converters() lists them) and ONNX Runtime runs, or leave "
        "this candidate out of the router."
    )

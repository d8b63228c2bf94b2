"""An ONNX graph under construction: numbered names, shared constants, models inlined."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    inliner,
    numpy_helper,
)

ML = "ai.onnx.ml"


class Graph:
    """Nodes and constants of one graph; every name is a letter and a number.

    Parameters
    ----------
    opsets : dict of str to int
        Version of each operator domain.
    kind : {numpy.float32, numpy.float64}, default=numpy.float32
        Type of the numbers that flow through the graph.
    taken : iterable of str, default=()
        Names of its inputs and outputs, which nothing inside may have.
    """

    def __init__(
        self, opsets: Mapping[str, int], kind: Any = np.float32, taken: Iterable[str] = ()
    ) -> None:
        self.opsets = dict(opsets)
        self.kind = np.dtype(kind)
        self.nodes: list[NodeProto] = []
        self._root: Graph = self
        self._tensors: dict[str, TensorProto] = {}
        self._names: dict[tuple[Any, ...], str] = {}
        self._count = 0
        self._taken = frozenset(taken)

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Name of a constant tensor; equal constants are stored once."""
        array = np.asarray(value, dtype=dtype)
        is_text = array.dtype.kind in "OU"
        content = tuple(array.ravel().tolist()) if is_text else array.tobytes()
        key = (array.dtype.str, array.shape, content)
        root = self._root
        if key not in root._names:
            tensor = numpy_helper.from_array(array.astype(object) if is_text else array)
            tensor.name = root._names[key] = root._new("c")
            root._tensors[tensor.name] = tensor
        return root._names[key]

    def numbers(self, value: Any) -> str:
        """Name of a constant of the graph's own number type."""
        return self.constant(value, self.kind)

    def op(
        self, op_type: str, *inputs: str, domain: str = "", name: str | None = None, **attrs: Any
    ) -> str:
        """Append a node with one output, and return the output's name."""
        return self._append(op_type, inputs, 1, domain, name, attrs)[0]

    def ops(
        self, op_type: str, *inputs: str, n_outputs: int, domain: str = "", **attrs: Any
    ) -> list[str]:
        """Append a node with several outputs, and return their names."""
        return self._append(op_type, inputs, n_outputs, domain, None, attrs)

    def cast(self, tensor: str, dtype: Any) -> str:
        """Cast a tensor to a numpy type."""
        return self.op("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def when(
        self,
        condition: str,
        then: Callable[[Graph], Sequence[str]],
        otherwise: Callable[[Graph], Sequence[str]],
        types: Sequence[Any],
    ) -> list[str]:
        """Compute one of two branches only; `types` are the numpy types of their outputs."""
        branches = []
        for build in (then, otherwise):
            branch = Graph(self.opsets, self.kind)
            branch._root = self._root
            results = [branch.op("Identity", r) for r in build(branch)]
            outputs = [value_info(r, t, None) for r, t in zip(results, types, strict=True)]
            branches.append(helper.make_graph(branch.nodes, self._root._new("g"), [], outputs))
        attrs = {"then_branch": branches[0], "else_branch": branches[1]}
        return self._append("If", [condition], len(types), "", None, attrs)

    def inline(self, model: ModelProto, inputs: Sequence[str]) -> list[str]:
        """Append the nodes of another model, fed with tensors of this graph.

        Parameters
        ----------
        model : ModelProto
        inputs : sequence of str
            One per input of the model, in its order.

        Returns
        -------
        list of str
            The model's outputs.
        """
        if model.functions:
            model = inliner.inline_local_functions(model)
        if model.graph.sparse_initializer:
            raise NotImplementedError("sparse constants are not supported")
        for entry in model.opset_import:
            self._root.opsets.setdefault(entry.domain, entry.version)
        names = {v.name: n for v, n in zip(model.graph.input, inputs, strict=True)}
        names |= {t.name: self._shared(t) for t in model.graph.initializer}
        self._rewrite(model.graph.node, names, self.nodes)
        return [names[v.name] for v in model.graph.output]

    def to_model(
        self,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[tuple[str, ValueInfoProto]],
        **fields: Any,
    ) -> ModelProto:
        """Finish the graph; `outputs` pairs a tensor of the graph with its public name and type."""
        public: dict[str, str] = {}
        made = {name for node in self.nodes for name in node.output}
        copies = []
        for tensor, info in outputs:
            if tensor in made and tensor not in public:
                public[tensor] = info.name
            else:  # an input, a constant, or an output under two names
                node = helper.make_node("Identity", [tensor], [info.name], f"output_{info.name}")
                copies.append(node)
        nodes = [*_needed(self.nodes, {tensor for tensor, _ in outputs}), *copies]
        for node in all_nodes(nodes):
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = public.get(name, name)
        read = {name for node in all_nodes(nodes) for name in node.input}
        constants = [t for name, t in self._tensors.items() if name in read]
        types = [info for _, info in outputs]
        graph = helper.make_graph(nodes, "fairuse_router", list(inputs), types, constants)
        used = {n.domain for n in all_nodes(nodes)} | {""}
        opsets = [
            helper.make_opsetid(domain, version)
            for domain, version in sorted(self.opsets.items())
            if domain in used
        ]
        ir_version = helper.find_min_ir_version_for(opsets, ignore_unknown=True)
        return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, **fields)

    def label(self, text: str) -> str:
        """Return a node name that starts with a text, for people who read an error."""
        return f"{text}_{self._root._new('n')}"

    def _new(self, letter: str) -> str:
        self._count += 1
        name = f"{letter}{self._count}"
        return self._new(letter) if name in self._taken else name

    def _append(
        self,
        op_type: str,
        inputs: Sequence[str],
        n_outputs: int,
        domain: str,
        name: str | None,
        attrs: Mapping[str, Any],
    ) -> list[str]:
        outputs = [self._root._new("t") for _ in range(n_outputs)]
        name = name or self._root._new("n")
        node = helper.make_node(op_type, inputs, outputs, name, domain=domain, **attrs)
        self.nodes.append(node)
        return outputs

    def _shared(self, tensor: TensorProto) -> str:
        """Name of a constant of an inlined model."""
        array = numpy_helper.to_array(tensor)
        return self.constant(_texts(array) if array.dtype.kind in "OSU" else array)

    def _rewrite(
        self, nodes: Iterable[NodeProto], names: dict[str, str], into: list[NodeProto]
    ) -> None:
        """Append copies of nodes under new names; identities are dropped."""
        for node in nodes:
            if node.op_type == "Identity":
                names[node.output[0]] = names[node.input[0]]
            elif node.op_type == "ArrayFeatureExtractor":
                data, index = (names[n] for n in node.input)
                names[node.output[0]] = self._gather(data, index, into)
            else:
                into.append(self._renamed(node, names))

    def _renamed(self, node: NodeProto, names: dict[str, str]) -> NodeProto:
        copy = NodeProto()
        copy.CopyFrom(node)
        told = re.match(r"([a-z_]+)_n\d+$", node.name)
        copy.name = self.label(told[1]) if told else self._root._new("n")
        copy.doc_string = ""
        for i, value in enumerate(node.input):
            copy.input[i] = names[value] if value else ""
        for i, value in enumerate(node.output):
            if value:
                copy.output[i] = names[value] = self._root._new("t")
        for attribute in copy.attribute:
            if attribute.type == AttributeProto.GRAPH:
                self._rename_branch(attribute.g, dict(names))
        return copy

    def _rename_branch(self, graph: GraphProto, names: dict[str, str]) -> None:
        """Rename the graph inside a node; it sees the names around it."""
        graph.name = self._root._new("g")
        for value in graph.input:
            fresh = self._root._new("t")
            names[value.name], value.name = fresh, fresh
        names |= {t.name: self._shared(t) for t in graph.initializer}
        nodes: list[NodeProto] = []
        self._rewrite(graph.node, names, nodes)
        for value in graph.output:
            fresh = self._root._new("t")
            nodes.append(helper.make_node("Identity", [names[value.name]], [fresh], f"n_{fresh}"))
            value.name = fresh
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)

    def _gather(self, data: str, index: str, into: list[NodeProto]) -> str:
        """ArrayFeatureExtractor as Gather, which unlike it works on zero rows."""
        tensors = self._root._tensors
        side = Graph(self.opsets, self.kind)
        side._root = self._root
        if index in tensors:
            flat = self.constant(numpy_helper.to_array(tensors[index]).ravel())
        else:
            flat = side.op("Reshape", index, self.constant([-1], np.int64))
        result = side.op("Gather", data, flat, axis=-1)
        if data in tensors and len(tensors[data].dims) == 1:
            result = side.op("Unsqueeze", result, self.constant([0], np.int64))
        into.extend(side.nodes)
        return result


def value_info(
    name: str, dtype: Any, shape: Sequence[int | str | None] | None, doc: str = ""
) -> ValueInfoProto:
    """Describe an input or output of a model; `dtype` is a numpy type, or object for text."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape, doc)


def _texts(array: NDArray[Any]) -> NDArray[Any]:
    flat = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
    return np.array(flat, dtype=object).reshape(array.shape)


def _needed(nodes: Sequence[NodeProto], wanted: set[str]) -> list[NodeProto]:
    """Nodes that the wanted tensors depend on, in their order."""
    wanted, kept = set(wanted), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(name for inner in all_nodes([node]) for name in inner.input)
    return kept[::-1]


def all_nodes(nodes: Iterable[NodeProto]) -> Iterable[NodeProto]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from all_nodes(attribute.g.node)

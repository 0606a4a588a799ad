"""An ONNX model as a graph, for given input shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdsl.dtypes import BY_NAME, DType
from tdsl.errors import TdslError
from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError, ModelFormatError, UnsupportedModelError, ValueNeededError
from tdsl.graph.ir import Array, Model, Value
from tdsl.graph.onnx_import import (
    attention,
    choosing,
    control_flow,
    counting,
    elementwise,
    linear,
    movement,
    other_domains,
    quantization,
    recurrent,
    reductions,
    resize,
    sampling,
    signal,
    windows,
)
from tdsl.graph.onnx_import.call import CONVERTERS, Call, nodes_of, operator_key
from tdsl.graph.onnx_import.functions import expand_functions
from tdsl.graph.onnx_import.limits import DEFAULT, Limits
from tdsl.graph.onnx_import.load import ELEMENT_TYPES, read_model, tensor_array

FAMILIES = (
    attention, choosing, control_flow, counting, elementwise, linear, movement, other_domains,
    quantization, recurrent, reductions, resize, sampling, signal, windows,
)  # fmt: skip
OLDEST_OPSET = 1


@dataclass(frozen=True, slots=True)
class Declared:
    """An input or output as the model declares it: an extent is a number, a name, or unknown."""

    name: str
    dtype: DType
    shape: tuple[int | str | None, ...] | None


class OnnxModel:
    """A model that was read and checked, ready to become a graph for any input shapes.

    Attributes: `inputs`, `outputs` (of type `Declared`), `opset`.
    """

    def __init__(self, source: Any, limits: Limits = DEFAULT) -> None:
        proto, self._folder = read_model(source, limits)
        self._limits = limits
        self.opset = _opset(proto)
        proto = expand_functions(proto, self.opset)
        self._graph = proto.graph
        if len(self._graph.node) > limits.nodes:
            raise ModelFormatError(
                f"the model has {len(self._graph.node)} nodes; models have up to {limits.nodes}"
            )
        names = {tensor.name for tensor in self._graph.initializer}
        _check_supported(self._graph, self.opset, names)
        self._arrays = {
            tensor.name: tensor_array(tensor, self._folder, limits)
            for tensor in self._graph.initializer
        }
        self._check_total()
        self.inputs = tuple(
            _declared(info, self._limits)
            for info in self._graph.input
            if info.name not in self._arrays
        )
        self.outputs = tuple(info.name for info in self._graph.output)

    def _check_total(self) -> None:
        total = sum(array.nbytes for array in self._arrays.values())
        if total > self._limits.tensor_bytes:
            raise ModelFormatError(f"the constants of the model take {total} bytes")

    def graph(
        self, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, Array] | None = None
    ) -> Model:
        """The graph for inputs of these shapes, some of known value.

        Raises:
            ValueNeededError: shapes depend on the value of an input that is not in `known`.
            GraphError: shapes that do not fit an operator, with the node's name.
        """
        g = Graph()
        values: dict[str, Value] = {
            name: g.constant(array, name) for name, array in self._arrays.items()
        }
        for declared in self.inputs:
            given = g.input(declared.name, shapes[declared.name], declared.dtype)
            fixed = None if known is None else known.get(declared.name)
            values[declared.name] = given if fixed is None else g.constant(fixed)
        _Nodes(g, self.opset, self._folder, self._limits).convert(self._graph.node, values)
        for name in self.outputs:
            if name not in values:
                raise ModelFormatError(f"nothing computes the output {name!r}")
            g.output(name, values[name])
        return g.build()


class _Nodes:
    """Puts the nodes of a model into a graph, those of bodies in the place of their operator."""

    def __init__(self, g: Graph, opset: int, folder: Path | None, limits: Limits) -> None:
        self._graph, self._opset, self._folder, self._limits = g, opset, folder, limits
        self._count = 0

    def convert(self, nodes: Iterable[Any], values: dict[str, Value]) -> None:
        """All nodes, in order; `values` holds what they may read, and then also their results.

        Raises:
            ModelFormatError: names that do not fit, or more nodes than the limits allow.
            GraphError: what an operator refuses, with the node's name.
        """
        made: set[str] = set()
        for number, node in enumerate(nodes):
            self._count += 1
            if self._count > self._limits.nodes:
                raise ModelFormatError(f"loops of the model repeat more than {self._count} nodes")
            where = node.name or f"{node.op_type}_{number}"
            results = self._converted(node, where, values)
            for name, value in zip(node.output, results, strict=False):
                self._check_size(where, value)
                if name in made:
                    raise ModelFormatError(f"{where} computes {name!r} a second time")
                if name:
                    made.add(name)
                    values[name] = value

    def _check_size(self, where: str, value: Value) -> None:
        if value.nbytes > self._limits.value_bytes or len(value.shape) > self._limits.rank:
            raise ModelFormatError(
                f"{where} makes a value of shape {list(value.shape)}, {value.nbytes} bytes; values "
                f"have up to {self._limits.value_bytes} bytes and {self._limits.rank} axes"
            )

    def _converted(self, node: Any, where: str, values: dict[str, Value]) -> Sequence[Value]:
        operands: list[Value | None] = []
        for name in node.input:
            if name and name not in values:
                raise ModelFormatError(
                    f"{where} reads {name!r}, which nothing before it computes",
                    hint="the nodes of a model are in the order in which they can run",
                )
            operands.append(values[name] if name else None)
        while operands and operands[-1] is None:
            operands.pop()

        def run_body(graph: Any, given: Sequence[Value]) -> list[Value]:
            return self._body(graph, given, values)

        self._graph.source = where
        call = Call(self._graph, node, operands, self._opset, self._folder, run_body, self._limits)
        try:
            made = CONVERTERS[operator_key(node)](call)
        except (ValueNeededError, ModelFormatError):
            raise
        except TdslError as error:
            message = f"{where} ({node.op_type}): {error.message}"
            raise GraphError(message, hint=error.hint) from error
        return [made] if isinstance(made, Value) else made

    def _body(self, graph: Any, given: Sequence[Value], outer: dict[str, Value]) -> list[Value]:
        if len(given) != len(graph.input):
            raise ModelFormatError(f"a body of {len(graph.input)} inputs is given {len(given)}")
        values = dict(outer)
        for tensor in graph.initializer:
            array = tensor_array(tensor, self._folder, self._limits)
            values[tensor.name] = self._graph.constant(array)
        values |= {info.name: v for info, v in zip(graph.input, given, strict=True)}
        self.convert(graph.node, values)
        missing = [info.name for info in graph.output if info.name not in values]
        if missing:
            raise ModelFormatError(f"nothing computes {missing[0]!r}, an output of a body")
        return [values[info.name] for info in graph.output]


def _opset(proto: Any) -> int:
    """The version of ONNX's default operators; the newest where a model uses only others."""
    from onnx import defs

    versions = {entry.domain: int(entry.version) for entry in proto.opset_import}
    others = [domain for domain in versions if domain not in ("", "ai.onnx")]
    newest = int(defs.onnx_opset_version()) if others else 0
    version = versions.get("", versions.get("ai.onnx", newest))
    if version < OLDEST_OPSET:
        raise GraphError(
            f"the model is of opset {version}; tdsl takes {OLDEST_OPSET} and newer",
            hint="onnx.version_converter.convert_version(model, 13)",
        )
    return version


def _check_supported(graph: Any, opset: int, arrays: Collection[str]) -> None:
    """List every kind of node that has no converter, and every input of a type that tdsl lacks."""
    counts: dict[str, int] = {}
    for node in nodes_of(graph):
        key = operator_key(node)
        if key not in CONVERTERS:
            key = key if "." in key else f"{key} (opset {opset})"
            counts[key] = counts.get(key, 0) + 1
    problems = [f"{key}, {'once' if n == 1 else f'{n} times'}" for key, n in sorted(counts.items())]
    problems += [
        f"an input of type {kind}, {info.name!r}"
        for info in graph.input
        if info.name not in arrays and (kind := _strange_type(info))
    ]
    if problems:
        raise UnsupportedModelError(problems)


def _strange_type(info: Any) -> str:
    """What an input is, if not a tensor of a known element type."""
    from onnx import TensorProto

    if not info.type.HasField("tensor_type"):
        return str(info.type.WhichOneof("value") or "nothing").removesuffix("_type")
    number = info.type.tensor_type.elem_type
    if number in ELEMENT_TYPES:
        return ""
    names = TensorProto.DataType
    return str(names.Name(number)).lower() if number in names.values() else str(number)


def _declared(info: Any, limits: Limits) -> Declared:
    kind = info.type.tensor_type
    dtype = ELEMENT_TYPES[kind.elem_type]
    if not kind.HasField("shape"):
        return Declared(info.name, BY_NAME[dtype.name], None)
    if len(kind.shape.dim) > limits.rank:
        raise ModelFormatError(f"input {info.name!r} has {len(kind.shape.dim)} axes")
    shape = tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in kind.shape.dim
    )
    return Declared(info.name, BY_NAME[dtype.name], shape)

"""An ONNX model as a graph, for given input shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdsl.dtypes import BY_NAME, DType
from tdsl.errors import TdslError
from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError, ModelFormatError, UnsupportedModelError, ValueNeededError
from tdsl.graph.ir import Array, Model, Value
from tdsl.graph.onnx_import import elementwise, linear, movement, reductions, windows
from tdsl.graph.onnx_import.call import CONVERTERS, Call
from tdsl.graph.onnx_import.functions import expand_functions
from tdsl.graph.onnx_import.limits import DEFAULT, Limits
from tdsl.graph.onnx_import.load import ELEMENT_TYPES, read_model, tensor_array

FAMILIES = (elementwise, linear, movement, reductions, windows)
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
        _check_supported(self._graph, self.opset)
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
        for number, node in enumerate(self._graph.node):
            _convert(g, node, number, values, self.opset, self._folder)
        for name in self.outputs:
            if name not in values:
                raise ModelFormatError(f"nothing computes the output {name!r}")
            g.output(name, values[name])
        return g.build()


def _convert(
    g: Graph, node: Any, number: int, values: dict[str, Value], opset: int, folder: Path | None
) -> None:
    where = node.name or f"{node.op_type}_{number}"
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
    g.source = where
    try:
        made = CONVERTERS[node.op_type](Call(g, node, operands, opset, folder))
    except (ValueNeededError, ModelFormatError):
        raise
    except TdslError as error:
        raise GraphError(f"{where} ({node.op_type}): {error.message}", hint=error.hint) from error
    results: Sequence[Value] = [made] if isinstance(made, Value) else made
    for name, value in zip(node.output, results, strict=False):
        if name in values:
            raise ModelFormatError(f"{where} computes {name!r} a second time")
        if name:
            values[name] = value


def _opset(proto: Any) -> int:
    versions = {entry.domain: int(entry.version) for entry in proto.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version < OLDEST_OPSET:
        raise GraphError(
            f"the model is of opset {version}; tdsl takes {OLDEST_OPSET} and newer",
            hint="onnx.version_converter.convert_version(model, 13)",
        )
    return version


def _check_supported(graph: Any, opset: int) -> None:
    """List every kind of node that has no converter."""
    counts: dict[str, int] = {}
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            key = f"{node.domain}.{node.op_type}"
        elif node.op_type not in CONVERTERS:
            key = f"{node.op_type} (opset {opset})"
        else:
            continue
        counts[key] = counts.get(key, 0) + 1
    if counts:
        raise UnsupportedModelError([f"{key}, {n} times" for key, n in sorted(counts.items())])


def _declared(info: Any, limits: Limits) -> Declared:
    if not info.type.HasField("tensor_type"):
        raise GraphError(f"input {info.name!r} is no tensor")
    kind = info.type.tensor_type
    dtype = ELEMENT_TYPES.get(kind.elem_type)
    if dtype is None:
        raise GraphError(f"input {info.name!r} has element type {kind.elem_type}")
    if not kind.HasField("shape"):
        return Declared(info.name, BY_NAME[dtype.name], None)
    if len(kind.shape.dim) > limits.rank:
        raise ModelFormatError(f"input {info.name!r} has {len(kind.shape.dim)} axes")
    shape = tuple(
        int(dim.dim_value) if dim.HasField("dim_value") else (dim.dim_param or None)
        for dim in kind.shape.dim
    )
    return Declared(info.name, BY_NAME[dtype.name], shape)

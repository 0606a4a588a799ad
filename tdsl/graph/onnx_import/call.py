"""One node of an ONNX model with its operands looked up, as converters see it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError, ModelFormatError, ValueNeededError
from tdsl.graph.ir import Array, Value
from tdsl.graph.onnx_import.limits import DEFAULT, Limits
from tdsl.graph.onnx_import.load import tensor_array

Converter: TypeAlias = "Callable[[Call], Value | Sequence[Value]]"

RunBody = Callable[[Any, Sequence[Value]], list[Value]]
"""Imports the nodes of a GraphProto that stands in an attribute, for operands; its results."""

CONVERTERS: dict[str, Converter] = {}
"""By the operator's name, with its domain in front where that is not ONNX's default."""


def operator(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for ONNX operators."""

    def register(converter: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(names, converter))
        return converter

    return register


def operator_key(node: Any) -> str:
    """What `CONVERTERS` calls the operator of a node."""
    standard = node.domain in ("", "ai.onnx")
    return str(node.op_type) if standard else f"{node.domain}.{node.op_type}"


def nodes_of(graph: Any) -> Iterator[Any]:
    """The nodes of a GraphProto and of all bodies in it."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else attribute.graphs


class Call:
    """A node being imported: `graph`, `operands` (None where left out), `opset`, `op_type`."""

    def __init__(
        self, graph: Graph, node: Any, operands: Sequence[Value | None], opset: int,
        folder: Path | None, run_body: RunBody, limits: Limits = DEFAULT,
    ) -> None:  # fmt: skip
        self.graph = graph
        self.operands = list(operands)
        self.opset = opset
        self.op_type: str = node.op_type
        self.result_count = len(node.output)
        self._folder = folder
        self._run_body = run_body
        self._limits = limits
        self._attributes = {a.name: a for a in node.attribute}
        self._results: Sequence[str] = node.output

    def wants(self, result: int) -> bool:
        """Whether an optional result is asked for."""
        return len(self._results) > result and self._results[result] != ""

    def has(self, index: int) -> bool:
        """Whether an optional operand is given."""
        return index < len(self.operands) and self.operands[index] is not None

    def __getitem__(self, index: int) -> Value:
        """An operand.

        Raises:
            GraphError: it is not there.
        """
        value = self.operands[index] if index < len(self.operands) else None
        if value is None:
            raise GraphError(f"{self.op_type} lacks its operand {index}")
        return value

    def optional(self, index: int) -> Value | None:
        """An operand that may be left out."""
        return self.operands[index] if self.has(index) else None

    def array(self, index: int) -> Array:
        """The value of an operand on which shapes depend.

        Raises:
            ValueNeededError: it depends on a model input.
        """
        return self.value_of(self[index])

    def value_of(self, value: Value) -> Array:
        """The value of anything on which shapes, or what is to run, depends.

        Raises:
            ValueNeededError: it depends on a model input.
        """
        known = self.graph.known(value)
        if known is None:
            raise ValueNeededError(self.graph.root_inputs(value)[0].name)
        return known

    def integers(self, index: int) -> list[int]:
        """The value of an operand as a list of integers."""
        return [int(n) for n in self.array(index).reshape(-1)]

    def number(self, index: int) -> float:
        """The value of an operand with one element."""
        return float(self.array(index).reshape(-1)[0])

    # -- attributes ----------------------------------------------------------------------------

    def given(self, name: str) -> bool:
        """Whether an attribute is there."""
        return name in self._attributes

    def integer(self, name: str, default: int = 0) -> int:
        """An attribute."""
        return int(self._attributes[name].i) if name in self._attributes else default

    def real(self, name: str, default: float) -> float:
        """An attribute, a float32 number."""
        return float(self._attributes[name].f) if name in self._attributes else default

    def text(self, name: str, default: str) -> str:
        """An attribute."""
        if name not in self._attributes:
            return default
        return str(self._attributes[name].s.decode("utf-8", "replace"))

    def integer_list(self, name: str) -> list[int] | None:
        """An attribute, None where it is not there."""
        return [int(n) for n in self._attributes[name].ints] if self.given(name) else None

    def reals(self, name: str) -> tuple[float, ...]:
        """An attribute."""
        return tuple(self._attributes[name].floats) if self.given(name) else ()

    def texts(self, name: str) -> list[str]:
        """An attribute."""
        given = self._attributes[name].strings if name in self._attributes else ()
        return [str(s.decode("utf-8", "replace")) for s in given]

    def body(self, name: str, operands: Sequence[Value] = ()) -> list[Value]:
        """The results of a graph that is an attribute, its nodes imported in this place."""
        if name not in self._attributes:
            raise GraphError(f"{self.op_type} lacks its {name}")
        return self._run_body(self._attributes[name].g, operands)

    def tensor(self, name: str) -> Array:
        """An attribute that is an array."""
        return tensor_array(self._attributes[name].t, self._folder)

    def bounded(self, *shape: int) -> tuple[int, ...]:
        """The shape of an array that is about to be made from numbers in the file.

        Raises:
            ModelFormatError: it would be larger than the limits.
        """
        if any(n < 0 for n in shape) or math.prod(shape) > self._limits.generated:
            raise ModelFormatError(
                f"{self.op_type} would make an array of shape {list(shape)}; arrays that are not "
                f"in the file have up to {self._limits.generated} elements"
            )
        return shape

    # -- what many converters need -------------------------------------------------------------

    def axis(self, name: str, default: int, rank: int) -> int:
        """An attribute that names an axis, counted from the front.

        Raises:
            GraphError: there is no such axis.
        """
        return self.front(self.integer(name, default), rank)

    def front(self, axis: int, rank: int) -> int:
        """An axis counted from the front."""
        if not -rank <= axis < rank:
            raise GraphError(f"{self.op_type}: axis {axis} of {rank} axes")
        return axis % rank

    def axes(self, index: int) -> list[int] | None:
        """Axes, an attribute in older opsets and an operand in newer ones."""
        if self.given("axes"):
            return self.integer_list("axes")
        return self.integers(index) if self.has(index) else None

    def scalar(self, value: float, like: Value) -> Value:
        """A constant number of another value's type."""
        return self.graph.constant(np.asarray(value, like.dtype.numpy))

"""One node of an ONNX model with its operands looked up, as converters see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from tdsl.graph.builder import Graph
from tdsl.graph.errors import GraphError, ValueNeededError
from tdsl.graph.ir import Array, Value
from tdsl.graph.onnx_import.load import tensor_array

Converter: TypeAlias = "Callable[[Call], Value | Sequence[Value]]"

CONVERTERS: dict[str, Converter] = {}
"""By the operator's name in ONNX's default domain."""


def operator(*names: str) -> Callable[[Converter], Converter]:
    """Register a converter for ONNX operators."""

    def register(converter: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(names, converter))
        return converter

    return register


class Call:
    """A node being imported: `graph`, `operands` (None where left out), `opset`, `op_type`."""

    def __init__(
        self, graph: Graph, node: Any, operands: Sequence[Value | None], opset: int,
        folder: Path | None,
    ) -> None:  # fmt: skip
        self.graph = graph
        self.operands = list(operands)
        self.opset = opset
        self.op_type: str = node.op_type
        self.result_count = len(node.output)
        self._folder = folder
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
        value = self[index]
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

    def tensor(self, name: str) -> Array:
        """An attribute that is an array."""
        return tensor_array(self._attributes[name].t, self._folder)

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

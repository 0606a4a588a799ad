"""What is known while one LLVM function is written: where variables and buffers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.types import Value, lane_count
from tdsl.errors import InternalError
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.target import Target

CONTEXT_ERROR_CODE = 8  # byte offsets into tdsl_context, see the ABI
CONTEXT_ERROR_INFO = 16


@dataclass(slots=True)
class Frame:
    """The state of one function.

    Attributes:
        values: LLVM values of the variables in scope.
        pointers: base addresses of the buffers in scope.
        registers: buffers that LLVM is to keep in registers.
        context: pointer to the call's tdsl_context.
        dims: the dimension that each checked access indexes, by the access's number.
        mask: lanes that really run, where a checked index stands under a condition.
        streams: whether a non-temporal store was written, so that a fence is due.
        stack: bytes of stack that the function takes.
    """

    builder: Builder
    target: Target
    context: Value
    evaluate: Callable[[Frame, Expr], Value]
    values: dict[Var, Value] = field(default_factory=dict)
    pointers: dict[Buffer, Value] = field(default_factory=dict)
    registers: set[Buffer] = field(default_factory=set)
    dims: Mapping[int, int] = field(default_factory=dict)
    mask: Value | None = None
    streams: bool = False
    stack: int = 0

    def value(self, e: Expr) -> Value:
        """Write the code of an expression."""
        return self.evaluate(self, e)

    def pointer(self, buffer: Buffer) -> Value:
        """The base address of a buffer."""
        found = self.pointers.get(buffer)
        if found is None:
            raise InternalError(f"buffer {buffer.name} is used outside its allocation")
        return found

    @contextmanager
    def under(self, mask: Value | None) -> Iterator[None]:
        """Write code of which only the lanes in `mask` count."""
        outer = self.mask
        if mask is not None:
            self.mask = mask if outer is None else self._both(outer, mask)
        try:
            yield
        finally:
            self.mask = outer

    def _both(self, a: Value, b: Value) -> Value:
        lanes = max(lane_count(a.type), lane_count(b.type))
        a, b = (self.builder.broadcast(m, lanes) for m in (a, b))
        return self.builder.binary("and", a, b)

    def field_address(self, offset: int) -> Value:
        """The address of a field of the context."""
        return self.builder.address(self.context, Value(str(offset), "i64"), "i8")

"""Run any IR in Python: canonical, scheduled or lowered, also in hostile orders.

The interpreter is the referee for passes and primitives: it computes bit for bit what expr.py
says, faults on accesses outside a buffer and on reads of what was never written, and finds
iterations of concurrent loops that touch the same element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tdsl.errors import TdslError
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.inits import derive_inits
from tdsl.ir.interp_exprs import ExprCompiler, IndexFault
from tdsl.ir.interp_memory import Frame, Memory, MemoryFault, Parameter
from tdsl.ir.interp_order import CANONICAL, HOSTILE, REVERSED, Order, OrderKind, Picker
from tdsl.ir.interp_shadow import ConflictError, Shadow, unflatten
from tdsl.ir.interp_steps import StepCompiler
from tdsl.ir.interp_stmts import StmtCompiler
from tdsl.ir.interp_values import to_scalars
from tdsl.ir.stmt import Barrier, For, Param, Program, Role
from tdsl.ir.visit import free_vars, walk

__all__ = [
    "CANONICAL",
    "HOSTILE",
    "REVERSED",
    "ConflictError",
    "IndexFault",
    "Interpreter",
    "MemoryFault",
    "Order",
    "OrderKind",
    "different",
    "interpret",
]


def interpret(
    program: Program,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    sizes: Mapping[str, int] | None = None,
    order: Order = CANONICAL,
    detect_conflicts: bool = False,
    *,
    externs: Mapping[str, Callable[..., Any]] | None = None,
    both_arms: bool = False,
) -> dict[str, np.ndarray[Any, Any]]:
    """Run *program* and return its OUT and INOUT parameters by name.

    Args:
        program: any IR; reductions get their derived inits here.
        arrays: IN and INOUT parameters by name, dtype and shape as declared; none is changed.
            A parameter passed prepacked may come in its packed shape, and one with strides="any"
            is taken as if it were contiguous.
        sizes: sizes that no array fixes; others are checked against the arrays.
        order: how concurrent loops run.
        detect_conflicts: watch every element with shadow memory.
        externs: Python functions for `Extern` symbols.
        both_arms: selects evaluate the arm that they do not take, too, as code for processors does
            (unless it calls a function or checks an index): its loads must stay inside.

    Raises:
        IndexFault: a checked index was out of range (all others were clamped and computed).
        MemoryFault: an access left its buffer, or read or returned what was never written.
        ConflictError: two iterations of a concurrent loop conflict.
        TdslError: arrays or sizes that do not fit the program.
    """
    interpreter = Interpreter(
        program, arrays, sizes, detect_conflicts, externs=externs, both_arms=both_arms
    )
    return interpreter.run(arrays, order)


class Interpreter:
    """A program made ready for arrays of given shapes, to be run on several data and orders."""

    @deep_recursion()
    def __init__(
        self,
        program: Program,
        arrays: Mapping[str, np.ndarray[Any, Any]],
        sizes: Mapping[str, int] | None = None,
        detect_conflicts: bool = False,
        *,
        externs: Mapping[str, Callable[..., Any]] | None = None,
        both_arms: bool = False,
    ) -> None:
        """Arguments and errors are those of `interpret`."""
        self._program = program
        self._body = derive_inits(program.body)
        self._pauses = any(isinstance(n, Barrier) for n in walk(self._body))
        self._known = _sizes(program, arrays, sizes or {})
        self._detect = detect_conflicts
        self._externs = externs or {}
        self._both_arms = both_arms
        self._compiled: dict[bool, _Compiled] = {}

    @deep_recursion()
    def run(
        self, arrays: Mapping[str, np.ndarray[Any, Any]], order: Order = CANONICAL
    ) -> dict[str, np.ndarray[Any, Any]]:
        """The results for arrays of the same shapes, as `interpret` returns them."""
        pauses = self._pauses or order.kind is OrderKind.INTERLEAVED
        compiled = self._compiled.get(pauses)
        if compiled is None:
            compiled = self._compiled[pauses] = self._compile(arrays, pauses=pauses)
        else:
            compiled.memory.restart(self._values(arrays))
        return compiled.run(self._program, order)

    def _values(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[Buffer, list[Any]]:
        inputs = [p.buffer for p in self._program.params if p.role is not Role.OUT]
        return {buffer: to_scalars(np.asarray(arrays[buffer.name])) for buffer in inputs}

    def _compile(self, arrays: Mapping[str, np.ndarray[Any, Any]], *, pauses: bool) -> _Compiled:
        program, known = self._program, dict(self._known)
        memory = Memory(self._detect)
        exprs = ExprCompiler(memory, known, self._externs, both_arms=self._both_arms)
        for param in program.params:
            found = _parameter(param, arrays, exprs, self._detect)
            memory.parameters[param.buffer] = found
            for axis, stride in enumerate(param.strides):
                known[stride] = prod(found.shape[axis + 1 :])
        for fact in program.assume:
            if not exprs.code(fact)([]):
                raise TdslError(f"{program.name}: a stated fact does not hold for {_shown(known)}")
        stmts = StmtCompiler(exprs, memory)
        if pauses:
            steps = StepCompiler(stmts).steps(self._body)
            return _Compiled(memory, stmts, lambda frame: _run_all(steps(frame)))
        return _Compiled(memory, stmts, stmts.run(self._body))


@dataclass(frozen=True, slots=True)
class _Compiled:
    """Closures, and what they work on."""

    memory: Memory
    stmts: StmtCompiler
    body: Callable[[Frame], None]

    def run(self, program: Program, order: Order) -> dict[str, np.ndarray[Any, Any]]:
        flags = self.stmts.exprs.flags
        flags.clear()
        self.stmts.picker = Picker(order)
        self.body(self.stmts.frame())
        if flags:
            raise IndexFault(flags)
        return {
            param.buffer.name: _result(self.memory.parameters[param.buffer], param)
            for param in program.params
            if param.role is not Role.IN
        }


def _run_all(steps: Iterator[object]) -> None:
    for _ in steps:
        pass


def different(program: Program, orders: Sequence[Order]) -> tuple[Order, ...]:
    """The canonical order, and those of *orders* that differ from it in this program.

    Orders choose among iterations of concurrent loops. Without any, all run the same statements
    one after the other.
    """
    concurrent = any(isinstance(s, For) and s.kind.concurrent for s in walk(program.body))
    return (CANONICAL, *(orders if concurrent else ()))


def _shown(sizes: Mapping[Var, int]) -> str:
    return ", ".join(f"{v.name}={n}" for v, n in sizes.items())


def _sizes(
    program: Program, arrays: Mapping[str, np.ndarray[Any, Any]], given: Mapping[str, int]
) -> dict[Var, int]:
    """The value of every size, from *given* or from the arrays."""
    by_name = {v.name: v for v in program.sizes}
    unknown = set(given) - set(by_name)
    if unknown:
        raise TdslError(f"{program.name} has no size {', '.join(sorted(unknown))}")
    known = {by_name[name]: int(n) for name, n in given.items()}
    for param in program.params:
        array = arrays.get(param.buffer.name)
        if array is None or param.layout is not None:
            continue
        for extent, n in zip(param.buffer.shape, array.shape, strict=False):
            if isinstance(extent, Var):
                known.setdefault(extent, n)
    missing = [v.name for v in program.sizes if v not in known]
    if missing:
        raise TdslError(f"{program.name}: sizes {', '.join(missing)} are fixed by no array")
    return known


def _parameter(
    param: Param,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    exprs: ExprCompiler,
    detect: bool,
) -> Parameter:
    buffer = param.buffer
    unbound = [v for e in buffer.shape for v in free_vars(e) if v not in exprs.constants]
    if unbound:
        raise TdslError(f"shape of {buffer.name}: {unbound[0].name!r} is no size of the program")
    shape = tuple(int(exprs.code(extent)([])) for extent in buffer.shape)
    watch = Shadow(buffer.name, shape) if detect and param.role is not Role.IN else None
    if param.role is Role.OUT:
        return Parameter(buffer.name, shape, [None] * prod(shape), watch)
    array = arrays.get(buffer.name)
    if array is None:
        raise TdslError(f"parameter {buffer.name!r} is missing")
    array = np.asarray(array)
    if array.dtype != buffer.dtype.numpy:
        raise TdslError(f"{buffer.name}: expected {buffer.dtype}, found {array.dtype}")
    if array.shape != shape and param.layout is None:
        raise TdslError(f"{buffer.name}: expected shape {shape}, found {array.shape}")
    return Parameter(buffer.name, shape, to_scalars(array), watch)


def _result(found: Parameter, param: Param) -> np.ndarray[Any, Any]:
    if None in found.data:
        at = unflatten(found.data.index(None), found.shape)
        raise MemoryFault(f"{found.name}[{', '.join(map(str, at))}] was never written")
    flat = np.array(found.data, dtype=param.buffer.dtype.numpy)
    return flat.reshape(found.shape)

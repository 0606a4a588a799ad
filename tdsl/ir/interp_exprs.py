"""Expressions as Python closures: each node is compiled once and then called per element.

A vector value is a list with one scalar for each lane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never, cast

from tdsl import dtypes
from tdsl.errors import InternalError, TdslError
from tdsl.ir import interp_values as values
from tdsl.ir.expr import (
    AnyExpr,
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Cast,
    Checked,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Math,
    Ramp,
    Select,
    Shuffle,
    Unary,
    Var,
)
from tdsl.ir.foreign import as_python
from tdsl.ir.instruction import PREFIX, instruction_of
from tdsl.ir.interp_memory import Code, Frame, Memory
from tdsl.ir.interp_values import Scalar
from tdsl.ir.visit import has_effects, walk


@dataclass(frozen=True, slots=True)
class Flag:
    """A checked index that lay outside [0, extent)."""

    access: int
    index: int
    extent: int


class IndexFault(TdslError, IndexError):  # noqa: N818 - a fault is what it is
    """A data-dependent index lay outside its dimension; `flags` has every first offence."""

    def __init__(self, flags: Sequence[Flag]) -> None:
        first = flags[0]
        super().__init__(
            f"a data-dependent index is {first.index}, outside [0, {first.extent}) "
            f"(check {first.access})"
        )
        self.flags = tuple(flags)


class ExprCompiler:
    """Compiles expressions; `constants` are the sizes, `slots` where other variables live."""

    def __init__(
        self,
        memory: Memory,
        constants: Mapping[Var, int],
        externs: Mapping[str, Callable[..., Any]],
        *,
        both_arms: bool = False,
    ) -> None:
        self.memory = memory
        self.both_arms = both_arms
        self.constants = constants
        self.externs = externs
        self.slots: dict[Var, int] = {}
        self.flags: list[Flag] = []
        self.strict = False  # inside a block: reads of unwritten elements are faults
        self.running: list[Sequence[bool]] = []  # masks of the vector accesses being evaluated
        self._known: dict[Code, Scalar] = {}
        # lowered programs share index arithmetic; a node is kept so that no other gets its id
        self._shared: dict[int, tuple[Binary, Code]] = {}

    def code(self, e: Expr) -> Code:
        """The closure that evaluates *e* in a frame."""
        return self._code(cast("AnyExpr", e))

    def place(self, v: Var, slot: int) -> int:
        """From here on a variable lives in a slot."""
        if self.slots.get(v, slot) != slot:
            self._shared.clear()
        self.slots[v] = slot
        return slot

    def known(self, code: Code) -> Scalar | None:
        """The value of a closure that is the same in every frame, else None."""
        return self._known.get(code)

    def _constant(self, value: Scalar) -> Code:
        def constant(_: Frame) -> Scalar:
            return value

        self._known[constant] = value
        return constant

    def _code(self, e: AnyExpr) -> Code:
        match e:
            case Var():
                return self._var(e)
            case Const(value, dtype):
                return self._constant(float(value) if dtype.is_float else value)
            case Binary():
                return self._binary(e)
            case Unary(op, a):
                found = values.unary(op, a.dtype)
                if found is None:
                    raise InternalError(f"{op.value} is not defined for {a.dtype}")
                return self._lift(found, [a], e.lanes)
            case Fma(a, b, c):
                return self._lift(values.fma(e.dtype), [a, b, c], e.lanes)
            case Select():
                return self._select(e)
            case Cast(a, dtype):
                return self._lift(values.cast(a.dtype, dtype), [a], e.lanes)
            case Bitcast(a, dtype):
                return self._lift(values.bitcast(a.dtype, dtype), [a], e.lanes)
            case Math(fn, args):
                return self._lift(values.math_function(fn, e.dtype), args, e.lanes)
            case Extern(symbol, args, _) if symbol.startswith(PREFIX):
                meaning = instruction_of(symbol.removeprefix(PREFIX))
                return self.code(meaning.expansion(args[0], args[1:]))
            case Extern(symbol, args, dtype):
                call = self.externs.get(symbol)
                return self._lift(
                    call or as_python(symbol, [a.dtype for a in args], dtype), args, e.lanes
                )
            case Checked(index, extent, access):
                return self._checked(index, extent, access, e.lanes)
            case Load():
                return self._load(e)
            case Ramp(base, stride, count):
                return self._ramp(base, stride, count)
            case Broadcast(a, count):
                scalar = self.code(a)
                return lambda f: [scalar(f)] * count
            case Shuffle(vectors, picks):
                parts = [self.vector(v, v.lanes) for v in vectors]

                def shuffle(f: Frame) -> list[Scalar]:
                    groups = [part(f) for part in parts]
                    joined = [x for g in groups for x in (g if isinstance(g, list) else [g])]
                    return [joined[pick] for pick in picks]

                return shuffle if len(picks) > 1 else lambda f: shuffle(f)[0]
            case _:
                assert_never(e)

    def _var(self, v: Var) -> Code:
        if v in self.constants:
            return self._constant(self.constants[v])
        slot = self.slots.get(v)
        if slot is None:
            raise InternalError(f"variable {v.name!r} is not bound here")
        return lambda f: f[slot]

    def vector(self, e: Expr, lanes: int) -> Code:
        """Code for *e* as a list of *lanes* values, repeating a scalar."""
        code = self.code(e)
        if e.lanes > 1 or lanes == 1:
            return code
        return lambda f: [code(f)] * lanes

    def _lift(self, op: Callable[..., Scalar], args: Sequence[Expr], lanes: int) -> Code:
        """Code that applies a scalar operation, lane by lane where there are lanes."""
        if lanes > 1:
            vectors = [self.vector(a, lanes) for a in args]
            return lambda f: [op(*xs) for xs in zip(*[v(f) for v in vectors], strict=True)]
        codes = [self.code(a) for a in args]
        if codes and all(c in self._known for c in codes):
            return self._constant(op(*[self._known[c] for c in codes]))
        match codes:
            case [a]:
                return lambda f: op(a(f))
            case [a, b]:
                return lambda f: op(a(f), b(f))
            case [a, b, c]:
                return lambda f: op(a(f), b(f), c(f))
            case _:
                return lambda f: op(*[code(f) for code in codes])

    def _binary(self, e: Binary) -> Code:
        op = values.binary(e.op, e.a.dtype)
        if op is None:
            raise InternalError(f"{e.op.value} is not defined for {e.a.dtype}")
        if e.lanes > 1 or e.a.dtype is not dtypes.INDEX:
            return self._lift(op, [e.a, e.b], e.lanes)
        found = self._shared.get(id(e))
        if found is not None:
            return found[1]
        code = self._index_binary(e) or self._lift(op, [e.a, e.b], 1)
        if all(isinstance(x, Var | Const) or id(x) in self._shared for x in (e.a, e.b)):
            self._shared[id(e)] = e, code
        return code

    def _index_binary(self, e: Binary) -> Code | None:
        """The operations that index arithmetic is made of, without a call per node."""
        a, b = self.code(e.a), self.code(e.b)
        x, y = self._known.get(a), self._known.get(b)
        if x is not None and y is not None:
            op = values.binary(e.op, e.a.dtype)
            return None if op is None else self._constant(op(x, y))
        wrap = values.wrapping(dtypes.INDEX)
        match e.op:
            case BinaryOp.ADD if y is not None:
                return lambda f: wrap(a(f) + y)
            case BinaryOp.ADD:
                return lambda f: wrap(a(f) + b(f))
            case BinaryOp.MUL if y is not None:
                return lambda f: wrap(a(f) * y)
            case BinaryOp.FLOORDIV if y:
                return lambda f: wrap(a(f) // y)
            case BinaryOp.FLOORMOD if y:
                return lambda f: a(f) % y
            case BinaryOp.LT if y is not None:
                return lambda f: a(f) < y
            case BinaryOp.LT:
                return lambda f: a(f) < b(f)
            case _:
                return None

    def _select(self, e: Select) -> Code:
        both = self.both_arms and not (has_effects(e.a) or has_effects(e.b))
        if e.lanes == 1:
            cond, a, b = self.code(e.cond), self.code(e.a), self.code(e.b)
            if both:
                return lambda f: (b(f), a(f))[bool(cond(f))]
            return lambda f: a(f) if cond(f) else b(f)
        lanes = e.lanes
        conds, first, second = (self.vector(x, lanes) for x in (e.cond, e.a, e.b))

        def select(f: Frame) -> list[Scalar]:
            taken = conds(f)
            if all(taken) and not both:
                return cast("list[Scalar]", first(f))
            if not any(taken) and not both:
                return cast("list[Scalar]", second(f))
            picked = zip(taken, first(f), second(f), strict=True)
            return [x if c else y for c, x, y in picked]

        return select

    def _checked(self, index: Expr, extent: Expr, access: int, lanes: int) -> Code:
        """A clamped index; lanes that a mask switches off are not reported."""
        clamp, running = self._clamp(access), self.running
        at, size = self.vector(index, lanes), self.vector(extent, lanes)
        if lanes == 1:
            return lambda f: clamp(at(f), size(f), all(any(mask) for mask in running))

        def checked(f: Frame) -> list[Scalar]:
            pairs = zip(at(f), size(f), strict=True)
            return [
                clamp(i, n, all(mask[lane % len(mask)] for mask in running))
                for lane, (i, n) in enumerate(pairs)
            ]

        return checked

    def under(self, mask: Sequence[bool], vectors: Sequence[Code], f: Frame) -> list[Any]:
        """The values of vector codes, of which only the lanes in a mask count."""
        self.running.append(mask)
        try:
            return [v(f) for v in vectors]
        finally:
            self.running.pop()

    def _clamp(self, access: int) -> Callable[[int, int, bool], int]:
        flags = self.flags

        def clamp(index: int, extent: int, runs: bool) -> int:
            if 0 <= index < extent:
                return index
            if not runs:
                return 0
            if all(flag.access != access for flag in flags):
                flags.append(Flag(access, index, extent))
            if extent <= 0:
                raise IndexFault(flags)
            return 0 if index < 0 else extent - 1

        return clamp

    def _ramp(self, base: Expr, stride: Expr, count: int) -> Code:
        start, step = self.code(base), self.code(stride)
        wrap = values.wrapping(base.dtype)

        def ramp(f: Frame) -> list[Scalar]:
            x, d = start(f), step(f)
            return [wrap(x + n * d) for n in range(count)]

        return ramp

    def _load(self, e: Load) -> Code:
        lanes = max(e.lanes, 1 if e.mask is None else e.mask.lanes)
        if lanes > 1:
            return self._vector_load(e, lanes)
        load = self.memory.load(e.buffer, [self.code(i) for i in e.indices], self.strict)
        if e.mask is None:
            return load
        mask, nothing = self.code(e.mask), values.zero(e.dtype)
        first = self._looked_up(e) if self.both_arms else []
        if not first:
            return lambda f: load(f) if mask(f) else nothing

        def load_after(f: Frame) -> Scalar:
            for look_up in first:
                look_up(f)
            return cast("Scalar", load(f)) if mask(f) else nothing

        return load_after

    def _looked_up(self, e: Load) -> list[Code]:
        """The loads of an index, which is computed whatever the mask says."""
        inner = [n for i in e.indices for n in walk(i) if isinstance(n, Load) and n.lanes == 1]
        return [self.code(n) for n in inner if not has_effects(n)]

    def _vector_load(self, e: Load, lanes: int) -> Code:
        """One scalar load for each lane whose mask is set."""
        vectors = [self.vector(i, lanes) for i in e.indices]
        current: list[Scalar] = [0] * len(vectors)
        load = self.memory.load(e.buffer, lane_codes(current), self.strict)
        mask = None if e.mask is None else self.vector(e.mask, lanes)
        nothing = values.zero(e.dtype)

        def load_lanes(f: Frame) -> list[Scalar]:
            enabled = [True] * lanes if mask is None else mask(f)
            result = []
            for on, *at in zip(enabled, *self.under(enabled, vectors, f), strict=True):
                if on:
                    current[:] = at
                    result.append(load(f))
                else:
                    result.append(nothing)
            return result

        return load_lanes


def lane_codes(current: Sequence[Scalar]) -> list[Code]:
    """Codes that read the indices of the lane at hand."""
    return [_nth(current, n) for n in range(len(current))]


def _nth(current: Sequence[Scalar], n: int) -> Code:
    return lambda _: current[n]

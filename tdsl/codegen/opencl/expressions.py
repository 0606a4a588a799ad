"""Expressions as OpenCL C, in the order of the statement that they belong to.

Vectors of a length that OpenCL has are written as such. Any other vector, and every access that is
not a dense run, is written lane by lane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tdsl import dtypes
from tdsl.codegen.opencl import memory, operators
from tdsl.codegen.opencl.scope import Scope
from tdsl.codegen.opencl.sharing import Sharing
from tdsl.codegen.opencl.types import (
    LOGIC,
    PRODUCT,
    SUM,
    UNARY,
    VECTOR_LENGTHS,
    Value,
    lane,
    literal,
    type_name,
)
from tdsl.errors import InternalError, LoweringError
from tdsl.ir.affine import linear
from tdsl.ir.expr import (
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
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.visit import walk
from tdsl.lower.facts import not_negative


class Writer:
    """Writes the expressions of one statement; what occurs twice gets a name in front of it."""

    def __init__(self, scope: Scope, roots: Iterable[Expr]) -> None:
        self.scope = scope
        self._sharing = Sharing(tuple(roots))
        self._named: dict[int, Value] = {}
        self._lanes: dict[tuple[int, int], Value] = {}
        self.in_index = 0  # index arithmetic never leaves its range; that of hashes does

    # -- whole values ---------------------------------------------------------------------------

    def value(self, e: Expr) -> Value:
        """The C expression of *e*."""
        number = self._sharing.number(e)
        known = self._named.get(number)
        if known is not None:
            return known
        if e.lanes > 1 and e.lanes not in VECTOR_LENGTHS:
            raise InternalError(f"a vector of {e.lanes} lanes outside of a store")
        found = self._written(e)
        if self._sharing.named(e):
            found = self._named[number] = self.scope.let("t", found)
        return found

    def _written(self, e: Expr) -> Value:
        write = _WRITE.get(type(e))
        if write is None:  # the language derives its own variables from Var
            write = next(_WRITE[base] for base in type(e).__mro__ if base in _WRITE)
        self.scope.feature(e.dtype)
        return write(self, e)

    def index(self, e: Expr) -> Value:
        """The C expression of a position in memory or a loop bound."""
        self.in_index += 1
        found = self.value(e)
        self.in_index -= 1
        return found

    def vector(self, e: Expr, lanes: int) -> Value:
        """*e* in so many lanes."""
        return operators.spread(self.value(e), lanes)

    def name(self, e: Expr, wanted: str = "t") -> Value:
        """*e* as something that can be mentioned again."""
        return self.scope.plain(self.value(e), wanted)

    def may_wrap(self, e: Expr) -> bool:
        """Whether signed arithmetic in *e* may leave the range of its type."""
        if not e.dtype.is_integer:
            return False
        mentioned = [n for n in walk(e) if isinstance(n, Load | Var)]
        if any(isinstance(n, Load) or n in self.scope.data for n in mentioned):
            return True
        return growth(e) > LARGEST or (not self.in_index and not _is_small_index(e))

    # -- single lanes ---------------------------------------------------------------------------

    def lane(self, e: Expr, k: int) -> Value:
        """Lane *k* of *e*."""
        if e.lanes == 1:
            return self.value(e)
        match e:
            case Ramp(base=base, stride=stride):
                return self._step(base, stride, k)
            case Broadcast(a=a):
                return self.value(a)
            case Shuffle(vectors=vectors, picks=picks):
                return self.picked(vectors, picks[k])
            case Load() if memory.is_by_lane(self.scope, e):
                return memory.load_lane(self, e, k)
            case _ if e.lanes in VECTOR_LENGTHS:
                return lane(self.name(e), k)
            case _:
                return self._lane_of_parts(e, k)

    def _step(self, base: Expr, stride: Expr, k: int) -> Value:
        start = self.index(base)
        if k == 0:
            return start
        by = self.index(stride)
        count = literal(k, base.dtype)
        if by.text.isdigit():
            step = literal(int(by.text) * k, base.dtype)
            if start.text == "0":
                return step
        else:
            step = operators.infix("*", by, count, PRODUCT, base.dtype)
        return operators.infix("+", start, step, SUM, base.dtype)

    def picked(self, vectors: tuple[Expr, ...], pick: int) -> Value:
        """The lane of several vectors in a row that a shuffle picks."""
        for v in vectors:
            if pick < v.lanes:
                return self.lane(v, pick)
            pick -= v.lanes
        raise InternalError("a shuffle picks beyond its vectors")

    def _lane_of_parts(self, e: Expr, k: int) -> Value:
        """A lane of a vector that C has no type for: the same operation on lanes."""
        f = self.scope.functions
        match e:
            case Binary(op=op, a=a, b=b):
                wraps = self.may_wrap(e)
                return operators.binary(f, op, self.lane(a, k), self.lane(b, k), wraps=wraps)
            case Unary(op=op, a=a):
                x = self.scope.plain(self.lane(a, k))
                return operators.unary(f, op, x, wraps=self.may_wrap(e))
            case Fma(a=a, b=b, c=c):
                return operators.fma(f, self.lane(a, k), self.lane(b, k), self.lane(c, k))
            case Select(cond=cond, a=a, b=b):
                return operators.choose(self.lane(cond, k), self.lane(a, k), self.lane(b, k))
            case Cast(a=a, type=to):
                return operators.cast(f, self.lane(a, k), to)
            case Bitcast(a=a, type=to):
                return operators.bitcast(f, self.lane(a, k), to)
            case Load():
                return memory.load_lane(self, e, k)
            case _:
                raise InternalError(f"no lanes of {type(e).__name__}")


# -- one function per node ------------------------------------------------------------------------


def _var(w: Writer, e: Var) -> Value:
    found = w.scope.values.get(e)
    if found is None:
        raise InternalError(f"variable {e.name} is used outside its scope")
    return found


def _const(_: Writer, e: Const) -> Value:
    return literal(e.value, e.dtype)


def _binary(w: Writer, e: Binary) -> Value:
    x, y = w.value(e.a), w.value(e.b)
    lanes = max(x.lanes, y.lanes)
    x, y = operators.spread(x, lanes), operators.spread(y, lanes)
    wraps = w.may_wrap(e)
    natural = e.op in (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD) and not wraps and _is_natural(w, e.a)
    return operators.binary(w.scope.functions, e.op, x, y, wraps=wraps, natural=natural)


def _is_natural(w: Writer, e: Expr) -> bool:
    """Whether an index is surely not negative."""
    return e.dtype is dtypes.INDEX and e.lanes == 1 and not_negative(w.scope.facts, linear(e))


def _is_small_index(e: Expr) -> bool:
    """Whether a value is a sum of loop variables and sizes, a few times each."""
    if e.dtype is not dtypes.INDEX or e.lanes > 1:
        return False
    form = linear(e)
    return all(isinstance(a, Var) for a in form.terms) and all(
        abs(c) < 1 << 20 for c in (form.const, *form.terms.values())
    )


def _unary(w: Writer, e: Unary) -> Value:
    x = w.value(e.a)
    if (e.op is not e.op.NEG and e.op is not e.op.NOT) or x.lanes > 1:
        x = w.scope.plain(x)
    return operators.unary(w.scope.functions, e.op, x, wraps=w.may_wrap(e))


def _fma(w: Writer, e: Fma) -> Value:
    parts = [w.vector(p, e.lanes) for p in (e.a, e.b, e.c)]
    if e.lanes * parts[0].dtype.bits > operators.BUILTIN_BITS:
        parts = [w.scope.plain(p) for p in parts]
    return operators.fma(w.scope.functions, *parts)


def _select(w: Writer, e: Select) -> Value:
    if any(isinstance(n, Extern) for arm in (e.a, e.b) for n in walk(arm)):
        raise _no_extern()
    cond, a, b = w.value(e.cond), w.value(e.a), w.value(e.b)
    lanes = max(cond.lanes, a.lanes, b.lanes)
    if lanes > 1:
        if cond.lanes > 1:
            cond = operators.spread(w.scope.plain(cond), lanes)
        a, b = operators.spread(a, lanes), operators.spread(b, lanes)
        if a.dtype.is_bool:
            a, b = operators.remask(w.scope.plain(a), 32), operators.remask(w.scope.plain(b), 32)
    return operators.choose(cond, a, b)


def _cast(w: Writer, e: Cast) -> Value:
    x = w.value(e.a)
    return operators.cast(w.scope.functions, w.scope.plain(x) if x.lanes > 1 else x, e.type)


def _bitcast(w: Writer, e: Bitcast) -> Value:
    return operators.bitcast(w.scope.functions, w.value(e.a), e.type)


def _math(_: Writer, e: Math) -> Value:
    raise InternalError(f"{e.fn.value} reached code generation unexpanded")


def _extern(_: Writer, e: Extern) -> Value:
    raise _no_extern(e.symbol)


def _no_extern(symbol: str = "a foreign function") -> LoweringError:
    return LoweringError(
        f"{symbol} is a C function of this machine, which OpenCL devices cannot call",
        hint="write it as a tensor expression, or build for the CPU",
    )


def _checked(w: Writer, e: Checked) -> Value:
    """An index from data, clamped; the first one outside is noted for the host."""
    f = w.scope.functions
    w.scope.checks = True
    f.checks = True
    index = operators.cast(f, w.value(e.index), dtypes.int64)
    extent = operators.cast(f, w.value(e.extent), dtypes.int64)
    dim = w.scope.dims.get(e.access, 0)
    text = f"checked_index({index.text}, {extent.text}, {e.access}, {dim}, status)"
    return operators.cast(f, Value(text, dtypes.int64), e.dtype)


def _ramp(w: Writer, e: Ramp) -> Value:
    type_ = type_name(e.dtype, e.count)
    steps = ", ".join(str(k) for k in range(e.count))
    base, stride = w.value(e.base), w.value(e.stride)
    counts = Value(f"({type_})({steps})", e.dtype, e.count, UNARY)
    if stride.text != "1":
        by = operators.spread(stride, e.count)
        counts = operators.infix("*", by, counts, PRODUCT, e.dtype)
    if base.text == "0":
        return counts
    return operators.infix("+", operators.spread(base, e.count), counts, SUM, e.dtype)


def _broadcast(w: Writer, e: Broadcast) -> Value:
    return operators.spread(w.value(e.a), e.count)


def _shuffle(w: Writer, e: Shuffle) -> Value:
    if len(e.picks) == 1:
        return w.picked(e.vectors, e.picks[0])
    if e.dtype.is_bool:
        each = [w.lane(e, k) for k in range(e.lanes)]
        text = ", ".join(f"{v.at(LOGIC)} ? -1 : 0" for v in each)
        return Value(f"(char{e.lanes})({text})", e.dtype, e.lanes, UNARY, 8)
    text = ", ".join(w.lane(e, k).text for k in range(e.lanes))
    return Value(f"({type_name(e.dtype, e.lanes)})({text})", e.dtype, e.lanes, UNARY)


_WRITE: dict[type, Callable[[Writer, Any], Value]] = {
    Var: _var,
    Const: _const,
    Binary: _binary,
    Unary: _unary,
    Fma: _fma,
    Select: _select,
    Cast: _cast,
    Bitcast: _bitcast,
    Math: _math,
    Extern: _extern,
    Checked: _checked,
    Load: memory.load,
    Ramp: _ramp,
    Broadcast: _broadcast,
    Shuffle: _shuffle,
}

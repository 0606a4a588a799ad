"""Expressions as text: the reverse of expr_parser.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import assert_never, cast

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.expr import (
    AnyExpr,
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Buffer,
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
    UnaryOp,
    Var,
)
from tdsl.ir.vocabulary import (
    AND_LEVEL,
    ATOM_LEVEL,
    COMPARE_LEVEL,
    NOT_LEVEL,
    OR_LEVEL,
    PRECEDENCE,
    UNARY_LEVEL,
    literal_text,
    quoted,
)


def is_literal(e: Expr) -> bool:
    """Whether *e* is made of literals alone, so that only the context can tell its dtype."""
    match e:
        case Const():
            return not e.type.is_bool
        case Binary(op, a, b):
            return not op.compares and is_literal(a) and is_literal(b)
        case Unary(op, a):
            return op not in (UnaryOp.ISNAN, UnaryOp.ISINF) and is_literal(a)
        case Fma(a, b, c):
            return is_literal(a) and is_literal(b) and is_literal(c)
        case Select(_, a, b):
            return is_literal(a) and is_literal(b)
        case Math(_, args):
            return all(is_literal(arg) for arg in args)
        case Broadcast(a, _):
            return is_literal(a)
        case _:
            return False


class ExprText:
    """Writes expressions; what variables and buffers are called is the caller's business."""

    def __init__(
        self, var_name: Callable[[Var], str], buffer_name: Callable[[Buffer], str]
    ) -> None:
        self.var_name = var_name
        self.buffer_name = buffer_name

    def text(self, e: Expr, expected: DType | None = None) -> str:
        """*e* as text; literals of the *expected* dtype need no suffix."""
        return self._at(e, expected, 0)

    def index(self, e: Expr) -> str:
        """An index expression."""
        return self.text(e, dtypes.INDEX)

    def indices(self, es: Sequence[Expr]) -> str:
        """Index expressions, separated by commas."""
        return ", ".join(self.index(e) for e in es)

    def access(self, buffer: Buffer, indices: Sequence[Expr], mask: Expr | None = None) -> str:
        """`A[i, k]`, or `A[i; mask]`."""
        masked = "" if mask is None else f"; {self.text(mask, dtypes.bool_)}"
        return f"{self.buffer_name(buffer)}[{self.indices(indices)}{masked}]"

    def _at(self, e: Expr, expected: DType | None, level: int) -> str:
        text, own = self._leveled(cast("AnyExpr", e), expected)
        return f"({text})" if own < level else text

    def _group(self, es: Sequence[Expr], expected: DType | None) -> list[str]:
        """Operands of one dtype: the first that has one by itself tells it to the literals."""
        known = next((e.dtype for e in es if not is_literal(e)), expected)
        return [self._at(e, known, 0) for e in es]

    def _call(self, name: str, es: Sequence[Expr], expected: DType | None) -> str:
        return f"{name}({', '.join(self._group(es, expected))})"

    def _leveled(self, e: AnyExpr, expected: DType | None) -> tuple[str, int]:
        match e:
            case Var():
                return self.var_name(e), ATOM_LEVEL
            case Const():
                return literal_text(e, expected), ATOM_LEVEL
            case Binary():
                return self._binary(e, expected)
            case Unary():
                return self._unary(e, expected)
            case Fma(a, b, c):
                return self._call("fma", (a, b, c), expected), ATOM_LEVEL
            case Select(cond, a, b):
                arms = ", ".join(self._group((a, b), expected))
                return f"select({self.text(cond, dtypes.bool_)}, {arms})", ATOM_LEVEL
            case Cast(a, dtype):
                return f"{dtype.short}({self.text(a)})", ATOM_LEVEL
            case Bitcast(a, dtype):
                return f"bitcast({dtype.short}, {self.text(a)})", ATOM_LEVEL
            case Math(fn, args):
                return self._call(fn.value, args, expected), ATOM_LEVEL
            case Extern(symbol, args, dtype):
                items = [quoted(symbol), dtype.short, *(self.text(arg) for arg in args)]
                return f"extern({', '.join(items)})", ATOM_LEVEL
            case Checked(index, extent, access):
                number = f", {access}" if access else ""
                inner = ", ".join(self._group((index, extent), None))
                return f"checked({inner}{number})", ATOM_LEVEL
            case Load(buffer, indices, mask):
                return self.access(buffer, indices, mask), ATOM_LEVEL
            case Ramp(base, stride, count):
                inner = ", ".join(self._group((base, stride), None))
                return f"ramp({inner}, {count})", ATOM_LEVEL
            case Broadcast(a, count):
                return f"broadcast({self.text(a, expected)}, {count})", ATOM_LEVEL
            case Shuffle(vectors, picks):
                inner = ", ".join(self._group(vectors, None))
                return f"shuffle({inner}; {', '.join(map(str, picks))})", ATOM_LEVEL
            case _:
                assert_never(e)

    def _binary(self, e: Binary, expected: DType | None) -> tuple[str, int]:
        op = e.op
        if op.compares:
            expected = None
        if op in (BinaryOp.MIN, BinaryOp.MAX):
            return self._call(op.value, (e.a, e.b), expected), ATOM_LEVEL
        symbol, level = op.value, PRECEDENCE[op]
        left = level
        if op in (BinaryOp.AND, BinaryOp.OR) and e.a.dtype.is_bool:
            symbol, level = ("and", AND_LEVEL) if op is BinaryOp.AND else ("or", OR_LEVEL)
            left = level
        elif level == COMPARE_LEVEL:
            left = level + 1  # comparisons do not chain
        known = next((x.dtype for x in (e.a, e.b) if not is_literal(x)), expected)
        a, b = self._at(e.a, known, left), self._at(e.b, known, level + 1)
        return f"{a} {symbol} {b}", level

    def _unary(self, e: Unary, expected: DType | None) -> tuple[str, int]:
        match e.op:
            case UnaryOp.NOT if e.a.dtype.is_bool:
                return f"not {self._at(e.a, expected, NOT_LEVEL)}", NOT_LEVEL
            case UnaryOp.NOT:
                return f"~{self._at(e.a, expected, UNARY_LEVEL)}", UNARY_LEVEL
            case UnaryOp.NEG if not isinstance(e.a, Const):
                return f"-{self._at(e.a, expected, UNARY_LEVEL)}", UNARY_LEVEL
            case UnaryOp.ISNAN | UnaryOp.ISINF:
                return self._call(e.op.value, (e.a,), None), ATOM_LEVEL
            case op:
                return self._call(op.value, (e.a,), expected), ATOM_LEVEL

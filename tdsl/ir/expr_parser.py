"""Expressions from text: the reverse of expr_text.py.

A literal without suffix takes the dtype of the operands beside it, else of its context. Until
that is known it is carried as an `Untyped` value, together with what was built from it alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.build import const
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Buffer,
    Cast,
    Checked,
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
from tdsl.ir.lexer import Cursor, Token, TokenKind
from tdsl.ir.vocabulary import (
    AND_LEVEL,
    CALLS_OF_MATH,
    CALLS_OF_UNARY,
    COMPARE_LEVEL,
    NOT_LEVEL,
    OR_LEVEL,
    PRECEDENCE,
    UNARY_LEVEL,
    default_type,
    is_special_literal,
    unquoted,
)


@dataclass(frozen=True, slots=True)
class Untyped:
    """Literals that wait for a dtype (None: each takes its default)."""

    build: Callable[[DType | None], Expr]


Value: TypeAlias = Expr | Untyped

_INFIX = {op.value: (op, level) for op, level in PRECEDENCE.items()}
_INFIX |= {"and": (BinaryOp.AND, AND_LEVEL), "or": (BinaryOp.OR, OR_LEVEL)}


class ExprParser:
    """Reads expressions; `variables` and `buffers` say what the names in scope mean."""

    def __init__(self) -> None:
        self.variables: dict[str, Var] = {}
        self.buffers: dict[str, Buffer] = {}

    def expr(self, c: Cursor, expected: DType | None = None) -> Expr:
        """An expression; bare literals take the *expected* dtype."""
        return _resolve(self._infix(c, 0), expected)

    def index(self, c: Cursor) -> Expr:
        """An index expression."""
        return self.expr(c, dtypes.INDEX)

    def sequence(self, c: Cursor, *ends: str) -> tuple[Expr, ...]:
        """Index expressions separated by commas, up to (not including) one of *ends*."""
        found: list[Expr] = []
        while c.token.text not in ends:
            if found:
                c.expect(",")
            found.append(self.index(c))
        return tuple(found)

    def access(self, c: Cursor) -> tuple[Buffer, tuple[Expr, ...], Expr | None]:
        """`A[i, k]` or `A[i; mask]`."""
        token = c.name("the name of a buffer")
        buffer = self.buffers.get(unquoted(token.text))
        if buffer is None:
            raise c.error(f"no buffer {unquoted(token.text)!r} here", token)
        c.expect("[")
        indices = self.sequence(c, ";", "]")
        mask = self.expr(c, dtypes.bool_) if c.accept(";") else None
        c.expect("]")
        return buffer, indices, mask

    def variable(self, c: Cursor) -> Var:
        """A variable in scope."""
        token = c.name("a variable")
        var = self.variables.get(unquoted(token.text))
        if var is None:
            raise c.error(f"no variable {unquoted(token.text)!r} here", token)
        return var

    def _infix(self, c: Cursor, level: int) -> Value:
        left = self._prefix(c, level)
        while c.token.text in _INFIX:
            op, own = _INFIX[c.token.text]
            if own < level:
                break
            c.next()
            right = self._infix(c, own + 1)
            left = _binary(op, left, right)
            if own == COMPARE_LEVEL == _INFIX.get(c.token.text, (op, 0))[1]:
                raise c.error("comparisons do not chain: use parentheses")
        return left

    def _prefix(self, c: Cursor, level: int) -> Value:
        token = c.token
        if token.text == "not":
            if level > NOT_LEVEL:
                raise c.error("'not' needs parentheses here")
            c.next()
            return _unary(UnaryOp.NOT, self._infix(c, NOT_LEVEL))
        if c.accept("~"):
            return _unary(UnaryOp.NOT, self._infix(c, UNARY_LEVEL))
        if c.accept("-"):
            if c.token.kind is TokenKind.NUMBER or is_special_literal(c.token.text):
                return _literal(c, "-")
            return _unary(UnaryOp.NEG, self._infix(c, UNARY_LEVEL))
        return self._atom(c)

    def _atom(self, c: Cursor) -> Value:
        token = c.token
        if c.accept("("):
            inner = self._infix(c, 0)
            c.expect(")")
            return inner
        if token.kind is TokenKind.NUMBER or is_special_literal(token.text):
            return _literal(c, "")
        if token.text in ("true", "false"):
            c.next()
            return const(token.text == "true", dtypes.bool_)
        if token.kind is TokenKind.NAME and c.peek().text == "(":
            return self._call(c)
        if token.kind is TokenKind.NAME and c.peek().text == "[":
            return Load(*self.access(c))
        if token.kind is TokenKind.NAME:
            return self.variable(c)
        raise c.error(f"expected an expression, found {c.found()}")

    def _call(self, c: Cursor) -> Value:
        name = c.next()
        c.expect("(")
        made = self._called(c, name)
        c.expect(")")
        return made

    def _called(self, c: Cursor, name: Token) -> Value:
        word = name.text
        if word in dtypes.BY_SHORT:
            return Cast(self.expr(c), dtypes.BY_SHORT[word])
        if word in ("min", "max"):
            return _binary(BinaryOp(word), *self._operands(c, 2))
        if word in CALLS_OF_UNARY:
            return _unary(CALLS_OF_UNARY[word], *self._operands(c, 1))
        if word in CALLS_OF_MATH:
            fn, args = CALLS_OF_MATH[word], self._operands(c, None)
            return _group(args, lambda es: Math(fn, tuple(es)))
        match word:
            case "fma":
                return _group(self._operands(c, 3), lambda es: Fma(*es))
            case "select":
                return self._select(c)
            case "bitcast":
                dtype = self._type(c)
                c.expect(",")
                return Bitcast(self.expr(c), dtype)
            case "extern":
                return self._extern(c)
            case "checked" | "ramp" | "broadcast" | "shuffle":
                return self._indexing(c, word)
            case _:
                raise c.error(f"no function {word!r}", name)

    def _operands(self, c: Cursor, count: int | None) -> list[Value]:
        found = [self._infix(c, 0)]
        while (count is None or len(found) < count) and c.accept(","):
            found.append(self._infix(c, 0))
        if count is not None and len(found) < count:
            raise c.error(f"expected {count} operands, found {len(found)}")
        return found

    def _type(self, c: Cursor) -> DType:
        token = c.name("a dtype")
        if token.text not in dtypes.BY_SHORT:
            raise c.error(f"no dtype {token.text!r}: one of {', '.join(dtypes.BY_SHORT)}", token)
        return dtypes.BY_SHORT[token.text]

    def _select(self, c: Cursor) -> Value:
        cond = self.expr(c, dtypes.bool_)
        c.expect(",")
        return _group(self._operands(c, 2), lambda es: Select(cond, *es))

    def _extern(self, c: Cursor) -> Value:
        symbol = unquoted(c.name("a symbol").text)
        c.expect(",")
        dtype = self._type(c)
        args = []
        while c.accept(","):
            args.append(self.expr(c))
        return Extern(symbol, tuple(args), dtype)

    def _indexing(self, c: Cursor, word: str) -> Value:
        """Checked indices and the vector nodes."""
        if word == "checked":
            index, extent = _unify(self._operands(c, 2))
            return Checked(index, extent, c.integer("a number") if c.accept(",") else 0)
        if word == "ramp":
            base, stride = _unify(self._operands(c, 2))
            c.expect(",")
            return Ramp(base, stride, c.integer("a lane count"))
        if word == "broadcast":
            value = self._infix(c, 0)
            c.expect(",")
            count = c.integer("a lane count")
            return _group([value], lambda es: Broadcast(es[0], count))
        vectors = _unify(self._operands(c, None))
        c.expect(";")
        picks = [c.integer("a lane")]
        while c.accept(","):
            picks.append(c.integer("a lane"))
        return Shuffle(tuple(vectors), tuple(picks))


def _resolve(value: Value, expected: DType | None) -> Expr:
    return value.build(expected) if isinstance(value, Untyped) else value


def _unify(values: Sequence[Value]) -> list[Expr]:
    known = next((v.dtype for v in values if isinstance(v, Expr)), None)
    return [_resolve(v, known) for v in values]


def _group(values: Sequence[Value], make: Callable[[list[Expr]], Expr]) -> Value:
    """A node over operands of one dtype, untyped where all of them are."""
    if any(isinstance(v, Expr) for v in values):
        return make(_unify(values))
    return Untyped(lambda dtype: make([_resolve(v, dtype) for v in values]))


def _binary(op: BinaryOp, a: Value, b: Value) -> Value:
    if op.compares:
        left, right = _unify([a, b])
        return Binary(op, left, right)
    return _group([a, b], lambda es: Binary(op, *es))


def _unary(op: UnaryOp, a: Value) -> Value:
    if op in (UnaryOp.ISNAN, UnaryOp.ISINF):
        return Unary(op, _resolve(a, None))
    return _group([a], lambda es: Unary(op, *es))


def _literal(c: Cursor, sign: str) -> Value:
    token = c.next()
    digits, _, suffix = token.text.partition("_")
    if suffix:
        if suffix not in dtypes.BY_SHORT:
            raise c.error(f"no dtype {suffix!r}: one of {', '.join(dtypes.BY_SHORT)}", token)
        return _constant(c, token, sign + digits, dtypes.BY_SHORT[suffix])
    return Untyped(
        lambda dtype: _constant(
            c, token, sign + digits, default_type(sign + digits) if dtype is None else dtype
        )
    )


def _constant(c: Cursor, token: Token, digits: str, dtype: DType) -> Expr:
    if dtype.is_float:
        return const(float(digits), dtype)
    if not re.fullmatch(r"-?\d+", digits) or not dtype.min <= int(digits) <= dtype.max:
        raise c.error(f"{digits} is no value of {dtype.name}", token)
    if dtype.is_bool:
        raise c.error(f"expected true or false, found {digits}", token)
    return const(int(digits), dtype)

"""Facts about sizes, stated as text or values: `assume=["M % 16 == 0"]`."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from tdsl.errors import DeclarationError, TypeMismatch
from tdsl.ir.expr import BinaryOp, Expr, UnaryOp, Var
from tdsl.lang.bounds import format_expr
from tdsl.lang.value import Value, as_expr, binary, unary

_BINARY: dict[type[ast.AST], BinaryOp] = {
    ast.Add: BinaryOp.ADD,
    ast.Sub: BinaryOp.SUB,
    ast.Mult: BinaryOp.MUL,
    ast.FloorDiv: BinaryOp.FLOORDIV,
    ast.Mod: BinaryOp.FLOORMOD,
    ast.Lt: BinaryOp.LT,
    ast.LtE: BinaryOp.LE,
    ast.Gt: BinaryOp.GT,
    ast.GtE: BinaryOp.GE,
    ast.Eq: BinaryOp.EQ,
    ast.NotEq: BinaryOp.NE,
}
_LONGEST = 1000
_EXAMPLE = 'assume=["M % 16 == 0", "M <= N"]'


def parse_fact(fact: object, sizes: Mapping[str, Var]) -> Expr:
    """A bool expression of sizes from text such as "M % 16 == 0", or from a value.

    Raises:
        DeclarationError: text that is no comparison of sizes, or names an unknown size.
    """
    if not isinstance(fact, str):
        e = as_expr(fact)
        if not e.dtype.is_bool:
            raise TypeMismatch(f"assume= takes comparisons of sizes, got {fact!r}", hint=_EXAMPLE)
        return e
    if len(fact) > _LONGEST:
        raise DeclarationError(f"the assumption is longer than {_LONGEST} characters")
    try:
        tree = ast.parse(fact, mode="eval").body
    except SyntaxError as error:
        raise DeclarationError(
            f"cannot read the assumption {fact!r}: {error.msg}", hint=_EXAMPLE
        ) from None
    value = _build(tree, fact, sizes)
    if not value.dtype.is_bool:
        raise DeclarationError(f"the assumption {fact!r} is no comparison", hint=_EXAMPLE)
    return value.expr


def check_facts(function: str, facts: Sequence[Expr], sizes: Sequence[Var]) -> None:
    """Refuse facts that no sizes meet: everything would follow from them.

    Raises:
        DeclarationError: they contradict each other, or themselves.
    """
    if not facts:
        return
    from tdsl.ir import polyhedra  # slow to import, and most functions state nothing

    if polyhedra.Domain({}, sizes=sizes, assume=facts).is_empty():
        stated = " and ".join(format_expr(fact) for fact in facts)
        raise DeclarationError(
            f"{function} can never be called: no sizes meet {stated}", hint=_EXAMPLE
        )


def _build(tree: ast.expr, fact: str, sizes: Mapping[str, Var]) -> Value:
    match tree:
        case ast.Name(id=name):
            if name not in sizes:
                raise DeclarationError(
                    f"the assumption {fact!r} names {name!r}, which is no size of this function",
                    hint=f"its sizes are: {', '.join(sizes)}"
                    if sizes
                    else f"it has no sizes; where {name} is a number, state {fact} without quotes",
                )
            return Value(sizes[name])
        case ast.Constant(value=int() as number):
            return Value(as_expr(number))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return unary(UnaryOp.NEG, _build(operand, fact, sizes))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return unary(UnaryOp.NOT, _build(operand, fact, sizes))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return binary(_BINARY[type(op)], _build(left, fact, sizes), _build(right, fact, sizes))
        case ast.Compare(left=left, ops=ops, comparators=rights):
            return _chain(left, ops, rights, fact, sizes)
        case ast.BoolOp(op=op, values=values):
            result = _build(values[0], fact, sizes)
            joined = BinaryOp.AND if isinstance(op, ast.And) else BinaryOp.OR
            for value in values[1:]:
                result = binary(joined, result, _build(value, fact, sizes))
            return result
        case _:
            raise DeclarationError(
                f"cannot read the assumption {fact!r}",
                hint="use sizes, integers, + - * // %, comparisons, and, or, not",
            )


def _chain(
    left: ast.expr, ops: list[ast.cmpop], rights: list[ast.expr], fact: str,
    sizes: Mapping[str, Var],
) -> Value:  # fmt: skip
    result: Value | None = None
    for op, right in zip(ops, rights, strict=True):
        if type(op) not in _BINARY:
            raise DeclarationError(f"cannot read the comparison in {fact!r}")
        one = binary(_BINARY[type(op)], _build(left, fact, sizes), _build(right, fact, sizes))
        result = one if result is None else result & one
        left = right
    assert result is not None
    return result

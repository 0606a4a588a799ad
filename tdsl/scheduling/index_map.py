"""Index maps: `"i, k -> i // 6, k, i % 6"` and lambdas, as `Layout`s."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tdsl.errors import FormatError, TypeMismatch
from tdsl.ir.build import add, floordiv, floormod, index, mul, sub
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Var
from tdsl.lang.value import Value

MAX_LENGTH = 2000
_BUILD: dict[type[ast.operator], Callable[[Expr, Expr], Expr]] = {
    ast.Add: add,
    ast.Sub: sub,
    ast.Mult: mul,
    ast.FloorDiv: floordiv,
    ast.Mod: floormod,
}
_SYMBOLS = {
    BinaryOp.ADD: ("+", 1),
    BinaryOp.SUB: ("-", 1),
    BinaryOp.MUL: ("*", 2),
    BinaryOp.FLOORDIV: ("//", 2),
    BinaryOp.FLOORMOD: ("%", 2),
}


@dataclass(frozen=True, slots=True)
class IndexMap:
    """A map from logical indices to storage indices. `str(m)` parses to the same map."""

    inputs: tuple[Var, ...]
    outputs: tuple[Expr, ...]

    def __str__(self) -> str:
        left = ", ".join(var.name for var in self.inputs)
        return f"{left} -> {', '.join(_shown(e, -1) for e in self.outputs)}"


def as_index_map(value: str | Callable[..., object]) -> IndexMap:
    """The map that a text or a function stands for.

    >>> str(as_index_map("i, k -> i // 6, k, i % 6"))
    'i, k -> i // 6, k, i % 6'
    >>> str(as_index_map(lambda i, j: (j, i)))
    'i, j -> j, i'

    Raises:
        FormatError: the text is not an index map.
        TypeMismatch: the function returns something else than index expressions.
    """
    return _parse(value) if isinstance(value, str) else _trace(value)


def _trace(function: Callable[..., object]) -> IndexMap:
    names = list(inspect.signature(function).parameters)
    inputs = tuple(Var(name) for name in names)
    result = function(*(Value(var) for var in inputs))
    outputs = result if isinstance(result, tuple | list) else (result,)
    exprs = tuple(_as_expr(output) for output in outputs)
    return _parse(str(IndexMap(inputs, exprs)))


def _as_expr(value: object) -> Expr:
    if isinstance(value, int) and not isinstance(value, bool):
        return index(value)
    expr = getattr(value, "expr", value)
    if not isinstance(expr, Expr):
        raise TypeMismatch(f"an index map returns index expressions, got {value!r}")
    return expr


def _parse(text: str) -> IndexMap:
    if len(text) > MAX_LENGTH:
        raise FormatError(f"an index map has at most {MAX_LENGTH} characters, got {len(text)}")
    left, arrow, right = text.partition("->")
    if not arrow:
        raise FormatError(f"{text!r} is no index map", hint="write 'i, k -> i // 6, k, i % 6'")
    names = [name.strip() for name in left.split(",") if name.strip()]
    if len(set(names)) != len(names) or not all(name.isidentifier() for name in names):
        raise FormatError(f"{left.strip()!r} is no list of different names")
    variables = {name: Var(name) for name in names}
    if not right.strip():
        return IndexMap(tuple(variables.values()), ())  # the one element of a scalar
    try:
        tree = ast.parse(f"({right.strip()},)", mode="eval").body
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise FormatError(f"{right.strip()!r} does not parse as index expressions") from error
    if not isinstance(tree, ast.Tuple) or not tree.elts:
        raise FormatError(f"{right.strip()!r} is no list of index expressions")
    outputs = tuple(_expression(item, variables) for item in tree.elts)
    return IndexMap(tuple(variables.values()), outputs)


def _expression(node: ast.expr, variables: Mapping[str, Var]) -> Expr:
    match node:
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            return index(value)
        case ast.Name(id=name):
            if name not in variables:
                known = ", ".join(variables)
                raise FormatError(f"{name!r} is not an index of the map", hint=f"one of {known}")
            return variables[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return sub(0, _expression(operand, variables))
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _BUILD:
            a, b = _expression(left, variables), _expression(right, variables)
            if isinstance(operation, ast.FloorDiv | ast.Mod) and not _positive(b):
                raise FormatError("an index map divides by positive constants only")
            return _BUILD[type(operation)](a, b)
        case _:
            raise FormatError(
                f"{ast.unparse(node)!r} may not stand in an index map",
                hint="use names, integers, + - * // %",
            )


def _positive(e: Expr) -> bool:
    return isinstance(e, Const) and int(e.value) > 0


def _shown(e: Expr, level: int) -> str:
    match e:
        case Var(name=name):
            return name
        case Const(value=value):
            return str(value)
        case Binary(op=op, a=a, b=b) if op in _SYMBOLS:
            symbol, own = _SYMBOLS[op]
            text = f"{_shown(a, own - 1)} {symbol} {_shown(b, own)}"
            return f"({text})" if own <= level else text
        case _:
            raise TypeMismatch(f"{e!r} may not stand in an index map", hint="use + - * // % ^")

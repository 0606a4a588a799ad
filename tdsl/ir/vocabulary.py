"""The words of the IR text, shared by printer and parser.

Names that are no plain identifier, or that are words of the text, stand in backticks. Operators
bind as in Python.
"""

from __future__ import annotations

import math
import re

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.build import const
from tdsl.ir.expr import BinaryOp, Const, MathFn, UnaryOp
from tdsl.ir.stmt import BlockKind, IterKind, LoopKind

HEADER = "tdsl-ir"
VERSION = 1

NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:[.@][A-Za-z0-9_]+)*"
_NAME = re.compile(NAME)

BLOCK_WORDS = {
    BlockKind.COMPUTE: "compute",
    BlockKind.INIT: "init",
    BlockKind.REDUCE: "reduction",
    BlockKind.UPDATE: "update",
    BlockKind.COPY: "copy",
}
ITER_WORDS = {IterKind.REDUCE: "reduce", IterKind.ORDERED: "ordered"}
LOOP_WORDS = {kind: kind.value for kind in LoopKind}

# NOT is written as an operator: `not x` of bools, `~x` of integers
CALLS_OF_UNARY = {op.value: op for op in UnaryOp if op is not UnaryOp.NOT}
CALLS_OF_MATH = {fn.value: fn for fn in MathFn}

PRECEDENCE = {
    BinaryOp.LT: 4,
    BinaryOp.LE: 4,
    BinaryOp.GT: 4,
    BinaryOp.GE: 4,
    BinaryOp.EQ: 4,
    BinaryOp.NE: 4,
    BinaryOp.OR: 5,
    BinaryOp.XOR: 6,
    BinaryOp.AND: 7,
    BinaryOp.SHL: 8,
    BinaryOp.SHR: 8,
    BinaryOp.ADD: 9,
    BinaryOp.SUB: 9,
    BinaryOp.MUL: 10,
    BinaryOp.TRUEDIV: 10,
    BinaryOp.FLOORDIV: 10,
    BinaryOp.FLOORMOD: 10,
}
OR_LEVEL, AND_LEVEL, NOT_LEVEL, COMPARE_LEVEL, UNARY_LEVEL, ATOM_LEVEL = 1, 2, 3, 4, 11, 12

_WORDS = frozenset(
    (
        *("func", "sizes", "assume", "alloc", "let", "for", "in", "if", "else", "seq", "pass"),
        *(
            "prefetch",
            "barrier",
            "block",
            "fused",
            "layout",
            "strided",
            "strides",
            "atomic",
            "stream",
        ),
        *("where", "reducer", "source", "from", "and", "or", "not", "true", "false"),
        *("reduce", "ordered", "inout", "out", *BLOCK_WORDS.values(), *dtypes.BY_SHORT),
    )
)


def quoted(name: str) -> str:
    """A name as the text writes it.

    >>> quoted("A.C.1"), quoted("for"), quoted("a b")
    ('A.C.1', '`for`', '`a b`')
    """
    if _NAME.fullmatch(name) and name not in _WORDS and not is_special_literal(name):
        return name
    escaped = name.replace("\\", "\\\\").replace("`", "\\`").replace("\n", "\\n")
    return f"`{escaped}`"


def unquoted(text: str) -> str:
    """The name that `quoted` wrote."""
    if not text.startswith("`"):
        return text
    return re.sub(
        r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), text[1:-1], flags=re.DOTALL
    )


def is_special_literal(word: str) -> bool:
    """Whether a word is inf or nan, with or without the suffix of a dtype."""
    head, _, suffix = word.partition("_")
    return head in ("inf", "nan") and (not suffix or suffix in dtypes.BY_SHORT)


def type_text(dtype: DType, lanes: int = 1) -> str:
    """`f32`, or `f32x8` for a vector."""
    return dtype.short if lanes == 1 else f"{dtype.short}x{lanes}"


def default_type(digits: str) -> DType:
    """The dtype of a literal without suffix where nothing around it says more."""
    return dtypes.int64 if re.fullmatch(r"-?\d+", digits) else dtypes.float32


def literal_text(literal: Const, expected: DType | None) -> str:
    """A literal, with a suffix unless the context or the default names its dtype.

    >>> literal_text(Const(3), None), literal_text(Const(3, dtypes.int8), None)
    ('3', '3_i8')
    >>> literal_text(Const(0.0, dtypes.float32), dtypes.float32)
    '0'
    """
    dtype = literal.type
    if dtype.is_bool:
        return "true" if literal.value else "false"
    if expected is dtype:
        return _digits(literal, short=True)
    digits = _digits(literal, short=False)
    if expected is None and default_type(digits) is dtype:
        return digits
    return f"{digits}_{dtype.short}"


def _digits(literal: Const, *, short: bool) -> str:
    if not literal.type.is_float:
        return str(int(literal.value))
    value = float(literal.value)
    text = _shortest(value, literal.type)
    if short and value.is_integer() and abs(value) < 1e6 and not text.startswith("-0"):
        return str(int(value))
    return text


def _shortest(value: float, dtype: DType) -> str:
    """The fewest digits that read back as *value* in its dtype."""
    if dtype.bits < 64 and math.isfinite(value):
        for precision in range(1, 10):
            text = f"{value:.{precision}g}"
            if const(float(text), dtype).value == value:
                return text if "e" in text or "." in text else text + ".0"
    return repr(value)

"""Types, literals and values of OpenCL C.

float16 and bfloat16 values live in `float`, rounded; in memory they are `half` and `ushort`. A
bool in memory is a `uchar`. A vector of bools is a vector of integers that are 0 or -1, as OpenCL's
own comparisons give it, of whatever width they had.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from tdsl import dtypes
from tdsl.dtypes import DType, Kind
from tdsl.errors import InternalError

VECTOR_LENGTHS = (2, 4, 8, 16)
LANES = "0123456789abcdef"  # how OpenCL C numbers the lanes of a vector

_NAMES = {
    dtypes.bool_: "bool",
    dtypes.int8: "char",
    dtypes.int16: "short",
    dtypes.int32: "int",
    dtypes.int64: "long",
    dtypes.uint8: "uchar",
    dtypes.uint16: "ushort",
    dtypes.uint32: "uint",
    dtypes.uint64: "ulong",
    dtypes.float16: "float",
    dtypes.bfloat16: "float",
    dtypes.float32: "float",
    dtypes.float64: "double",
}
_MEMORY = {dtypes.bool_: "uchar", dtypes.float16: "half", dtypes.bfloat16: "ushort"}
_BITS = {8: "char", 16: "short", 32: "int", 64: "long"}

# Binding strengths of C operators; a text is put in parentheses where it binds weaker than its
# place asks for.
PRIMARY, UNARY, PRODUCT, SUM, SHIFT, COMPARISON, EQUALITY, BITS, LOGIC, CHOICE = range(10, 0, -1)


def is_small(dtype: DType) -> bool:
    """Whether values are kept in a wider type, and rounded after every operation."""
    return dtype is dtypes.float16 or dtype is dtypes.bfloat16


def width(dtype: DType) -> int:
    """Bits of a value in a register."""
    return 32 if is_small(dtype) else dtype.bits


def type_name(dtype: DType, lanes: int = 1, bits: int = 8) -> str:
    """The type of a value; `bits` is the width of the lanes of a mask."""
    if lanes == 1:
        return _NAMES[dtype]
    if dtype.is_bool:
        return f"{_BITS[bits]}{lanes}"
    return f"{_NAMES[dtype]}{lanes}"


def memory_name(dtype: DType) -> str:
    """The type of an element in a buffer."""
    return _MEMORY.get(dtype, _NAMES[dtype])


def unsigned(dtype: DType) -> DType:
    """The unsigned integer type of the same width, in which arithmetic wraps."""
    return dtypes.BY_NAME[f"uint{dtype.bits}"]


@dataclass(frozen=True, slots=True)
class Value:
    """An expression of C: its text, its type, how strongly it binds.

    `bits`: the width of the lanes where it is a vector of bools.
    """

    text: str
    dtype: DType
    lanes: int = 1
    strength: int = PRIMARY
    bits: int = 8

    @property
    def type(self) -> str:
        """The C type."""
        return type_name(self.dtype, self.lanes, self.bits)

    def at(self, strength: int) -> str:
        """The text where something that binds at least that strongly is expected."""
        return self.text if self.strength >= strength else f"({self.text})"

    def named(self, text: str) -> Value:
        """The same value under a name."""
        return replace(self, text=text, strength=PRIMARY)


def literal(value: float | bool, dtype: DType) -> Value:
    """A constant of a type."""
    if dtype.is_bool:
        return Value("true" if value else "false", dtype)
    if dtype.is_float:
        return _float(float(value), dtype)
    number = int(value)
    if dtype.bits < 32:
        return Value(f"({_NAMES[dtype]}){number}" if number >= 0 else
                     f"({_NAMES[dtype]})({number})", dtype, 1, UNARY)  # fmt: skip
    suffix = {dtypes.uint32: "u", dtypes.uint64: "ul"}.get(dtype, "")
    if dtype.kind is Kind.INT and number == int(dtype.min):
        end = "L" if dtype.bits == 64 else ""
        return Value(f"-{-(number + 1)}{end} - 1", dtype, 1, SUM)
    if dtype is dtypes.int64 and abs(number) > 0x7FFFFFFF:
        suffix = "L"
    return Value(f"{number}{suffix}", dtype, 1, PRIMARY if number >= 0 else UNARY)


def index_literal(value: int) -> Value:
    """A constant that must be a `long` by itself, for overloaded functions."""
    return Value(f"{value}L", dtypes.int64, 1, PRIMARY if value >= 0 else UNARY)


def _float(value: float, dtype: DType) -> Value:
    wide = dtype is dtypes.float64
    if math.isnan(value):
        return Value("(double)NAN" if wide else "NAN", dtype, 1, UNARY if wide else PRIMARY)
    if math.isinf(value):
        text = f"{'-' if value < 0 else ''}INFINITY"
        return Value(f"(double)({text})" if wide else text, dtype, 1, UNARY)
    text = repr(value) if wide else _shortest(np.float32(value))
    strength = UNARY if text.startswith("-") else PRIMARY
    return Value(text if wide else f"{text}f", dtype, 1, strength)


def _shortest(value: np.float32) -> str:
    """The shortest decimal that reads back as this float, with a point or an exponent."""
    text = str(value)
    return text if any(c in text for c in ".e") else f"{text}.0"


def lane(v: Value, k: int) -> Value:
    """One lane of a vector that is a plain name."""
    if v.lanes == 1:
        return v
    if v.strength != PRIMARY:
        raise InternalError(f"lane of an unnamed vector {v.text}")
    text = f"{v.text}.s{LANES[k]}"
    if v.dtype.is_bool:
        return Value(f"{text} != 0", v.dtype, 1, EQUALITY)
    return Value(text, v.dtype)

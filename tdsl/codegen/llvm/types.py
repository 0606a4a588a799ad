"""How element types look in LLVM IR: in memory, as values, and as literals.

A value of float16 or bfloat16 is held as a `float` that is already rounded to the narrow type, so
that chains of operations need no conversions; memory holds their bits as `i16`. A bool is `i1` as a
value and one byte in memory.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

from tdsl import dtypes
from tdsl.dtypes import DType

_SMALL_FLOATS = (dtypes.float16, dtypes.bfloat16)


class Value(NamedTuple):
    """An operand of LLVM IR: its text (a register or a literal) and its type."""

    text: str
    type: str

    @property
    def typed(self) -> str:
        """The operand as an argument of an instruction: type, then text."""
        return f"{self.type} {self.text}"


def is_small_float(dtype: DType) -> bool:
    """Whether values of the type are computed in float and rounded after each operation."""
    return dtype in _SMALL_FLOATS


def value_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type of a value."""
    return vector(_scalar_value_type(dtype), lanes)


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """The LLVM type of elements in memory."""
    if dtype.is_bool:
        return vector("i8", lanes)
    if is_small_float(dtype):
        return vector("i16", lanes)
    return vector(_scalar_value_type(dtype), lanes)


def vector(scalar: str, lanes: int) -> str:
    """`scalar` itself, or a vector of it."""
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def integer(bits: int, lanes: int = 1) -> str:
    """An integer type."""
    return vector(f"i{bits}", lanes)


def _scalar_value_type(dtype: DType) -> str:
    if dtype.is_bool:
        return "i1"
    if dtype.is_integer:
        return f"i{dtype.bits}"
    return "double" if dtype is dtypes.float64 else "float"


def suffix(type_: str) -> str:
    """How an overloaded intrinsic spells a type: `<16 x float>` is `v16f32`."""
    names = {"float": "f32", "double": "f64", "half": "f16", "ptr": "p0"}
    if type_.startswith("<"):
        count, _, element = type_[1:-1].partition(" x ")
        return f"v{count}{names.get(element, element)}"
    return names.get(type_, type_)


def float_text(value: float, type_: str = "double") -> str:
    """A float literal; LLVM spells float and double alike, as the bits of a double."""
    if math.isnan(value):
        return "0x7FF8000000000000"
    if type_ == "float":
        value = struct.unpack("<f", struct.pack("<f", value))[0] if math.isfinite(value) else value
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def literal(value: float, type_: str, lanes: int = 1) -> Value:
    """A literal of an LLVM scalar type, splat over `lanes`."""
    if type_ in ("float", "double"):
        text = float_text(float(value), type_)
    elif type_ == "i1":
        text = "true" if value else "false"
    else:
        text = str(int(value))
    if lanes == 1:
        return Value(text, type_)
    return Value(f"splat ({type_} {text})", vector(type_, lanes))


def constant(value: float, dtype: DType, lanes: int = 1) -> Value:
    """A literal of an element type."""
    return literal(value, _scalar_value_type(dtype), lanes)


def element(type_: str) -> str:
    """The element type of a vector type; a scalar type is its own."""
    return type_[1:-1].partition(" x ")[2] if type_.startswith("<") else type_


def lane_count(type_: str) -> int:
    """Number of lanes of an LLVM type."""
    return int(type_[1:].partition(" ")[0]) if type_.startswith("<") else 1

"""Element types: one table that every other module reads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from typing import Any

import ml_dtypes
import numpy as np

from tdsl.errors import TypeMismatch


class Kind(Enum):
    """What an element type's bits mean."""

    BOOL = "bool"
    INT = "int"
    UINT = "uint"
    FLOAT = "float"


@dataclass(frozen=True, slots=True)
class DType:
    """An element type. `code` is its number in the ABI; `short` its name in IR text.

    >>> float32.bits, float32.short, int8.min, int8.max
    (32, 'f32', -128, 127)
    """

    name: str
    kind: Kind
    bits: int
    code: int
    short: str

    @property
    def numpy(self) -> np.dtype:
        """The numpy dtype with the same bits."""
        return _NUMPY[self.name]

    @property
    def bytes(self) -> int:
        """Storage of one element."""
        return max(1, self.bits // 8)

    @property
    def is_float(self) -> bool:
        """Whether the type is a floating-point one."""
        return self.kind is Kind.FLOAT

    @property
    def is_integer(self) -> bool:
        """Whether the type is a signed or unsigned integer (bool is neither)."""
        return self.kind in (Kind.INT, Kind.UINT)

    @property
    def is_bool(self) -> bool:
        """Whether the type is bool."""
        return self.kind is Kind.BOOL

    @property
    def min(self) -> float:
        """The least value: -inf for floats (the identity of max)."""
        match self.kind:
            case Kind.FLOAT:
                return float("-inf")
            case Kind.INT:
                return -(1 << (self.bits - 1))
            case Kind.UINT | Kind.BOOL:
                return 0

    @property
    def max(self) -> float:
        """The greatest value: inf for floats (the identity of min)."""
        match self.kind:
            case Kind.FLOAT:
                return float("inf")
            case Kind.INT:
                return (1 << (self.bits - 1)) - 1
            case Kind.UINT:
                return (1 << self.bits) - 1
            case Kind.BOOL:
                return 1

    def __str__(self) -> str:
        return self.name


ALL = tuple(
    DType(name, kind, bits, code, short)
    for code, (name, kind, bits, short) in enumerate(
        [
            ("bool", Kind.BOOL, 8, "bool"),
            ("int8", Kind.INT, 8, "i8"),
            ("int16", Kind.INT, 16, "i16"),
            ("int32", Kind.INT, 32, "i32"),
            ("int64", Kind.INT, 64, "i64"),
            ("uint8", Kind.UINT, 8, "u8"),
            ("uint16", Kind.UINT, 16, "u16"),
            ("uint32", Kind.UINT, 32, "u32"),
            ("uint64", Kind.UINT, 64, "u64"),
            ("float16", Kind.FLOAT, 16, "f16"),
            ("bfloat16", Kind.FLOAT, 16, "bf16"),
            ("float32", Kind.FLOAT, 32, "f32"),
            ("float64", Kind.FLOAT, 64, "f64"),
        ]
    )
)
BY_NAME = {dtype.name: dtype for dtype in ALL}
BY_SHORT = {dtype.short: dtype for dtype in ALL}
(
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
    float16, bfloat16, float32, float64,
) = ALL  # fmt: skip
INDEX = int64

_NUMPY = {
    dtype.name: np.dtype(ml_dtypes.bfloat16) if dtype.name == "bfloat16" else np.dtype(dtype.name)
    for dtype in ALL
}


def as_dtype(value: Any) -> DType:
    """Return the element type named by a string, a numpy dtype or type, or itself.

    >>> as_dtype("float32") is float32
    True

    Raises:
        TypeMismatch: it names no element type of tdsl.
    """
    if isinstance(value, DType):
        return value
    name = value
    if value is not None and not isinstance(value, str):  # None is float64 to numpy
        with contextlib.suppress(TypeError):
            name = np.dtype(value).name
    found = (BY_NAME.get(name) or BY_SHORT.get(name)) if isinstance(name, str) else None
    if found is None:
        raise TypeMismatch(f"unknown dtype {name!r}", hint=f"one of {', '.join(BY_NAME)}")
    return found

"""C functions that kernels call where C's own operators mean something else, or nothing.

Each is written for scalars; its vector form applies it lane by lane. A module holds those that are
used, in front of the kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tdsl import dtypes
from tdsl.codegen.opencl.types import LANES, Value, literal, type_name, unsigned
from tdsl.dtypes import DType, Kind

_Writer = Callable[["Functions", str, DType], str]


@dataclass(slots=True)
class Functions:
    """The functions that a module uses, as text, each after those that it calls itself."""

    texts: dict[str, str] = field(default_factory=dict)
    features: set[str] = field(default_factory=set)
    checks: bool = False

    def call(self, name: str, args: Sequence[Value], result: DType) -> Value:
        """A call of a function of the table below, on scalars or vectors."""
        operand = args[0].dtype
        full = self.scalar(name, operand, result)
        lanes = max(a.lanes for a in args)
        if lanes > 1:
            full = self._vector(full, args, result, lanes)
        return Value(f"{full}({', '.join(a.text for a in args)})", result, lanes)

    def scalar(self, name: str, operand: DType, result: DType) -> str:
        """The name of a function on scalars; its text is added on first use."""
        full = f"{name}_{_label(operand)}"
        if name == "from_bits":
            full = f"{_label(result)}_of_bits"
        elif name in _BY_RESULT:
            full = f"{_label(result)}_from_{_label(operand)}"
        if full not in self.texts:
            writer = _BY_RESULT.get(name)
            made = writer(self, full, operand, result) if writer else _WRITERS[name](
                self, full, operand)  # fmt: skip
            self.texts[full] = made  # after those that it calls
        return full

    def _vector(self, scalar: str, args: Sequence[Value], result: DType, lanes: int) -> str:
        full = f"{scalar}{lanes}"
        if full not in self.texts:
            names = "xyzw"[: len(args)]
            typed = ", ".join(
                f"{type_name(a.dtype, lanes)} {n}" for a, n in zip(args, names, strict=True)
            )
            each = ", ".join(
                f"{scalar}({', '.join(f'{n}.s{LANES[k]}' for n in names)})" for k in range(lanes)
            )
            type_ = type_name(result, lanes)
            self.texts[full] = f"{type_} {full}({typed}) {{\n    return ({type_})({each});\n}}\n"
        return full


def _label(dtype: DType) -> str:
    names = {dtypes.float16: "half", dtypes.bfloat16: "bfloat"}
    return names.get(dtype) or type_name(dtype)


def _extremum(op: str) -> _Writer:
    def write(_: Functions, name: str, dtype: DType) -> str:
        t = type_name(dtype)
        return (
            f"// NaN if either is; of equal operands the first\n"
            f"{t} {name}({t} x, {t} y) {{\n    return y != y ? y : y {op} x ? y : x;\n}}\n"
        )

    return write


def _floor_division(*, quotient: bool) -> _Writer:
    def write(_: Functions, name: str, dtype: DType) -> str:
        t = type_name(dtype)
        result = "x / y" if quotient else "x % y"
        if dtype.kind is Kind.UINT:
            return f"{t} {name}({t} x, {t} y) {{\n    return y == 0 ? 0 : {result};\n}}\n"
        least = literal(int(dtype.min), dtype).text
        wraps = f"x == ({least}) && y == -1"
        fix = "r != 0 && (r < 0) != (y < 0)"
        found = f"x / y - ({fix})" if quotient else f"{fix} ? r + y : r"
        return (
            f"// rounds towards minus infinity; 0 where y is 0\n"
            f"{t} {name}({t} x, {t} y) {{\n"
            f"    if (y == 0) return 0;\n"
            f"    if ({wraps}) return {'x' if quotient else '0'};\n"
            f"    const {t} r = x % y;\n"
            f"    return {found};\n}}\n"
        )

    return write


def _shift_left(_: Functions, name: str, dtype: DType) -> str:
    t, u = type_name(dtype), type_name(unsigned(dtype))
    return (
        f"{t} {name}({t} x, {t} y) {{\n"
        f"    return ({u})y < {dtype.bits} ? ({t})(({u})x << y) : ({t})0;\n}}\n"
    )


def _shift_right(_: Functions, name: str, dtype: DType) -> str:
    t, u = type_name(dtype), type_name(unsigned(dtype))
    beyond = "0" if dtype.kind is Kind.UINT else f"x >> {dtype.bits - 1}"
    return (
        f"{t} {name}({t} x, {t} y) {{\n"
        f"    return ({u})y < {dtype.bits} ? ({t})(x >> y) : ({t})({beyond});\n}}\n"
    )


def _saturated(_: Functions, name: str, source: DType, to: DType) -> str:
    """A float to an integer, truncated, saturated, NaN as 0."""
    s, t = type_name(source), type_name(to)
    # the powers of two at which the range ends are exact in every float type
    high = literal(float(int(to.max) + 1), dtypes.float64 if s == "double" else dtypes.float32)
    low = literal(float(int(to.min)), high.dtype)
    most, least = literal(int(to.max), to).text, literal(int(to.min), to).text
    return (
        f"{t} {name}({s} x) {{\n"
        f"    return x != x ? ({t})0 : x >= {high.text} ? ({t})({most}) : "
        f"x <= {low.text} ? ({t})({least}) : ({t})x;\n}}\n"
    )


def _round_small(_: Functions, name: str, dtype: DType) -> str:
    if dtype is dtypes.float16:
        return (
            f"// to the nearest float16, ties to even\n"
            f"float {name}(float x) {{\n"
            f"    ushort bits;\n"
            f"    vstore_half_rte(x, 0, (__private half *)&bits);\n"
            f"    return vload_half(0, (__private half *)&bits);\n}}\n"
        )
    return (
        f"// to the nearest bfloat16, ties to even\n"
        f"float {name}(float x) {{\n"
        f"    const uint bits = as_uint(x);\n"
        f"    const uint rounded = bits + (0x7fffu + ((bits >> 16) & 1u));\n"
        f"    const uint picked = x != x ? bits | 0x400000u : rounded;\n"
        f"    return as_float(picked & 0xffff0000u);\n}}\n"
    )


def _odd_float(f: Functions, name: str, _: DType) -> str:
    f.features.add("fp64")
    return (
        f"// exact, or the neighbour whose last bit is set: rounding once more is then exact\n"
        f"float {name}(double x) {{\n"
        f"    const float near = (float)x;\n"
        f"    const double back = (double)near;\n"
        f"    if (back == x || x != x) return near;\n"
        f"    const uint bits = as_uint(near) - (fabs(back) > fabs(x) ? 1u : 0u);\n"
        f"    return as_float(bits | 1u);\n}}\n"
    )


def _narrowed(f: Functions, name: str, source: DType, to: DType) -> str:
    """A double or an integer rounded once to float16 or bfloat16."""
    rounded = f.scalar("rounded", to, to)
    s = type_name(source)
    if source.is_bool or (source.is_integer and source.bits <= 16):
        return f"float {name}({s} x) {{\n    return {rounded}((float)x);\n}}\n"
    odd = f.scalar("odd_float", dtypes.float64, dtypes.float32)
    f.features.add("fp64")
    if source.bits < 64 or source.is_float:
        return f"float {name}({s} x) {{\n    return {rounded}({odd}((double)x));\n}}\n"
    size = "x" if source.kind is Kind.UINT else "(x < 0 ? -(ulong)x : (ulong)x)"
    return (
        f"// the low bits that a double cannot hold become one sticky bit\n"
        f"float {name}({s} x) {{\n"
        f"    const {s} folded = (x & ~({s})0x7ff) | (({s})((x & 0x7ff) != 0) << 11);\n"
        f"    const {s} kept = {size} > (1ul << 53) ? folded : x;\n"
        f"    return {rounded}({odd}((double)kept));\n}}\n"
    )


def _fma_small(f: Functions, name: str, dtype: DType) -> str:
    f.features.add("fp64")
    rounded = f.scalar("rounded", dtype, dtype)
    odd = f.scalar("odd_float", dtypes.float64, dtypes.float32)
    return (
        f"// x * y is exact in a double; the sum is rounded to odd, then once to the result\n"
        f"float {name}(float x, float y, float z) {{\n"
        f"    const double a = (double)x * (double)y;\n"
        f"    const double b = (double)z;\n"
        f"    const double total = a + b;\n"
        f"    const double part = total - a;\n"
        f"    const double lost = (a - (total - part)) + (b - part);\n"
        f"    if (lost == 0.0 || lost != lost) return {rounded}({odd}(total));\n"
        f"    const ulong bits = as_ulong(total)\n"
        f"        - ((as_ulong(total) ^ as_ulong(lost)) >> 63);\n"
        f"    return {rounded}({odd}(as_double(bits | 1ul)));\n}}\n"
    )


def _half_bits(_: Functions, name: str, dtype: DType) -> str:
    if dtype is dtypes.float16:
        return (
            f"ushort {name}(float x) {{\n    ushort bits;\n"
            f"    vstore_half_rte(x, 0, (__private half *)&bits);\n    return bits;\n}}\n"
        )
    return f"ushort {name}(float x) {{\n    return (ushort)(as_uint(x) >> 16);\n}}\n"


def _from_bits(_: Functions, name: str, _source: DType, to: DType) -> str:
    if to is dtypes.float16:
        return (
            f"float {name}(ushort bits) {{\n"
            f"    return vload_half(0, (__private half *)&bits);\n}}\n"
        )
    return f"float {name}(ushort bits) {{\n    return as_float((uint)bits << 16);\n}}\n"


_WRITERS: dict[str, _Writer] = {
    "minimum": _extremum("<"),
    "maximum": _extremum(">"),
    "floordiv": _floor_division(quotient=True),
    "floormod": _floor_division(quotient=False),
    "shl": _shift_left,
    "shr": _shift_right,
    "rounded": _round_small,
    "odd_float": _odd_float,
    "fma": _fma_small,
    "bits": _half_bits,
}
# functions named by what they give as well
_BY_RESULT: dict[str, Callable[[Functions, str, DType, DType], str]] = {
    "saturated": _saturated,
    "narrowed": _narrowed,
    "from_bits": _from_bits,
}

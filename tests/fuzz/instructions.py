"""Small instructions and C functions for the fuzzer: products summed over one axis."""

from __future__ import annotations

from itertools import product

import llvmlite.binding as llvm

import tdsl as td
from tdsl.ir.instruction import INSTRUCTIONS
from tdsl.schedules.instructions import dot_products

DTYPES = ("int32", "int64", "float32")
_SCALARS = {"int32": "i32", "int64": "i64", "float32": "float"}
_LANES = range(2, 6)
_DEPTHS = range(1, 6)


def declare() -> None:
    """Declare them; a second time does nothing."""
    shapes = list(product(DTYPES, _LANES, _DEPTHS))
    if _name("dot", *shapes[-1]) in INSTRUCTIONS:
        return
    library = _compiled("\n".join(_function(*shape) for shape in shapes))
    for dtype, lanes, depth in shapes:
        meaning = dot_products(lanes, depth, (dtype, dtype), dtype, name="dot")
        types = [f"<{n} x {_SCALARS[dtype]}>" for n in (lanes, depth, lanes * depth)]
        name = _name("dot", dtype, lanes, depth)
        td.instruction(name, meaning, "llvm.none", types, ["no-such-feature"])
        name = _name("c_dot", dtype, lanes, depth)
        td.extern_kernel(name, meaning, library.get_function_address(name))
    _KEPT.append(library)


_KEPT: list[llvm.ExecutionEngine] = []  # the functions live as long as this


def _name(kind: str, dtype: str, lanes: int, depth: int) -> str:
    return f"{kind}_{dtype}_{lanes}x{depth}"


def _function(dtype: str, lanes: int, depth: int) -> str:
    """LLVM IR of `void c_dot(T *out, const T *a, const T *b)`, in one straight line."""
    scalar, lines = _SCALARS[dtype], []
    for j in range(lanes):
        lines += _load(f"s{j}.0", scalar, "%out", j)
        for k in range(depth):
            lines += _load(f"a{j}.{k}", scalar, "%a", k)
            lines += _load(f"b{j}.{k}", scalar, "%b", j * depth + k)
            factors = f"%a{j}.{k}", f"%b{j}.{k}"
            lines += _sum(f"%s{j}.{k + 1}", scalar, *factors, f"%s{j}.{k}")
        lines.append(f"%o{j} = getelementptr {scalar}, ptr %out, i64 {j}")
        lines.append(f"store {scalar} %s{j}.{depth}, ptr %o{j}")
    name = _name("c_dot", dtype, lanes, depth)
    return (
        f"define void @{name}(ptr %out, ptr %a, ptr %b) {{\n" + "\n".join(lines) + "\nret void\n}"
    )


def _load(name: str, scalar: str, pointer: str, place: int) -> list[str]:
    return [
        f"%{name}.at = getelementptr {scalar}, ptr {pointer}, i64 {place}",
        f"%{name} = load {scalar}, ptr %{name}.at",
    ]


def _sum(name: str, scalar: str, a: str, b: str, c: str) -> list[str]:
    """`a * b + c`, rounded once."""
    if scalar == "float":
        operands = ", ".join(f"float {x}" for x in (a, b, c))
        return [f"{name} = call float @llvm.fma.f32({operands})"]
    return [f"{name}.p = mul {scalar} {a}, {b}", f"{name} = add {scalar} {name}.p, {c}"]


def _compiled(functions: str) -> llvm.ExecutionEngine:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    text = f"declare float @llvm.fma.f32(float, float, float)\n{functions}"
    machine = llvm.Target.from_default_triple().create_target_machine(opt=0)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    return engine

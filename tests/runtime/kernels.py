"""Small kernels in hand-written LLVM IR, for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tdsl.runtime.kernel import Kernel, load_kernel
from tdsl.runtime.native.compiler import compile_ir
from tdsl.runtime.native.entry import GIL_BYTES, entry_ir, has_fast_path
from tdsl.runtime.signature import Dim, Param, Role, Signature

N = Dim((("N", 1),))
M = Dim((("M", 1),))
LLVM_TYPES = {
    "bool": "i8",
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uint8": "i8",
    "uint16": "i16",
    "uint32": "i32",
    "uint64": "i64",
    "float16": "half",
    "bfloat16": "bfloat",
    "float32": "float",
    "float64": "double",
}
DECLARATIONS = """
declare void @tdsl_parallel_for(ptr, ptr, i64, i64)
declare ptr @tdsl_alloc(i64)
declare void @tdsl_free(ptr)
declare i32 @tdsl_num_threads()
"""


def array(name: str, *shape: Dim | int, dtype: str = "float32", role: Role = Role.IN, **more: Any):
    """A parameter; extents are Dims or integers."""
    dims = tuple(dim if isinstance(dim, Dim) else Dim((), dim) for dim in shape)
    return Param(name, dtype, dims, role=role, **more)


def output(name: str, *shape: Dim | int, dtype: str = "float32", **more: Any) -> Param:
    return array(name, *shape, dtype=dtype, role=Role.OUT, **more)


def signature(name: str, *params: Param, assume: Sequence[str] = ()) -> Signature:
    """A signature whose sizes are listed in order of appearance."""
    names = [size for param in params for dim in param.shape for size, _ in dim.terms]
    return Signature(name, params, tuple(dict.fromkeys(names)), tuple(assume))


def load_fields(count: int) -> str:
    """`%dataK`, `%shapeK`, `%stridesK` of the first `count` buffers."""
    lines = []
    for index in range(count):
        for offset, field in ((0, "data"), (8, "shape"), (16, "strides")):
            lines.append(
                f"  %at.{field}{index} = getelementptr i8, ptr %args, i64 {48 * index + offset}"
            )
            lines.append(f"  %{field}{index} = load ptr, ptr %at.{field}{index}")
    return "\n".join(lines)


def flat_loop(sig: Signature, body: str, *, extent: str | None = None) -> str:
    """A kernel that runs `body` for `%i` below the elements of its last array.

    In the body `%xK` is element i of array K (loaded), and `%atK` its address.
    """
    last = len(sig.params) - 1
    lines = [f"define i32 @{sig.name}(ptr %args, i32 %n, ptr %context) {{", "entry:"]
    lines.append(load_fields(len(sig.params) + len(sig.sizes)))
    total = "1" if extent is None else extent
    if extent is None:
        for axis in range(len(sig.params[last].shape)):
            lines += [
                f"  %at.e{axis} = getelementptr i64, ptr %shape{last}, i64 {axis}",
                f"  %e{axis} = load i64, ptr %at.e{axis}",
                f"  %total{axis} = mul i64 {total}, %e{axis}",
            ]
            total = f"%total{axis}"
    lines += ["  br label %check", "check:"]
    lines += ["  %i = phi i64 [ 0, %entry ], [ %next, %body ]", f"  %on = icmp slt i64 %i, {total}"]
    lines += ["  br i1 %on, label %body, label %done", "body:"]
    for index, param in enumerate(sig.params):
        kind = LLVM_TYPES[param.dtype]
        step = "%i" if param.shape else "0"
        lines.append(f"  %at{index} = getelementptr {kind}, ptr %data{index}, i64 {step}")
        if param.role is not Role.OUT:
            lines.append(f"  %x{index} = load {kind}, ptr %at{index}")
    lines += [body, "  %next = add i64 %i, 1", "  br label %check", "done:", "  ret i32 0", "}"]
    return "\n".join(lines)


def load(
    sig: Signature,
    text: str,
    *,
    has_entry: bool = True,
    gil_bytes: int = GIL_BYTES,
    packers: Mapping[str, Kernel] | None = None,
    **more: Any,
) -> Kernel:
    """Compile IR (the call path in the same module, where asked for) and load it."""
    has_entry = has_entry and has_fast_path(sig)
    if has_entry:
        text += entry_ir(sig, sig.name, packed=packers or (), gil_bytes=gil_bytes)
    code = compile_ir(text)
    return load_kernel(
        sig, code, sig.name, has_entry=has_entry, packers=packers, sources={"llvm": text}, **more
    )


def slow_only(kernel: Kernel) -> Kernel:
    """The same kernel, every call of which takes the Python path."""
    return Kernel(kernel._caller, kernel.digest, {}, {})


def add_kernel(dtype: str = "float32", rank: int = 1, **more: Any) -> Kernel:
    """c = a + b."""
    shape = [Dim(((name, 1),)) for name in "NMKL"[:rank]]
    sig = signature(
        "add",
        array("a", *shape, dtype=dtype),
        array("b", *shape, dtype=dtype),
        output("c", *shape, dtype=dtype),
    )
    kind = LLVM_TYPES[dtype]
    plus = "fadd" if kind in {"half", "bfloat", "float", "double"} else "add"
    body = f"  %sum = {plus} {kind} %x0, %x1\n  store {kind} %sum, ptr %at2"
    return load(sig, flat_loop(sig, body), **more)


def strided_copy_kernel(dtype: str = "float32") -> Kernel:
    """c[i, j] = a[i, j] for an `a` of any strides."""
    sig = signature(
        "copy", array("a", N, M, dtype=dtype, any_strides=True), output("c", N, M, dtype=dtype)
    )
    kind = LLVM_TYPES[dtype]
    body = f"""
  %at.cols = getelementptr i64, ptr %shape1, i64 1
  %cols = load i64, ptr %at.cols
  %row = udiv i64 %i, %cols
  %col = urem i64 %i, %cols
  %s0 = load i64, ptr %strides0
  %at.s1 = getelementptr i64, ptr %strides0, i64 1
  %s1 = load i64, ptr %at.s1
  %o0 = mul i64 %row, %s0
  %o1 = mul i64 %col, %s1
  %o = add i64 %o0, %o1
  %from = getelementptr {kind}, ptr %data0, i64 %o
  %value = load {kind}, ptr %from
  store {kind} %value, ptr %at1"""
    text = flat_loop(sig, body).replace("%x0 = load", "%unused = load", 1)
    # the flat element of a strided array need not exist
    text = "\n".join(line for line in text.splitlines() if "%unused" not in line)
    return load(sig, text)


def increment_kernel() -> Kernel:
    """x += y, in place; no output."""
    sig = signature("increment", array("x", N, role=Role.INOUT), array("y", N))
    body = "  %sum = fadd float %x0, %x1\n  store float %sum, ptr %at0"
    return load(sig, flat_loop(sig, body))


def two_outputs_kernel() -> Kernel:
    """(a + b, a - b)."""
    sig = signature("addsub", array("a", N), array("b", N), output("p", N), output("m", N))
    body = """
  %p = fadd float %x0, %x1
  store float %p, ptr %at2
  %m = fsub float %x0, %x1
  store float %m, ptr %at3"""
    return load(sig, flat_loop(sig, body))


def scale_kernel(dtype: str = "float32") -> Kernel:
    """y = alpha * x with a shape-() alpha."""
    sig = signature(
        "scale",
        array("alpha", dtype=dtype),
        array("x", N, dtype=dtype),
        output("y", N, dtype=dtype),
    )
    kind = LLVM_TYPES[dtype]
    times = "fmul" if kind in {"half", "bfloat", "float", "double"} else "mul"
    body = f"  %y = {times} {kind} %x0, %x1\n  store {kind} %y, ptr %at2"
    return load(sig, flat_loop(sig, body))


def iota_kernel() -> Kernel:
    """y[i] = i; N comes by keyword."""
    sig = signature("iota", output("y", N, dtype="int64"))
    return load(sig, flat_loop(sig, "  store i64 %i, ptr %at0"))


def halves_kernel() -> Kernel:
    """y[i] = x[i] for x of 2*N + 1 elements, y of N."""
    sig = signature(
        "halves", array("x", Dim((("N", 2),), 1), dtype="int32"), output("y", N, dtype="int32")
    )
    return load(sig, flat_loop(sig, "  store i32 %x0, ptr %at1"))


def failing_kernel(**more: Any) -> Kernel:
    """Returns code[0]; error_info is 1, 7, 5, 0."""
    sig = signature("failing", array("code", 1, dtype="int32"), output("y", 1), assume=("N > 3",))
    text = """
define i32 @failing(ptr %args, i32 %n, ptr %context) {
  %data = load ptr, ptr %args
  %code = load i32, ptr %data
  %i0 = getelementptr i8, ptr %context, i64 16
  %i1 = getelementptr i8, ptr %context, i64 24
  %i2 = getelementptr i8, ptr %context, i64 32
  %i3 = getelementptr i8, ptr %context, i64 40
  %is3 = icmp eq i32 %code, 3
  %first = select i1 %is3, i64 0, i64 1
  store i64 %first, ptr %i0
  store i64 7, ptr %i1
  store i64 5, ptr %i2
  store i64 0, ptr %i3
  ret i32 %code
}
"""
    return load(sig, text, **more)


def parallel_kernel(*, nested: bool = False, work_ns: int = 0) -> Kernel:
    """y[i] += 1 by the pool (`y` counts how often each element was visited); `w[i]` is the worker.

    Nested: every element is visited by an inner parallel loop of one row.
    """
    sig = signature(
        "visit", array("y", N, 4, dtype="int64", role=Role.INOUT), output("w", N, dtype="int32")
    )
    text = (
        DECLARATIONS
        + f"""
define internal void @cell(ptr %row, i64 %begin, i64 %end, i32 %worker) {{
entry:
  br label %check
check:
  %i = phi i64 [ %begin, %entry ], [ %next, %body ]
  %on = icmp slt i64 %i, %end
  br i1 %on, label %body, label %done
body:
  %at = getelementptr i64, ptr %row, i64 %i
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at
  %next = add i64 %i, 1
  br label %check
done:
  ret void
}}
define internal void @rows(ptr %args, i64 %begin, i64 %end, i32 %worker) {{
entry:
{load_fields(2)}
  br label %check
check:
  %i = phi i64 [ %begin, %entry ], [ %next, %body ]
  %on = icmp slt i64 %i, %end
  br i1 %on, label %body, label %done
body:
  %offset = mul i64 %i, 4
  %row = getelementptr i64, ptr %data0, i64 %offset
  {
            "call void @tdsl_parallel_for(ptr @cell, ptr %row, i64 4, i64 0)"
            if nested
            else "call void @cell(ptr %row, i64 0, i64 4, i32 %worker)"
        }
  %at = getelementptr i32, ptr %data1, i64 %i
  store i32 %worker, ptr %at
  %next = add i64 %i, 1
  br label %check
done:
  ret void
}}
define i32 @visit(ptr %args, i32 %n, ptr %context) {{
{load_fields(1)}
  %count = load i64, ptr %shape0
  call void @tdsl_parallel_for(ptr @rows, ptr %args, i64 %count, i64 {work_ns})
  ret i32 0
}}
"""
    )
    return load(sig, text)

"""Worker plug-in: what this machine can do at most, by loops written in LLVM IR.

Each loop runs on as many threads as the row asks for, each with buffers of its own. No compiler is
needed: llvmlite assembles the text below, without any optimisation pass, for the host.
"""

import ctypes
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

UNROLL = 8
# loop -> (lanes, or None for the machine's own; products summed in a lane)
ARITHMETIC: dict[str, tuple[int | None, int]] = {
    "fma_f32": (None, 1),
    "fma_bf16": (16, 2),
    "fma_u8s8": (16, 4),
}

HEADER = """
define void @{name}(i64 %n, ptr %a, ptr %b) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
"""
FOOTER = """
  %next = add i64 %i, {step}
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
{after}
  ret void
}}
"""


def chain_count(lanes: int) -> int:
    """Independent chains: more than latency x ports, and they fit the 32 or 16 registers."""
    return 16 if lanes == 16 else 12


def multiply_add(name: str, vector: str, operand: str, function: str) -> str:
    """``n`` rounds of independent chains ``x = function(...)``; *function* has an ``{x}`` hole."""
    chains = range(chain_count(int(vector.strip("<").split()[0])))
    loads = f"  %p = load {operand}, ptr %a\n  %q = load {operand}, ptr %b\n"
    loads += "".join(f"  %s{c} = load {vector}, ptr %a\n" for c in chains)
    phis = "".join(f"  %x{c} = phi {vector} [ %s{c}, %entry ], [ %y{c}, %loop ]\n" for c in chains)
    body = "".join(f"  %y{c} = {function.format(x=f'{vector} %x{c}')}\n" for c in chains)
    after = "".join(f"  store volatile {vector} %y{c}, ptr %b\n" for c in chains)
    head = HEADER.format(name=name).replace("entry:\n", "entry:\n" + loads)
    return head + phis + body + FOOTER.format(step=1, after=after)


def stream(name: str, lanes: int, *, store: str | None) -> str:
    """Read ``n`` floats from ``a``; with *store* also write them to ``b``."""
    vector = f"<{lanes} x float>"
    lines = []
    for u in range(UNROLL):
        lines.append(f"  %o{u} = add i64 %i, {u * lanes}")
        lines.append(f"  %pa{u} = getelementptr float, ptr %a, i64 %o{u}")
        kind = "load" if store else "load volatile"  # volatile: nothing else uses what is read
        lines.append(f"  %v{u} = {kind} {vector}, ptr %pa{u}, align 64")
        if store:
            lines.append(f"  %pb{u} = getelementptr float, ptr %b, i64 %o{u}")
            lines.append(f"  store {vector} %v{u}, ptr %pb{u}, align 64{store}")
    fence = "  fence seq_cst" if store else ""  # non-temporal stores are not ordered without it
    body = "\n".join(lines)
    return HEADER.format(name=name) + body + FOOTER.format(step=UNROLL * lanes, after=fence)


def module_text(lanes: int, features: dict[str, bool]) -> str:
    """Every loop that a machine with *features* can run."""
    f32 = f"<{lanes} x float>"
    intrinsic = f"@llvm.fma.v{lanes}f32"
    call = f"call {f32} {intrinsic}({{x}}, {f32} %p, {f32} %q)"
    parts = [
        f"declare {f32} {intrinsic}({f32}, {f32}, {f32})",
        "!0 = !{i32 1}",
        multiply_add("fma_f32", f32, f32, call),
        stream("read", lanes, store=None),
        stream("copy", lanes, store=" "),
        stream("copy_nt", lanes, store=", !nontemporal !0"),
    ]
    if features.get("avx512bf16"):
        name, pair = "@llvm.x86.avx512bf16.dpbf16ps.512", "<32 x bfloat>"
        parts.append(f"declare {f32} {name}({f32}, {pair}, {pair})")
        call = f"call {f32} {name}({{x}}, {pair} %p, {pair} %q)"
        parts.append(multiply_add("fma_bf16", f32, pair, call))
    if features.get("avx512vnni"):
        name, i32, quad = "@llvm.x86.avx512.vpdpbusd.512", "<16 x i32>", "<64 x i8>"
        parts.append(f"declare {i32} {name}({i32}, {quad}, {quad})")
        call = f"call {i32} {name}({{x}}, {quad} %p, {quad} %q)"
        parts.append(multiply_add("fma_u8s8", i32, quad, call))
    return "\n".join(parts)


def host_lanes(features: dict[str, bool]) -> int:
    """Floats in a full vector register of this machine."""
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


class Loops:
    """The assembled loops, and the threads that run them."""

    def __init__(self, threads: int) -> None:
        """Assemble for the host; keep *threads* threads, each on a CPU of its own."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self.threads = threads
        self.features = llvm.get_host_cpu_features()
        self.lanes = host_lanes(self.features)
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=self.features.flatten(), opt=2
        )
        module = llvm.parse_assembly(module_text(self.lanes, self.features))
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()
        cpus = itertools.cycle(sorted(os.sched_getaffinity(0)))
        self.pool = ThreadPoolExecutor(
            threads, initializer=lambda: os.sched_setaffinity(0, {next(cpus)})
        )

    def has(self, name: str) -> bool:
        """Whether this machine can run the loop called *name*."""
        return bool(self.engine.get_function_address(name))

    def runner(self, name: str, n: int, elements: int) -> Callable[[], None]:
        """Run loop *name* over buffers of *elements* floats, *n* rounds or floats a thread."""
        prototype = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
        function = prototype(self.engine.get_function_address(name))
        buffers = [[aligned(elements) for _ in "ab"] for _ in range(self.threads)]
        repeat = max(1, n // elements) if name.startswith(("read", "copy")) else 1
        length = min(n, elements) if name.startswith(("read", "copy")) else n

        def one(pair: list[Any]) -> None:
            a, b = (array.ctypes.data for array in pair)
            for _ in range(repeat):
                function(length, a, b)

        def run() -> None:
            for done in [self.pool.submit(one, pair) for pair in buffers]:
                done.result()

        return run


def aligned(elements: int) -> Any:
    """Ones, 64-byte aligned, already touched."""
    raw = np.ones(elements + 16, np.float32)
    skip = (-raw.ctypes.data % 64) // 4
    return raw[skip : skip + elements]


LOOPS: dict[int, Loops] = {}


def start(argument: str, threads: int) -> str:
    """Assemble the loops once."""
    del argument
    LOOPS[threads] = Loops(threads)
    return f"llvmlite {llvmlite.__version__}, {LOOPS[threads].lanes} lanes"


def make(argument: str, row: dict[str, Any], inputs: list[Any], threads: int) -> Any:
    """The loop that a ``limit_*`` row names."""
    del argument, inputs
    loops = LOOPS[threads]
    what = row["name"].removeprefix("limit_")
    if what.startswith("fma_"):
        return _arithmetic(loops, what, row["flops"])
    loop, _, level = what.rpartition("_")
    footprint = {"l2": 512 << 10, "l3": 4 << 20, "dram": 128 << 20}[level] // 4
    per_float = 4 if loop == "read" else 8
    return loops.runner(loop, int(row["bytes"]) // per_float, footprint)


def _arithmetic(loops: Loops, what: str, flops: float) -> Callable[[], None] | None:
    if not loops.has(what):
        return None
    own, products = ARITHMETIC[what]
    lanes = own or loops.lanes
    return loops.runner(what, int(flops) // (chain_count(lanes) * lanes * products * 2), 64)

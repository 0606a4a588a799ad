"""LLVM IR of a model's one function: it calls the kernels in order, and returns the first error.

    i32 NAME_abi(buffers of inputs and outputs, their number, context)

Arguments of kernels stand ready as constants; the addresses of inputs, outputs and of what lies in
the arena are filled in by each call. A call allocates its arena, so that calls may overlap.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np

from tdsl.graph.ir import Array, Model, Value
from tdsl.graph.kernels import GroupKernel
from tdsl.graph.lifetimes import intervals
from tdsl.graph.memory import ALIGNMENT, plan_memory
from tdsl.graph.views import Views
from tdsl.runtime.abi import BUFFER_FORMAT, ErrorCode
from tdsl.runtime.c_header import abi_symbol
from tdsl.runtime.kernel import Kernel

_BUFFER = struct.calcsize(BUFFER_FORMAT)
_TYPE = "{ ptr, ptr, ptr, i32, i32, i32, i32, i64 }"  # BUFFER_FORMAT


def constants_symbol(name: str) -> str:
    """The symbol of the bytes that all constants of a model are."""
    return f"{name}_constants"


class ModelEntry:
    """The function of one model.

    Args:
        model: the graph, with the constants as kernels take them.
        steps: its kernels in order.
        views: values that lie in another one's memory.
        symbols: of the kernels' functions.
        name: of the C function.
    """

    def __init__(
        self, model: Model, steps: Sequence[GroupKernel], views: Views,
        symbols: Mapping[Kernel, str], name: str,
    ) -> None:  # fmt: skip
        self._model, self._steps, self._views = model, steps, views
        self._symbols, self._name = symbols, name
        outputs = {views.root(value): n for n, (_, value) in enumerate(model.outputs)}
        self._given = {value: n for n, value in enumerate(model.inputs)}
        self._given |= {root: len(model.inputs) + n for root, n in outputs.items()}
        self._memory = plan_memory(intervals(steps, views, outputs))
        self._starts: dict[Value, int] = {}
        self._arrays: list[Array] = []
        self._place_constants()

    def constant_bytes(self) -> bytes:
        """All constants that kernels read, each at a multiple of 64."""
        parts = []
        for array in self._arrays:
            data = np.ascontiguousarray(array).tobytes()
            parts.append(data.ljust(_aligned(len(data)), b"\0"))
        return b"".join(parts)

    def text(self, triple: str) -> str:
        """The module."""
        names = sorted({self._symbols[step.kernel] for step in self._steps})
        most = max((len(step.inputs) + len(step.outputs) for step in self._steps), default=1)
        lines = [
            f'target triple = "{triple}"',
            f"@{constants_symbol(self._name)} = external constant i8",
            *(self._arguments(n, step) for n, step in enumerate(self._steps)),
            "declare ptr @tdsl_alloc(i64)",
            "declare void @tdsl_free(ptr)",
            "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",
            *(f"declare i32 @{name}(ptr, i32, ptr)" for name in names),
            f"define i32 @{abi_symbol(self._name)}(ptr %given, i32 %n, ptr %context) {{",
            f"  %args = alloca [{most} x {_TYPE}], align 8",
            f"  %arena = call ptr @tdsl_alloc(i64 {max(1, self._memory.size)})",
            "  %none = icmp eq ptr %arena, null",
            "  br i1 %none, label %poor, label %step0",
        ]
        for n, step in enumerate(self._steps):
            lines += self._call(n, step)
        results = [f"[ %code{n}, %step{n} ]" for n in range(len(self._steps))]
        results.append(f"[ {int(ErrorCode.OK)}, %step{len(self._steps)} ]")
        lines += [
            f"step{len(self._steps)}:",
            "  br label %done",
            "done:",
            f"  %code = phi i32 {', '.join(results)}",
            "  call void @tdsl_free(ptr %arena)",
            "  ret i32 %code",
            "poor:",
            f"  ret i32 {int(ErrorCode.OUT_OF_MEMORY)}",
            "}",
        ]
        return "\n".join(lines) + "\n"

    def _place_constants(self) -> None:
        read = {self._views.root(value) for step in self._steps for value in step.inputs}
        start = 0
        for value, array in self._model.constants.items():
            if value in read:
                self._starts[value] = start
                self._arrays.append(array)
                start += _aligned(array.nbytes)

    def _arguments(self, n: int, step: GroupKernel) -> str:
        """What a kernel takes, but for the addresses that only a call knows."""
        buffers = []
        for value in (*step.inputs, *step.outputs):
            data, root = "null", self._views.root(value)
            if root in self._starts:
                start = self._starts[root] + self._views.start(value)
                data = f"getelementptr (i8, ptr @{constants_symbol(self._name)}, i64 {start})"
            numbers = f"i32 {value.dtype.code}, i32 {len(value.shape)}, i32 0, i32 0, i64 0"
            buffers.append(f"{_TYPE} {{ ptr {data}, ptr null, ptr null, {numbers} }}")
        kind = f"[{len(buffers)} x {_TYPE}]"
        return f"@step{n} = internal constant {kind} [{', '.join(buffers)}]"

    def _call(self, n: int, step: GroupKernel) -> list[str]:
        values = (*step.inputs, *step.outputs)
        lines = [
            f"step{n}:",
            "  call void @llvm.memcpy.p0.p0.i64("
            f"ptr %args, ptr @step{n}, i64 {_BUFFER * len(values)}, i1 false)",
        ]
        for k, value in enumerate(values):
            lines += self._address(f"{n}.{k}", k, value)
        return [
            *lines,
            f"  %code{n} = call i32 @{self._symbols[step.kernel]}"
            f"(ptr %args, i32 {len(values)}, ptr %context)",
            f"  %failed{n} = icmp ne i32 %code{n}, 0",
            f"  br i1 %failed{n}, label %done, label %step{n + 1}",
        ]

    def _address(self, label: str, place: int, value: Value) -> list[str]:
        """Fill in where a value is; nothing where it is a constant."""
        root, start = self._views.root(value), self._views.start(value)
        if root in self._starts:
            return []
        lines = []
        if root in self._given:
            lines = [
                f"  %from{label} = getelementptr i8, ptr %given, i64 {_BUFFER * self._given[root]}",
                f"  %base{label} = load ptr, ptr %from{label}",
            ]
            base = f"%base{label}"
        else:
            base, start = "%arena", start + self._memory.offsets[root]
        return [
            *lines,
            f"  %data{label} = getelementptr i8, ptr {base}, i64 {start}",
            f"  %at{label} = getelementptr i8, ptr %args, i64 {_BUFFER * place}",
            f"  store ptr %data{label}, ptr %at{label}",
        ]


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT

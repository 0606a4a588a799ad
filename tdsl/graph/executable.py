"""A model for fixed shapes, ready to run: kernels, one arena, and one native call."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tdsl.dtypes import INDEX
from tdsl.graph.ir import Array, Model, Value
from tdsl.graph.kernels import GroupKernel
from tdsl.graph.lifetimes import intervals
from tdsl.graph.memory import ALIGNMENT, plan_memory
from tdsl.graph.views import Views
from tdsl.runtime import pool
from tdsl.runtime.abi import BUFFER_FORMAT, VERSION, Context
from tdsl.runtime.native.sequence import STEP_FORMAT, sequence_runner

_BUFFER = struct.calcsize(BUFFER_FORMAT)
_STEP = struct.calcsize(STEP_FORMAT)


class Executable:
    """Runs a model. Its arena serves one run at a time; others wait.

    `views` are values that lie in another one's memory, so many bytes from its start.

    Attributes: `steps`, `memory`.
    """

    def __init__(
        self, model: Model, steps: Sequence[GroupKernel], views: Mapping[Value, tuple[Value, int]]
    ) -> None:
        self.steps = tuple(steps)
        self._model = model
        self._views = Views(views)
        self._lock = threading.Lock()
        self._outputs = {self._views.root(value): value for _, value in model.outputs}
        self.memory = plan_memory(intervals(self.steps, self._views, self._outputs))
        self._constants = {v: _usable(a) for v, a in self._read_constants().items()}
        self._arena = np.empty(self.memory.size + ALIGNMENT, np.uint8)
        self._layout = _Layout(self.steps)
        self._aliases: dict[Value, list[Value]] = {}
        for value in self._layout.values:
            self._aliases.setdefault(self._views.root(value), []).append(value)
        self._place()

    def run(self, feeds: Mapping[Value, Array], stamps: Any = None) -> dict[str, Array]:
        """The outputs, for inputs that are contiguous and of the right type and shape.

        Raises:
            KernelError: an index in the data leaves its tensor, or memory ran out.
        """
        outputs = {root: np.empty(v.shape, v.dtype.numpy) for root, v in self._outputs.items()}
        with self._lock:
            for root, array in (*feeds.items(), *outputs.items()):
                for value in self._aliases.get(root, ()):
                    self._layout.point(value, array.ctypes.data + self._views.start(value))
            self._call(stamps)
        return {
            name: outputs[self._views.root(value)].reshape(value.shape)
            for name, value in self._model.outputs
        }

    def _call(self, stamps: Any) -> None:
        context = Context(version=VERSION, num_threads=pool.num_threads())
        count = len(self.steps)
        code = sequence_runner()(
            ctypes.addressof(self._layout.table), count, ctypes.addressof(context), stamps
        )
        if code:
            failed = self.steps[context.reserved].kernel
            failed._caller.fail(code, *context.error_info)  # noqa: SLF001 - as its own call path

    def _read_constants(self) -> dict[Value, Array]:
        read = {self._views.root(v) for step in self.steps for v in step.inputs}
        return {v: a for v, a in self._model.constants.items() if v in read}

    def _place(self) -> None:
        """Point every operand that stays where it is to its memory."""
        start = -(-self._arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        for value in self._layout.values:
            root, inside = self._views.root(value), self._views.start(value)
            if root in self._constants:
                self._layout.point(value, self._constants[root].ctypes.data + inside)
            elif root in self.memory.offsets:
                self._layout.point(value, start + self.memory.offsets[root] + inside)


class _Layout:
    """The arguments of all kernels in ABI form, and where each value's address stands in them."""

    def __init__(self, steps: Sequence[GroupKernel]) -> None:
        operands: list[Value | int] = []
        for step in steps:
            operands += (*step.inputs, *step.outputs, *step.sizes)
        numbers = [n for operand in operands for n in _described(operand)]
        self._numbers = (ctypes.c_int64 * max(1, len(numbers)))(*numbers)
        self._buffers = ctypes.create_string_buffer(max(1, _BUFFER * len(operands)))
        self.table = ctypes.create_string_buffer(max(1, _STEP * len(steps)))
        self._places: dict[Value, list[Any]] = {}
        position = ctypes.addressof(self._numbers)
        for n, operand in enumerate(operands):
            at = n * _BUFFER
            if isinstance(operand, int):
                struct.pack_into(
                    BUFFER_FORMAT, self._buffers, at, position, 0, 0, INDEX.code, 0, 0, 0, 0
                )
            else:
                rank = len(operand.shape)
                struct.pack_into(
                    BUFFER_FORMAT, self._buffers, at,
                    0, position, position + 8 * rank, operand.dtype.code, rank, 0, 0, 0,
                )  # fmt: skip
                address = ctypes.addressof(self._buffers) + at
                self._places.setdefault(operand, []).append(ctypes.c_uint64.from_address(address))
            position += 8 * len(_described(operand))
        self._fill_table(steps)

    def _fill_table(self, steps: Sequence[GroupKernel]) -> None:
        done = 0
        for n, step in enumerate(steps):
            count = len(step.inputs) + len(step.outputs) + len(step.sizes)
            arguments = ctypes.addressof(self._buffers) + done * _BUFFER
            struct.pack_into(
                STEP_FORMAT, self.table, n * _STEP, step.kernel.address, arguments, count, 0
            )
            done += count

    @property
    def values(self) -> tuple[Value, ...]:
        """Every value that a kernel takes."""
        return tuple(self._places)

    def point(self, value: Value, address: int) -> None:
        """Let every use of a value read or write this memory."""
        for place in self._places.get(value, ()):
            place.value = address


def _described(operand: Value | int) -> tuple[int, ...]:
    """The numbers that an argument points to: a tensor's extents and strides, or a size itself."""
    if isinstance(operand, int):
        return (operand,)
    return (*operand.shape, *_strides(operand.shape))


def _strides(shape: tuple[int, ...]) -> list[int]:
    """Row-major strides in elements."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return strides[::-1]


def _usable(array: Array) -> Array:
    """A constant that kernels can read: contiguous, and aligned to its elements."""
    return np.require(array, requirements=["C", "A"])

"""A kernel call with every argument checked: its ABI structs, ready to run any number of times."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn

from tdsl.dtypes import int64
from tdsl.errors import InternalError
from tdsl.runtime.abi import BUFFER_FORMAT, KERNEL_ARGUMENTS, VERSION, Context, ErrorCode
from tdsl.runtime.convert import Array
from tdsl.runtime.errors import (
    AssumptionError,
    IndexRangeError,
    KernelError,
    KernelMemoryError,
)
from tdsl.runtime.native.loader import runtime_symbol
from tdsl.runtime.signature import Param, Signature

_INT_MASK = (1 << 64) - 1  # extents next to a zero, and their strides, may wrap


class BoundCall:
    """The arguments of one call, checked, in ABI form."""

    def __init__(
        self,
        signature: Signature,
        accesses: Sequence[str],
        arrays: Sequence[Array],
        sizes: Mapping[str, int],
    ) -> None:
        self._signature = signature
        self._accesses = accesses
        self._arrays = tuple(arrays)  # the memory stays alive
        self._count = len(self._arrays) + len(sizes)
        numbers: list[int] = [sizes[name] for name in signature.sizes]
        for array, param in zip(self._arrays, signature.params, strict=True):
            numbers += array.shape
            numbers += _element_strides(array, param)
        words = [number & _INT_MASK for number in numbers]
        self._numbers = (ctypes.c_uint64 * max(1, len(words)))(*words)
        self._buffers = ctypes.create_string_buffer(b"".join(self._pack_buffers()))

    def _pack_buffers(self) -> list[bytes]:
        start = ctypes.addressof(self._numbers)
        position = start + 8 * len(self._signature.sizes)
        packed = []
        for array, param in zip(self._arrays, self._signature.params, strict=True):
            rank = array.ndim
            strides = position + 8 * rank
            data = array.__array_interface__["data"][0]
            code = param.element.code
            packed.append(struct.pack(BUFFER_FORMAT, data, position, strides, code, rank, 0, 0, 0))
            position = strides + 8 * rank
        for index in range(len(self._signature.sizes)):
            data = start + 8 * index
            packed.append(struct.pack(BUFFER_FORMAT, data, start, start, int64.code, 0, 0, 0, 0))
        return packed

    def run(self, address: int, count: int = 1) -> None:
        """Run the kernel at `address` `count` times, without the GIL.

        Raises:
            KernelError: the kernel reported an error.
        """
        runner, threads = _functions()
        context = Context(version=VERSION, num_threads=threads())
        arguments = ctypes.addressof(self._buffers), self._count, ctypes.addressof(context)
        code = runner(address, *arguments, count)
        if code != ErrorCode.OK:
            raise_kernel_error(self._signature, self._accesses, code, *context.error_info)


def _element_strides(array: Array, param: Param) -> list[int]:
    if param.any_strides and not (param.role.is_written and array.flags.c_contiguous):
        return [stride // array.itemsize for stride in array.strides]
    strides = []  # numpy leaves those of extents 0 and 1 to chance
    step = 1
    for extent in reversed(array.shape):
        strides.append(step)
        step *= extent
    return strides[::-1]


@lru_cache(maxsize=1)
def _functions() -> tuple[Any, Any]:
    """`tdsl_repeat` and `tdsl_num_threads`; called through ctypes, the first releases the GIL."""
    repeat = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *KERNEL_ARGUMENTS, ctypes.c_int64)
    threads = ctypes.PYFUNCTYPE(ctypes.c_int32)
    return repeat(runtime_symbol("tdsl_repeat")), threads(runtime_symbol("tdsl_num_threads"))


def raise_kernel_error(
    signature: Signature, accesses: Sequence[str], code: int, *info: int
) -> NoReturn:
    """Raise what a kernel's error code and `error_info` mean.

    Raises:
        KernelError: always.
    """
    name = signature.name
    match code:
        case ErrorCode.OUT_OF_MEMORY:
            raise KernelMemoryError(f"{name}: out of memory for a temporary buffer")
        case ErrorCode.INDEX_OUT_OF_RANGE:
            access, index, extent, dim = info
            text = accesses[access] if 0 <= access < len(accesses) else f"access {access}"
            raise IndexRangeError(
                f"{name}: index {index} is out of range in {text}: dimension {dim} has extent "
                f"{extent}",
                hint="an index that is read from data must lie in 0 .. extent - 1",
            )
        case ErrorCode.ASSUMPTION_VIOLATED:
            number = info[0]
            known = 0 <= number < len(signature.assume)
            text = signature.assume[number] if known else f"assumption {number}"
            raise AssumptionError(f"{name}: the sizes of this call break the assumption {text}")
        case ErrorCode.BAD_ARGUMENTS:
            raise InternalError(f"{name}: the kernel and the runtime disagree about the ABI")
        case _:
            raise KernelError(f"{name}: the kernel failed with code {code}")

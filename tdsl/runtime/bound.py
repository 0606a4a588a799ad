"""A kernel call with every argument checked: its ABI structs, ready to run any number of times."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np

from tdsl.dtypes import int64
from tdsl.errors import InternalError
from tdsl.runtime.abi import KERNEL_TYPE, VERSION, Buffer, Context, ErrorCode
from tdsl.runtime.convert import Array
from tdsl.runtime.errors import (
    AssumptionError,
    IndexRangeError,
    KernelError,
    KernelMemoryError,
)
from tdsl.runtime.native.loader import runtime_symbol
from tdsl.runtime.signature import Signature

_REPEAT_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_int32,
    ctypes.c_void_p,
    ctypes.c_int64,
)


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
        self._arrays = tuple(arrays)
        self._keep: list[object] = []
        scalars = [np.array(sizes[name], np.int64) for name in signature.sizes]
        codes = [param.element.code for param in signature.params]
        codes += [int64.code] * len(scalars)
        everything = [*self._arrays, *scalars]
        self._keep.append(scalars)
        self._buffers = (Buffer * max(1, len(everything)))()
        for buffer, array, code in zip(self._buffers, everything, codes, strict=False):
            self._fill(buffer, array, code)
        self._count = len(everything)

    def _fill(self, buffer: Buffer, array: Array, code: int) -> None:
        rank = array.ndim
        strides = [stride // array.itemsize for stride in array.strides]
        if array.flags.c_contiguous:  # numpy leaves the strides of extents 0 and 1 to chance
            step = 1
            for axis in reversed(range(rank)):
                strides[axis] = step
                step *= array.shape[axis]
        numbers = (ctypes.c_int64 * rank)(*array.shape), (ctypes.c_int64 * rank)(*strides)
        self._keep.append(numbers)
        buffer.data = array.__array_interface__["data"][0]
        buffer.shape, buffer.strides = (
            ctypes.cast(item, ctypes.POINTER(ctypes.c_int64)) for item in numbers
        )
        buffer.dtype = code
        buffer.rank = rank

    def run(self, address: int, count: int = 1) -> None:
        """Run the kernel at `address` `count` times, without the GIL.

        Raises:
            KernelError: the kernel reported an error.
        """
        context = Context(version=VERSION, num_threads=_num_threads())
        arguments = ctypes.addressof(self._buffers), self._count, ctypes.addressof(context)
        if count == 1:
            code = KERNEL_TYPE(address)(*arguments)
        else:
            code = _REPEAT_TYPE(runtime_symbol("tdsl_repeat"))(address, *arguments, count)
        if code != ErrorCode.OK:
            raise_kernel_error(self._signature, self._accesses, code, *context.error_info)


def _num_threads() -> int:
    return int(ctypes.CFUNCTYPE(ctypes.c_int32)(runtime_symbol("tdsl_num_threads"))())


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

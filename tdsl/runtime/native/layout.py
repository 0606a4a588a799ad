"""Where CPython and numpy keep the fields that the fast call path reads, verified on real objects.

The call path of a kernel is machine code that reads ndarray and tuple structs. The offsets below
are those of numpy's public headers; `fast_path_reason` compares each with what Python says about
arrays made for the purpose. Where one differs, kernels use the Python call path instead.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from functools import lru_cache
from typing import Any

import numpy as np

from tdsl.runtime.packed import PackedArray

HEAD = object.__basicsize__  # reference count and type
TYPE = HEAD - 8
ARRAY_DATA = HEAD
ARRAY_RANK = HEAD + 8
ARRAY_SHAPE = HEAD + 16
ARRAY_STRIDES = HEAD + 24
ARRAY_DTYPE = HEAD + 40
ARRAY_FLAGS = HEAD + 48
TUPLE_SIZE = HEAD
TUPLE_ITEMS = HEAD + 8
PACKED_ARRAY = HEAD
PACKED_TAG = HEAD + 8

C_CONTIGUOUS = 0x1
ALIGNED = 0x100
WRITEABLE = 0x400


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value


def _int(address: int) -> int:
    return ctypes.c_int.from_address(address).value


def _array_fields_match(array: np.ndarray[Any, Any]) -> bool:
    at = id(array)
    rank = array.ndim
    shape = (ctypes.c_ssize_t * rank).from_address(_word(at + ARRAY_SHAPE))
    strides = (ctypes.c_ssize_t * rank).from_address(_word(at + ARRAY_STRIDES))
    return (
        _word(at + TYPE) == id(np.ndarray)
        and _word(at + ARRAY_DATA) == array.__array_interface__["data"][0]
        and _int(at + ARRAY_RANK) == rank
        and tuple(shape) == array.shape
        and tuple(strides) == array.strides
        and _word(at + ARRAY_DTYPE) == id(array.dtype)
        and _int(at + ARRAY_FLAGS) == array.flags.num
    )


def _tuple_fields_match(items: tuple[object, ...]) -> bool:
    at = id(items)
    return _word(at + TUPLE_SIZE) == len(items) and all(
        _word(at + TUPLE_ITEMS + 8 * index) == id(item) for index, item in enumerate(items)
    )


@lru_cache(maxsize=1)
def fast_path_reason() -> str | None:
    """Why the machine-code call path cannot be used in this interpreter; None where it can."""
    if sys.implementation.name != "cpython":
        return f"the interpreter is {sys.implementation.name}"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "the interpreter is free-threaded"
    readonly = np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::-1, 1:3]
    readonly.flags.writeable = False
    odd = np.zeros(17, np.uint8)[1:].view(np.float64)  # most likely unaligned
    arrays: list[np.ndarray[Any, Any]] = [np.zeros(()), np.zeros((0, 2)), readonly, odd]
    arrays.append(np.zeros((3, 5), np.float32))
    if not all(_array_fields_match(array) for array in arrays):
        return f"the array struct of numpy {np.__version__} is not the known one"
    if not _tuple_fields_match(("out", 1, None)):
        return "the tuple struct is not the known one"
    packed = PackedArray(np.zeros(1), "probe")
    slots = (_word(id(packed) + PACKED_ARRAY), _word(id(packed) + PACKED_TAG))
    if slots != (id(packed.array), id(packed.tag)):
        return "slots are not laid out in alphabetical order"
    return None

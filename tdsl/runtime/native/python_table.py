"""The table through which a call path reaches Python: types, dtypes, names and C functions.

Addresses differ from process to process, while objects are cached on disk. So an object refers to
them through the one imported symbol `tdsl_python`, an array of pointers indexed by `Entry`.
"""

from __future__ import annotations

import ctypes
import sys
from enum import IntEnum, auto
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from tdsl.dtypes import ALL
from tdsl.errors import InternalError
from tdsl.runtime.native.loader import runtime_symbol
from tdsl.runtime.packed import PackedArray

SYMBOL = "tdsl_python"
_PYARRAY_TYPE = 2  # slots of numpy's C API table
_PYARRAY_EMPTY = 184


class Entry(IntEnum):
    """Index into the table; the dtypes follow after the last one, in the order of their codes."""

    NDARRAY = 0
    PACKED = auto()
    TUPLE = auto()
    FLOAT = auto()
    INT = auto()
    OUT = auto()  # the interned string "out"
    NEW_ARRAY = auto()
    CALL = auto()
    CALL_FORMAT = auto()
    INCREF = auto()
    DECREF = auto()
    NEW_TUPLE = auto()
    FLOAT_VALUE = auto()
    INT_VALUE = auto()
    RELEASE_GIL = auto()
    TAKE_GIL = auto()
    CLEAR_ERROR = auto()
    NUM_THREADS = auto()


def dtype_entry(code: int) -> int:
    """The index of the numpy dtype with an ABI dtype code."""
    return len(Entry) + code


_FUNCTIONS = {
    Entry.CALL: "PyObject_Vectorcall",
    Entry.CALL_FORMAT: "PyObject_CallFunction",
    Entry.INCREF: "Py_IncRef",
    Entry.DECREF: "Py_DecRef",
    Entry.NEW_TUPLE: "PyTuple_New",
    Entry.FLOAT_VALUE: "PyFloat_AsDouble",
    Entry.INT_VALUE: "PyLong_AsLongLongAndOverflow",
    Entry.RELEASE_GIL: "PyEval_SaveThread",
    Entry.TAKE_GIL: "PyEval_RestoreThread",
    Entry.CLEAR_ERROR: "PyErr_Clear",
}


def function_address(name: str) -> int:
    """The address of a function of the Python C API."""
    address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    if address is None:
        raise InternalError(f"the interpreter exports no {name}")
    return address


def _numpy_api() -> ctypes.Array[ctypes.c_size_t]:
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    module: Any = import_module("numpy._core._multiarray_umath")  # where numpy's headers look
    address = pointer(module._ARRAY_API, None)  # noqa: SLF001 - likewise
    return (ctypes.c_size_t * (_PYARRAY_EMPTY + 1)).from_address(address)


@lru_cache(maxsize=1)
def table_address() -> int:
    """The address of the table, which lives as long as the process.

    Raises:
        InternalError: numpy's C API is not laid out as its headers say.
    """
    api = _numpy_api()
    if api[_PYARRAY_TYPE] != id(np.ndarray):
        raise InternalError(f"numpy {np.__version__}: the C API table is not the known one")
    out = sys.intern("out")
    objects = [np.ndarray, PackedArray, tuple, float, int, out, *(d.numpy for d in ALL)]
    table = (ctypes.c_size_t * (len(Entry) + len(ALL)))()
    values: dict[int, int] = {
        Entry.NDARRAY: id(np.ndarray),
        Entry.PACKED: id(PackedArray),
        Entry.TUPLE: id(tuple),
        Entry.FLOAT: id(float),
        Entry.INT: id(int),
        Entry.OUT: id(out),
        Entry.NEW_ARRAY: api[_PYARRAY_EMPTY],
        Entry.NUM_THREADS: runtime_symbol("tdsl_num_threads"),
        **{entry: function_address(name) for entry, name in _FUNCTIONS.items()},
        **{dtype_entry(dtype.code): id(dtype.numpy) for dtype in ALL},
    }
    for index, value in values.items():
        table[index] = value
    _alive.extend([table, *objects])
    return ctypes.addressof(table)


_alive: list[object] = []  # what the table points at

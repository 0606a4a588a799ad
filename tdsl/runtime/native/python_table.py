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
_PYDATAMEM_SETHANDLER = 304


class Entry(IntEnum):
    """Index into the table; the dtypes follow after the last one, in the order of their codes."""

    NDARRAY = 0
    PACKED = auto()
    TUPLE = auto()
    FLOAT = auto()
    INT = auto()
    OUT = auto()  # the interned string "out"
    NEW_ARRAY = auto()
    NEW_LARGE_ARRAY = auto()
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
    return (ctypes.c_size_t * (_PYDATAMEM_SETHANDLER + 1)).from_address(address)


class _Handler(ctypes.Structure):
    """`PyDataMem_Handler` of numpy's headers."""

    _fields_ = [
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    ]


def _large_array_function(api: ctypes.Array[ctypes.c_size_t]) -> int:
    """`PyArray_Empty` for large arrays: their memory comes from, and returns to, `tdsl_alloc`."""
    functions = [
        runtime_symbol(f"tdsl_numpy_{name}") for name in ("malloc", "calloc", "realloc", "free")
    ]
    handler = _Handler(b"tdsl", 1, None, *functions)
    new = ctypes.pythonapi.PyCapsule_New
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    name = ctypes.create_string_buffer(b"mem_handler")
    capsule = new(ctypes.addressof(handler), ctypes.cast(name, ctypes.c_char_p), None)
    pointers = (ctypes.c_size_t * 4).from_address(runtime_symbol("tdsl_numpy"))
    pointers[:] = [
        api[_PYARRAY_EMPTY],
        api[_PYDATAMEM_SETHANDLER],
        function_address("Py_DecRef"),
        id(capsule),
    ]
    _alive.extend([handler, name, capsule])
    return runtime_symbol("tdsl_numpy_empty")


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
        Entry.NEW_LARGE_ARRAY: _large_array_function(api),
        **{entry: function_address(name) for entry, name in _FUNCTIONS.items()},
        **{dtype_entry(dtype.code): id(dtype.numpy) for dtype in ALL},
    }
    for index, value in values.items():
        table[index] = value
    _alive.extend([table, *objects])
    return ctypes.addressof(table)


_alive: list[object] = []  # what the table points at

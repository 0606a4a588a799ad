"""A subtype of a Python class whose calls go straight to machine code.

Python calls an object of such a type through the function pointer that the object holds (PEP 590).
The subtype adds that pointer to the instances of its base and nothing else.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache

from tdsl.errors import InternalError
from tdsl.runtime.native.python_table import function_address

_TP_CALL = 50  # slot numbers and flags of CPython's stable ABI
_TP_MEMBERS = 72
_HAVE_VECTORCALL = 1 << 11
_DEFAULT = 1 << 18
_SSIZE_MEMBER = 19
_READ_ONLY = 1


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]


@lru_cache(maxsize=8)
def callable_subtype(base: type) -> type:
    """Make a final subtype of `base` whose instances are called through a pointer of their own."""
    members = (_Member * 2)()
    members[0] = _Member(
        b"__vectorcalloffset__", _SSIZE_MEMBER, base.__basicsize__, _READ_ONLY, None
    )
    slots = (_Slot * 3)(
        _Slot(_TP_CALL, function_address("PyVectorcall_Call")),
        _Slot(_TP_MEMBERS, ctypes.addressof(members)),
        _Slot(0, None),
    )
    name = f"{base.__module__}.{base.__qualname__}".encode()
    size = base.__basicsize__ + ctypes.sizeof(ctypes.c_void_p)
    spec = _Spec(name, size, 0, _DEFAULT | _HAVE_VECTORCALL, slots)
    make = ctypes.pythonapi.PyType_FromSpecWithBases
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.POINTER(_Spec), ctypes.py_object]
    made: type = make(ctypes.byref(spec), (base,))
    _alive.append((members, slots, spec))
    return made


_alive: list[object] = []  # the type keeps pointers into its spec


def set_call_target(instance: object, base: type, address: int) -> None:
    """Let calls of an instance of ``callable_subtype(base)`` run the vectorcall at `address`."""
    if type(instance) is not callable_subtype(base):
        raise InternalError(f"{type(instance).__name__} is not called through a pointer")
    place = ctypes.c_size_t.from_address(id(instance) + base.__basicsize__)
    place.value = address

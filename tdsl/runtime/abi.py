"""The structs of ABI v1, which kernels take, and its error codes."""

from __future__ import annotations

import ctypes
from enum import IntEnum

VERSION = 1


class Buffer(ctypes.Structure):
    """`tdsl_buffer`: an array argument; strides count elements."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("flags", ctypes.c_int32),
        ("reserved", ctypes.c_int64),
    ]


class Context(ctypes.Structure):
    """`tdsl_context`: what a call tells a kernel, and how a kernel tells what went wrong."""

    _fields_ = [
        ("version", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        ("error_code", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("error_info", ctypes.c_int64 * 4),
    ]


class ErrorCode(IntEnum):
    """What a kernel returns."""

    OK = 0
    OUT_OF_MEMORY = 1
    INDEX_OUT_OF_RANGE = 2
    ASSUMPTION_VIOLATED = 3
    BAD_ARGUMENTS = 4


KERNEL_TYPE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)
"""``i32 kernel(ptr args, i32 n, ptr context)``; called from Python it releases the GIL."""

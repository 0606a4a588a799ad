"""The structs of ABI v1, which kernels take, and its error codes.

A kernel is ``i32 kernel(tdsl_buffer *args, i32 n, tdsl_context *context)``.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum

VERSION = 1

BUFFER_FORMAT = "=QQQiiiiq"
"""`tdsl_buffer` for `struct`: data, shape, strides (in elements), dtype, rank, device, flags, 0."""

KERNEL_ARGUMENTS = (ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)


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

"""The process's thread pool, and the memory that its kernels keep, seen from Python."""

from __future__ import annotations

import ctypes

from tdsl.runtime.cpus import MOST_THREADS, usable_cpus
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.native.loader import runtime_symbol


def num_threads() -> int:
    """How many threads a parallel loop uses, the calling one included."""
    function = ctypes.CFUNCTYPE(ctypes.c_int32)(runtime_symbol("tdsl_num_threads"))
    return int(function())


def set_num_threads(count: object) -> None:
    """Set how many threads parallel loops use from now on, the calling one included.

    Raises:
        ArgumentTypeError: not an integer.
        ArgumentValueError: not in 1 .. 1024.
    """
    if not isinstance(count, int) or isinstance(count, bool):
        raise ArgumentTypeError(f"the number of threads is {count!r}, not an integer")
    if not 1 <= count <= MOST_THREADS:
        raise ArgumentValueError(
            f"the number of threads is {count}, not in 1 .. {MOST_THREADS}",
            hint=f"this process may use {usable_cpus()}",
        )
    address = runtime_symbol("tdsl_set_num_threads")
    ctypes.CFUNCTYPE(None, ctypes.c_int32)(address)(count)


def release_memory() -> int:
    """Give the system the buffers that kernels keep for later calls; return how many bytes."""
    kept = ctypes.CFUNCTYPE(ctypes.c_int64)(runtime_symbol("tdsl_alloc_kept"))()
    ctypes.CFUNCTYPE(None)(runtime_symbol("tdsl_alloc_trim"))()
    return int(kept)

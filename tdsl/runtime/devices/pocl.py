"""What PoCL needs from us: a directory that it can write, and a processor name that it knows.

PoCL keeps compiled kernels in a directory of its own, fails obscurely where it cannot write it, and
never removes anything from it.

PoCL 3.0, which PyPI has, asks LLVM 14 for the name of the processor. LLVM calls one that it does
not know "generic", which its own C compiler then refuses ("unknown target CPU 'generic'"), and
calls AMD's with AVX-512 "znver3", whose vectors are shorter than those of the library of built-in
functions that PoCL links to them: functions of 512-bit vectors then crash. Neither can be set from
outside, so the name in PoCL's description of the device is replaced by one with the same
instructions that LLVM 14 knows. Anything that does not look as expected is left alone.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import struct
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from tdsl.cache import cache_directory
from tdsl.target import host

# A processor that LLVM 14 knows for each instruction set level, the highest first.
_KNOWN = (("avx512vl", b"skylake-avx512"), ("avx2", b"haswell"), ("sse4.2", b"nehalem"))
_WRONG = (b"generic\0", b"znver3\0")
_POINTER = struct.Struct("<Q")
_LONGEST = 16
_DESCRIPTION_BYTES = 4096  # of PoCL's description of a device that are searched
_LOWEST_ADDRESS, _HIGHEST_ADDRESS = 1 << 16, 1 << 47

_names = {name: ctypes.create_string_buffer(name) for _, name in _KNOWN}

_ABANDONED_SECONDS = 3600  # a temporary file this old belongs to a process that is gone
_KEPT_SECONDS = 7 * 24 * 3600  # compiled kernels that nobody used for so long


@lru_cache(maxsize=1)
def prepare_pocl() -> None:
    """Name PoCL's directory, before pyopencl is imported, unless the user has."""
    if "POCL_CACHE_DIR" in os.environ:
        return
    place = cache_directory()
    directory = None if place is None else place / "pocl"
    if directory is not None:
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory is None or not os.access(directory, os.W_OK):
        directory = Path(tempfile.mkdtemp(prefix="tdsl-pocl-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    else:
        _remove_old(directory)
    os.environ["POCL_CACHE_DIR"] = str(directory)


def _remove_old(directory: Path) -> None:
    """Remove what PoCL leaves behind."""
    now = time.time()
    with contextlib.suppress(OSError):
        for entry in directory.iterdir():
            temporary = entry.name.startswith("tempfile")
            age = now - entry.stat().st_mtime
            if age < (_ABANDONED_SECONDS if temporary else _KEPT_SECONDS):
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def name_processor(handle: Any, version: str) -> None:
    """Give PoCL 3.0 a processor name that its compiler knows, where it has none."""
    if "PoCL 3.0" not in version or host().triple.split("-")[0] != "x86_64":
        return
    features = host().features
    name = next((name for feature, name in _KNOWN if feature in features), None)
    if name is None:
        return
    wrong = _WRONG if name == _KNOWN[0][1] else _WRONG[:1]
    for address in _pointers_to(handle.int_ptr, wrong):
        ctypes.c_uint64.from_address(address).value = ctypes.addressof(_names[name])


def _pointers_to(start: int, texts: tuple[bytes, ...]) -> list[int]:
    """Addresses in a description of words that point to one of the texts.

    Memory is read through the kernel, which answers with an error where there is none.
    """
    found = []
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return []
    try:
        words = os.pread(memory, _DESCRIPTION_BYTES, start)
        for offset in range(0, len(words) - 7, 8):
            (target,) = _POINTER.unpack_from(words, offset)
            if not _LOWEST_ADDRESS < target < _HIGHEST_ADDRESS:
                continue
            try:
                text = os.pread(memory, _LONGEST, target)
            except OSError:
                continue
            if text.startswith(texts):
                found.append(start + offset)
    except OSError:
        return []
    finally:
        os.close(memory)
    return found

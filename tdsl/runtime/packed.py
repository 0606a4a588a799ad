"""Arrays that a kernel keeps in a layout of its own, made by `Kernel.pack`."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

_LINE = 64  # bytes of a cache line, and of the widest vector


def empty_in_lines(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An array that starts at a cache line, so that no whole vector of it crosses one.

    >>> empty_in_lines((2, 3), np.dtype("float32")).ctypes.data % 64
    0
    """
    nbytes = math.prod(shape) * dtype.itemsize
    room = np.empty(nbytes + _LINE, np.uint8)
    start = -room.ctypes.data % _LINE
    return room[start : start + nbytes].view(dtype).reshape(shape)


class PackedArray:
    """An argument in the layout that one kernel wants it in.

    `Kernel.pack("B", b)` makes it, and it is passed in b's place. It is read-only. `tag` names the
    packing; a kernel refuses an array that was packed by another one.
    """

    # The call path reads both slots by offset: they come first, in this (alphabetical) order.
    __slots__ = ("_array", "_tag")

    _array: np.ndarray[Any, Any]
    _tag: str

    def __init__(self, array: np.ndarray[Any, Any], tag: str) -> None:
        array = np.ascontiguousarray(array) if array.ndim else array
        array.flags.writeable = False
        object.__setattr__(self, "_array", array)
        object.__setattr__(self, "_tag", sys.intern(tag))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a PackedArray is read-only; pack anew to change {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a PackedArray is read-only; {name!r} stays")

    @property
    def array(self) -> np.ndarray[Any, Any]:
        """The packed elements, read-only."""
        return self._array

    @property
    def tag(self) -> str:
        """The name of the packing."""
        return self._tag

    @property
    def nbytes(self) -> int:
        """Bytes of the packed elements."""
        return int(self._array.nbytes)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self._array.shape)) or "scalar"
        return f"<PackedArray {self._array.dtype} {shape}, packed by {self._tag}>"

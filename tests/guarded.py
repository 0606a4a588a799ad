"""Arrays beside pages that may not be touched: an access outside of them ends the process."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

_PAGE = mmap.PAGESIZE
_NOTHING = 0  # PROT_NONE
_BETWEEN = 99


def guarded(array: np.ndarray[Any, Any], *, at_end: bool = True) -> np.ndarray[Any, Any]:
    """A contiguous copy that ends where memory may not be touched, or else begins behind such.

    The other side is forbidden too, after what is left of a page.
    """
    room = max(1, -(-array.nbytes // _PAGE)) * _PAGE
    memory = mmap.mmap(-1, room + 2 * _PAGE)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for page in (begin, begin + _PAGE + room):
        _forbid(page)
    offset = _PAGE + (room - array.nbytes if at_end else 0)
    copy = np.ndarray(array.shape, array.dtype, memory, offset)
    copy[...] = array
    return copy


def with_gaps(array: np.ndarray[Any, Any], *, at_end: bool = True) -> np.ndarray[Any, Any]:
    """As `guarded`, but not contiguous: every other place of a row, or else all backwards.

    Between the elements lie numbers that are none of them, or hardly any: 99.
    """
    if not at_end:
        backwards = tuple(slice(None, None, -1) for _ in array.shape)
        return guarded(array[backwards], at_end=False)[backwards]
    *rows, last = array.shape
    wide = np.full((*rows, max(0, 2 * last - 1)), _BETWEEN, array.dtype)
    wide[..., ::2] = array
    return guarded(wide)[..., ::2]


def _forbid(page: int) -> None:
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    if protect(ctypes.c_void_p(page), ctypes.c_size_t(_PAGE), ctypes.c_int(_NOTHING)):
        raise OSError(ctypes.get_errno(), "mprotect")

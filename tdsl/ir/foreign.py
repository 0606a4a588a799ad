"""Foreign C functions by name: their types, where they are, and what they mean in Python.

A kernel refers to one by its symbol. Those of the process (libm, libc, libraries that are loaded
globally) need no entry here; a function that only a pointer leads to is registered. Nothing but the
user's own program registers any: no file that tdsl reads can name an address.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.errors import DeclarationError, TdslError

_CTYPES: Mapping[DType, Any] = {
    dtypes.bool_: ctypes.c_bool,
    dtypes.int8: ctypes.c_int8,
    dtypes.int16: ctypes.c_int16,
    dtypes.int32: ctypes.c_int32,
    dtypes.int64: ctypes.c_int64,
    dtypes.uint8: ctypes.c_uint8,
    dtypes.uint16: ctypes.c_uint16,
    dtypes.uint32: ctypes.c_uint32,
    dtypes.uint64: ctypes.c_uint64,
    dtypes.float32: ctypes.c_float,
    dtypes.float64: ctypes.c_double,
}


@dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """A registered function of scalars.

    Attributes: `address` (None: the process defines the symbol); `meaning`, what it computes, in
    Python (None: the function itself is called); `owner` keeps the library loaded.
    """

    symbol: str
    arguments: tuple[DType, ...]
    result: DType
    address: int | None = None
    meaning: Callable[..., Any] | None = None
    owner: object = None

    @property
    def identity(self) -> object:
        """What may not change while kernels may call it."""
        return self.arguments, self.result, self.address


_FUNCTIONS: dict[str, Foreign] = {}
_KERNELS: dict[str, tuple[int, object]] = {}


def register(function: Foreign) -> Foreign:
    """Make a function known by its symbol.

    Raises:
        DeclarationError: another function has the symbol; kernels that call it may be loaded.
    """
    known = _FUNCTIONS.get(function.symbol)
    if known is not None and known.identity != function.identity:
        raise DeclarationError(
            f"another foreign function is called {function.symbol!r}",
            hint="kernels may call that one already: give this one a name of its own",
        )
    _FUNCTIONS[function.symbol] = function
    return function


def registered(symbol: str) -> Foreign | None:
    """The function registered under a symbol, if any."""
    return _FUNCTIONS.get(symbol)


def register_kernel(symbol: str, address: int, owner: object) -> None:
    """Make a function of arrays known by its symbol; `owner` keeps its library loaded.

    Raises:
        DeclarationError: another function has the symbol; kernels that call it may be loaded.
    """
    if _KERNELS.setdefault(symbol, (address, owner))[0] != address or symbol in _FUNCTIONS:
        raise DeclarationError(
            f"another foreign function is called {symbol!r}",
            hint="kernels may call that one already: give this one a name of its own",
        )


def addresses() -> dict[str, int]:
    """Where registered functions are that the process does not define by itself."""
    found = {name: f.address for name, f in _FUNCTIONS.items() if f.address is not None}
    return found | {name: address for name, (address, _) in _KERNELS.items()}


def has_c_type(dtype: DType) -> bool:
    """Whether C functions can take and return values of a dtype."""
    return dtype in _CTYPES


def as_python(symbol: str, arguments: Sequence[DType], result: DType) -> Callable[..., Any]:
    """A Python function of scalars that computes what the C function does.

    Raises:
        TdslError: nothing defines the symbol, or C has no such types.
    """
    known = _FUNCTIONS.get(symbol)
    if known is not None and known.meaning is not None:
        return known.meaning
    unfit = [dtype for dtype in (*arguments, result) if not has_c_type(dtype)]
    if unfit:
        raise TdslError(f"a foreign function cannot take or return {unfit[0]}")
    prototype = ctypes.CFUNCTYPE(_CTYPES[result], *(_CTYPES[dtype] for dtype in arguments))
    if known is not None and known.address is not None:
        return prototype(known.address)
    try:
        return prototype((symbol, ctypes.CDLL(None)))
    except AttributeError:
        raise TdslError(
            f"tdsl knows no function {symbol!r}: nothing in this process defines it",
            hint="load its library first, ctypes.CDLL(path, ctypes.RTLD_GLOBAL), or pass its "
            "pointer to td.extern_function",
        ) from None

"""`td.extern` and `td.extern_function`: call a C function on scalars."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tdsl.dtypes import DType, as_dtype
from tdsl.errors import DeclarationError, TypeMismatch
from tdsl.ir.expr import Extern
from tdsl.ir.foreign import Foreign, has_c_type, register, registered
from tdsl.lang.value import Value, as_expr


def extern(symbol: str, dtype: object, *args: object) -> Value:
    """The result of a foreign C function of scalar arguments, which must be pure.

    The symbol is looked up in the process (libm, libc and what is loaded globally) when the kernel
    is built; td.extern_function declares one that only a pointer leads to. A vectorised loop calls
    it once for each lane. td.reference calls it too.

    >>> extern("hypot", "float64", 3.0, 4.0).dtype.name
    'float64'

    Raises:
        DeclarationError: a symbol that is no C identifier.
        TypeMismatch: other arguments than td.extern_function has declared for the symbol.
    """
    if not symbol.isidentifier():
        raise DeclarationError(f"{symbol!r} is no C symbol")
    kind = as_dtype(dtype)
    numbers = tuple(a if isinstance(a, Value) else as_expr(a, kind) for a in args)
    exprs = tuple(a.expr if isinstance(a, Value) else a for a in numbers)
    known = registered(symbol)
    found = tuple(e.dtype for e in exprs)
    if known is not None and (known.arguments, known.result) != (found, kind):
        raise TypeMismatch(
            f"{symbol} is declared as {_signature(known.arguments, known.result)}, "
            f"and called as {_signature(found, kind)}",
            hint="td.cast the arguments",
        )
    return Value(Extern(symbol, exprs, kind))


@dataclass(frozen=True, slots=True)
class ExternFunction:
    """A declared C function: call it on values inside td.compute."""

    symbol: str
    arguments: tuple[DType, ...]
    result: DType

    def __call__(self, *args: object) -> Value:
        """The function's result; numbers take the dtype of their argument."""
        if len(args) != len(self.arguments):
            raise TypeMismatch(
                f"{self.symbol} takes {len(self.arguments)} arguments, got {len(args)}",
                hint=f"it is {_signature(self.arguments, self.result)}",
            )
        values = [
            a if isinstance(a, Value) else Value(as_expr(a, dtype))
            for a, dtype in zip(args, self.arguments, strict=True)
        ]
        return extern(self.symbol, self.result, *values)


def extern_function(
    symbol: str,
    dtype: object,
    arguments: Sequence[object],
    function: object = None,
    reference: Callable[..., Any] | None = None,
) -> ExternFunction:
    """Declare a C function of scalars, to be called in td.compute.

    It must be pure, and safe to call from several threads at once.

    Args:
        symbol: its name; kernels refer to it by that.
        dtype: of its result.
        arguments: the dtypes of its arguments.
        function: where it is: a function of a `ctypes` library, or an address (the `address` of a
            numba cfunc, say). None: the process defines the symbol.
        reference: what it computes, as a Python function of numbers, for td.reference and the
            interpreter; None: they call the function itself.

    >>> import ctypes
    >>> import numpy as np
    >>> import tdsl as td
    >>> library = ctypes.CDLL("libm.so.6")
    >>> cube_root = td.extern_function("my_cbrt", "float64", ["float64"], library.cbrt)
    >>> A = td.placeholder((3,), "float64", name="A")
    >>> B = td.compute((3,), lambda i: cube_root(A[i]) + 1.0, name="B")
    >>> td.build(td.func("roots", [A], [B]))(np.array([1.0, 8.0, 27.0]))
    array([2., 3., 4.])

    Raises:
        DeclarationError: no C identifier, a dtype that C has not, a Python callback, or another
            function of that name.
    """
    if not symbol.isidentifier():
        raise DeclarationError(f"{symbol!r} is no C symbol")
    result = as_dtype(dtype)
    kinds = tuple(as_dtype(a) for a in arguments)
    for kind in (result, *kinds):
        if not has_c_type(kind):
            raise DeclarationError(
                f"{symbol} cannot take or return {kind}", hint="cast to float32 around it"
            )
    register(Foreign(symbol, kinds, result, address_of(symbol, function), reference, function))
    return ExternFunction(symbol, kinds, result)


_POINTER = ctypes.CFUNCTYPE(None).__mro__[1]  # the base of all ctypes functions


def address_of(symbol: str, function: object) -> int | None:
    """The address behind a ctypes function, or an address itself; None for None.

    Raises:
        DeclarationError: neither of them, or a Python callback.
    """
    if function is None or (isinstance(function, int) and not isinstance(function, bool)):
        if function is not None and function <= 0:
            raise DeclarationError(f"{function} is no address of {symbol}")
        return function
    if not isinstance(function, _POINTER):
        raise DeclarationError(
            f"{symbol}: expected a ctypes function or an address, got {type(function).__name__}",
            hint="ctypes.CDLL(path).name is one; a Python function goes to reference=",
        )
    held = getattr(function, "_objects", None) or {}
    if any(type(owner).__name__ == "CThunkObject" for owner in held.values()):
        raise DeclarationError(
            f"{symbol} is a Python function behind a C pointer: the threads of a kernel would wait "
            "for Python, and Python for them",
            hint="compile it (a C library, a numba cfunc), or say what it means with td.compute",
        )
    address = ctypes.cast(cast("Any", function), ctypes.c_void_p).value
    if not address:
        raise DeclarationError(f"the pointer to {symbol} is null")
    return address


def _signature(arguments: Sequence[DType], result: DType) -> str:
    return f"({', '.join(map(str, arguments))}) -> {result}"

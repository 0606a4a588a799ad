"""`td.extern`: call a C function on scalars."""

from __future__ import annotations

from tdsl.dtypes import as_dtype
from tdsl.errors import DeclarationError
from tdsl.ir.expr import Extern
from tdsl.lang.value import Value, as_expr


def extern(symbol: str, dtype: object, *args: object) -> Value:
    """The result of a foreign C function of scalar arguments, which must be pure.

    The symbol is looked up in the process (libm, libc and what is loaded) when the kernel is
    built; a vectorised loop calls it once for each lane.

    >>> extern("hypot", "float64", 3.0, 4.0).dtype.name
    'float64'

    Raises:
        DeclarationError: a symbol that is no C identifier.
    """
    if not symbol.isidentifier():
        raise DeclarationError(f"{symbol!r} is no C symbol")
    kind = as_dtype(dtype)  # type: ignore[arg-type]
    numbers = tuple(a if isinstance(a, Value) else as_expr(a, kind) for a in args)
    exprs = tuple(a.expr if isinstance(a, Value) else a for a in numbers)
    return Value(Extern(symbol, exprs, kind))

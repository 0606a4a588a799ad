"""`td.extern_kernel`: declare a C function of arrays by what it means, for `s.call_extern`."""

from __future__ import annotations

import ctypes
import hashlib
from typing import Any, cast

import numpy as np

from tdsl.errors import DeclarationError
from tdsl.ir.equal import fingerprint
from tdsl.ir.expr import Buffer
from tdsl.ir.foreign import has_c_type, register_kernel
from tdsl.ir.instruction import Instruction, elements
from tdsl.ir.stmt import Block
from tdsl.lang.extern import address_of
from tdsl.lang.func import Func
from tdsl.lang.instruction import declared, meaning_of
from tdsl.lang.reference import reference

_COMBINE = {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}
_SCALARS = {"float32": "float", "float64": "double"}


def extern_kernel(
    name: str, meaning: Func, function: object, numerics: str = "exact"
) -> Instruction:
    """Declare a C function `void name(T *out, const A *a, ...)` that updates a small array.

    `s.call_extern(loop, name)` maps a loop nest to it once it is proven that the nest does what
    the function means. That the function does it is taken on trust, but for one call on random
    numbers, here.

    Args:
        name: what schedules call it; kernels refer to it by that symbol.
        meaning: a function of one reduction with constant extents, as for td.instruction; its
            inputs are the arrays, in order. The function adds to what `out` holds.
        function: where it is: a function of a `ctypes` library, or an address. Arrays are
            row-major, each in one piece, and aligned as their elements are; the function must be
            safe to call from several threads at once.
        numerics: how far its rounding may differ from that of the meaning: "exact",
            "reassociates" or "approximates".

    A micro-kernel in C, say, whose meaning is `out[i, j] += a[i, k] * b[k, j]` for 4 x 8 x 5::

        td.extern_kernel("tile", meaning, ctypes.CDLL("./tile.so").tile)
        s.call_extern(ii, "tile")

    Raises:
        DeclarationError: the meaning is more than one reduction, the function computes something
            else, or another one has the name.
    """
    block, inputs = meaning_of(name, meaning, numerics)
    arrays = [block.writes[0].buffer, *inputs]
    for buffer in arrays:
        if not has_c_type(buffer.dtype) or buffer.dtype.is_bool:
            raise DeclarationError(
                f"{name} takes {buffer.name} of {buffer.dtype}", hint="integers, float32 or float64"
            )
    address = address_of(name, function)
    if address is None:
        raise DeclarationError(f"{name}: where is it?", hint="pass ctypes.CDLL(path).name")
    _try(name, meaning, block, arrays, address, exact=numerics == "exact")
    register_kernel(name, address, function)
    text = "\n".join((fingerprint(meaning.program), "by pointer", numerics))
    key = f"{name}.v{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    types = tuple(_type(buffer) for buffer in arrays)
    return declared(
        Instruction(name, key, block, inputs, name, types, (), numerics, by_pointer=True)
    )


def _type(buffer: Buffer) -> str:
    scalar = _SCALARS.get(buffer.dtype.name, f"i{buffer.dtype.bits}")
    return f"<{elements(buffer)} x {scalar}>"


def _try(
    name: str, meaning: Func, block: Block, arrays: list[Buffer], address: int, *, exact: bool
) -> None:
    """Call the function once, on random numbers, and compare with what it means."""
    combine = _COMBINE.get(block.reducer.name if block.reducer is not None else "")
    if combine is None:
        return
    random = np.random.default_rng(0)
    out, *inputs = [_numbers(buffer, random) for buffer in arrays]
    found = out.copy()
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in (found, *inputs)]
    ctypes.CFUNCTYPE(None, *([ctypes.c_void_p] * len(pointers)))(address)(*pointers)
    with np.errstate(over="ignore"):
        wanted = combine(out, cast("np.ndarray[Any, Any]", reference(meaning)(*inputs)))
    close = 0.0 if out.dtype.kind != "f" else 1e-5 if exact else 1e-2
    if not np.allclose(found, wanted, rtol=close, atol=close):
        at = tuple(int(n) for n in np.argwhere(~np.isclose(found, wanted, close, close))[0])
        raise DeclarationError(
            f"{name} does not compute its meaning: on random numbers, element {list(at)} of "
            f"{arrays[0].name} becomes {found[at]}, not {wanted[at]}",
            hint=f"its arguments are {', '.join(b.name for b in arrays)}, and it adds to the first",
        )


def _numbers(buffer: Buffer, random: np.random.Generator) -> np.ndarray[Any, Any]:
    shape = tuple(int(cast("Any", extent).value) for extent in buffer.shape)
    if buffer.dtype.is_float:
        return random.standard_normal(shape).astype(buffer.dtype.numpy)
    return random.integers(0, 100, shape).astype(buffer.dtype.numpy)

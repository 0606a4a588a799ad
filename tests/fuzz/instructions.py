"""Small instructions for the fuzzer: products summed over one axis, of many extents."""

from __future__ import annotations

import tdsl as td
from tdsl.schedules.instructions import dot_products

DTYPES = ("int32", "int64", "float32")


def declare() -> None:
    """Declare them; a second time does nothing."""
    for dtype in DTYPES:
        scalar = {"int32": "i32", "int64": "i64", "float32": "float"}[dtype]
        for lanes in range(2, 6):
            for depth in range(1, 6):
                name = f"dot_{dtype}_{lanes}x{depth}"
                meaning = dot_products(lanes, depth, (dtype, dtype), dtype, name=name)
                types = [f"<{n} x {scalar}>" for n in (lanes, depth, lanes * depth)]
                td.instruction(name, meaning, "llvm.none", types, ["no-such-feature"])

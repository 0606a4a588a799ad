"""Matrix product of bytes into 32-bit integers, by AVX-512 VNNI where the machine has it.

Each thread packs a panel of 64 columns of B, groups of four rows side by side, and sweeps it with a
register tile of 6 x 64 sums: 24 of the 32 vector registers.
"""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td
from tdsl.schedules.dot_products import tile_dot_products


def product(shape: Mapping[str, int], name: str, a: str, b: str, accumulator: str) -> td.Func:
    """C = A B, in the accumulator's dtype."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((m, k), a, name="A")
    B = td.placeholder((k, n), b, name="B")
    r = td.reduce_axis(k, name="k")

    def term(i: td.Value, j: td.Value) -> td.Value:
        return td.sum(td.cast(A[i, r], accumulator) * td.cast(B[r, j], accumulator), axis=r)

    return td.func(name, [A, B], [td.compute((m, n), term, name="C")])


def workload(shape: Mapping[str, int]) -> td.Func:
    """Unsigned by signed bytes."""
    return product(shape, "gemm_i8", "uint8", "int8", "int32")


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Sums of four products."""
    del threads
    s = td.Schedule(func)
    tile_dot_products(s, "C", "B", "vpdpbusd")
    return s

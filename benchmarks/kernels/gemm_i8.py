"""Matrix product of bytes into 32-bit integers, by AVX-512 VNNI where the machine has it.

Each thread packs a panel of 64 columns of B, groups of four rows side by side, and sweeps it with a
register tile of 6 x 64 sums: 24 of the 32 vector registers.
"""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

ROWS, COLUMNS = 6, 64
LANES = 16  # of an instruction; each sums `depth` products


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
    return tile_dot_products(func, "vpdpbusd", depth=4)


def tile_dot_products(func: td.Func, instruction: str, depth: int) -> td.Schedule:
    """Panels of columns in parallel, each packed for an instruction that sums `depth` products."""
    s = td.Schedule(func)
    columns, terms = func.outputs[0].shape[1], func.inputs[0].shape[1]
    whole = columns % COLUMNS == 0 and terms % depth == 0
    padded = () if whole else s.pad_einsum("C", (1, COLUMNS, depth))
    packed = "B.C" if "B.C" in padded else s.cache_read("C", "B")
    i, j, k = s.loops("C")
    jo, ji = s.split(j, COLUMNS)
    io, ii = s.split(i, ROWS, tail="balance")
    s.reorder(jo, io, ii, ji)
    output = s.cache_write("C", "register", at=io)
    s.compute_at(packed, at=jo)
    _pack(s, packed, depth)
    vector, lane = s.split(ji, LANES)
    ko, ki = s.split(k, depth)
    s.reorder(ko, ii, vector, lane, ki)
    for loop in (ii, vector, s.loops(output)[-2]):
        s.unroll(loop)
    s.tensorize(lane, instruction)
    s.vectorize(s.loops(output)[-1])
    s.parallel(jo)
    return s


def _pack(s: td.Schedule, copy: str, depth: int) -> None:
    """What one instruction multiplies lies side by side, and is written by one store."""
    s.transform_layout(copy, f"k, j -> k // {depth}, j, k % {depth}")
    k, j = s.loops(copy)[-2:]
    ko, ki = s.split(k, depth)
    jo, ji = s.split(j, LANES)
    s.reorder(ko, jo, ji, ki)
    s.vectorize(s.fuse(ji, ki))

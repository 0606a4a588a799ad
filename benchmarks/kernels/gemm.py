"""Matrix product of float32, packing inside the call.

Each thread takes panels of 64 columns: it packs one panel of B (K x 64, which stays in L2), then
sweeps panels of 6 rows of A in place with a register tile of 6 x 64, which leaves 8 of the 32
vector registers for B and the broadcasts of A. Long rows of A come from L3 while a long panel of B
fills L2: then 4 rows at a time are quicker (measured at 2048).
"""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

CONSTANTS = {1: "B"}
ROWS, COLUMNS = 6, 64
LONG_ROWS, LONG = 4, 1024
PACKED = f"k, j -> j // {COLUMNS}, k, j % {COLUMNS}"


def workload(shape: Mapping[str, int]) -> td.Func:
    """C = A B."""
    m, n, k = shape["m"], shape["n"], shape["k"]
    A = td.placeholder((m, k), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    return td.func("gemm", [A, B], [C])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Panels of columns in parallel, a packed panel of B, a register tile of C."""
    del threads
    s = td.Schedule(func)
    tile_panels(s, s.cache_write("C", "register"), _rows(func), COLUMNS, pack=True)
    return s


def _rows(func: td.Func) -> int:
    k = func.inputs[0].shape[1]
    return LONG_ROWS if isinstance(k, int) and k > LONG else ROWS


def constant_schedule(func: td.Func, threads: int) -> td.Schedule:
    """The same, with all of B packed ahead of the call."""
    del threads
    s = td.Schedule(func)
    s.transform_layout("B", PACKED, prepacked=True)
    tile_panels(s, s.cache_write("C", "register"), _rows(func), COLUMNS, pack=False)
    return s


def tile_panels(
    s: td.Schedule, output: str, rows: int, columns: int, *, pack: bool, tail: str = "balance"
) -> None:
    """Compute C of a matrix product in register tiles where block *output* uses them.

    `pack` copies a panel of B for each thread; `tail` is how rows that do not fill a tile are done.
    """
    i, j = s.loops(output)
    jo, ji = s.split(j, columns, tail="mask")
    io, ii = s.split(i, rows, tail=tail)
    s.reorder(jo, io, ii, ji)
    s.compute_at("C", at=io)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    wide = [ji, cj]
    if pack:
        wide.append(s.loops(s.cache_read("C", "B", at=jo))[-1])
    for loop in wide:
        s.vectorize(loop)
    s.unroll(ii)
    s.unroll(ci)
    s.parallel(jo)

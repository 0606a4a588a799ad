"""Predicted traffic: loops whose footprints are known by hand."""

import pytest

import tdsl as td
from tdsl.analysis.traffic import Traffic

KIB = 1024


@pytest.fixture
def matmul():
    A = td.placeholder((64, 64), "float32", name="A")
    B = td.placeholder((64, 64), "float32", name="B")
    k = td.reduce_axis(64, name="k")
    C = td.compute((64, 64), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.Schedule(td.func("mm", [A, B], [C]))


def test_what_fits_comes_in_once(matmul):
    traffic = Traffic(matmul.program, {}, [64 * KIB])
    assert traffic.flops == 2 * 64**3
    assert traffic.touched == 3 * 64 * 64 * 4
    assert traffic.moved == (traffic.touched,)
    assert [loop.moved for loop in traffic.loops()] == [(traffic.touched,), (None,), (None,)]


def test_an_operand_that_does_not_fit_comes_in_for_each_row(matmul):
    traffic = Traffic(matmul.program, {}, [4 * KIB])
    i, j, k = traffic.loops()
    assert (i.runs, j.runs, k.runs) == (1, 64, 64 * 64)
    assert k.touched == 4 * (64 + 64 + 1)
    assert j.touched == 4 * (64 + 64 * 64 + 64)
    # one iteration of j, a row and a column, fits: the loop brings in a row of A and all of B
    assert traffic.moved == (64 * j.touched,)
    assert (i.moved, j.moved, k.moved) == ((64 * j.touched,), (64 * j.touched,), (None,))


def test_tiles_bring_less_in_than_rows(matmul):
    naive = Traffic(matmul.program, {}, [4 * KIB]).moved[0]
    io, jo, ii, ji = matmul.tile("C.i", "C.j", 8, 8)
    matmul.reorder(io, jo, "C.k", ii, ji)
    tiled = Traffic(matmul.program, {}, [4 * KIB])
    # each tile of C brings in 8 rows of A and 8 columns of B
    assert tiled.moved == (64 * 4 * (8 * 64 + 64 * 8 + 64),)
    assert tiled.moved[0] < naive / 3


def test_registers_are_no_memory(matmul):
    io, jo, ii, ji = matmul.tile("C.i", "C.j", 8, 8)
    matmul.reorder(io, jo, "C.k", ii, ji)
    before = Traffic(matmul.program, {}).loops()
    matmul.cache_write("C", "register", at=jo)
    after = Traffic(matmul.program, {}).loops()
    assert [loop.touched for loop in after if loop.loop.var.name == "k"] == [4 * (8 * 64 * 2)]
    assert [loop.touched for loop in before if loop.loop.var.name == "k"] == [4 * (8 * 64 * 2 + 64)]


def test_symbolic_sizes_triangles_and_data_dependent_indices():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    where = td.placeholder((N,), "int32", name="where")
    k = td.reduce_axis(N, name="k")
    P = td.compute((N,), lambda i: td.sum(A[where[k]], axis=k, where=k <= i), name="P")
    s = td.Schedule(td.func("f", [A, where], [P]))
    traffic = Traffic(s.program, {s.program.sizes[0]: 10}, [KIB])
    assert traffic.touched == 10 * 4 * 3
    assert traffic.moved == (120,)
    assert Traffic(s.program, {s.program.sizes[0]: 0}, [KIB]).moved == (0,)

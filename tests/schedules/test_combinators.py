"""Combinators of the library: what they make, and that it computes what it did."""

import pytest

import tdsl as td
from tdsl.schedules import combinators as made
from tdsl.schedules.stencil_chain import fuse_stencil_chain
from tests.scheduling.running import check


def row_sums(n=37, dtype="int32"):
    x = td.placeholder((3, n), dtype, name="x")
    k = td.reduce_axis(n, name="k")
    D = td.compute((3,), lambda i: td.sum(x[i, k], axis=k), name="D")
    return td.func("row_sums", [x], [D])


def mirrored():
    A = td.placeholder((9, 8), "int32", name="A")
    B = td.compute((9, 8), lambda i, j: A[i, j] * 2, name="B")
    C = td.compute((9, 8), lambda i, j: B[i, j] + B[i, 7 - j], name="C")
    return td.func("mirrored", [A], [C])


def matmul(m=20, n=70, k=6):
    A = td.placeholder((m, k), "float32", name="A")
    B = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    C = td.compute((m, n), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    return td.func("matmul", [A, B], [C])


@pytest.mark.parametrize("atomic", [False, True])
@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_parts_of_a_sum_run_at_once(dtype, atomic):
    s = td.Schedule(row_sums(dtype=dtype))
    made.split_k(s, "D.k", 8, atomic=atomic)
    label = "exact" if dtype == "int32" else "unordered" if atomic else "reassociates"
    assert s.numerics.value == label
    check(s)


@pytest.mark.parametrize("n", [1, 8, 37])
def test_a_tree_halves_its_parts(n):
    s = td.Schedule(row_sums(n))
    names = made.tree_reduce(s, "D.k", 8)
    assert names == ("D.rf", "D.rf.1", "D.rf.2")
    assert [s.nest.block(name).loops[-1].extent for name in names[1:]] == [4, 2]
    check(s)
    with pytest.raises(td.ScheduleError, match="no halves"):
        made.tree_reduce(td.Schedule(row_sums()), "D.k", 6)


@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_a_producer_runs_ahead_in_as_many_places_and_one(ahead):
    s = td.Schedule(mirrored())
    s.compute_at("B", "C.i")
    s.pipeline("B", "C.i", ahead)
    assert f"stored at [i % {ahead + 1}, j]" in str(s)
    check(s)


def test_a_pipeline_over_a_parallel_loop_is_refused_as_a_whole():
    s = td.Schedule(mirrored())
    s.compute_at("B", "C.i")
    s.parallel("C.i")
    before = str(s)
    with pytest.raises(td.ScheduleError):
        s.pipeline("B", "C.i")
    assert str(s) == before


def test_a_wavefront_runs_in_parallel():
    X = td.placeholder((8,), "int32", name="X")
    t = td.scan_axis(5, name="t")

    def step(t, before):
        h = before["h"]
        return {"h": lambda i: h[td.maximum(i - 1, 0)] + h[td.minimum(i + 1, 7)]}

    h = td.scan(t, {"h": ((8,), X)}, step, name="S")["h"]
    s = td.Schedule(td.func("spread", [X], [h]))
    with pytest.raises(td.ScheduleError):
        made.wavefront(s, "t", "i", by=1)  # neighbours on one diagonal
    made.wavefront(s, "t", "i", by=2)
    check(s)


@pytest.mark.parametrize("target", ["llvm -mcpu=znver4", "llvm -mcpu=haswell"])
def test_tiles_follow_the_target(target):
    s = td.Schedule(matmul(), target)
    made.tile_in_registers(s, "C")
    lanes = 16 if "znver4" in target else 8
    assert f"vectorized({lanes})" in str(s)
    check(s)
    with pytest.raises(td.ScheduleError, match="not like a matmul"):
        made.tile_in_registers(td.Schedule(mirrored()), "C")


def test_a_tile_is_copied_out_by_its_own_block():
    s = td.Schedule(matmul(19, 70, 6), "llvm -mcpu=znver4")
    s.pad_einsum("C", (4, 16, 1))  # C.out copies what is not padding
    s.fuse("C.out.i", "C.out.j")
    made.tile_in_registers(s, "C")
    assert len(s.loops("C.out")) == 1
    kinds = [loop.kind.value for loop in s.nest.block("C.out.1").loops[-2:]]
    assert kinds == ["unrolled", "vectorized"]
    check(s)


def test_two_loops_over_one_dimension_are_no_tile():
    a = td.placeholder((64,), "float32", name="A")
    k = td.reduce_axis(64, name="k")
    total = td.compute((32,), lambda i: td.sum(a[k], axis=k) * 2.0, name="T")
    s = td.Schedule(td.func("totals", [a], [total]))
    s.split("T.sum.i", 4)
    with pytest.raises(td.ScheduleError, match="not like a matmul"):
        made.tile_in_registers(s, "T.sum")


def test_a_block_that_is_not_there_is_named():
    with pytest.raises(td.ScheduleError, match="there is no block 'D'"):
        made.tile_in_registers(td.Schedule(matmul()), "D")


def chain(h=37, w=53):
    a = td.placeholder((h + 4, w + 4), "int32", name="A")
    b = td.compute((h + 2, w + 2), lambda y, x: a[y, x] + a[y + 2, x + 1], name="B")
    c = td.compute((h, w), lambda y, x: b[y, x + 1] - b[y + 2, x], name="C")
    return td.func("chain", [a], [c])


@pytest.mark.parametrize("target", ["llvm -mcpu=znver4", "llvm -mcpu=haswell"])
@pytest.mark.parametrize(("strip", "columns", "rows"), [(16, 32, 2), (8, 0, 1), (64, 64, 4)])
def test_a_chain_of_stencils_slides_down_its_tiles(target, strip, columns, rows):
    s = td.Schedule(chain(), target)
    fuse_stencil_chain(s, ("B", "C"), strip, columns, rows)
    assert f"vectorized({16 if 'znver4' in target else 8})" in str(s)
    check(s)


def test_a_chain_of_stencils_says_what_is_wrong():
    for blocks, strip, reason in (
        ((), 8, "the chain has no blocks"),
        (("B", "C"), 7, "strip=7 is no multiple of rows=2"),
        (("C", "B"), 8, "no block inside loop 'ym' reads 'C'"),
        (("B", "D"), 8, "there is no block 'D'"),
    ):
        s = td.Schedule(chain())
        before = str(s)
        with pytest.raises(td.ScheduleError) as caught:
            fuse_stencil_chain(s, blocks, strip, columns=32, rows=2)
        assert reason in str(caught.value)
        assert str(s) == before


def test_packed_operands_are_read_in_order():
    s = td.Schedule(matmul(5, 8, 6))
    name = made.pack_operand(s, "C", "B", "k, j -> j // 4, k, j % 4", at="C.i")
    assert name == "B.C"
    assert "stored at [j // 4, k, j % 4]" in str(s)
    check(s)


def test_combinators_are_lines_of_schedule_files(tmp_path):
    s = td.Schedule(row_sums())
    made.split_k(s, "D.k", 8)
    s.save(tmp_path / "f.schedule", algorithm="f.py:row_sums")
    assert 'split_k(s, "D.k", 8)' in (tmp_path / "f.schedule").read_text()
    assert str(td.load_schedule(tmp_path / "f.schedule", s.func)) == str(s)

import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, increment, matmul
from tests.scheduling.running import check, scheduled


def test_pieces_are_numbered_and_scheduled_apart():
    s = scheduled(increment(100))
    body, rest = s.partition("i", 96)
    assert s.blocks() == ("B@0", "B@1")
    assert (body.extent, rest.extent) == (96, 4)
    s.vectorize(body, 16)
    s.unroll(rest)
    check(s)


def test_several_points_make_several_pieces():
    s = scheduled(increment(20))
    assert [loop.extent for loop in s.partition("i", (3, 10))] == [3, 7, 10]
    check(s)


@pytest.mark.parametrize("n", [0, 3, 8, 9])
def test_symbolic_loops_are_cut(n):
    s = scheduled(increment("N"))
    s.partition("i", 8)
    check(s, {"N": n})


def test_pieces_of_a_reduction_have_their_own_inits():
    s = scheduled(matmul(10, 4, 3))
    head, tail = s.partition("i", 8)
    s.reorder("C@0.k", head)
    s.parallel(tail)
    check(s)


def test_pieces_of_a_stencil_border():
    s = scheduled(blur(8, 8))
    s.partition("Y.i", (1, 7))
    check(s)


def test_a_reduction_loop_needs_its_init_apart():
    s = scheduled(matmul(4, 4, 10))
    with pytest.raises(td.ScheduleError, match="decompose_reduction first"):
        s.partition("k", 8)
    s.decompose_reduction("C", "C.i")
    s.partition("k", 8)
    check(s)


def test_a_block_in_pieces_is_named_by_piece():
    s = scheduled(matmul(10, 4, 3))
    s.partition("i", 8)
    with pytest.raises(td.ScheduleError, match="name one of 'C@0', 'C@1'"):
        s.loops("C")
    assert [loop.name for loop in s.loops("C@1")] == ["i", "j", "k"]
    s.split("C@1.j", 2)
    check(s)


def test_points_outside_are_refused():
    s = scheduled(increment(10))
    with pytest.raises(td.ScheduleError, match="points from 1 to 9"):
        s.partition("i", 10)
    with pytest.raises(td.TypeMismatch):
        s.partition("i", (5, 5))


def test_a_fused_loop_is_cut():
    s = scheduled(matmul(4, 5, 3))
    s.partition(s.fuse("i", "j"), 7)
    check(s)


def test_private_tensors_are_placed_after():
    s = scheduled(blur(8, 8))
    s.compute_at("X", "Y.i")
    with pytest.raises(td.ScheduleError, match="partition before placing"):
        s.partition("Y.i", 4)

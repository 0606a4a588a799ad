"""Loops whose number of iterations depends on a loop around them: few steps make such, all meet."""

import pytest

import tdsl as td
from tests.scheduling.running import check, nest, scheduled


def rows():
    """Rows of C are computed as soon as the 7 elements of B at hand have their first column.

    That is for two or three rows, depending on where the 7 start; the loops of C then stand in a
    loop of their own.
    """
    a = td.placeholder((6, 4), "float32", name="A")
    b = td.compute((6, 4), lambda i, j: a[i, j] * 2, name="B")
    c = td.compute((6, 3), lambda i, j: b[i, 0] + a[i, j], name="C")
    s = scheduled(td.func("rows", [a], [c]))
    outer, _ = s.split(s.fuse("B.i", "B.j"), 7)
    s.reverse_compute_at("C", outer)
    _, own = s.fission(outer, "B")
    assert [loop.name for loop in s.loops("C")] == ["i_jo", "i", "j"]
    assert f"for i in {EXTENT}:" in nest(s)
    return s, own


EXTENT = "(i_jo * 7 + 2) // 4 - i_jo * 7 // 4 + 2"


def test_such_a_loop_stays_inside_the_one_that_it_depends_on():
    s, outer = rows()
    for order in (("C.i", outer), ("C.j", outer), ("C.i", "C.j", outer), ("C.j", "C.i", outer)):
        with pytest.raises(td.ScheduleError, match="the extent of 'i' depends on 'i_jo', which"):
            s.reorder(*order)
    s.reorder("C.j", "C.i")
    assert [loop.name for loop in s.loops("C")] == ["i_jo", "j", "i"]
    s.reorder(outer, "C.i", "C.j")
    assert [loop.name for loop in s.loops("C")] == ["i_jo", "i", "j"]
    s.reorder("C.j", "C.i")
    s.reorder("C.j", outer)
    assert [loop.name for loop in s.loops("C")] == ["j", "i_jo", "i"]
    check(s)


def test_such_a_loop_is_no_side_of_a_rectangle():
    s, outer = rows()
    with pytest.raises(td.ScheduleError, match="the extent of 'i' depends on 'i_jo'") as caught:
        s.fuse(outer, "C.i")
    assert caught.value.hint == "only loops over a rectangle fuse"
    s.fuse("C.i", "C.j")
    assert f"for i, j in fused({EXTENT}, 3):" in nest(s)
    check(s)


STEPS = {
    "split": lambda s, outer: s.split("C.i", 2),
    "shift": lambda s, outer: s.split("C.i", 2, tail="shift"),
    "tile": lambda s, outer: s.tile("C.i", "C.j", 2, 2),
    "vectorize": lambda s, outer: s.vectorize("C.i", 2),
    "split the loop around": lambda s, outer: s.split(outer, 3),
    "parallel around": lambda s, outer: s.parallel(outer),
    "unroll around": lambda s, outer: s.unroll(outer),
    "partition": lambda s, outer: s.partition("C.i", 1),
    "partition around": lambda s, outer: s.partition(outer, 2),
    "split of the fused": lambda s, outer: s.split(s.fuse("C.i", "C.j"), 4),
}


@pytest.mark.parametrize("step", STEPS)
def test_steps_on_such_loops(step):
    s, outer = rows()
    STEPS[step](s, outer)
    check(s)


def test_an_extent_that_is_not_constant_is_not_unrolled():
    s, _ = rows()
    with pytest.raises(td.ScheduleError, match="the extent of 'i' is not a constant"):
        s.unroll("C.i")
    s.unroll(s.split("C.i", 2)[1])
    check(s)

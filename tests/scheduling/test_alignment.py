import pytest

import tdsl as td
from tdsl.ir.stmt import Alloc
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.scheduling.running import check, scheduled


def turned(m=5, n=6):
    A = td.placeholder((m, n), "int32", name="A")
    B = td.compute((m, n), lambda i, j: A[i, j] + 1, name="B")
    C = td.compute((n, m), lambda i, j: B[j, i] * 2, name="C")
    return td.func("turned", [A], [C])


def storage(s):
    (found,) = {
        tuple(e.value for e in n.buffer.shape)
        for n in walk(lower(s.program, s.target).program.body)
        if isinstance(n, Alloc) and n.buffer.name == "B"
    }
    return found


@pytest.mark.parametrize(("dim", "shape"), [(None, (5, 8)), (-1, (5, 8)), (0, (8, 6)), (1, (5, 8))])
def test_a_dimension_is_rounded_up(dim, shape):
    s = scheduled(turned())
    s.align("B", 4, dim)
    assert storage(s) == shape
    check(s)


def test_layouts_keep_their_order():
    s = scheduled(turned())
    s.transform_layout("B", "i, j -> j, i")
    s.align("B", 8)
    assert storage(s) == (6, 8)
    s.align("B", 4, dim=0)
    assert storage(s) == (8, 8)
    check(s)


def test_symbolic_extents_are_rounded_up():
    N = td.sizes("N")
    A = td.placeholder((N, N), "int32", name="A")
    B = td.compute((N, N), lambda i, j: A[i, j] + 1, name="B")
    C = td.compute((N, N), lambda i, j: B[j, i] * 2, name="C")
    s = scheduled(td.func("turned", [A], [C]))
    s.align("B", 16)
    for n in (0, 1, 5):
        check(s, {"N": n})


def test_arguments_and_unknown_dimensions_are_refused():
    s = scheduled(turned())
    with pytest.raises(td.ScheduleError, match="argument or a result"):
        s.align("A", 4)
    with pytest.raises(td.ScheduleError, match="dimension 2 of storage with 2"):
        s.align("B", 4, 2)


def test_tiled_storage_is_rounded_up_in_one_of_its_dimensions():
    s = scheduled(turned())
    s.transform_layout("B", "i, j -> j // 4, i, j % 4")  # 2, 5 and 4 elements
    s.align("B", 8, 1)
    assert storage(s) == (2, 8, 4)
    s.align("B", 3, -3)
    assert storage(s) == (3, 8, 4)
    check(s)


@pytest.mark.parametrize("dim", [2, -3])
def test_dimensions_that_there_are_not_are_refused(dim):
    s = scheduled(turned())
    with pytest.raises(td.ScheduleError, match=f"dimension {dim} of storage with 2 dimensions"):
        s.align("B", 4, dim)
    s.align("B", 4, -2)
    assert storage(s) == (8, 6)


def test_a_single_element_has_no_dimension_to_align():
    a = td.placeholder((4,), "float32", name="A")
    k = td.reduce_axis(4, name="k")
    b = td.compute((), lambda: td.sum(a[k], axis=k), name="B")
    c = td.compute((4,), lambda i: a[i] * b[()], name="C")
    s = scheduled(td.func("f", [a], [c]))
    with pytest.raises(td.ScheduleError, match="'B' is a single element"):
        s.align("B", 4)


def test_a_tensor_of_nine_dimensions_is_aligned():
    shape = (1, 1, 1, 1, 1, 1, 1, 2, 3)
    A = td.placeholder(shape, "int32", name="A")
    B = td.compute(shape, lambda *at: A[at] + 1, name="B")
    C = td.compute(shape, lambda *at: B[at] * 2, name="C")
    s = scheduled(td.func("deep", [A], [C]))
    s.align("B", 4)
    assert storage(s) == (*shape[:-1], 4)
    check(s)

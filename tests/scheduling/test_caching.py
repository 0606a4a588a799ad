import pytest

import tdsl as td
from tests.scheduling.algorithms import chain, cumsum, histogram, increment, matmul
from tests.scheduling.running import check, nest, scheduled


def test_cache_read_of_the_whole_tensor():
    s = scheduled(matmul(5, 6, 4))
    assert s.cache_read("C", "B") == "B.C"
    assert s.blocks() == ("B.C", "C")
    check(s)


def test_a_second_cache_gets_a_number():
    s = scheduled(matmul(5, 6, 4))
    s.cache_read("C", "B")
    assert s.cache_read("C", "B.C") == "B.C.C"
    a = td.placeholder((4,), "float32", name="A")
    b = td.compute((4,), lambda i: a[i] + a[3 - i], name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert s.cache_read("B", "A") == "A.B"
    with pytest.raises(td.ScheduleError, match="does not read 'A'"):
        s.cache_read("B", "A")


def test_cache_read_at_a_loop_copies_what_is_read_there():
    s = scheduled(matmul("M", "N", "K"))
    io, jo, ii, ji = s.tile("i", "j", 4, 8)
    ko, ki = s.split("k", 3)
    s.reorder(io, jo, ko, ii, ji, ki)
    assert s.cache_read("C", "B", "stack", at=ko) == "B.C"
    assert s.cache_read("C", "A", at=io) == "A.C"
    assert [loop.extent for loop in s.loops("B.C")[-2:]] == [3, 8]
    check(s, {"M": 5, "N": 9, "K": 7})


def test_cache_read_of_a_tensor_made_in_the_loop():
    s = scheduled(chain(16, 2))
    io, _ = s.split("D.i", 4)
    s.compute_at("C", at=io)
    s.cache_read("D", "C", "stack")
    check(s)


def test_cache_read_names_what_is_read():
    s = scheduled(matmul(4, 4, 4, relu=True))
    with pytest.raises(td.ScheduleError, match="it reads A, B"):
        s.cache_read("C", "D")


def test_cached_reads_are_placed_and_scheduled_like_any_block():
    s = scheduled(matmul(8, 8, 8))
    s.cache_read("C", "B")
    jo, ji = s.split("C.j", 4)
    s.reorder(jo, "C.i", ji, "C.k")
    s.compute_at("B.C", at=jo)
    s.vectorize("B.C.j", 4)
    check(s)


def test_packed_panels():
    s = scheduled(matmul("M", "N", "K"))
    jo, ji = s.split("j", 8)
    s.cache_read("C", "B")
    s.transform_layout("B.C", "k, j -> j // 8, k, j % 8")
    s.reorder(jo, "C.i", "C.k", ji)
    check(s, {"M": 3, "N": 11, "K": 4})


def test_cache_write_copies_back_after_the_nest():
    s = scheduled(matmul(5, 6, 4))
    assert s.cache_write("C") == "C.out"
    assert s.blocks() == ("C", "C.out")
    assert "alloc C.cache: f32[5, 6] in register" in nest(s)
    check(s)


@pytest.mark.parametrize("tail", ["guard", "mask", "shift", "balance"])
def test_cache_write_at_a_loop_under_every_tail(tail):
    s = scheduled(matmul(10, 11, 3))
    _, jo, _, _ = s.tile("i", "j", 4, 4, tail=tail)
    s.cache_write("C", "stack", at=jo)
    check(s)


def test_cache_write_then_reverse_compute_at():
    s = scheduled(matmul("M", "N", "K"))
    _, jo, ii, ji = s.tile("i", "j", 4, 4)
    s.cache_write("C")
    s.reverse_compute_at("C.out", at=jo)
    s.reorder("C.k", ii, ji)
    s.stream("C.out")
    check(s, {"M": 5, "N": 6, "K": 3})


def test_cache_write_keeps_readers_on_the_old_tensor():
    s = scheduled(matmul(4, 4, 3, relu=True))
    s.cache_write("C", "global")
    assert s.blocks() == ("C", "C.out", "D")
    check(s)


def test_cache_write_of_a_reduction_in_its_reduction_loop_is_refused():
    s = scheduled(matmul(4, 4, 4))
    with pytest.raises(td.ScheduleError):
        s.cache_write("C", at="C.k")


def test_cache_write_of_an_update_takes_its_base_along():
    s = scheduled(histogram(50, 8))
    s.cache_write("hist", "stack")
    check(s)


def test_cache_write_of_the_base_of_an_update_leaves_the_update_alone():
    s = scheduled(histogram(50, 8))
    assert s.cache_write("hist.base", "global", at="hist.base.b0") == "hist.base.out"
    assert s.blocks() == ("hist.base", "hist.base.out", "hist")
    check(s)


def test_caches_of_a_decomposed_reduction():
    s = scheduled(matmul(4, 4, 3))
    s.decompose_reduction("C", "C.i")
    s.cache_read("C", "A")
    s.cache_write("C")
    s.unroll("C.init.j")
    check(s)
    with pytest.raises(td.ScheduleError, match="its init goes along"):
        s.cache_write("C.init")


def test_cache_write_of_a_scan():
    s = scheduled(cumsum(6))
    s.cache_write(s.blocks()[0], "global")
    check(s)


@pytest.mark.parametrize("at", [None, "Z.t"])
def test_what_a_step_computes_first_is_copied_from_its_own_loops(at):
    x = td.placeholder((5, 2), "int32", name="X")
    t = td.scan_axis(5, name="t")

    def step(t, prev):
        z = td.compute((2,), lambda i: x[t, i] * 3, name="Z")
        return {"s": lambda i: prev["s"][i] + z[i]}

    s = scheduled(td.func("rows", [x], [td.scan(t, {"s": ((2,), 0)}, step, name="S")["s"]]))
    s.fission("t", after="Z")
    s.cache_write("Z", "global", at=at)
    outer = s.loops("Z")[0]
    assert (s.loops("Z.out")[0] == outer) == (at is not None)
    assert [loop.name for loop in s.loops("Z.out")] == ["t", "i"]
    check(s)


def test_register_scope_is_shown():
    s = scheduled(chain(16, 1))
    s.set_scope("B", "stack")
    assert "alloc B: f32[18] in stack" in nest(s)


def test_arguments_keep_their_scope():
    s = scheduled(increment(8))
    with pytest.raises(td.ScheduleError, match="argument or a result"):
        s.set_scope("B", "stack")


def test_a_layout_that_loses_elements_is_refused_with_two_of_them():
    s = scheduled(chain(16, 1))
    with pytest.raises(td.ScheduleError, match=r"elements \[0\] and \[7\] share a place"):
        s.transform_layout("B", "i -> i % 7")


def test_a_symbolic_layout_that_loses_elements_is_refused():
    s = scheduled(matmul(relu=True))
    with pytest.raises(td.ScheduleError, match="share a place"):
        s.transform_layout("C", "i, j -> i, j % 8")
    s.transform_layout("C", "i, j -> j // 8, i, j % 8")


def test_layouts_of_private_tiles_are_judged_by_what_is_used():
    s = scheduled(matmul(relu=True))
    _, jo, _, _ = s.tile("D.i", "D.j", 4, 8)
    s.compute_at("C", at=jo)
    s.transform_layout("C", lambda i, j: (j % 8, i), pad=1)
    check(s, {"M": 5, "N": 9, "K": 2})


def test_an_argument_is_transformed_only_when_prepacked():
    s = scheduled(matmul(8, 8, 8))
    with pytest.raises(td.ScheduleError, match="prepacked=True"):
        s.transform_layout("B", "k, j -> j, k")
    s.transform_layout("B", "k, j -> j // 4, k, j % 4", prepacked=True)
    (layout,) = [p.layout for p in s.program.params if p.buffer.name == "B"]
    assert layout is not None
    with pytest.raises(td.ScheduleError, match="a result of the kernel"):
        s.transform_layout("C", "i, j -> j, i", prepacked=True)


def test_small_layouts_are_checked_element_by_element():
    a = td.placeholder((8, 8), "float32", name="A")
    b = td.compute((8, 8), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((8, 8), lambda i, j: b[j, i] + 1, name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.transform_layout("B", "i, j -> i, (i + j) % 8")
    check(s)
    with pytest.raises(td.ScheduleError, match="share a place"):
        s.transform_layout("B", "i, j -> (i + j) % 8, 0 * i")

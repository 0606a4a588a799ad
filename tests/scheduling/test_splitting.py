import pytest

import tdsl as td
from tests.scheduling.algorithms import histogram, increment, matmul
from tests.scheduling.running import check, nest, scheduled

TAILS = ["guard", "mask", "shift", "peel", "balance"]


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("extent", [1, 2, 7, 8, 9, 23])
@pytest.mark.parametrize("factor", [1, 4, 8, 30])
def test_every_tail_covers_every_extent(tail, extent, factor):
    s = scheduled(increment(extent))
    s.split("B.i", factor, tail=tail)
    check(s)


@pytest.mark.parametrize("tail", ["guard", "mask", "shift", "peel"])
@pytest.mark.parametrize("n", [0, 1, 7, 16])
def test_symbolic_extents_are_covered(tail, n):
    s = scheduled(increment("N"))
    s.split("i", 4, tail=tail)
    check(s, {"N": n})


@pytest.mark.parametrize(
    "factors", [(None, 4, 2), (2, None, 4), (3, None), (2, 3, None), (None, 5, 1, 2)]
)
def test_tuples_of_factors_split_in_that_many_parts(factors):
    s = scheduled(increment(50))
    loops = s.split("i", factors)
    assert [loop.extent for loop, f in zip(loops, factors, strict=True) if f] == [
        f for f in factors if f
    ]
    check(s)


def test_two_parts_are_named_io_ii_and_three_io_im_ii():
    s = scheduled(increment(64))
    io, ii = s.split("i", 16)
    assert (io.name, ii.name) == ("io", "ii")
    assert [x.name for x in s.split(ii, (2, None, 2))] == ["iio", "iim", "iii"]


def test_a_taken_name_gets_a_number():
    s = scheduled(matmul(4, 4, 4))
    s.split("i", 2)
    i, _ = s.split("io", 1)
    assert i.name == "ioo"
    s2 = scheduled(matmul(16, 16, 16))
    a = s2.split("i", 4)
    s2.fuse(*a)
    assert [x.name for x in s2.loops("C")] == ["io_ii", "j", "k"]


def test_dividing_factors_leave_no_guard():
    s = scheduled(increment(64))
    s.split("i", 16)
    assert "if" not in nest(s)


def test_a_stated_fact_leaves_no_guard():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [b], assume=["N % 16 == 0"]))
    s.split("i", 8, tail="exact")
    assert "if" not in nest(s)
    check(s, {"N": 32})


def test_guard_then_tile_then_reorder_is_accepted_on_primes():
    s = scheduled(matmul(13, 11, 7))
    io, jo, ii, ji = s.tile("i", "j", 4, 3)
    ko, ki = s.split("k", 2)
    s.reorder(io, ko, jo, ki, ii, ji)
    check(s)
    assert s.numerics.value == "exact"


def test_a_parallel_loop_hands_its_mark_to_the_outer_part():
    s = scheduled(increment(64))
    s.parallel("i")
    io, ii = s.split("i", 8)
    assert (io.kind.value, ii.kind.value) == ("parallel", "serial")
    assert "'i' was parallel" in str(s.trace)


def test_a_vectorized_loop_hands_its_mark_to_the_inner_part():
    s = scheduled(increment(64))
    s.vectorize("i", 64)
    io, ii = s.split("i", 16)
    assert (io.kind.value, ii.kind.value) == ("unrolled", "vectorized")


def test_split_of_a_fused_loop_uses_div_and_mod():
    s = scheduled(matmul(6, 10, 3))
    f = s.fuse("i", "j")
    s.split(f, 4)
    assert "// 10" in nest(s)
    check(s)


def test_shift_of_a_reduction_is_refused():
    s = scheduled(matmul(8, 8, 10))
    with pytest.raises(td.ScheduleError) as caught:
        s.split("k", 4, tail="shift")
    assert caught.value.primitive == "split"
    assert len(s.trace) == 0


def test_shift_of_an_update_is_refused():
    s = scheduled(histogram(10, 4))
    with pytest.raises(td.ScheduleError):
        s.split("hist.r", 4, tail="shift")


def test_pad_of_an_intermediate_is_accepted_where_storage_may_grow():
    a = td.placeholder((10,), "float32", name="A")
    b = td.compute((10,), lambda i: td.cast(i, "float32"), name="B")
    c = td.compute((10,), lambda i: b[i] + a[i], name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.split("B.i", 4, tail="pad")
    assert "if" not in nest(s)


def test_a_layout_leaves_a_padded_tail_no_room(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path))  # nothing is known of the states
    b = td.compute((10,), lambda i: td.cast(i, "float32"), name="B")
    c = td.compute((10,), lambda i: b[i] + 1, name="C")
    func = td.func("f", [], [c])
    s = scheduled(func)
    s.split("B.i", 4, tail="pad")
    with pytest.raises(td.ScheduleError, match="B has no room to grow"):
        s.transform_layout("B", lambda i: (i % 2, i // 2))
    s = scheduled(func)
    s.transform_layout("B", lambda i: (i % 2, i // 2))
    with pytest.raises(td.ScheduleError, match="B has no room to grow"):
        s.split("B.i", 4, tail="pad")


def test_pad_of_an_output_is_refused():
    s = scheduled(increment(10))
    with pytest.raises(td.ScheduleError):
        s.split("i", 4, tail="pad")

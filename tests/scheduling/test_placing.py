import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, chain, cumsum, histogram, matmul, softmax
from tests.scheduling.running import check, nest, scheduled


def test_the_design_example_is_accepted_step_by_step():
    s = scheduled(matmul(relu=True))
    i, j = s.loops("D")
    io, jo, ii, ji = s.tile(i, j, 4, 8)
    s.compute_at("C", at=jo)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    s.set_scope("C", "register")
    s.unroll(ci)
    s.vectorize(cj, 4)
    s.unroll(ii)
    s.vectorize(ji, 4)
    s.parallel(io)
    assert s.numerics.value == "exact"
    for sizes in ({"M": 9, "N": 17, "K": 3}, {"M": 1, "N": 1, "K": 0}, {"M": 0, "N": 3, "K": 2}):
        check(s, sizes)


@pytest.mark.parametrize("tail", ["guard", "mask", "shift", "balance"])
def test_compute_at_works_under_every_tail(tail):
    s = scheduled(matmul(10, 13, 3, relu=True))
    _, jo, _, _ = s.tile("D.i", "D.j", 4, 5, tail=tail)
    s.compute_at("C", at=jo)
    check(s)


@pytest.mark.parametrize("tail", ["guard", "mask", "shift", "balance"])
def test_reverse_compute_at_works_under_every_tail(tail):
    s = scheduled(matmul(10, 13, 3, relu=True))
    _, jo, _, _ = s.tile("C.i", "C.j", 4, 5, tail=tail)
    s.reverse_compute_at("D", at=jo)
    check(s)


def test_halo_boxes_are_constant_and_private():
    s = scheduled(chain(64, 2))
    io, _ = s.split("D.i", 8)
    s.compute_at("C", at=io)
    (c,) = s.compute_at("B", at=io)
    assert c.extent == 12
    s.parallel(io)
    check(s)


def test_halo_of_a_guarded_tile_is_guarded_at_the_edge():
    s = scheduled(blur())
    _, jo, _, _ = s.tile("Y.i", "Y.j", 4, 4)
    s.compute_at("X", at=jo)
    assert [loop.extent for loop in s.loops("X")[-2:]] == [6, 4]
    for sizes in ({"H": 5, "W": 7}, {"H": 1, "W": 1}, {"H": 8, "W": 4}):
        check(s, sizes)


def test_compute_at_an_untiled_loop_gives_a_row():
    s = scheduled(blur(6, 5))
    s.compute_at("X", at="Y.i")
    assert [loop.extent for loop in s.loops("X")[1:]] == [3, 5]
    check(s)


def test_softmax_fuses_row_by_row():
    s = scheduled(softmax())
    i, _ = s.loops("out")
    s.compute_at("total", at=i)
    s.compute_at("E", at=i)
    s.compute_at("top", at=i)
    s.parallel(i)
    assert s.blocks() == ("top", "E", "total", "out")
    check(s)


def test_compute_at_may_be_repeated_before_other_steps():
    s = scheduled(matmul(8, 8, 4, relu=True))
    io, jo, _, _ = s.tile("D.i", "D.j", 4, 4)
    s.compute_at("C", at=io)
    s.compute_at("C", at=jo)
    assert len(s.loops("C")) == 5
    check(s)


def test_a_scheduled_producer_is_refused_with_compute_at_first():
    s = scheduled(matmul(8, 8, 4, relu=True))
    s.split("C.i", 4)
    with pytest.raises(td.ScheduleError, match="compute_at first"):
        s.compute_at("C", at="D.i")


def test_a_tensor_read_outside_the_loop_stays():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: b[i] + 1, name="C")
    d = td.compute((8,), lambda i: b[i] + 2, name="D")
    s = scheduled(td.func("f", [a], [c, d]))
    with pytest.raises(td.ScheduleError, match="'D' reads 'B' too"):
        s.compute_at("B", at="C.i")


def test_compute_at_a_loop_that_reads_nothing_lists_the_consumers():
    s = scheduled(chain(16, 1))
    with pytest.raises(td.ScheduleError, match="its consumers: C"):
        s.compute_at("B", at="D.i")


def test_compute_at_its_own_loop_is_refused():
    s = scheduled(chain(16, 1))
    with pytest.raises(td.ScheduleError, match="a loop of 'B' itself"):
        s.compute_at("B", at="B.i")


def test_an_update_is_not_placed():
    s = scheduled(histogram())
    with pytest.raises(td.ScheduleError):
        s.compute_at("hist", at="hist.base.b0")


def test_reverse_compute_at_inside_a_reduction_is_refused():
    s = scheduled(matmul(8, 8, 4, relu=True))
    with pytest.raises(td.ScheduleError) as caught:
        s.reverse_compute_at("D", at="C.k")
    assert caught.value.witness is not None


def test_reverse_compute_at_makes_the_tensor_private():
    s = scheduled(matmul(8, 8, 4, relu=True))
    s.reverse_compute_at("D", at="C.i")
    assert nest(s).splitlines()[1].strip() == "alloc C: f32[8, 8]"
    s.parallel("D.i")
    check(s)


def test_reverse_compute_at_shifts_with_the_index():
    a = td.placeholder((12,), "float32", name="A")
    b = td.compute((12,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: b[i + 3] * 2, name="C")
    s = scheduled(td.func("f", [a], [c]))
    io, _ = s.split("B.i", 4)
    s.reverse_compute_at("C", at=io)
    check(s)


def test_names_along_a_path_stay_unique():
    s = scheduled(matmul(8, 8, 4, relu=True))
    s.compute_at("C", at="D.j")
    names = [loop.name for loop in s.loops("C")]
    assert len(set(names)) == len(names)
    check(s)


def test_inline_gives_the_same_bits():
    s = scheduled(chain(16, 2))
    s.inline("B")
    s.inline("C")
    assert s.blocks() == ("D",)
    check(s)


def test_inline_into_a_reduction():
    s = scheduled(softmax())
    s.inline("E")
    assert s.blocks() == ("top", "total", "out")
    check(s)


def test_inline_after_scheduling_the_consumer():
    s = scheduled(chain(16, 2))
    io, _ = s.split("D.i", 4)
    s.compute_at("C", at=io)
    s.inline("B")
    s.parallel(io)
    check(s)


@pytest.mark.parametrize(
    ("algorithm", "block", "reason"),
    [
        (softmax, "total", "is a reduction"),
        (chain, "D", "is an output"),
        (histogram, "hist", "is an update"),
    ],
)
def test_only_plain_expressions_are_inlined(algorithm, block, reason):
    s = scheduled(algorithm())
    with pytest.raises(td.ScheduleError, match=reason):
        s.inline(block)


def test_scans_can_be_inspected():
    s = scheduled(cumsum(5))
    assert len(s.loops(s.blocks()[0])) == 1
    check(s)


def test_a_witness_places_the_parts_of_a_fused_loop_and_the_loops_inside_it():
    M = td.sizes("M")
    A = td.placeholder((M,), "float32", name="A")
    k = td.reduce_axis(M, name="k")
    R = td.compute((M,), lambda i: td.sum(A[k], axis=k, where=k <= i), name="R")
    s = td.Schedule(td.func("prefix", [A], [R]))
    s.fuse("R.i", "R.k")
    s.cache_write("R", scope="stack")
    with pytest.raises(td.ScheduleError) as caught:
        s.reverse_compute_at("R.out", "R.i_k")
    assert set(caught.value.witness.second) == {"i", "k", "i_1"}


def rows_of_counts(n=6, bins=8):
    x = td.placeholder((n, 20), "int32", name="X")
    start = td.compute((n, bins), lambda i, j: td.cast(j, "int32"), name="start")
    r, c = td.reduce_axis(n, name="r"), td.reduce_axis(20, name="c")
    hist = td.update(start, over=(r, c), at=(r, x[r, c]), value=1, op="add", name="hist")
    out = td.compute((n, bins), lambda i, j: hist[i, j] * 2, name="O")
    return td.func("rows", [x], [out])


def test_the_base_of_an_update_is_copied_where_it_is_updated():
    s = scheduled(rows_of_counts())
    s.compute_at("hist.base", at="hist.r")
    s.compute_at("start", at="hist.r")
    check(s)
    s.reverse_compute_at("O", at="hist.r")
    s.parallel("hist.r")
    check(s)
    s = scheduled(rows_of_counts())
    with pytest.raises(td.ScheduleError) as caught:
        s.compute_at("hist.base", at="hist.c")  # each update of a row would start it again
    assert caught.value.witness is not None

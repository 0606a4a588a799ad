import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, cumsum, increment, matmul, softmax
from tests.scheduling.running import check, nest, scheduled


def names(s, block):
    return [loop.name for loop in s.loops(block)]


def test_reorder_swaps_only_the_places_of_the_loops_given():
    s = scheduled(matmul(4, 5, 6))
    s.reorder("k", "i")
    assert names(s, "C") == ["k", "j", "i"]
    check(s)


def test_init_follows_a_reduction_moved_outward():
    s = scheduled(matmul(6, 8, 5))
    _, _, ii, ji = s.tile("i", "j", 4, 4)
    s.reorder("k", ii, ji)
    assert names(s, "C") == ["io", "jo", "k", "ii", "ji"]
    before_k = nest(s).split("for k")[0]
    assert "for ii in 4" in before_k
    assert before_k.strip().endswith("C[io * 4 + ii, jo * 4 + ji] = 0")
    check(s)


def test_reorder_of_empty_reduction_keeps_the_zeros():
    s = scheduled(matmul("M", "N", "K"))
    s.reorder("k", "i", "j")
    check(s, {"M": 3, "N": 2, "K": 0})


def test_handles_survive_reorder():
    s = scheduled(matmul(4, 4, 4))
    i, j, k = s.loops("C")
    s.reorder(k, j, i)
    assert s.loops("C") == (k, j, i)
    assert i.extent == 4


def test_split_reduction_reassociates_when_its_parts_swap():
    s = scheduled(matmul(4, 4, 12))
    ko, ki = s.split("k", 4)
    assert s.numerics.value == "exact"
    s.reorder(ki, ko)
    assert s.numerics.value == "reassociates"
    check(s)


def test_integers_stay_exact_in_any_order():
    s = scheduled(matmul(4, 4, 12, dtype="int32"))
    ko, ki = s.split("k", 4)
    s.reorder(ki, ko)
    assert s.numerics.value == "exact"
    check(s)


def test_reorder_past_another_block_says_fission_first():
    s = scheduled(blur(8, 8))
    i, j = s.loops("Y")
    s.compute_at("X", at=i)
    with pytest.raises(td.ScheduleError, match="fission first") as caught:
        s.reorder(j, i)
    assert "'X'" in caught.value.reason


def test_reorder_of_a_scan_is_refused_with_a_witness():
    s = scheduled(cumsum(12))
    (t,) = s.loops(s.blocks()[0])
    to, ti = s.split(t, 4)
    with pytest.raises(td.ScheduleError) as caught:
        s.reorder(ti, to)
    assert caught.value.witness is not None


def test_fuse_keeps_order_and_symbolic_extents():
    s = scheduled(matmul("M", "N", "K"))
    f = s.fuse("i", "j")
    assert f.name == "i_j"
    s.parallel(f)
    check(s, {"M": 3, "N": 4, "K": 2})


def test_fuse_of_three_loops():
    s = scheduled(matmul(3, 4, 2))
    i, j, k = s.loops("C")
    f = s.fuse(s.fuse(i, j), k)
    assert f.name == "i_j_k"
    check(s)


def test_fused_loop_reorders_with_others():
    s = scheduled(matmul(4, 4, 6))
    f = s.fuse("i", "j")
    s.reorder("k", f)
    check(s)


def test_parallel_reduction_is_refused_with_both_iterations():
    s = scheduled(matmul(4, 4, 4))
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("k")
    witness = caught.value.witness
    assert witness is not None
    assert witness.buffer == "C"
    assert not len(s.trace)


def test_unroll_of_a_symbolic_loop_is_refused():
    s = scheduled(increment("N"))
    with pytest.raises(td.ScheduleError, match="not a constant"):
        s.unroll("i")


def test_vectorize_takes_the_width_of_the_target():
    s = scheduled(increment(64))
    assert s.vectorize("i").extent == 16
    s = scheduled(increment(64), "llvm -mcpu=haswell")
    assert s.vectorize("i").extent == 8


def test_vectorize_of_a_short_constant_loop_keeps_it():
    s = scheduled(increment(10))
    (i,) = s.loops("B")
    assert s.vectorize(i) == i
    check(s)


@pytest.mark.parametrize("extent", [16, 17, 40])
def test_vectorize_unrolls_the_outer_part_of_a_constant_loop(extent):
    s = scheduled(increment(extent))
    v = s.vectorize("i", 4)
    assert v.kind.value == "vectorized"
    assert s.loops("B")[0].kind.value == "unrolled"
    check(s)


def test_vectorize_masks_the_tail_of_a_symbolic_loop():
    s = scheduled(increment("N"))
    s.vectorize("i", 4)
    assert "# mask" in nest(s)
    assert s.loops("B")[0].kind.value == "serial"
    check(s, {"N": 11})


def test_vectorizing_a_parallel_loop_keeps_its_outer_part_parallel():
    s = scheduled(increment("N"))
    s.parallel("i")
    s.vectorize("i", 4)
    assert [loop.kind.value for loop in s.loops("B")] == ["parallel", "vectorized"]
    check(s, {"N": 11})


def test_softmax_rows_run_in_parallel():
    s = scheduled(softmax())
    for block in ("top", "E", "total", "out"):
        s.parallel(f"{block}.i")
    check(s)


def test_bind_maps_groups_and_local_axes():
    s = td.Schedule(increment(64), "opencl")
    io, ii = s.split("i", 8)
    s.bind(io, "group.x")
    s.bind(ii, "local.x")
    check(s)


def test_one_axis_is_bound_once_along_a_path():
    s = td.Schedule(increment(64), "opencl")
    io, ii = s.split("i", 8)
    s.bind(io, "group.x")
    with pytest.raises(td.ScheduleError, match=r"bound to 'group.x' already"):
        s.bind(ii, "group.x")

"""What TVM 0.27 got wrong when it was tried: each is refused here, in words, or computed rightly.

One test for each fault: schedules that it accepted and that computed something else, programs that
crashed, and errors that named the wrong thing.
"""

import json
import os

import numpy as np
import pytest

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.ir.stmt import For, LoopKind
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.runtime.cpus import default_num_threads, usable_cpus
from tests.prior_art.agreeing import agrees
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.counting import allocated
from tests.scheduling.running import scheduled


def squares(n=32):
    A = td.placeholder((n,), "float32", name="A")
    B = td.compute((n,), lambda i: A[i] * A[i], name="B")
    C = td.compute((n,), lambda i: B[i] + 1.0, name="C")
    return td.func("squares", [A], [C])


def test_a_producer_computed_inside_a_vector_loop_has_a_value_for_each_lane():
    """There each group of 8 elements got the value of lane 7."""
    s = scheduled(squares())
    s.split("C.i", 8)
    s.vectorize("C.ii", 8)
    s.compute_at("B", "C.ii")
    agrees(s, built=True)


def test_a_vector_loop_around_a_placed_producer_has_a_value_for_each_lane():
    s = scheduled(squares())
    s.split("C.i", 8)
    s.compute_at("B", "C.ii")
    s.vectorize("C.ii", 8)
    agrees(s)


def test_relu_is_not_moved_into_the_sum_that_it_follows():
    """fuse_reduction_epilogue: relu of every partial sum, wrong in 71 % of the elements."""
    func = matmul(8, 8, 6, relu=True)
    s = scheduled(func)
    with pytest.raises(td.ScheduleError, match=r"reduction|expression"):
        s.reverse_inline("D")
    s.reverse_compute_at("D", at="C.j")
    agrees(s)


def test_parallel_loops_inside_parallel_loops():
    """There the code generator died; here the inner one runs where its thread is."""
    s = scheduled(matmul(6, 5, 4))
    s.parallel("C.i")
    s.parallel("C.j")
    agrees(s, built=True)


def test_an_index_that_leaves_its_buffer_is_refused_where_it_is_declared():
    A = td.placeholder((8,), "float32", name="A")
    with pytest.raises(td.DeclarationError, match=r"1 to 8|\[1, 8\]|8") as caught:
        td.compute((8,), lambda i: A[i + 1], name="B")
    assert "A" in str(caught.value)
    M, N = td.sizes("M N")
    X = td.placeholder((M,), "float32", name="X")
    Y = td.compute((N,), lambda i: X[i], name="Y")
    with pytest.raises(td.DeclarationError, match="assume"):
        td.func("f", [X], [Y])


def test_arrays_that_start_anywhere_are_computed():
    """There an array that does not start at a whole vector was a segmentation fault."""
    n = 40
    s = scheduled(increment(n), None)
    s.vectorize("B.i")
    kernel = td.build(s)
    store = np.zeros(n * 4 + 128, np.uint8)
    start = -store.ctypes.data % 64
    for offset in (4, 16):
        given = store[start + offset :][: n * 4].view(np.float32)
        given[:] = np.arange(n)
        np.testing.assert_array_equal(kernel(given), np.arange(n) + 1)
    with pytest.raises(ValueError, match="'A' is not aligned"):
        kernel(store[start + 1 :][: n * 4].view(np.float32))


def test_a_wrong_inner_extent_is_called_a_wrong_extent():
    """There an argument of shape (4, 5) instead of (4, 4) was said to have wrong strides."""
    A = td.placeholder((4, 4), "float32", name="A")
    B = td.compute((4, 4), lambda i, j: A[i, j] + 1.0, name="B")
    kernel = td.build(td.func("shift", [A], [B]))
    with pytest.raises(ValueError, match=r"A.*5") as caught:
        kernel(np.zeros((4, 5), np.float32))
    assert "stride" not in str(caught.value)


def test_a_kernel_without_work_items_does_not_run_on_the_host_in_silence():
    """There an unscheduled function for a device was compiled for the host, and nothing said so."""
    s = td.Schedule(increment(64), "opencl")
    lowered = lower(s.program, s.target)
    kinds = {n.kind for n in walk(lowered.program.body) if isinstance(n, For)}
    assert kinds <= {LoopKind.SERIAL, LoopKind.GROUP_X, LoopKind.LOCAL_X}


def test_targets_are_given_as_strings():
    for target in ("llvm", "llvm -mcpu=znver4", "opencl"):
        assert td.Schedule(increment(8), target).target is not None
    with pytest.raises(td.TdslError, match="llvm") as caught:
        td.Schedule(increment(8), "lvm")
    assert "lvm" in str(caught.value)


def test_numbers_of_numpy_are_kept_in_traces():
    """There saving an integer crashed the process."""
    s = scheduled(increment(100))
    s.split("B.i", np.int64(8))
    assert json.loads(json.dumps(s.trace.json())) == s.trace.json()
    agrees(s)


@pytest.mark.parametrize("read", ["the same", "mirrored", "the next"])
def test_loops_are_merged_only_where_no_dependence_turns(read):
    """There B[i] was merged with a reader of B[n - 1 - i], and the result was NaN."""
    n = 16
    A = td.placeholder((n,), "float32", name="A")
    B = td.compute((n,), lambda i: A[i] + 1.0, name="B")
    at = {
        "the same": lambda i: i,
        "mirrored": lambda i: n - 1 - i,
        "the next": lambda i: td.minimum(i + 1, n - 1),
    }[read]
    C = td.compute((n,), lambda i: B[at(i)] * 2.0, name="C")
    s = scheduled(td.func("merged", [A], [C]))
    if read != "the same":
        with pytest.raises(td.ScheduleError) as caught:
            s.compute_with("C", at="B.i")
        assert caught.value.witness.buffer == "B"
    else:
        s.compute_with("C", at="B.i")
    agrees(s)


def test_all_processors_work_by_default():
    """There a pool of one thread ran on a machine of two processors."""
    if "TDSL_NUM_THREADS" in os.environ:
        pytest.skip("the number of threads is set from outside")
    assert default_num_threads() == usable_cpus()


def test_a_parallel_reduction_is_refused_with_what_to_do():
    """There: fifty lines that name the block, not the loop, and suggest nothing."""
    s = scheduled(matmul(8, 8, 8))
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("C.k")
    text = str(caught.value)
    assert "'k'" in text or " k " in text
    assert "rfactor" in text
    assert len(text.splitlines()) < 25


def test_an_unknown_block_or_loop_comes_with_what_there_is():
    s = scheduled(matmul(8, 8, 8, relu=True))
    for call, known in ((lambda: s.loops("nope"), "'C'"), (lambda: s.split("C.m", 2), "k")):
        with pytest.raises(td.ScheduleError) as caught:
            call()
        assert known in str(caught.value)


def test_a_split_without_guard_is_proven_or_refused():
    """disable_predication is unchecked there."""
    s = scheduled(increment(100))
    with pytest.raises(td.ScheduleError, match="100 % 16"):
        s.split("B.i", 16, tail="exact")
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    t = scheduled(td.func("f", [A], [B], assume=["N % 16 == 0"]))
    t.split("B.i", 16, tail="exact")
    agrees(t, {"N": 32})


def test_sums_of_floats_are_never_rebracketed_in_silence():
    s = scheduled(matmul(4, 4, 8))
    assert s.numerics is Numerics.EXACT
    s.split("C.k", 4)
    s.rfactor("C.ki")
    assert s.numerics is Numerics.REASSOCIATES
    agrees(s)


def test_channels_in_blocks_of_16_with_a_tail_keep_room_for_it():
    """There a layout with a remainder wants a pad value; here nobody ever reads the padding."""
    n, c = 2, 21
    A = td.placeholder((n, c, 3), "float32", name="A")
    B = td.compute((n, c, 3), lambda b, k, x: A[b, k, x] * 2.0, name="B")
    C = td.compute((n, c, 3), lambda b, k, x: B[b, k, x] + 1.0, name="C")
    s = scheduled(td.func("blocked", [A], [C]))
    s.transform_layout("B", "b, k, x -> b, k // 16, x, k % 16")
    assert allocated(s, "B") == (n, 2, 3, 16)
    agrees(s, built=True)


def test_lanes_of_a_loop_of_open_length_are_asked_for():
    """There the extent is found out in the code generator."""
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    s = scheduled(td.func("f", [A], [B]))
    s.vectorize("B.i")
    agrees(s, {"N": 37})
    t = scheduled(td.func("f", [A], [B]))
    with pytest.raises(td.ScheduleError, match="constant"):
        t.unroll("B.i")

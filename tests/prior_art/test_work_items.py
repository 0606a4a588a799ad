"""Work-items of a device: Halide's gpu_sum_scan, TVM's reductions over sizes that divide nothing.

tests/opencl has transposes through local memory, trees, barriers and rows of any length.
"""

import numpy as np
import pytest

import tdsl as td
from tests.opencl.kernels import check_hostile


def running_sums(n):
    X = td.placeholder((n,), "int32", name="X")
    t = td.scan_axis(n, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="S")["s"]
    return td.func("running_sums", [X], [S])


@pytest.mark.parametrize(("n", "block"), [(37, 8), (16, 16), (5, 8)])
def test_blocks_of_a_running_sum_do_not_wait_for_each_other(n, block):
    s = td.Schedule(running_sums(n), "opencl")
    to, _ = s.split_scan("t", block)
    s.bind("S.s.sum.b", "group.x")
    s.bind(to, "group.x")
    x = np.random.default_rng(0).integers(-9, 9, n).astype(np.int32)
    check_hostile(s, {"X": x}, {"S.s": np.cumsum(x, dtype=np.int32)})


def test_steps_of_a_running_sum_are_no_work_items():
    s = td.Schedule(running_sums(16), "opencl")
    with pytest.raises(td.ScheduleError) as caught:
        s.bind("t", "local.x")
    assert caught.value.witness.kind == "RAW"


@pytest.mark.parametrize("n", [1, 7, 8, 21])
def test_a_guarded_group_stores_its_own_elements_only(n):
    A = td.placeholder((n,), "int32", name="A")
    B = td.compute((n,), lambda i: A[n - 1 - i] * 2, name="B")
    s = td.Schedule(td.func("turned", [A], [B]), "opencl")
    io, ii = s.split("i", 8)
    s.bind(io, "group.x")
    s.bind(ii, "local.x")
    a = np.arange(n, dtype=np.int32)
    check_hostile(s, {"A": a}, {"B": a[::-1] * 2})

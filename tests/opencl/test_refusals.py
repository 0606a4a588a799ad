"""What is refused: races when a loop is bound, mappings that no device can run when built."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.parser import parse_program
from tdsl.lower.map_work_items import map_work_items
from tests.opencl import kernels


def _halving():
    """`C[i // 2] = X[i]`: PoCL shows no wrong element of it in parallel."""
    x = td.placeholder((64,), "float32", name="X")
    base = td.placeholder((32,), "float32", name="base")
    i = td.reduce_axis(64, name="i")
    c = td.update(base, over=i, at=(i // 2,), value=x[i], op="set", name="C")
    return td.Schedule(td.func("halving", [base, x], [c]), target="opencl")


@pytest.mark.parametrize("axis", ["group.x", "local.x"])
def test_a_race_that_devices_hide_is_refused_with_a_witness(axis):
    s = _halving()
    before = str(s)
    with pytest.raises(td.ScheduleError, match="C") as caught:
        s.bind("C.i", axis)
    assert caught.value.witness is not None
    assert str(s) == before


def test_a_sum_over_work_items_is_refused():
    x = td.placeholder((64,), "float32", name="X")
    k = td.reduce_axis(64, name="k")
    total = td.compute((), lambda: td.sum(x[k], axis=k), name="total")
    s = td.Schedule(td.func("total", [x], [total]), target="opencl")
    with pytest.raises(td.ScheduleError, match="total"):
        s.bind("total.k", "local.x")


def test_one_axis_is_bound_once_along_a_path():
    s = kernels.elementwise()
    io, jo = s.loops("Y")[:2]
    with pytest.raises(td.ScheduleError, match=r"is bound to 'group\.y' already"):
        s.bind(jo, "group.y")
    assert io.name == "io"


def _refused(s, message):
    with pytest.raises(td.LoweringError, match=message):
        kernels.lowered(s)


def test_the_size_of_a_group_must_be_constant():
    n = td.sizes("N")
    x = td.placeholder((n,), "float32", name="X")
    y = td.compute((n,), lambda i: x[i] + 1.0, name="Y")
    s = td.Schedule(td.func("shift", [x], [y]), target="opencl")
    s.bind("Y.i", "local.x")
    _refused(s, "the size of a work-group is fixed when the kernel is built")


def test_group_loops_stand_one_inside_the_other():
    m, n = td.sizes("M N")
    x = td.placeholder((m, n), "float32", name="X")
    t = td.compute((m, n), lambda i, j: x[i, j] + 1.0, name="T")
    y = td.compute((m, n), lambda i, j: t[i, j] * 2.0, name="Y")
    s = td.Schedule(td.func("twice", [x], [y]), target="opencl")
    i, j = s.loops("Y")
    s.compute_at("T", at=i)
    s.bind(i, "group.y")
    s.bind(j, "group.x")
    _refused(s, "groups cannot wait for each other")


def test_shared_memory_belongs_to_one_group():
    x = td.placeholder((64,), "float32", name="X")
    t = td.compute((64,), lambda i: x[i] + 1.0, name="T")
    y = td.compute((64,), lambda i: t[63 - i], name="Y")
    s = td.Schedule(td.func("turned", [x], [y]), target="opencl")
    s.set_scope("T", "shared")
    outer, inner = s.split("Y.i", 8)
    s.bind(outer, "group.x")
    s.bind(inner, "local.x")
    _refused(s, "no two groups share such memory")


def test_work_items_do_not_name_what_data_says_outside_of_their_loops():
    program = parse_program("""tdsl-ir 1
func f(x: f32[4]) -> y: f32[4]:
  for g in group.x(1):
    let a = x[0]
    for l in local.x(4):
      y[l] = a
""")
    with pytest.raises(td.LoweringError, match="depend on data that other work-items make"):
        map_work_items(program, kernels.OPENCL)


def test_threads_are_refused_with_the_axes_that_there_are():
    x = td.placeholder((64,), "float32", name="X")
    y = td.compute((64,), lambda i: x[i] + 1.0, name="Y")
    s = td.Schedule(td.func("shift", [x], [y]), target="opencl")
    s.parallel("Y.i")
    with pytest.raises(td.LoweringError, match="is parallel, which OpenCL devices do not have"):
        td.build(s)


def test_work_items_wait_only_where_all_come_by():
    """A triangle of sums: work-item i runs the loop i times, and others would wait for it."""
    n = 8
    x = td.placeholder((n, n), "float32", name="X")
    k = td.reduce_axis(n, name="k")
    y = td.compute((n,), lambda i: td.sum(x[i, k], axis=k, where=k <= i), name="Y")
    s = td.Schedule(td.func("triangle", [x], [y]), target="opencl")
    s.bind("Y.i", "local.x")
    arrays = {"X": np.ones((n, n), np.float32)}
    kernels.check_hostile(s, arrays, {"Y": np.arange(1, n + 1, dtype=np.float32)})


def test_an_intermediate_in_global_memory_is_shared_by_all_kernels(opencl):
    x = td.placeholder((40,), "float32", name="X")
    t = td.compute((40,), lambda i: x[i] + 1.0, name="T")
    y = td.compute((40,), lambda i: t[39 - i] * 2.0, name="Y")
    s = td.Schedule(td.func("turned", [x], [y]), target="opencl")
    for block in "TY":
        outer, inner = s.split(f"{block}.i", 8)
        s.bind(outer, "group.x")
        s.bind(inner, "local.x")
    kernel = td.build(s)
    x = np.arange(40, dtype=np.float32)
    np.testing.assert_array_equal(kernel(x), (x + 1)[::-1] * 2)
    assert [event.kernel for event in kernel.events] == ["turned_T", "turned_Y"]

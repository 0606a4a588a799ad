"""Every barrier is needed: a kernel without any one of them is caught in a hostile order."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td
from tdsl.codegen.opencl import emit_module
from tdsl.errors import LoweringError
from tdsl.ir.interp import HOSTILE, interpret
from tdsl.ir.parser import parse_program
from tdsl.lower.map_work_items import map_work_items
from tests.opencl import kernels
from tests.opencl.mutations import is_caught, without_barrier

CASES = {
    "matmul": (kernels.matmul(2), {"M": 2, "N": 2, "K": 4}),
    "matmul_tiled": (kernels.matmul_tiled(2, 2, 1), {"M": 4, "N": 2, "K": 4}),
    "transpose": (kernels.transpose(2), {"M": 2, "N": 2}),
    "softmax": (kernels.softmax(4), {"M": 1, "N": 6}),
    "layernorm": (kernels.layernorm(4), {"M": 1, "N": 5}),
}


@pytest.mark.parametrize("name", CASES)
def test_removing_any_one_barrieris_caught(name):
    schedule, sizes = CASES[name]
    rng = np.random.default_rng(1)
    arrays = {
        param.buffer.name: rng.standard_normal([sizes[e.name] for e in param.buffer.shape]).astype(
            np.float32
        )
        for param in schedule.func.program.params
        if param.role.value == "in"
    }
    program = kernels.lowered(schedule)
    expected = interpret(program, arrays, sizes)
    count = len(kernels.barriers(program))
    assert count > 0
    assert not is_caught(program, arrays, sizes, expected)
    for number in range(count):
        mutant = without_barrier(program, number)
        assert is_caught(mutant, arrays, sizes, expected), f"barrier {number} of {count}"


def _row_kernel(make, scope="shared", lanes=4):
    """`Y[i] = make(T, i)` in one work-group, with `T[i] = X[i] + 1` in local memory."""
    x = td.placeholder((lanes,), "float32", name="X")
    t = td.compute((lanes,), lambda i: x[i] + 1.0, name="T")
    y = td.compute((lanes,), lambda i: make(t, i), name="Y")
    s = td.Schedule(td.func("row", [x], [y]), target="opencl")
    outer, inner = s.split("Y.i", lanes)
    s.bind(outer, "group.x")
    s.bind(inner, "local.x")
    s.compute_at("T", at=outer)
    s.set_scope("T", scope)
    s.bind(s.loops("T")[-1], "local.x")
    return s


def test_a_work_item_that_reads_its_own_element_does_not_wait():
    schedule = _row_kernel(lambda t, i: t[i] * 2.0)
    assert kernels.barriers(kernels.lowered(schedule)) == []


def test_a_work_item_that_reads_another_element_waits():
    schedule = _row_kernel(lambda t, i: t[3 - i] * 2.0)
    assert len(kernels.barriers(kernels.lowered(schedule))) == 1


def test_private_tiles_that_work_items_exchange_are_refused():
    schedule = _row_kernel(lambda t, i: t[3 - i] * 2.0, scope="register")
    with pytest.raises(LoweringError, match="work-items do not see each other's registers"):
        kernels.lowered(schedule)


def test_private_tiles_of_a_group_become_registers_of_work_items():
    schedule = _row_kernel(lambda t, i: t[i] * 2.0, scope="register")
    x = np.arange(4, dtype=np.float32)
    kernels.check_hostile(schedule, {"X": x}, {"Y": (x + 1) * 2})


def test_a_loop_waits_once_an_iteration_on_each_side():
    program = kernels.lowered(kernels.matmul(8))
    assert len(kernels.barriers(program)) == 2


def test_what_all_keep_of_what_one_wrote_waits_beside_private_storage_too():
    program = parse_program("""tdsl-ir 1
func f(x: f32[4]) -> y: f32[4], z: f32[4]:
  for g in group.x(1):
    alloc acc: f32[1] in register:
      for l in local.x(4):
        z[l] = x[l]
      alloc tmp: f32[1] in register:
        tmp[0] = x[0] + 1.0
        z[1] = tmp[0]
        acc[0] = z[1] + z[2]
      for l in local.x(4):
        y[l] = acc[0] + z[l]
""")
    mapped = map_work_items(program, kernels.OPENCL)
    for order in HOSTILE:
        x = np.array([10, 20, 30, 40], np.float32)
        found = interpret(mapped, {"x": x}, order=order, detect_conflicts=True)
        np.testing.assert_array_equal(found["y"], 41 + np.array([10, 11, 30, 40], np.float32))


def _source(body):
    text = f"tdsl-ir 1\nfunc f(x: f32[4]) -> y: f32[4]:\n  for g in group.x(1):\n{body}"
    return emit_module(map_work_items(parse_program(text), kernels.OPENCL)).source


TWICE = """\
    for l in local.x(4):
      y[l] = 0.0
    for l in local.x(4):
      y[3 - l] = x[l]
"""
TURNS = """\
    for k in 4:
      for l in local.x(4):
        y[(l + k) % 4] = x[k]
"""


@pytest.mark.parametrize("body", [TWICE, TURNS], ids=["two statements", "a loop"])
def test_work_items_that_overwrite_what_others_wrote_wait_for_global_memory(body):
    """Nobody reads it, but a fence for local memory alone does not order the two writes."""
    assert "barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)" in _source(body)


@pytest.mark.parametrize("make", [kernels.matmul, kernels.matmul_tiled])
def test_results_that_are_written_after_all_barriers_need_no_fence_for_global_memory(make):
    assert "CLK_GLOBAL_MEM_FENCE" not in kernels.source(make(8))


def test_work_items_whose_rows_are_over_wait_with_the_others(opencl):
    """Two rows for each work-item along y, summed by those along x; the last one has one row."""
    x, k = td.placeholder((7, 8), name="X"), td.reduce_axis(8, name="k")
    y = td.compute((7,), lambda i: td.sum(x[i, k], axis=k), name="Y")
    s = td.Schedule(td.func("sums", [x], [y]), target="opencl")
    group, row, _ = s.split("Y.i", (None, 2, 2))
    outer, lane = s.split("Y.k", 4)
    s.reorder(lane, outer)
    partial = s.rfactor(lane)
    s.set_scope(partial, "shared")
    kernels.bind(s, group_x=group, local_y=row, local_x=s.loops(partial)[-2])
    assert len(kernels.barriers(kernels.lowered(s))) == 2
    rows = np.arange(56, dtype=np.float32).reshape(7, 8)
    kernels.check_hostile(s, {"X": rows}, {"Y": rows.sum(axis=1)})
    np.testing.assert_array_equal(td.build(s)(rows), rows.sum(axis=1))

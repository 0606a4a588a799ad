"""Every barrier is needed: a kernel without any one of them is caught in a hostile order."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td
from tdsl.errors import LoweringError
from tdsl.ir.interp import interpret
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

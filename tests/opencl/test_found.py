"""Schedules and names that once went wrong on a device."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Load
from tdsl.ir.stmt import Store
from tdsl.ir.visit import statements, walk
from tdsl.lower import lower
from tests.opencl import kernels


def check(schedule):
    """The kernel computes what the algorithm means."""
    rng = np.random.default_rng(3)
    arrays = []
    for x in schedule.func.inputs:
        shape = tuple(int(e.value) for e in x.buffer.shape)
        arrays.append(rng.integers(-4, 5, shape).astype(x.dtype.numpy))
    expected = td.reference(schedule.func)(*arrays)
    np.testing.assert_array_equal(td.build(schedule)(*arrays), expected)


def test_what_follows_the_last_barrier_of_a_condition_is_run(opencl):
    A, B = td.placeholder((5, 3), name="A"), td.placeholder((3, 4), name="B")
    bias, k = td.placeholder((4,), name="bias"), td.reduce_axis(3, name="k")
    C = td.compute((5, 4), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    D = td.compute((5, 4), lambda i, j: td.maximum(C[i, j] + bias[j], 0.0), name="D")
    s = td.Schedule(td.func("f", [A, B, bias], [D]), "opencl")
    s.shift("D.i", -2)
    s.compute_with("D", at="C.j")
    s.skew("C.j", "C.i", 1)
    s.rfactor("C.k")
    s.bind("C.rf.i", "group.x")
    s.bind("C.rf.k", "local.x")
    s.bind("C.rf.j", "local.y")
    check(s)


NAMES = (
    "M_E", "M_PI_F", "INT_MAX", "CHAR_BIT", "CLK_LOCAL_MEM_FENCE", "float4", "uchar16", "as_int",
    "convert_long", "atomic_add", "get_global_id", "mem_fence", "mad24", "vload4", "_cl_pow",
    "half_cos", "kernel", "bool2", "__x", "select",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_mean_something_in_c(opencl, name):
    A = td.placeholder((6,), name="A")
    B = td.compute((6,), lambda i: td.exp2(A[i]) + 1.0, name=name)
    C = td.compute((6,), lambda i: td.minimum(B[i], B[5 - i]), name=f"{name}s")
    s = td.Schedule(td.func(f"{name}_", [A], [C]), "opencl")
    s.bind(f"{name}.i", "group.x")
    check(s)


@pytest.mark.parametrize("dtype", ["int32", "float32", "int8"])
def test_atomic_updates_of_what_nobody_else_has(opencl, dtype):
    X, t = td.placeholder((9,), dtype, name="X"), td.scan_axis(9, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="S")["s"]
    s = td.Schedule(td.func("f", [X], [S]), "opencl")
    s.split_scan("S.s.t", 3)
    s.atomic("S.s.sum")
    check(s)


@pytest.mark.parametrize("target", ["llvm", "opencl"])
def test_an_atomic_update_reads_its_element_by_the_index_that_it_writes(target):
    base, X = td.placeholder((6,), "int32", name="base"), td.placeholder((8,), "int32", name="X")
    at, i = td.placeholder((8,), "int64", name="at"), td.reduce_axis(8, name="i")
    U = td.update(base, over=i, at=(at[i],), value=X[i], op="add", name="U")
    s = td.Schedule(td.func("f", [base, X, at], [U]), target)
    s.atomic("U")
    program = lower(s.program, s.target).program
    (update,) = (n for n in statements(program.body) if isinstance(n, Store) and n.atomic)
    read = [n for n in walk(update.value) if isinstance(n, Load) and n.buffer is update.buffer]
    assert read == [Load(update.buffer, update.indices)]
    if target == "opencl":
        assert "atomic_add(U + " in kernels.source(s)


@pytest.mark.parametrize(("op", "function"), [("min", "atom_cmpxchg"), ("add", "atom_add")])
def test_atomic_updates_of_64_bits_ask_for_one_extension_only(opencl, op, function):
    """All but sums and exchanges are in cl_khr_int64_extended_atomics, which a device may lack."""
    base, X = td.placeholder((3,), "int64", name="base"), td.placeholder((64,), "int64", name="X")
    i = td.reduce_axis(64, name="i")
    U = td.update(base, over=i, at=(i % 3,), value=X[i], op=op, name="U")
    s = td.Schedule(td.func("f", [base, X], [U]), "opencl")
    s.atomic("U")
    s.bind("U.i", "group.x")
    assert re.findall(r"atom_\w+", kernels.source(s)) == [function]
    check(s)


def test_a_condition_on_data_reads_nothing_past_the_tail():
    """What it mentions twice gets a name, which must not stand in front of the guard."""
    X, Z = td.placeholder((10,), name="X"), td.placeholder((6,), name="Z")
    k = td.reduce_axis(6, name="k")
    Y = td.compute((10,), lambda i: td.sum(Z[k], axis=k, where=(X[i] > 0) & (X[i] < 5)), name="Y")
    s = td.Schedule(td.func("f", [X, Z], [Y]), "opencl")
    s.split("Y.i", 4)
    s.reorder("Y.k", "Y.io", "Y.ii")
    s.bind("Y.io", "group.x")
    s.bind("Y.ii", "local.x")
    _, kernel = kernels.source(s).split("void f_Y_2")
    assert "X[" in kernel
    assert kernel.index("< 10)") < kernel.index("X[")

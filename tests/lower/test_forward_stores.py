import pytest

import tdsl as td
from tdsl.ir.expr import Load
from tdsl.ir.stmt import For
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.lower.nests import TARGET, check_every_pass


def loads(program, name):
    """Loads of a buffer in the innermost loops after the pass."""
    body = dict(lower(program, TARGET, keep=True).dumps)["forward_stores"].body
    found = [n for n in walk(body) if isinstance(n, For)]
    inner = [f for f in found if not any(isinstance(n, For) for n in walk(f.body))]
    return [n for f in inner for n in walk(f) if isinstance(n, Load) and n.buffer.name == name]


def test_a_running_sum_stays_in_a_register():
    n = 20
    x = td.placeholder((n,), "float32", name="X")
    t = td.scan_axis(n, name="t")
    y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": prev["y"] + x[t]}, name="S")["y"]
    s = td.Schedule(td.func("sums", [x], [y]), TARGET)
    assert not loads(s.program, "S.y")
    check_every_pass(s.program, {})


@pytest.mark.parametrize("size", [0, 1, 2, 3, 9])
def test_sums_of_any_length(size):
    N = td.sizes("N")
    x = td.placeholder((N,), "float32", name="X")
    t = td.scan_axis(N, name="t")
    y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": prev["y"] + x[t]}, name="S")["y"]
    check_every_pass(td.Schedule(td.func("sums", [x], [y]), TARGET).program, {"N": size})


def updated(n, value, at=lambda r: r):
    x = td.placeholder((n,), "float32", name="X")
    r = td.reduce_axis(n - 4, name="r")
    y = td.update(x, over=r, at=at(r), value=lambda cur: value(cur, r), op="set", name="Y")
    return td.Schedule(td.func("f", [x], [y]), TARGET)


def test_values_of_two_iterations_before():
    s = updated(20, lambda y, r: y[r + 1] * 0.5 + y[r] * 0.25, at=lambda r: r + 2)
    assert not loads(s.program, "Y")
    check_every_pass(s.program, {})


def test_a_gap_is_read_from_memory():
    s = updated(20, lambda y, r: y[r] * 0.5, at=lambda r: r + 2)
    assert len(loads(s.program, "Y")) == 1
    check_every_pass(s.program, {})


def test_what_comes_later_is_read_from_memory():
    s = updated(20, lambda y, r: y[r + 1] * 0.5 + y[r + 3])
    assert len(loads(s.program, "Y")) == 2
    check_every_pass(s.program, {})


def test_columns_that_run_beside_one_another():
    x = td.placeholder((12, 16), "float32", name="X")
    t = td.scan_axis(12, name="t")
    states = {"y": ((16,), 0.0)}
    y = td.scan(t, states, lambda t, prev: {"y": lambda j: prev["y"][j] * 0.5 + x[t, j]}, name="S")
    s = td.Schedule(td.func("f", [x], [y["y"]]), TARGET)
    s.vectorize(s.loops("S.y")[-1], 16)
    assert not loads(s.program, "S.y")
    check_every_pass(s.program, {})


def test_vectors_that_overlap_are_read_from_memory():
    n = 48
    x = td.placeholder((n,), "float32", name="X")
    r = td.reduce_axis(4, name="r")
    k = td.reduce_axis(16, name="k")

    def value(cur):
        return cur[r * 8 + k] * 0.5 + 1.0

    y = td.update(x, over=(r, k), at=r * 8 + k + 8, value=value, op="set", name="Y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.vectorize(s.loops("Y")[-1], 8)
    check_every_pass(s.program, {})
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.vectorize(s.loops("Y")[-1], 16, unsafe=True)
    assert len(loads(s.program, "Y")) == 1

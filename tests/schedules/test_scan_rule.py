"""The default schedules of scans: blocks with carries, rows side by side, or the order as it is."""

import numpy as np
import pytest

import tdsl as td
from tdsl.schedules.reduction import cumulative_sum
from tdsl.schedules.rules import scans
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.groups import Group

RNG = np.random.default_rng(11)
OPS = {"add": (lambda a, b: a + b, np.add), "max": (td.maximum, np.maximum)}


def scan_of(shape, axis, dtype="float32", op="add"):
    """Running results along an axis; in the result, time is the first one."""
    x = td.placeholder(shape, dtype, name="X")
    others = (*shape[:axis], *shape[axis + 1 :])
    t = td.scan_axis(shape[axis], name="t")
    combine, _ = OPS[op]
    first = 0 if op == "add" else x.dtype.min

    def step(t, prev):
        if not others:
            return {"s": combine(prev["s"], x[t])}
        return {"s": lambda *i: combine(prev["s"][i], x[(*i[:axis], t, *i[axis:])])}

    return td.func("scan", [x], [td.scan(t, {"s": (others, first)}, step, name="S")["s"]])


def check(func, axis, rule, shape, op="add"):
    s = td.default_schedule(func)
    assert s.why.rule_of("S.s") == rule, str(s.why)
    dtype = func.inputs[0].dtype.numpy
    x = (RNG.standard_normal(shape) * 9).astype(dtype)
    _, ufunc = OPS[op]
    exact = np.dtype(dtype).kind == "i" or op == "max"
    want = ufunc.accumulate(x if exact else x.astype(np.float64), axis=axis, dtype=None)
    want = np.moveaxis(want.astype(dtype), axis, 0)
    got = td.build(s)(x)
    if exact:
        np.testing.assert_array_equal(got, want)
    else:
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-2)
    return s


@pytest.mark.parametrize(
    ("n", "dtype", "op", "steps"),
    [
        (3 * 16 * 16 * 4, "float32", "add", 48),
        (3 * 16 * 16 * 4 + 1, "int32", "add", 48),
        (40_000, "float32", "max", 528),
        (528 * 16 * 4, "int32", "add", 528),
        (20_011, "float64", "add", 264),
        (20_011, "int64", "add", 264),
        (30_000, "int8", "add", 432),
    ],
)
def test_long_scans_fall_into_blocks(n, dtype, op, steps):
    s = check(scan_of((n,), 0, dtype, op), 0, "scan", (n,), op)
    assert f"in blocks of {steps}," in str(s.why)
    assert s.blocks()[0].startswith("S.s.sum")


@pytest.mark.parametrize("n", [1, 50, 3 * 16 * 16 * 4 - 1])
def test_short_scans_stay_as_they_are(n):
    check(scan_of((n,), 0), 0, "fallback", (n,))


@pytest.mark.parametrize("shape", [(16, 16), (100, 37), (5, 64), (3, 1000), (2, 40, 33)])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_rows_are_scanned_side_by_side(shape, axis, dtype):
    axis %= len(shape)
    others = (*shape[:axis], *shape[axis + 1 :])
    rule = "scan" if others[-1] >= 16 else "fallback"
    s = check(scan_of(shape, axis, dtype), axis, rule, shape)
    assert s.numerics.value == "exact"
    if rule == "scan" and axis == len(shape) - 1:  # squares of rows and time
        assert "16 elements of each in a task, 16 at a time" in str(s.why)


def test_rows_of_any_size():
    n, m = td.sizes("n m")
    func = scan_of((n, m), 1)
    for shape in [(1, 1), (16, 16), (33, 50), (100, 3)]:
        check(func, 1, "scan", shape)


def test_elements_that_read_their_neighbours_stay_in_order():
    x = td.placeholder((20, 5000), "int32", name="X")
    t = td.scan_axis(20, name="t")

    def step(t, prev):
        return {"s": lambda i: prev["s"][td.maximum(i - 1, 0)] + x[t, i]}

    state = td.scan(t, {"s": ((5000,), 0)}, step, name="S")["s"]
    func = td.func("shifted", [x], [state])
    s = td.default_schedule(func)
    assert s.why.rule_of("S.s") == "fallback"
    assert "scan was refused" in str(s.why)
    array = RNG.integers(-9, 9, (20, 5000)).astype(np.int32)
    np.testing.assert_array_equal(td.build(s)(array), td.reference(func)(array))


def test_what_is_not_associative_stays_in_order():
    x = td.placeholder((20_000,), "int32", name="X")
    t = td.scan_axis(20_000, name="t")
    state = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": (prev["s"] ^ x[t]) // 3}, name="S")
    func = td.func("mixed", [x], [state["s"]])
    s = td.default_schedule(func)
    assert s.why.rule_of("S.s") == "fallback"
    array = RNG.integers(-99, 99, 20_000).astype(np.int32)
    np.testing.assert_array_equal(td.build(s)(array), td.reference(func)(array))


@pytest.mark.parametrize(("exclusive", "reverse"), [(False, True), (True, False), (True, True)])
def test_running_sums_of_the_library_in_blocks(exclusive, reverse):
    x = td.placeholder((9_999,), "int32", name="X")
    y = cumulative_sum(x, 0, exclusive=exclusive, reverse=reverse, name="Y")
    func = td.func("running", [x], [y])
    s = td.default_schedule(func)
    assert "Y.scan.sum: scan" in str(s.why)
    array = RNG.integers(-99, 99, 9_999).astype(np.int32)
    np.testing.assert_array_equal(td.build(s)(array), td.reference(func)(array))


def test_other_block_lengths_are_knobs():
    s = td.Schedule(scan_of((30_000,), 0))
    (view,) = s.nest.blocks
    plan = scans.match(Group.alone(BlockFacts(view.leaf.block)), s.target)
    assert plan.knobs() == {"steps": (432, 336, 240, 144, 48)}

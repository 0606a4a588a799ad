"""What split_scan writes: totals of whole blocks, what each block starts from, and the scan."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import matmul
from tests.scheduling.running import check, nest, scheduled, text


def running(op, init, source, dtype="int32", n=10):
    x = td.placeholder((n,), dtype, name="X")
    t = td.scan_axis(n, name="t")
    made = td.scan(
        t, {"s": ((), init)}, lambda t, prev: {"s": op(prev["s"], source(x[t]))}, name="S"
    )
    return td.func("running", [x], [made["s"]])


def itself(x):
    return x


# the step, what the first one starts from, what each adds, the type -> a block's total starts from
# the value that changes nothing, and is combined as steps are
OPS = {
    "sum": (lambda a, b: a + b, 5, itself, "int32", "0", "{a} + {b}", "{a} += {b}"),
    "product": (lambda a, b: a * b, 5, itself, "int32", "1", "{a} * {b}", "{a} *= {b}"),
    "max": (
        td.maximum, 5, itself, "int32", "-2147483648", "max({a}, {b})", "{a} = max({a}, {b})",
    ),
    "min": (
        td.minimum, 5, itself, "int32", "2147483647", "min({a}, {b})", "{a} = min({a}, {b})",
    ),
    "max of floats": (
        td.maximum, 5.0, itself, "float32", "-inf", "max({a}, {b})", "{a} = max({a}, {b})",
    ),
    "min of floats": (
        td.minimum, 5.0, itself, "float32", "inf", "min({a}, {b})", "{a} = min({a}, {b})",
    ),
    "all": (
        lambda a, b: a & b, False, lambda x: x > 3, "int32", "true", "{a} and {b}",
        "{a} = {a} and {b}",
    ),
    "any": (
        lambda a, b: a | b, True, lambda x: x > 3, "int32", "false", "{a} or {b}",
        "{a} = {a} or {b}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", OPS)
def test_a_scan_in_blocks(op):
    step, init, source, dtype, identity, joined, update = OPS[op]
    s = scheduled(running(step, init, source, dtype))
    to, ti = s.split_scan("t", 4)
    assert s.loops("S.s") == (to, ti)
    x = "X[{}] > 3" if source is not itself else "X[{}]"
    kind = "bool" if source is not itself else {"int32": "i32", "float32": "f32"}[dtype]
    start = {False: "false", True: "true"}.get(init, "5") if kind == "bool" else "5"
    total = update.format(a="S.s.sum[b]", b=x.format("b * 4 + r"))
    carry = joined.format(a="S.s.carry[b - 1]", b="S.s.sum[b - 1]")
    at = "to * 4 + ti"
    before = f"select(({at}) % 4 == 0, S.s.carry[({at}) // 4], S.s[{at} - 1])"
    state = joined.format(a=before, b=x.format(at))
    # 10 steps are two whole blocks, which have totals, and a part of a third, which has a start
    assert nest(s) == text(f"""
        alloc S.s.sum: {kind}[2]
        alloc S.s.carry: {kind}[3]
        for b in 2:
          S.s.sum[b] = {identity}
          for r in 4:  # reduction
            {total}
        for b in 3:  # in order
          S.s.carry[b] = select(b == 0, {start}, {carry})
        for to in 3:  # in order
          for ti in 4:  # in order
            if {at} < 10: S.s[{at}] = {state}
    """)
    s.parallel(to)
    check(s)


def test_a_scan_of_symbolic_rows_in_blocks():
    n, m = td.sizes("N M")
    x = td.placeholder((n, m), "int64", name="X")
    first = td.placeholder((m,), "int64", name="first")
    t = td.scan_axis(n, name="t")
    made = td.scan(
        t, {"s": ((m,), first)}, lambda t, prev: {"s": lambda i: prev["s"][i] + x[t, i]}, name="S"
    )
    s = scheduled(td.func("rows", [x, first], [made["s"]]))
    s.split_scan("t", 3)
    at = "to * 3 + ti"
    assert nest(s) == text(f"""
        alloc S.s.sum: i64[N // 3, M]
        alloc S.s.carry: i64[(N + 2) // 3, M]
        for b in N // 3:
          for i in M:
            S.s.sum[b, i] = 0
            for r in 3:  # reduction
              S.s.sum[b, i] += X[b * 3 + r, i]
        for b in (N + 2) // 3:  # in order
          for i in M:
            S.s.carry[b, i] = select(b == 0, first[i], S.s.carry[b - 1, i] + S.s.sum[b - 1, i])
        for to in (N + 2) // 3:  # in order
          for ti in 3:  # in order
            for i in M:
              if {at} < N:
              ... S.s[{at}, i] = select(({at}) % 3 == 0, S.s.carry[({at}) // 3, i],
              ... S.s[{at} - 1, i]) + X[{at}, i]
    """)
    for n in (0, 1, 3, 7):
        check(s, {"N": n, "M": 2})


def test_the_new_blocks_come_before_all_that_holds_the_scan():
    """Rows outermost: totals and starts of all rows are made before the first row is scanned."""
    x = td.placeholder((6, 2), "int32", name="X")
    t = td.scan_axis(6, name="t")
    made = td.scan(
        t, {"s": ((2,), 0)}, lambda t, prev: {"s": lambda i: prev["s"][i] + x[t, i]}, name="S"
    )["s"]
    y = td.compute((6, 2), lambda t, i: made[t, i] * 2, name="Y")
    s = scheduled(td.func("rows", [x], [y]))
    s.reorder("S.s.i", "S.s.t")
    s.split_scan("S.s.t", 2)
    assert s.blocks() == ("S.s.sum", "S.s.carry", "S.s", "Y")
    assert [loop.name for loop in s.loops("S.s")] == ["i", "to", "ti"]
    assert [loop.name for loop in s.loops("S.s.sum")] == ["b", "i", "r"]
    check(s)


def two_states(order="sh", mutual=False, n=7):
    """Running sums `s`, and sums `h` of what those were a step before."""
    x = td.placeholder((n,), "int32", name="X")
    t = td.scan_axis(n, name="t")

    def step(t, prev):
        return {"s": prev["h" if mutual else "s"] + x[t], "h": prev["h"] + prev["s"]}

    made = td.scan(t, dict.fromkeys(order, ((), 1)), step, name="S")
    return td.func("sums_of_sums", [x], [made["s"], made["h"]])


def test_a_state_that_adds_another_one_is_split_after_it():
    """The algorithm makes both states step by step; totals of `h` need all of `s` before."""
    s = scheduled(two_states())
    s.fission("t", after="S.s")
    s.parallel(s.split_scan("S.h.t", 3)[0])
    s.parallel(s.split_scan("S.s.t", 2)[0])
    assert s.blocks() == ("S.s.sum", "S.s.carry", "S.s", "S.h.sum", "S.h.carry", "S.h")
    check(s)


def of_a_row(n=6):
    """A step adds what it computes first, in storage of its own."""
    x = td.placeholder((n,), "int32", name="X")
    t = td.scan_axis(n, name="t")

    def step(t, prev):
        z = td.compute((2,), lambda i: x[t] * td.cast(i + 1, "int32"), name="Z")
        return {"s": lambda i: prev["s"][i] + z[i]}

    return td.func("rows", [x], [td.scan(t, {"s": ((2,), 0)}, step, name="S")["s"]])


def test_what_a_step_computes_first_may_be_added():
    s = scheduled(of_a_row())
    s.fission("t", after="Z")
    s.parallel(s.split_scan("S.s.t", 4)[0])
    assert s.blocks() == ("Z", "S.s.sum", "S.s.carry", "S.s")
    check(s)


def test_what_is_added_must_be_in_sight_where_totals_are_made():
    s = scheduled(of_a_row())
    s.fission("t", after="Z")
    s.reorder("S.s.i", "S.s.t")
    s.compute_at("Z", "S.s.i")
    with pytest.raises(td.ScheduleError, match=r"'Z', which .* reads, is private to a loop") as e:
        s.split_scan("S.s.t", 4)
    assert e.value.hint == "split_scan before 'Z' is placed there"


def test_what_a_scan_begins_with_must_be_in_sight_where_carries_are_made():
    x, y = td.placeholder((6, 4), "int32", name="X"), td.placeholder((4,), "int32", name="Y")
    first = td.compute((4,), lambda i: y[i] * 2, name="first")
    t = td.scan_axis(6, name="t")
    state = td.scan(
        t, {"s": ((4,), first)}, lambda t, prev: {"s": lambda i: prev["s"][i] + x[t, i]}, name="S"
    )["s"]
    s = scheduled(td.func("f", [x, y], [state]))
    s.reorder("S.s.i", "S.s.t")
    s.compute_at("first", "S.s.i")
    with pytest.raises(td.ScheduleError, match=r"'first', which .* reads, is private to a loop"):
        s.split_scan("S.s.t", 4)


@pytest.mark.parametrize(("order", "mutual"), [("hs", False), ("sh", True)])
def test_what_is_made_with_the_scan_is_not_known_before_it(order, mutual):
    """Only an unsafe step leaves such a scan a loop of its own."""
    s = scheduled(two_states(order, mutual))
    s.fission("t", after=f"S.{order[0]}", unsafe=True)
    with pytest.raises(td.ScheduleError, match=r"what 'S\.h' adds is made together with it"):
        s.split_scan("S.h.t", 4)


def test_only_loops_of_one_scan_are_split():
    x = td.placeholder((6,), "int32", name="X")
    t = td.scan_axis(6, name="t")
    state = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + x[t]}, name="S")["s"]
    y = td.compute((6,), lambda i: state[i] * 2, name="Y")
    s = scheduled(td.func("f", [x], [y]))
    s.compute_with("Y", "S.s.t")
    with pytest.raises(td.ScheduleError, match=r"loop 't' holds several blocks: S\.s, Y"):
        s.split_scan("S.s.t", 2)
    with pytest.raises(td.ScheduleError, match="'C' is no scan"):
        scheduled(matmul(2, 3, 4)).split_scan("C.k", 2)
    with pytest.raises(td.ScheduleError, match="'C' is no scan"):
        scheduled(matmul(2, 3, 4)).split_scan("C.i", 2)


def test_a_scan_in_pieces_is_no_loop_over_all_steps():
    x = td.placeholder((6, 4), "int32", name="X")
    t = td.scan_axis(6, name="t")
    made = td.scan(
        t, {"s": ((4,), 0)}, lambda t, prev: {"s": lambda i: prev["s"][i] + x[t, i]}, name="S"
    )["s"]
    s = scheduled(td.func("rows", [x], [made]))
    s.reorder("S.s.i", "S.s.t")
    s.partition("S.s.i", 3)
    with pytest.raises(td.ScheduleError, match=r"block 'S\.s' stands in 2 pieces"):
        s.split_scan(s.loops("S.s@0")[1], 2)


def scan(step, state=(), dtype="int32", init=0):
    x = td.placeholder((9,), dtype, name="X")
    t = td.scan_axis(9, name="t")
    made = td.scan(t, {"s": (state, init)}, lambda t, prev: {"s": step(t, prev["s"], x)}, name="S")
    return td.func("scan", [x], [made["s"]])


# recurrences that look like sums of what came before, and are not
OTHERS = {
    "another place of the step before": scan(
        lambda t, s, x: lambda i: s[td.minimum(i + 1, 3)] + x[t], (4,)
    ),
    "the state twice": scan(lambda t, s, x: s + (s + x[t])),
    "bits": scan(lambda t, s, x: s & x[t]),
    "bits or": scan(lambda t, s, x: s | x[t]),
    "no step before": scan(lambda t, s, x: td.select(x[t] > 3, x[t], 1) + x[t]),
    "a product of the state": scan(lambda t, s, x: x[t] * s + x[t], dtype="float32", init=0.0),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_is_no_sum_of_the_steps_so_far_is_not_split(case):
    s = scheduled(OTHERS[case])
    with pytest.raises(td.ScheduleError, match="is not a sum, product, min, max, all or any"):
        s.split_scan("S.s.t", 3)


def test_floats_are_labelled_and_whole_numbers_are_not():
    for dtype, label in (("float32", "reassociates"), ("int32", "exact")):
        s = scheduled(running(lambda a, b: a + b, 0, itself, dtype))
        s.split_scan("t", 4)
        assert s.numerics.value == label


def test_products_are_added_in_one_rounding_as_the_steps_do():
    s = scheduled(running(lambda a, b: a + b, 0.0, lambda x: x * x, "float32", 8))
    s.split_scan("t", 4)
    assert "fma(X[to * 4 + ti], X[to * 4 + ti], select(" in nest(s)
    check(s)

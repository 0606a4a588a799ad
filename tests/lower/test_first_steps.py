import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Binary, BinaryOp, Select
from tdsl.ir.parser import parse_program
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.lower.split_first_steps import MOST_STORES, split_first_steps
from tests.lower.nests import TARGET, check_every_pass


def recurrence(steps=6, points=24):
    """Each point takes half of its left neighbour's; the first step takes them from x."""
    x = td.placeholder((points,), "float32", name="x")
    t = td.scan_axis(steps, name="t")

    def step(_, before):
        h = before["h"]
        return {"h": lambda i: td.select(i > 0, h[i - 1] + h[i], h[i])}

    out = td.scan(t, {"h": ((points,), lambda i: x[i])}, step, name="H")["h"]
    return td.Schedule(td.func("recurrence", [x], [out]), TARGET)


def asked(program):
    """Equalities that selects still ask for after the pass."""
    dumps = dict(lower(program, TARGET, keep=True).dumps)
    selects = [n for n in walk(dumps["split_first_steps"].body) if isinstance(n, Select)]
    return [
        n
        for select in selects
        for n in walk(select.cond)
        if isinstance(n, Binary) and n.op is BinaryOp.EQ
    ]


@pytest.mark.parametrize("tiled", [False, True])
def test_the_first_step_has_a_body_of_its_own(tiled):
    s = recurrence()
    t, i = s.loops("H.h")
    if tiled:
        s.skew(i, by=t)
        _, _, ti, ii = s.tile(t, i, 2, 8)
        s.reorder(ii, ti)
    assert asked(s.program) == []
    check_every_pass(s.program, {})


def test_the_last_row_may_be_the_special_one():
    x = td.placeholder((9, 4), "float32", name="x")
    y = td.compute((9, 4), lambda i, j: td.select(i == 8, x[i, j], x[i, j] * 2.0), name="y")
    s = td.Schedule(td.func("last", [x], [y]), TARGET)
    assert asked(s.program) == []
    check_every_pass(s.program, {})


def test_a_diagonal_is_left_alone():
    x = td.placeholder((9, 9), "float32", name="x")
    y = td.compute((9, 9), lambda i, j: td.select(i == j, x[i, j], x[j, i]), name="y")
    s = td.Schedule(td.func("diagonal", [x], [y]), TARGET)
    assert len(asked(s.program)) == 1
    a = np.arange(81, dtype=np.float32).reshape(9, 9)
    assert np.array_equal(td.build(s)(a), np.where(np.eye(9, dtype=bool), a, a.T))


@pytest.mark.parametrize(("stores", "apart"), [(MOST_STORES, True), (MOST_STORES + 1, False)])
def test_a_body_too_large_for_two_copies_keeps_its_condition(stores, apart):
    lines = [f"    y[t, {k}] = select(t == 0, a, {k})" for k in range(stores)]
    head = f"func f(x: f32[N]) -> y: f32[N, {stores}]:"
    text = "\n".join(["tdsl-ir 1", head, "  for t in N:", "    let a = x[t]", *lines, ""])
    program = parse_program(text)
    assert (split_first_steps(program, TARGET) is not program) is apart

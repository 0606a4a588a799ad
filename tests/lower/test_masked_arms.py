import ctypes

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Load
from tdsl.ir.visit import walk
from tdsl.lower.pipeline import lower
from tests.guarded import guarded


def test_loads_in_arms_of_vector_selects_keep_their_masks():
    """Both arms are evaluated: what one may assume must not unmask its loads."""
    xs = [td.placeholder((1, 2, 12, 64), "float32", name=f"x{n}") for n in range(3)]
    y = td.compute(
        (3, 2, 12, 64),
        lambda i, j, k, m: td.select(
            i < 1, xs[0][i, j, k, m], td.select(i < 2, xs[1][i - 1, j, k, m], xs[2][i - 2, j, k, m])
        ),
        name="y",
    )
    s = td.Schedule(td.func("stack", xs, [y]))
    s.parallel(s.loops("y")[0])
    s.vectorize(s.loops("y")[-1], 16)
    lowered = lower(s.program, td.target("llvm")).program
    loads = [n for n in walk(lowered.body) if isinstance(n, Load)]
    assert len(loads) == 12
    assert all(load.mask is not None for load in loads)


@pytest.mark.parametrize("order", [("i", "j"), ("j", "i")])
def test_loads_in_arms_keep_inside_though_a_copy_decides_their_clamps(order):
    """In the copies for i = 2 and 3 the arm is taken where j + 3 < n alone."""
    n = td.sizes("n")
    x = td.placeholder((n,), "int32", name="x")

    def value(i, j):
        at = x[td.minimum(j + 3, n - 1)]
        return td.select((i < 2) | (j + 3 < n), at * (at + 1) + (at >> 3), 0)

    s = td.Schedule(td.func("f", [x], [td.compute((4, n), value, name="y")], assume=["n >= 4"]))
    s.reorder(*order)
    s.unroll("i")
    kernel = td.build(s)
    given = guarded(np.arange(1024, dtype=np.int32))  # fills a page to its end
    at = given[np.minimum(np.arange(1024) + 3, 1023)]
    whole = at * (at + 1) + (at >> 3)
    rest = np.where(np.arange(1024) + 3 < 1024, whole, 0)
    assert np.array_equal(kernel(given), [whole, whole, rest, rest])


def test_look_ups_in_arms_have_the_mask_of_what_they_index():
    n = td.sizes("n")
    at = td.placeholder((n,), "int64", name="at")
    x = td.placeholder((1024,), "int32", name="x")
    y = td.compute((n,), lambda i: td.select(i + 3 < n, x[at[i + 3]], 0), name="y")
    s = td.Schedule(td.func("f", [at, x], [y], assume=["n >= 4"]))
    s.split("i", 2)
    given = guarded(np.arange(512, dtype=np.int64))  # fills a page to its end
    found = td.build(s)(given, np.arange(1024, dtype=np.int32))
    assert found.tolist() == [*range(3, 512), 0, 0, 0]


# Advances the generator of three shorts that it is given the address of: a call leaves a trace.
DRAW = td.extern_function("test_arms_draw", "int64", ["int64"], ctypes.CDLL(None).nrand48)

ARMS = {
    "condition of all lanes": lambda i, j, c, d, w, draw: td.select(c[i] > 0, draw(i, j), 0),
    "condition of a lane": lambda i, j, c, d, w, draw: td.select(d[i, j] > 0, draw(i, j), 0),
    "both": lambda i, j, c, d, w, draw: td.select(
        c[i] > 0, td.select(d[i, j] > 0, draw(i, j), 1), 0
    ),
    "call for all lanes": lambda i, j, c, d, w, draw: td.select(d[i, j] > 0, draw(i, 0), 0),
    "argument of a function": lambda i, j, c, d, w, draw: td.select(
        c[i] > 0, td.sqrt(td.cast(draw(i, j), "float64")), 0.0
    ),
    "look-up": lambda i, j, c, d, w, draw: td.select(c[i] > 0, w[draw(i, j) % 8], 0),
    "look-up of a lane": lambda i, j, c, d, w, draw: td.select(d[i, j] > 0, w[draw(i, j) % 8], 0),
}


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("arm", ARMS)
def test_functions_are_called_where_their_arm_is_taken(arm, vector):
    """A function may be defined for some arguments alone: those that the condition lets through."""
    states = np.zeros((3, 4, 4), np.uint16)  # 8 bytes each, of which three shorts are used
    c = td.placeholder((3,), "int32", name="c")
    d = td.placeholder((3, 4), "int32", name="d")
    w = td.placeholder((8,), "int64", name="w")

    def value(i, j):
        return ARMS[arm](
            i, j, c, d, w, lambda *at: DRAW(states.ctypes.data + at[0] * 32 + at[1] * 8)
        )

    s = td.Schedule(td.func("arms", [c, d, w], [td.compute((3, 4), value, name="y")]))
    if vector:
        s.vectorize("j")
    given = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 1, 0]], np.int32)
    td.build(s)(given.max(1), given, np.arange(8))
    taken = {
        "condition of all lanes": given.max(1, keepdims=True) > 0,
        "argument of a function": given.max(1, keepdims=True) > 0,
        "look-up": given.max(1, keepdims=True) > 0,
        "call for all lanes": [[False] * 4, [True, *[False] * 3], [True, *[False] * 3]],
    }.get(arm, given > 0)
    assert np.array_equal(states.any(2), np.broadcast_to(taken, (3, 4)))


@pytest.mark.parametrize("on_element", [False, True])
def test_atomic_updates_call_functions_where_their_arm_is_taken(on_element):
    """Formulas stand in front of the attempts, but for those that the element itself decides on."""
    states = np.zeros((6, 4), np.uint16)
    c = td.placeholder((6,), "int32", name="c")
    y = td.placeholder((2,), "float64", name="y")
    r = td.reduce_axis(6, name="r")

    def added(r):
        drawn = td.exp(td.cast(DRAW(states.ctypes.data + r * 8) % 2, "float64"))
        return td.select(c[r] > 0, drawn, 1.0)

    if on_element:
        greater = td.reducer(identity=(0.0,), combine=lambda a, b: td.select(a < b, b, a))
        u = td.compute((2,), lambda i: greater((added(r),), axis=r)[0] + y[i], name="u")
    else:
        u = td.update(y, over=r, at=0, value=added(r), name="u")
    s = td.Schedule(td.func("drawn", [c, y], [u]))
    block = next(b for b in s.blocks() if b.startswith("u") and not b.endswith(".base"))
    s.atomic(block)
    s.parallel(s.loops(block)[-1])
    given = np.array([0, 1, 0, 0, 1, 0], np.int32)
    td.build(s)(given, np.zeros(2))
    assert np.array_equal(states.any(1), given > 0)


def test_conditions_call_functions_where_those_around_them_hold():
    states = np.zeros((8, 4), np.uint16)  # six are of iterations, two lie beyond the tail
    n = td.sizes("n")
    c = td.placeholder((n,), "int32", name="c")
    r = td.reduce_axis(n, name="r")
    drawn = DRAW(states.ctypes.data + r * 8) >= 0
    y = td.compute((2,), lambda i: td.sum(c[r], axis=r, where=drawn), name="y")
    s = td.Schedule(td.func("conditional", [c], [y]))
    _, inner = s.split("y.r", 4)
    s.unroll(inner)
    assert td.build(s)(np.arange(6, dtype=np.int32)).tolist() == [15, 15]
    assert states.any(1).tolist() == [True] * 6 + [False] * 2

"""`td.scan`: the dtype of each state, found from the step where it starts from a number."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td

t = td.scan_axis(6, name="t")
X = td.placeholder((6,), "float64", name="X")
Y = td.placeholder((6,), "float32", name="Y")
B = td.placeholder((6,), "int8", name="B")


def dtypes(states, step):
    return {key: out.dtype.name for key, out in td.scan(t, states, step, name="S").items()}


def test_states_of_one_scan_take_dtypes_of_their_own() -> None:
    states = {
        "s": ((), 0.0),
        "n": ((), 0),
        "hot": ((), False),
        "b": ((2,), 0),
        "top": ((), X.dtype.min),
    }

    def step(t, prev):
        return {
            "s": prev["s"] + Y[t],
            "n": prev["n"] + td.cast(X[t] > 0, "int32"),
            "hot": prev["hot"] | (X[t] > prev["top"]),
            "b": lambda i: prev["b"][i] + B[t],
            "top": td.maximum(prev["top"], X[t]),
        }

    out = td.scan(t, states, step, name="S")
    found = {key: tensor.dtype.name for key, tensor in out.items()}
    assert found == {"s": "float32", "n": "int32", "hot": "bool", "b": "int8", "top": "float64"}
    f = td.func("f", [X, Y, B], list(out.values()))
    values = np.array([0.5, -1, 2, 2, -3, 9])
    arrays = (values, values.astype("f4"), values.astype("i1"))
    s, n, hot, b, top = td.build(td.Schedule(f))(*arrays)
    np.testing.assert_array_equal(s, np.cumsum(arrays[1], dtype="f4"))
    np.testing.assert_array_equal(n, np.cumsum(values > 0))
    np.testing.assert_array_equal(b, np.stack([np.cumsum(arrays[2], dtype="i1")] * 2, axis=1))
    np.testing.assert_array_equal(top, np.maximum.accumulate(values))
    assert hot.all()


@pytest.mark.parametrize("start", [0, 0.0, np.float32(0), np.zeros(()), lambda: 0])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", "uint32", "bfloat16"])
def test_a_number_takes_the_dtype_that_the_step_gives(start, dtype) -> None:
    Z = td.placeholder((6,), dtype, name="Z")
    assert dtypes({"s": ((), start)}, lambda t, prev: {"s": prev["s"] + Z[t]}) == {"s": dtype}


def test_a_number_that_meets_none_has_the_dtype_of_its_kind() -> None:
    states = {"n": ((), 0), "x": ((), 0.0), "on": ((), True)}

    def step(_t, prev):
        return {"n": prev["n"] + 1, "x": prev["x"] * 0.5, "on": ~prev["on"]}

    assert dtypes(states, step) == {"n": "int64", "x": "float32", "on": "bool"}


def test_dtypes_travel_from_state_to_state() -> None:
    def step(t, prev):
        return {"a": prev["b"], "b": prev["c"], "c": prev["a"] + prev["c"] * X[t]}

    assert set(dtypes(dict.fromkeys("abc", ((), 0)), step).values()) == {"float64"}


def test_integers_become_floats_where_the_step_needs_them() -> None:
    assert dtypes({"s": ((), 0)}, lambda _t, p: {"s": p["s"] + 0.5}) == {"s": "float32"}
    assert dtypes({"s": ((), 0)}, lambda _t, p: {"s": p["s"] / 2}) == {"s": "float32"}
    assert dtypes({"s": ((), 0)}, lambda t, p: {"s": td.exp(p["s"]) * X[t]}) == {"s": "float64"}


def test_a_start_is_never_rounded() -> None:
    with pytest.raises(td.TypeMismatch, match="'\\+' mixes float32 and int8"):
        td.scan(t, {"s": ((), 0.5)}, lambda t, prev: {"s": prev["s"] + B[t]})
    with pytest.raises(td.TypeMismatch, match="mixes int64 and int8"):
        td.scan(t, {"s": ((), 300)}, lambda t, prev: {"s": prev["s"] + B[t]})


# what is declared, what the message says, what the help says
MISTAKES = [
    (lambda: td.scan(t, {"s": ((), 0)}, lambda t, p: {"s": p["s"] + X[t] + Y[t]}),
     "mixes float32 and float64", "cast one of them"),
    (lambda: td.scan(t, {"s": 0.0}, lambda t, p: {"s": p["s"] + Y[t]}),
     "declared by a pair (shape, start), got 0.0", "states={'s': ((), 0.0)}"),
    (lambda: td.scan(t, [("s", 0)], lambda t, p: {"s": p["s"] + Y[t]}),
     "states= is a dict of (shape, start), got list", ""),
    (lambda: td.scan(t, {}, lambda t, p: {}), "at least one state", ""),
    (lambda: td.scan(6, {"s": ((), 0)}, lambda t, p: {"s": p["s"]}),
     "needs an axis from td.scan_axis, got int", "td.scan_axis(T"),
    (lambda: td.scan(t, {"s": ((), Y)}, lambda t, p: {"s": p["s"] + Y[t]}, name="S"),
     "state S.s has the shape () but starts from Y of (6,)", ""),
    (lambda: td.scan(t, {"sum": ((), 0)}, lambda t, p: {"sum": p["sun"] + Y[t]}),
     "the scan has no state 'sun'", "did you mean 'sum'"),
    (lambda: td.scan(t, {"s": ((), 0)}, lambda t, p: {"r": p["s"] + Y[t]}),
     "returned states ['r'], declared ['s']", ""),
    (lambda: td.scan(t, {"s": ((), 0)}, lambda t, p: p["s"] + Y[t]),
     "returned a Value", "return a dict"),
    (lambda: td.scan(t, {"s": ((), 0)}, lambda t: {"s": Y[t]}),
     "too many positional arguments", "step=lambda t, prev: {...}"),
    (lambda: td.scan(t, {"s": ((3,), 0)}, lambda t, p: {"s": p["s"]}, name="S"),
     "state S.s has the shape (3,), but the step returned one Previous", "return lambda i0: ..."),
    (lambda: td.scan(t, {"s": ((3,), 0)}, lambda t, p: {"s": lambda i: p["s"][i, 0]}, name="S"),
     "state S.s has 1 dimensions but got 2 indices", ""),
]  # fmt: skip


@pytest.mark.parametrize(("declare", "words", "hint"), MISTAKES)
def test_mistakes(declare, words, hint) -> None:
    with pytest.raises(td.TdslError) as caught:
        declare()
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.span is not None
    assert caught.value.span.file == __file__

"""`a * 2**b` in one instruction, where the processor has it, against the formula that all have."""

import numpy as np
import pytest

import tdsl as td


def values(dtype):
    rng = np.random.default_rng(3)
    edge = {"float32": 104.5, "float64": 746.0}[dtype]
    parts = [
        rng.uniform(-edge, edge, 3000),
        rng.uniform(-edge, -edge * 0.8, 3000),  # denormal results
        [0.0, -0.0, np.inf, -np.inf, np.nan, edge, -edge, 1e30, -1e30, 88.7228, 88.7229, 709.7827],
    ]
    flat = np.concatenate(parts)
    return np.resize(flat, -(-len(flat) // 64) * 64).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fn", [td.exp, td.exp2, td.sigmoid, td.tanh])
def test_vectors_and_scalars_give_the_same_bits(fn, dtype):
    x = values(dtype)
    a = td.placeholder(x.shape, dtype, name="A")
    b = td.compute(x.shape, lambda i: fn(a[i]), name="B")
    f = td.func("f", [a], [b])
    s = td.Schedule(f)
    s.vectorize(s.split("B.i", 64)[1], 64)
    wanted = td.build(td.Schedule(f))(x)
    unsigned = f"u{wanted.itemsize}"
    assert np.array_equal(td.build(s)(x).view(unsigned), wanted.view(unsigned))
    s = td.Schedule(f)
    s.vectorize(s.split("B.i", 64)[1])
    assert np.array_equal(td.build(s)(x).view(unsigned), wanted.view(unsigned))

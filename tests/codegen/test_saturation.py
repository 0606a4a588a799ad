import numpy as np
import pytest

import tdsl as td

EDGES = [
    0.0, -0.0, 1.5, -1.5, 127.4, 128.0, 255.5, 256.0, -128.9, -129.0, 32767.9, 65535.9, 65536.0,
    2147483520.0, 2147483648.0, -2147483648.0, -2147483904.0, 4294967040.0, 4294967296.0, 9.2e18,
    1e19, -9.3e18, 1.9e19, 1e30, -1e30, np.inf, -np.inf, np.nan,
]  # fmt: skip


@pytest.mark.parametrize("source", ["float32", "float64"])
def test_vectors_saturate_as_scalars_do(source):
    """Compared with the scalar code, whose conversions LLVM makes."""
    a = np.array(EDGES * 3, source)
    A = td.placeholder(a.shape, source, name="A")
    kinds = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    casts = [td.compute(a.shape, lambda i, to=to: td.cast(A[i], to), name=to) for to in kinds]
    func = td.func("casts", [A], casts)
    s = td.Schedule(func, td.target("llvm"))
    for to in kinds:
        s.vectorize(s.split(f"{to}.i", 16, tail="mask")[1], 16)
    kernel = td.build(s)
    for got, wanted in zip(kernel(a), td.build(td.Schedule(func))(a), strict=True):
        assert np.array_equal(got, wanted)
    assert "fptosi.sat" not in kernel.source("llvm")


def test_a_clamped_index_is_free_away_from_the_border():
    A = td.placeholder((9, 70), "float32", name="A")
    P = td.pad(A, before=(2, 3), after=(2, 3), mode="edge", name="P")
    func = td.func("edged", [A], [P])
    s = td.Schedule(func, td.target("llvm"))
    s.vectorize(s.split(s.loops("P")[-1], 16, tail="mask")[1], 16)
    a = np.random.default_rng(0).random((9, 70), dtype=np.float32)
    kernel = td.build(s)
    assert np.array_equal(kernel(a), np.pad(a, ((2, 2), (3, 3)), mode="edge"))
    steady = kernel.source("lowered")
    assert "A[ramp(" in steady

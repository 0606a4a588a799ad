"""Foreign C functions: by symbol, by pointer, in schedules, in numpy."""

import ctypes
import ctypes.util
import math

import numpy as np
import pytest

import tdsl as td
from tests.scheduling.running import check

LIBM = ctypes.CDLL(ctypes.util.find_library("m") or "libm.so.6")


def rows(call, dtype="float64", shape=(4, 6)):
    a = td.placeholder(shape, dtype, name="A")
    b = td.compute(shape, lambda i, j: call(a[i, j]), name="B")
    return td.func("rows", [a], [b])


def test_a_symbol_of_libm_everywhere():
    f = rows(lambda x: td.extern("cbrt", "float64", x) + 1.0)
    a = np.arange(24.0).reshape(4, 6)
    wanted = np.cbrt(a) + 1
    np.testing.assert_allclose(td.reference(f)(a), wanted, rtol=1e-15)
    np.testing.assert_array_equal(td.build(f)(a), td.reference(f)(a))


def test_a_pointer_under_any_schedule():
    root = td.extern_function("test_extern_cbrt", "float64", ["float64"], LIBM.cbrt)
    f = rows(lambda x: td.select(x > 3.0, root(x), -1.0))
    a = np.arange(24.0).reshape(4, 6)
    s = td.Schedule(f)
    s.vectorize("B.j", 4)
    s.parallel("B.i")
    check(s)
    np.testing.assert_array_equal(td.build(s)(a), td.reference(f)(a))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float32"])
def test_every_width_at_its_ends(dtype):
    """`abs` and friends take what C takes: narrow integers are extended as the ABI wants."""
    names = {"int64": "labs", "float32": "fabsf"}
    name = names.get(dtype, "abs")
    wide = dtype if dtype in names else "int32"
    call = td.extern_function(f"test_extern_abs_{dtype}", wide, [dtype], getattr(LIBC, name))
    info = np.iinfo(dtype) if dtype != "float32" else np.finfo(dtype)
    least = info.min + (1 if dtype in ("int32", "int64") else 0)  # C leaves abs(INT_MIN) undefined
    a = np.array([[least, info.max, 0, 1]], dtype)
    f = rows(call, dtype, (1, 4))
    wanted = np.array([[abs(x.item()) for x in a[0]]], wide)
    np.testing.assert_array_equal(td.build(f)(a), wanted)
    np.testing.assert_array_equal(td.reference(f)(a), wanted)


LIBC = ctypes.CDLL(None)


def test_a_meaning_in_python_is_what_the_reference_uses():
    seen = []

    def meaning(x):
        seen.append(x)
        return math.tan(x)

    tangent = td.extern_function("test_extern_tan", "float64", ["float64"], LIBM.tan, meaning)
    f = rows(tangent, shape=(1, 2))
    a = np.array([[0.5, 1.0]])
    np.testing.assert_allclose(td.reference(f)(a), np.tan(a), rtol=1e-15)
    assert seen == [0.5, 1.0]
    np.testing.assert_allclose(td.build(f)(a), np.tan(a), rtol=1e-15)


def test_mistakes():
    with pytest.raises(td.DeclarationError, match="no C symbol"):
        td.extern_function("not a name", "float64", [])
    with pytest.raises(td.DeclarationError, match="cannot take or return float16"):
        td.extern_function("test_extern_half", "float32", ["float16"])
    with pytest.raises(td.DeclarationError, match="a Python function goes to reference="):
        td.extern_function("test_extern_py", "float64", ["float64"], math.tan)
    callback = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(math.tan)
    with pytest.raises(td.DeclarationError, match="is a Python function behind a C pointer"):
        td.extern_function("test_extern_callback", "float64", ["float64"], callback)
    with pytest.raises(td.DeclarationError, match="no address"):
        td.extern_function("test_extern_zero", "float64", ["float64"], 0)
    two = td.extern_function("test_extern_two", "float64", ["float64", "float64"], LIBM.atan2)
    with pytest.raises(td.TypeMismatch, match="takes 2 arguments, got 1"):
        rows(two)
    with pytest.raises(td.TypeMismatch, match=r"called as \(float32, float64\)"):
        rows(lambda x: two(x, 1.0), "float32")
    with pytest.raises(td.DeclarationError, match="another foreign function is called"):
        td.extern_function("test_extern_two", "float64", ["float64", "float64"], LIBM.pow)
    assert td.extern_function("test_extern_two", "float64", ["float64"] * 2, LIBM.atan2) == two
    missing = rows(lambda x: td.extern("test_extern_missing", "float64", x))
    with pytest.raises(td.TdslError, match="knows no function 'test_extern_missing'"):
        td.reference(missing)(np.zeros((4, 6)))
    with pytest.raises(td.TdslError, match="test_extern_missing, which nothing defines"):
        td.build(missing)

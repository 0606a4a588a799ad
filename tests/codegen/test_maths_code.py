"""Maths functions compile to the same bits in scalar and in vector code, near numpy's results."""

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.ir.build import index
from tdsl.ir.expr import Buffer, Load, Math, MathFn, Var
from tdsl.ir.stmt import For, LoopKind, Param, Program, Role, Store
from tdsl.lower.expand_maths import expand_maths
from tdsl.lower.vectorise import vectorise
from tdsl.target import target

HOST = target("llvm")
CASES = {
    MathFn.EXP: (np.exp, -10, 10),
    MathFn.LOG: (np.log, 1e-3, 50),
    MathFn.TANH: (np.tanh, -5, 5),
    MathFn.SIN: (np.sin, -30, 30),
    MathFn.ATAN: (np.arctan, -5, 5),
}


def program(fn, dtype, lanes, kind):
    A, B = (Buffer(name, dtype, (index(lanes),)) for name in "AB")
    i = Var("i")
    body = For(i, index(lanes), Store(B, (i,), Math(fn, (Load(A, (i,)),))), kind)
    return Program("kernel", (Param(A, Role.IN), Param(B, Role.OUT)), (), (), body)


@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64, dtypes.float16])
@pytest.mark.parametrize("fn", list(CASES), ids=lambda fn: fn.value)
def test_maths_function_is_one_formula_for_scalars_and_vectors(run, fn, dtype):
    numpy_fn, low, high = CASES[fn]
    a = np.linspace(low, high, 32).astype(dtype.numpy)
    results = []
    for kind in (LoopKind.SERIAL, LoopKind.VECTORIZED):
        p = expand_maths(vectorise(program(fn, dtype, 32, kind), HOST), HOST)
        results.append(run(p, {"A": a})["B"])
    assert (results[0] == results[1]).all()
    want = numpy_fn(a.astype(np.float64))
    tolerance = 4 * np.finfo(dtype.numpy).eps * np.maximum(np.abs(want), 0.1)
    assert (np.abs(results[0].astype(np.float64) - want) <= tolerance).all()

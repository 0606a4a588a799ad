"""Compiled maths functions at every float32, against double precision."""

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.ir.build import index
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Load, Math, MathFn, Var
from tdsl.ir.stmt import For, LoopKind, Param, Program, Role, Store
from tdsl.lower.expand_maths import expand_maths
from tdsl.lower.maths import bound
from tdsl.lower.vectorise import vectorise
from tdsl.target import target
from tests.codegen.machine import build, call
from tests.lower.maths_references import IN_DOUBLE, errors_in_ulps

LANES = 16
BLOCK = 1 << 20
HOST = target("llvm")
OF_TWO = {MathFn.ATAN2, MathFn.POW, MathFn.FMOD}


def compiled(fn):
    A, B = (Buffer(name, dtypes.float32, (index(BLOCK),)) for name in "AB")
    i, j = Var("i"), Var("j")
    at = Binary(BinaryOp.ADD, Binary(BinaryOp.MUL, i, index(LANES)), j)
    store = Store(B, (at,), Math(fn, (Load(A, (at,)),)))
    inner = For(j, index(LANES), store, LoopKind.VECTORIZED)
    body = For(i, index(BLOCK // LANES), inner)
    program = Program("kernel", (Param(A, Role.IN), Param(B, Role.OUT)), (), (), body)
    loaded, _ = build(expand_maths(vectorise(program, HOST), HOST))
    return loaded


def worst_error(fn, first, last):
    """The largest error over the float32 of bit patterns first, ..., last - 1, and its place."""
    loaded = compiled(fn)
    out = np.empty(BLOCK, np.float32)
    worst, where = 0.0, np.float32(0)
    for start in range(first, last, BLOCK):
        x = np.arange(start, start + BLOCK, dtype=np.int64).astype(np.uint32).view(np.float32)
        code, _ = call(loaded["kernel"], (x, out))
        assert code == 0
        with np.errstate(all="ignore"):
            errors = errors_in_ulps(out, IN_DOUBLE[fn](x.astype(np.float64)))
        k = int(np.argmax(errors))
        if errors[k] > worst:
            worst, where = float(errors[k]), x[k]
    return worst, where


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1 << 31], ids=["positive", "negative"])
@pytest.mark.parametrize("fn", [fn for fn in MathFn if fn not in OF_TWO], ids=lambda fn: fn.value)
def test_every_float_is_within_the_bound(fn, first):
    worst, where = worst_error(fn, first, first + (1 << 31))
    assert worst <= bound(fn, dtypes.float32), where

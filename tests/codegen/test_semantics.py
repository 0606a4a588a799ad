"""Every operation on every element type at the extremes: scalar and vector code as interpreted."""

import warnings

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.ir.build import add, floordiv, index, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Buffer,
    Cast,
    Fma,
    Load,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.interp import interpret
from tdsl.ir.stmt import For, LoopKind, Param, Program, Role, Store
from tdsl.ir.visit import substitute
from tdsl.lower.vectorise import vectorise
from tdsl.target import target

LANES = 16
FLOATS = [d for d in dtypes.ALL if d.is_float]
WHERE = ["llvm", "llvm -mcpu=x86-64-v3", "llvm -mcpu=x86-64-v2"]


def extremes(dtype):
    if dtype.is_bool:
        return np.array([False, True])
    if dtype.is_integer:
        low, high = int(dtype.min), int(dtype.max)
        values = [low, low + 1, high, high - 1, 0, 1, 2, 3, 7, 16, high // 2 + 1, high // 3]
        values += [dtype.bits - 1, dtype.bits, dtype.bits + 1] if dtype.bits < high else []
        values += [-1, -2, -7] if low < 0 else []
        return np.array(sorted(set(values)), dtype.numpy)
    info = {"float16": (-24, 15), "bfloat16": (-133, 127), "float32": (-149, 127)}
    smallest, largest = info.get(dtype.name, (-1074, 1023))
    bits = {"float16": 11, "bfloat16": 8, "float32": 24}.get(dtype.name, 53)
    tiny, huge = 2.0**smallest, 2.0**largest * (2.0 - 2.0 ** (1 - bits))
    values = [0.0, 1.0, 1.5, 2.0**-bits, 1 + 2.0 ** (1 - bits), 3.0, 0.1, 7.7, 100.0, 2.5, 0.5]
    values += [tiny, 3 * tiny, huge, float("inf"), float("nan"), 255.5, 127.0, 32768.0]
    values = np.array(values, np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.concatenate([values, -values]).astype(dtype.numpy)


def pairs(dtype):
    values = extremes(dtype)
    a, b = np.meshgrid(values, values, indexing="ij")
    return np.ascontiguousarray(a.ravel()), np.ascontiguousarray(b.ravel())


def program(value_of, inputs, result, count):
    """out[i] = value_of(loads...), as a serial loop."""
    n = index(count)
    buffers = [Buffer(f"a{k}", dtype, (n,)) for k, dtype in enumerate(inputs)]
    out = Buffer("out", result, (n,))
    i = Var("i")
    value = value_of(*(Load(b, (i,)) for b in buffers))
    params = [Param(b, Role.IN) for b in buffers] + [Param(out, Role.OUT)]
    return Program("kernel", tuple(params), (), (), For(i, n, Store(out, (i,), value)))


def in_vectors(serial):
    loop = serial.body
    outer, inner = Var("io"), Var("ii")
    body = substitute(loop.body, {loop.var: add(mul(outer, LANES), inner)})
    vectors = For(inner, index(LANES), body, LoopKind.VECTORIZED)
    nest = For(outer, floordiv(loop.extent, LANES), vectors)
    return vectorise(Program(serial.name, serial.params, (), (), nest), target("llvm"))


def same(got, want):
    if got.dtype.kind == "V" or got.dtype.name == "bfloat16":
        got, want = got.astype(np.float32), want.astype(np.float32)
    if got.dtype.kind == "f":
        nan = np.isnan(got) & np.isnan(want)
        alike = (got == want) & (np.signbit(got) == np.signbit(want))
        return nan | alike
    return got == want


def check(run, value_of, arrays, result):
    padding = -len(arrays[0]) % LANES
    arrays = [np.concatenate([a, np.repeat(a[:1], padding)]) for a in arrays]
    inputs = [dtypes.BY_NAME[a.dtype.name] for a in arrays]
    serial = program(value_of, inputs, result, len(arrays[0]))
    named = {f"a{k}": a for k, a in enumerate(arrays)}
    want = interpret(serial, named)["out"]
    for form in (serial, in_vectors(serial)):
        for where in WHERE:
            got = run(form, named, where=where)["out"]
            wrong = np.flatnonzero(~same(got, want))
            shown = [(tuple(a[k] for a in arrays), got[k], want[k]) for k in wrong[:5]]
            assert not len(wrong), (where, form is serial, shown)


ARITHMETIC = [BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL]
DIVISION = [BinaryOp.FLOORDIV, BinaryOp.FLOORMOD, BinaryOp.SHL, BinaryOp.SHR]
BITS = [BinaryOp.AND, BinaryOp.OR, BinaryOp.XOR]
ORDER = [BinaryOp.MIN, BinaryOp.MAX]
COMPARE = [op for op in BinaryOp if op.compares]


def binary_cases():
    for dtype in dtypes.ALL:
        ops = [*ORDER, *COMPARE]
        if dtype.is_integer:
            ops += [*ARITHMETIC, *DIVISION, *BITS]
        elif dtype.is_bool:
            ops += BITS
        else:
            ops += [*ARITHMETIC, BinaryOp.TRUEDIV]
        for op in ops:
            yield pytest.param(op, dtype, id=f"{op.name.lower()}-{dtype.name}")


@pytest.mark.parametrize(("op", "dtype"), list(binary_cases()))
def test_binary_operation_at_the_extremes(run, op, dtype):
    result = dtypes.bool_ if op.compares else dtype
    check(run, lambda a, b: Binary(op, a, b), pairs(dtype), result)


def unary_cases():
    for dtype in dtypes.ALL:
        if dtype.is_bool:
            ops = [UnaryOp.NOT]
        elif dtype.is_integer:
            ops = [UnaryOp.NEG, UnaryOp.NOT, UnaryOp.ABS, UnaryOp.POPCOUNT, UnaryOp.CLZ]
            ops += [UnaryOp.FLOOR, UnaryOp.ROUND]
        else:
            ops = [UnaryOp.NEG, UnaryOp.ABS, UnaryOp.FLOOR, UnaryOp.CEIL, UnaryOp.TRUNC]
            ops += [UnaryOp.ROUND, UnaryOp.SQRT, UnaryOp.ISNAN, UnaryOp.ISINF]
        for op in ops:
            yield pytest.param(op, dtype, id=f"{op.value}-{dtype.name}")


@pytest.mark.parametrize(("op", "dtype"), list(unary_cases()))
def test_unary_operation_at_the_extremes(run, op, dtype):
    result = dtypes.bool_ if op in (UnaryOp.ISNAN, UnaryOp.ISINF) else dtype
    check(run, lambda a: Unary(op, a), [extremes(dtype)], result)


@pytest.mark.parametrize("to", dtypes.ALL, ids=lambda d: d.name)
@pytest.mark.parametrize("source", dtypes.ALL, ids=lambda d: d.name)
def test_cast_at_the_extremes(run, source, to):
    values = extremes(source)
    if source.bits == 64:
        near = [2**53 + 1, 2**60 + 1, 2**60 + 2**52 + 1, 2**62 - 1, 2**40 + 2**33 + 1]
        values = np.concatenate([values, np.array(near).astype(source.numpy)])
    if source is dtypes.float64:
        ties = [1 + 2.0**-9 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-24 + 2.0**-50]
        values = np.concatenate([values, ties])
    check(run, lambda a: Cast(a, to), [values], to)


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_fma_rounds_once(run, dtype):
    rng = np.random.default_rng(1)
    a, b = pairs(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale = rng.choice([1e-6, 1e-3, 1.0, 1e3], len(a))
        c = (rng.standard_normal(len(a)) * scale).astype(dtype.numpy)
        exact = (-(a.astype(np.float64) * b.astype(np.float64))).astype(dtype.numpy)
    c[::3] = exact[::3]  # where only the last bits of the product survive
    check(run, Fma, [a, b, c], dtype)


def bitcast_cases():
    for source in dtypes.ALL:
        for to in dtypes.ALL:
            if source.bits == to.bits and not source.is_bool and not to.is_bool:
                yield pytest.param(source, to, id=f"{source.name}-{to.name}")


@pytest.mark.parametrize(("source", "to"), list(bitcast_cases()))
def test_bitcast_keeps_the_bits(run, source, to):
    values = extremes(source)
    if source.is_float:
        values = values[~np.isnan(values.astype(np.float64))]
    check(run, lambda a: Bitcast(a, to), [values], to)


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_select_takes_the_right_arm(run, dtype):
    a, b = pairs(dtype)
    check(run, lambda x, y: Select(Binary(BinaryOp.LT, x, y), x, y), [a, b], dtype)

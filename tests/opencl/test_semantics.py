"""Every operation on every element type at the extremes, on a device as in the interpreter.

All operations of one type are one kernel: a device's compiler takes long to start.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.codegen.opencl import emit_module
from tdsl.ir.build import add, const, floordiv, index, lt, mul
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
from tdsl.ir.stmt import For, LoopKind, Param, Program, Role, Seq, Store
from tdsl.ir.visit import substitute
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.vectorise import vectorise
from tdsl.target import target
from tests.codegen.test_semantics import (
    ARITHMETIC,
    BITS,
    COMPARE,
    DIVISION,
    FLOATS,
    ORDER,
    pairs,
    same,
)

OPENCL = target("opencl")
MULTIPLE = 48  # of 1, 3, 4 and 16 lanes


def operations(dtype):
    """Names of operations, each with its result type and what computes it from two operands."""
    binary = [*ORDER, *COMPARE]
    if dtype.is_integer:
        binary += [*ARITHMETIC, *DIVISION, *BITS]
    elif dtype.is_bool:
        binary += BITS
    else:
        binary += [*ARITHMETIC, BinaryOp.TRUEDIV]
    for op in binary:
        result = dtypes.bool_ if op.compares else dtype
        yield op.name.lower(), result, lambda a, b, _, op=op: Binary(op, a, b)
    if dtype.is_integer:
        three = const(3, dtype)
        for op in (BinaryOp.SHL, BinaryOp.SHR, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD):
            name = f"{op.name.lower()}_by_three"
            yield name, dtype, lambda a, b, _, op=op: Binary(op, a, three)
        # C chooses between short integers as `int`, which has more leading zeros
        yield (
            "clz_of_a_choice", dtype,
            lambda a, b, _: Unary(UnaryOp.CLZ, Select(lt(a, b), a, b)),
        )  # fmt: skip
    for op in unary_operations(dtype):
        result = dtypes.bool_ if op in (UnaryOp.ISNAN, UnaryOp.ISINF) else dtype
        yield op.value, result, lambda a, b, _, op=op: Unary(op, a)
    yield "select", dtype, lambda a, b, _: Select(Binary(BinaryOp.LT, a, b), a, b)
    for to in dtypes.ALL:
        yield f"to_{to.name}", to, lambda a, b, _, to=to: Cast(a, to)
        if to.bits == dtype.bits and not to.is_bool and not dtype.is_bool and not dtype.is_float:
            yield f"as_{to.name}", to, lambda a, b, _, to=to: Bitcast(a, to)
    if dtype.is_float:
        yield "fma", dtype, Fma


def unary_operations(dtype):
    if dtype.is_bool:
        return [UnaryOp.NOT]
    if dtype.is_integer:
        return [UnaryOp.NEG, UnaryOp.NOT, UnaryOp.ABS, UnaryOp.POPCOUNT, UnaryOp.CLZ, UnaryOp.ROUND]
    return [
        UnaryOp.NEG,
        UnaryOp.ABS,
        UnaryOp.FLOOR,
        UnaryOp.CEIL,
        UnaryOp.TRUNC,
        UnaryOp.ROUND,
        UnaryOp.SQRT,
        UnaryOp.ISNAN,
        UnaryOp.ISINF,
    ]


def operands(dtype):
    a, b = pairs(dtype)
    if dtype.bits == 64:
        near = [2**53 + 1, 2**60 + 1, 2**60 + 2**52 + 1, 2**62 - 1, 2**40 + 2**33 + 1]
        near = np.array(near).astype(dtype.numpy)
        if dtype.is_float:
            near = np.array(
                [1 + 2.0**-9 + 2.0**-40, 1 + 2.0**-11 + 2.0**-40, 1 + 2.0**-24 + 2.0**-50]
            )
        a, b = np.concatenate([a, near]), np.concatenate([b, near])
    rng = np.random.default_rng(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scale = rng.choice([1e-6, 1e-3, 1.0, 1e3], len(a))
        c = (rng.standard_normal(len(a)) * scale).astype(dtype.numpy)
        if dtype in FLOATS:
            exact = (-(a.astype(np.float64) * b.astype(np.float64))).astype(dtype.numpy)
            c[::3] = exact[::3]  # where only the last bits of the product survive
    padding = -len(a) % MULTIPLE
    return [np.concatenate([x, np.repeat(x[:1], padding)]) for x in (a, b, c)]


def serial_program(dtype, count):
    n = index(count)
    inputs = [Buffer(name, dtype, (n,)) for name in "abc"]
    i = Var("i")
    values = [Load(buffer, (i,)) for buffer in inputs]
    params = [Param(b, Role.IN) for b in inputs]
    stores = []
    for name, result, make in operations(dtype):
        out = Buffer(name, result, (n,))
        params.append(Param(out, Role.OUT))
        stores.append(Store(out, (i,), make(*values)))
    return Program("kernel", tuple(params), (), (), For(i, n, Seq(tuple(stores))))


def in_vectors(serial, lanes):
    loop = serial.body
    outer, inner = Var("io"), Var("ii")
    body = substitute(loop.body, {loop.var: add(mul(outer, lanes), inner)})
    vectors = For(inner, index(lanes), body, LoopKind.VECTORIZED)
    nest = For(outer, floordiv(loop.extent, lanes), vectors)
    return vectorise(Program(serial.name, serial.params, (), (), nest), OPENCL)


def run(program, arrays):
    """Build and run a lowered program on any device."""
    from tdsl.runtime.devices import load_device_kernel
    from tdsl.runtime.signature import Dim, Param as Argument, Role as Use, Signature

    flat = flatten_storage(program, OPENCL)
    module = emit_module(flat)
    arguments = tuple(
        Argument(
            p.buffer.name,
            p.buffer.dtype.name,
            tuple(Dim((), int(e.value)) for e in p.buffer.shape),
            role=Use(p.role.value),
        )
        for p in program.params
    )
    kernel = load_device_kernel(
        Signature("kernel", arguments),
        module.source,
        module.plan,
        device="",
        sources={},
        packers={},
        accesses=(),
    )
    names = [p.buffer.name for p in program.params if p.role is Role.OUT]
    return dict(zip(names, kernel(*arrays), strict=True))


@pytest.mark.parametrize("lanes", [1, 4, 16, 3])
@pytest.mark.parametrize("dtype", dtypes.ALL, ids=lambda d: d.name)
def test_operations_at_the_extremes(opencl, dtype, lanes):
    arrays = operands(dtype)
    serial = serial_program(dtype, len(arrays[0]))
    want = interpret(serial, dict(zip("abc", arrays, strict=True)))
    program = serial if lanes == 1 else in_vectors(serial, lanes)
    got = run(program, arrays)
    for name, expected in want.items():
        wrong = np.flatnonzero(~same(got[name], expected))
        shown = [(tuple(x[k] for x in arrays), got[name][k], expected[k]) for k in wrong[:5]]
        assert not len(wrong), (name, len(wrong), shown)

"""Run a schedule in the interpreter, in friendly and hostile orders, against its algorithm."""

import re
from textwrap import dedent

import numpy as np

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.ir.interp import CANONICAL, HOSTILE, interpret
from tdsl.ir.stmt import Role
from tdsl.scheduling import replay


def inputs_of(func, sizes, seed=0):
    rng = np.random.default_rng(seed)
    known = {var.name: value for var, value in zip(func.sizes, _values(func, sizes), strict=True)}
    arrays = {}
    for param in func.program.params:
        if param.role is Role.OUT:
            continue
        shape = tuple(_number(e, func, known) for e in param.buffer.shape)
        dtype = param.buffer.dtype.numpy
        if dtype.kind in "iu":
            arrays[param.buffer.name] = rng.integers(0, 8, shape).astype(dtype)
        else:
            arrays[param.buffer.name] = rng.standard_normal(shape).astype(dtype)
    return arrays


def _values(func, sizes):
    return [sizes[var.name] for var in func.sizes]


def _number(e, func, known):
    from tdsl.ir.affine import tidy
    from tdsl.ir.build import index
    from tdsl.ir.visit import substitute

    found = tidy(substitute(e, {var: index(known[var.name]) for var in func.sizes}))
    return int(found.value)


def check(schedule, sizes=None, orders=(CANONICAL, *HOSTILE), arrays=None):
    """The schedule gives what its algorithm gives: bit for bit if it says that it is exact."""
    func = schedule.func
    arrays = inputs_of(func, sizes or {}) if arrays is None else arrays
    wanted = interpret(func.program, arrays, sizes)
    for order in orders:
        got = interpret(schedule.program, arrays, sizes, order, detect_conflicts=True)
        for name, value in wanted.items():
            if schedule.numerics is Numerics.EXACT:
                np.testing.assert_array_equal(got[name], value)
            else:
                np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)
    return schedule


def nest(schedule):
    return str(schedule.nest)


def text(block):
    """A nest as it is printed, from one that is written indented; `...` goes on with a line."""
    return re.sub(r"\n *\.\.\. ", " ", dedent(block).strip())


def shown(schedule, wanted, sizes=None):
    """A schedule has these loops and blocks, also made anew; they give what its algorithm gives."""
    assert nest(schedule) == text(wanted), nest(schedule)
    again = td.Schedule(schedule.func, schedule.target)
    replay(schedule.trace.json(), again)
    assert nest(again) == nest(schedule)
    return check(schedule, sizes)


def scheduled(func, target="llvm -mcpu=znver4"):
    return td.Schedule(func, target)

"""Algorithms with schedules for work-groups, and the ways in which the tests run them."""

from __future__ import annotations

import numpy as np

import tdsl as td
from tdsl.codegen.opencl.stages import Stages
from tdsl.ir.interp import CANONICAL, HOSTILE, interpret
from tdsl.ir.stmt import Barrier
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.target import target

OPENCL = target("opencl")


def lowered(schedule):
    """What the work-items run."""
    return lower(schedule.program, OPENCL).program


def source(schedule):
    """The OpenCL C of a schedule."""
    return Stages(schedule.program, schedule.target).module.source


def barriers(program):
    """The barriers of a program."""
    return [n for n in walk(program.body) if isinstance(n, Barrier)]


def check_hostile(schedule, arrays, expected, *, sizes=None):
    """Run the lowered program with work-items in hostile orders, watching for conflicts."""
    program = lowered(schedule)
    for order in (CANONICAL, *HOSTILE):
        found = interpret(program, arrays, sizes, order=order, detect_conflicts=True)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{name}, {order}")


def canonical(schedule):
    """The same algorithm and numerics on the CPU, loops in order: what the device must give."""
    return td.build(td.Schedule(schedule.func))


def interpreted(schedule, arrays, sizes=None):
    """What the lowered program computes, bit for bit (maths functions are formulas there)."""
    return interpret(lowered(schedule), arrays, sizes)


# -- elementwise ----------------------------------------------------------------------------------


def elementwise(group=8):
    m, n = td.sizes("M N")
    x = td.placeholder((m, n), "float32", name="X")
    y = td.compute((m, n), lambda i, j: td.exp(x[i, j]) * 2.0, name="Y")
    s = td.Schedule(td.func("scaled_exp", [x], [y]), target="opencl")
    io, jo, ii, ji = s.tile("i", "j", group, group)
    bind(s, group_y=io, group_x=jo, local_y=ii, local_x=ji)
    return s


def bind(s, **axes):
    """`bind(s, group_y=io)`: every loop by the axis that it is bound to."""
    for axis, loop in axes.items():
        s.bind(loop, axis.replace("_", "."))


# -- matrices -------------------------------------------------------------------------------------


def matmul_algorithm():
    m, n, k = td.sizes("M N K")
    a = td.placeholder((m, k), "float32", name="A")
    b = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    c = td.compute((m, n), lambda i, j: td.sum(a[i, r] * b[r, j], axis=r), name="C")
    return td.func("matmul", [a, b], [c])


def matmul(tile=8):
    """A tile of A and one of B in local memory, one element of C in a register."""
    s = td.Schedule(matmul_algorithm(), target="opencl")
    i, j, k = s.loops("C")
    io, jo, ii, ji = s.tile(i, j, tile, tile)
    ko, ki = s.split(k, tile)
    s.reorder(io, jo, ko, ii, ji, ki)
    bind(s, group_y=io, group_x=jo, local_y=ii, local_x=ji)
    for name in "AB":
        stage(s, name, ko)
    s.cache_write("C", "register", at=jo)
    oi, oj = s.loops("C.out")[-2:]
    bind(s, local_y=oi, local_x=oj)
    return s


def stage(s, name, at):
    """Work-items load a tile together."""
    copy = s.cache_read("C", name, scope="shared", at=at)
    rows, columns = s.loops(copy)[-2:]
    bind(s, local_y=rows, local_x=columns)


def matmul_tiled(tile=8, rows=4, columns=2):
    """Each work-item has a tile of C of its own."""
    s = td.Schedule(matmul_algorithm(), target="opencl")
    i, j, k = s.loops("C")
    io, im, ii = s.split(i, (None, tile, rows))
    jo, jm, ji = s.split(j, (None, tile, columns))
    ko, ki = s.split(k, tile)
    s.reorder(io, jo, ko, im, jm, ki, ii, ji)
    bind(s, group_y=io, group_x=jo, local_y=im, local_x=jm)
    for name in "AB":
        copy = s.cache_read("C", name, scope="shared", at=ko)
        for loop, axis in zip(s.loops(copy)[-2:], ("local.y", "local.x"), strict=True):
            _, inner = s.split(loop, tile)
            s.bind(inner, axis)
    s.cache_write("C", "register", at=jo)
    oi, oj = s.loops("C.out")[-2:]
    oim, oii = s.split(oi, rows)
    ojm, oji = s.split(oj, columns)
    s.reorder(oim, ojm, oii, oji)
    bind(s, local_y=oim, local_x=ojm)
    for loop in (ii, ji, oii, oji):
        s.unroll(loop)
    return s


def transpose(tile=8):
    """A tile goes through local memory, so that both sides are read and written along rows."""
    m, n = td.sizes("M N")
    x = td.placeholder((m, n), "float32", name="X")
    y = td.compute((n, m), lambda i, j: x[j, i], name="Y")
    s = td.Schedule(td.func("transpose", [x], [y]), target="opencl")
    io, jo, ii, ji = s.tile("i", "j", tile, tile)
    copy = s.cache_read("Y", "X", scope="shared", at=jo)
    bind(s, group_y=io, group_x=jo, local_y=ii, local_x=ji)
    rows, columns = s.loops(copy)[-2:]
    bind(s, local_y=rows, local_x=columns)
    return s


# -- rows -----------------------------------------------------------------------------------------


def tree(s, block, lanes, at):
    """Reduce a row by all work-items of a group: each its share, then halves onto halves."""
    s.compute_at(block, at=at)
    s.set_scope(block, "shared")
    outer, lane = s.split(s.loops(block)[-1], lanes)
    s.reorder(lane, outer)
    while True:
        partial = s.rfactor(lane)
        s.set_scope(partial, "shared")
        s.bind(s.loops(partial)[-2], "local.x")
        if lanes <= 2:
            return
        lanes = -(-lanes // 2)
        outer, lane = s.split(s.loops(block)[-1], lanes)
        s.reorder(lane, outer)


def softmax(lanes=8):
    m, n = td.sizes("M N")
    x = td.placeholder((m, n), "float32", name="X")
    j = td.reduce_axis(n, name="j")
    top = td.compute((m,), lambda i: td.max(x[i, j], axis=j), name="top")
    e = td.compute((m, n), lambda i, j: td.exp(x[i, j] - top[i]), name="e")
    total = td.compute((m,), lambda i: td.sum(e[i, j], axis=j), name="total")
    y = td.compute((m, n), lambda i, j: e[i, j] / total[i], name="Y")
    s = td.Schedule(td.func("softmax", [x], [y]), target="opencl")
    s.inline("e")
    return _by_rows(s, lanes, ("total", "top"))


def layernorm(lanes=8):
    m, n = td.sizes("M N")
    x = td.placeholder((m, n), "float32", name="X")
    g = td.placeholder((n,), "float32", name="G")
    b = td.placeholder((n,), "float32", name="B")
    count = td.placeholder((), "float32", name="count")
    j = td.reduce_axis(n, name="j")
    total = td.compute((m,), lambda i: td.sum(x[i, j], axis=j), name="total")
    squares = td.compute(
        (m,),
        lambda i: td.sum(
            (x[i, j] - total[i] / count[()]) * (x[i, j] - total[i] / count[()]), axis=j
        ),
        name="squares",
    )
    y = td.compute(
        (m, n),
        lambda i, j: (
            (x[i, j] - total[i] / count[()]) * td.rsqrt(squares[i] / count[()] + 1e-5) * g[j] + b[j]
        ),
        name="Y",
    )
    s = td.Schedule(td.func("layernorm", [x, g, b, count], [y]), target="opencl")
    return _by_rows(s, lanes, ("squares", "total"))


def _by_rows(s, lanes, reductions):
    i, j = s.loops("Y")
    s.bind(i, "group.x")
    _, lane = s.split(j, lanes)
    s.bind(lane, "local.x")
    for block in reductions:
        tree(s, block, lanes, i)
    return s

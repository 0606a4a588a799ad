"""Programs nest as deep as unrolling makes them."""

import tdsl as td
from tdsl.ir.stmt import Alloc
from tdsl.ir.visit import walk
from tdsl.lower import lower


def test_hundreds_of_registers_nest_as_deep():
    x, k = td.placeholder((512,), "int32", name="x"), td.reduce_axis(2, name="k")
    y = td.compute((512,), lambda i: td.sum(x[i] * td.cast(k, "int32"), axis=k), name="y")
    s = td.Schedule(td.func("f", [x], [y]), "llvm -mcpu=znver4")
    s.cache_write("y", "register")
    s.reorder("y.k", "y.i")
    s.unroll("y.i")
    s.unroll("y.out.i")
    program = lower(s.program, s.target).program
    assert sum(isinstance(n, Alloc) for n in walk(program.body)) == 512

import pytest

import tdsl as td
from tdsl import dtypes
from tdsl.ir import build
from tdsl.ir.expr import Buffer, Load, Var
from tdsl.ir.stmt import Alloc, Block, For, IterVar, Leaf, Param, Program, Role, Seq, Write
from tdsl.ir.visit import leaves
from tests.analysis.asking import REASSOCIATES, UNORDERED, accepted, refused


@pytest.fixture
def gauss_seidel():
    """A[i] = A[i-1] + A[i] + A[i+1], T sweeps."""
    T, N = td.sizes("T N")
    A = td.inout(td.placeholder((N + 2,), "float32", name="A"))
    t, i = td.reduce_axis(T, name="t"), td.reduce_axis(N, name="i")
    S = td.update(
        A, over=(t, i), at=i + 1, value=lambda cur: cur[i] + cur[i + 1] + cur[i + 2], op="set",
        name="S",
    )  # fmt: skip
    return td.func("gs", [A], [S]).program


def test_sweeps_stay_in_order(gauss_seidel):
    accepted(gauss_seidel, "t in T:\n  i in N:\n    S(t, i)\n")
    refused(gauss_seidel, "i in N:\n  t in T:\n    S(t, i)\n")
    refused(gauss_seidel, "t in T:\n  par i in N:\n    S(t, i)\n")
    refused(gauss_seidel, "par t in T:\n  i in N:\n    S(t, i)\n")


def test_time_tiles_need_a_skew(gauss_seidel):
    plain = """
to in (T+3)//4:
  io in (N+7)//8:
    ti in 4:
      ii in 8:
        S(to*4+ti, io*8+ii) if to*4+ti < T, io*8+ii < N
"""
    refused(gauss_seidel, plain)
    skewed = """
to in (T+3)//4:
  so in (N+T+7)//8:
    ti in 4:
      si in 8:
        S(to*4+ti, so*8+si-to*4-ti) if to*4+ti < T, so*8+si-to*4-ti < N, so*8+si-to*4-ti >= 0
"""
    accepted(gauss_seidel, skewed)
    refused(gauss_seidel, skewed.replace("ti in 4", "par ti in 4"))


def test_a_wavefront_runs_in_parallel(gauss_seidel):
    # w = 2t + i: all of one w are independent
    text = """
w in 2*T+N:
  par t in T:
    S(t, w-2*t) if w-2*t >= 0, w-2*t < N
"""
    accepted(gauss_seidel, text)
    refused(gauss_seidel, text.replace("2*t", "t").replace("2*T", "T"))


def test_a_two_dimensional_sweep_may_be_interchanged():
    M, N = td.sizes("M N")
    A = td.inout(td.placeholder((M + 1, N + 1), "float32", name="A"))
    i, j = td.reduce_axis(M, name="i"), td.reduce_axis(N, name="j")
    S = td.update(
        A, over=(i, j), at=(i + 1, j + 1), value=lambda cur: cur[i, j + 1] + cur[i + 1, j],
        op="set", name="S",
    )  # fmt: skip
    program = td.func("gs2", [A], [S]).program
    accepted(program, "j in N:\n  i in M:\n    S(i, j)\n")
    accepted(program, "d in M+N:\n  par i in M:\n    S(i, d-i) if d-i >= 0, d-i < N\n")
    refused(program, "i in M:\n  par j in N:\n    S(i, j)\n", "RAW")
    tiled = """
{}io in (M+3)//4:
  jo in (N+3)//4:
    ii in 4:
      ji in 4:
        S(io*4+ii, jo*4+ji) if io*4+ii < M, jo*4+ji < N
"""
    accepted(program, tiled.format(""))
    refused(program, tiled.format("par "))


def test_a_running_sum():
    R, N = td.sizes("R N")
    X = td.placeholder((N, R), "float32", name="X")
    t = td.scan_axis(N, name="t")
    out = td.scan(
        t, {"s": ((R,), 0.0)}, lambda t, prev: {"s": lambda r: prev["s"][r] + X[t, r]}, name="c"
    )
    program = td.func("cumsum", [X], [out["s"]]).program
    accepted(program, "t in N:\n  par r in R:\n    c.s(t, r)\n")
    accepted(program, "par r in R:\n  t in N:\n    c.s(t, r)\n")
    refused(program, "par t in N:\n  r in R:\n    c.s(t, r)\n", "RAW")
    refused(
        program, "ti in 4:\n  to in (N+3)//4:\n    r in R:\n      c.s(to*4+ti, r) if to*4+ti < N\n"
    )
    accepted(
        program,
        "to in (N+3)//4:\n  ti in 4:\n    vec r in R:\n      c.s(to*4+ti, r) if to*4+ti < N\n",
    )


@pytest.fixture
def lstm_like():
    N, M = td.sizes("N M")
    X = td.placeholder((N, M), "float32", name="X")
    W = td.placeholder((M, M), "float32", name="W")
    t = td.scan_axis(N, name="t")

    def step(t, prev):
        k = td.reduce_axis(M, name="k")
        g = td.compute((M,), lambda i: td.sum(W[i, k] * prev["h"][k], axis=k), name="g")
        return {"h": lambda i: g[i] + X[t, i]}

    out = td.scan(t, {"h": ((M,), 0.0)}, step, name="r")
    return td.func("rnn", [X, W], [out["h"]]).program


BODY = """
{}:
  {}:
    {i} in M:
      k in M:
        g(t, i, k)
    {j} in M:
      r.h(t, j)
"""


def names_of(program):
    return [leaf.block.name for leaf in leaves(program.body)]


def scan_body(first, second, i="i", j="j", g="r.g"):
    return BODY.format(first, second, i=i, j=j).replace("g(t", f"{g}(t")


def test_a_scan_of_several_blocks(lstm_like):
    g = names_of(lstm_like)[0]
    accepted(lstm_like, scan_body("t in N", "alloc g", g=g))
    accepted(lstm_like, scan_body("t in N", "alloc g", i="par i", j="vec j", g=g))
    refused(lstm_like, scan_body("par t in N", "alloc g", g=g))


def test_a_temporary_of_a_step_may_live_outside_a_serial_scan(lstm_like):
    g = names_of(lstm_like)[0]
    accepted(lstm_like, scan_body("alloc g", "t in N", g=g))


def test_a_temporary_of_every_step_may_outlive_the_scan_if_it_keeps_all_steps(lstm_like):
    g = names_of(lstm_like)[0]
    apart = f"""
t in N:
  i in M:
    k in M:
      {g}(t, i, k)
t in N:
  j in M:
    r.h(t, j)
"""
    # the product needs the state of the step before
    refused(lstm_like, apart, "RAW")


def test_one_temporary_for_all_steps_is_not_overwritten_early():
    program = step_temporary()
    fused = "t in 8:\n  alloc g:\n    i in 4:\n      g(t, i)\n    j in 4:\n      h(t, j)\n"
    accepted(program, fused)
    shared = "alloc g:\n  t in 8:\n    i in 4:\n      g(t, i)\n    j in 4:\n      h(t, j)\n"
    accepted(program, shared)
    refused(program, shared.replace("t in", "par t in"), "WAR")
    apart = (
        "alloc g:\n  t in 8:\n    i in 4:\n      g(t, i)\n  t in 8:\n    j in 4:\n      h(t, j)\n"
    )
    refusal = refused(program, apart, "WAR")
    assert "overwrites" in refusal.reason


def step_temporary():
    """for t: { g[i] = X[t, i]; H[t, i] = g[i] }, g without an axis for t."""
    f32 = dtypes.float32
    X, H = (Buffer(n, f32, (build.index(8), build.index(4))) for n in "XH")
    g = Buffer("g", f32, (build.index(4),))
    t, i, u, j = (Var(n) for n in "tiuj")
    eight, four = build.index(8), build.index(4)
    first = Block("g", (IterVar(t, eight), IterVar(i, four)), (Write(g, (i,), Load(X, (t, i))),))
    second = Block("h", (IterVar(u, eight), IterVar(j, four)), (Write(H, (u, j), Load(g, (j,))),))
    time, a, b = (Var(n) for n in "tab")
    body = Seq(
        (For(a, four, Leaf(first, (time, a))), For(b, four, Leaf(second, (time, b))))
    )  # fmt: skip
    nest = For(time, eight, Alloc(g, body))
    return Program("steps", (Param(X, Role.IN), Param(H, Role.OUT)), (), (), nest)


def histogram(op, dtype="int32"):
    N = td.sizes("N")
    B = td.placeholder((16,), dtype, name="B")
    I = td.placeholder((N,), "int64", name="I")
    i = td.reduce_axis(N, name="i")
    H = td.update(B, over=(i,), at=I[i], value=1, op=op, name="H")
    return td.func("hist", [B, I], [H]).program


SERIAL = "b in 16:\n  H.base(b)\nio in (N+3)//4:\n  ii in 4:\n    H(io*4+ii) if io*4+ii < N\n"


def test_a_histogram():
    program = histogram("add")
    accepted(program, SERIAL)
    parallel = SERIAL.replace("io in", "par io in")
    refusal = refused(program, parallel, "WAW")
    assert "atomic" in refusal.hint
    accepted(program, parallel.replace("H(io", "atomic H(io"))
    swapped = "b in 16:\n  H.base(b)\nii in 4:\n  io in (N+3)//4:\n    H(io*4+ii) if io*4+ii < N\n"
    accepted(program, swapped)
    accepted(histogram("add", "float32"), swapped, REASSOCIATES)
    atomic = parallel.replace("H(io", "atomic H(io")
    accepted(histogram("add", "float32"), atomic, UNORDERED)


def test_an_ordered_scatter_keeps_its_order():
    program = histogram("set", "float32")
    accepted(program, SERIAL)
    refused(program, SERIAL.replace("io in", "par io in"), "WAW")
    refused(
        program,
        "b in 16:\n  H.base(b)\nii in 4:\n  io in (N+3)//4:\n    H(io*4+ii) if io*4+ii < N\n",
        "WAW",
    )


def test_the_base_of_an_update_comes_first():
    program = histogram("add")
    refused(program, "i in N:\n  H(i)\nb in 16:\n  H.base(b)\n")
    refused(program, "b in 15:\n  H.base(b)\ni in N:\n  H(i)\n", "coverage", (15,))


@pytest.fixture
def trisolve():
    """x[i] -= L[i, j] * x[j] for j < i, in place."""
    N = td.sizes("N")
    x = td.inout(td.placeholder((N,), "float32", name="x"))
    L = td.placeholder((N, N), "float32", name="L")
    i, j = td.reduce_axis(N, name="i"), td.reduce_axis(N, name="j")
    S = td.update(
        x,
        over=(i, j),
        at=i,
        value=lambda cur: td.select(j < i, cur[i] - L[i, j] * cur[td.minimum(j, i)], cur[i]),
        op="set",
        name="S",
    )
    return td.func("trsv", [x, L], [S]).program


def test_a_triangular_solve(trisolve):
    accepted(trisolve, "i in N:\n  j in N:\n    S(i, j)\n")
    refused(trisolve, "par i in N:\n  j in N:\n    S(i, j)\n")
    refused(trisolve, "i in N:\n  par j in N:\n    S(i, j)\n", "WAW")


def test_reads_of_a_reduced_buffer_are_no_part_of_the_reduction():
    N = td.sizes("N")
    x = td.inout(td.placeholder((N + 1,), "float32", name="x"))
    i = td.reduce_axis(N, name="i")
    S = td.update(x, over=(i,), at=i + 1, value=lambda cur: cur[i], op="add", name="S")
    program = td.func("f", [x], [S]).program
    accepted(program, "i in N:\n  S(i)\n")
    refused(program, "i in N:\n  S(N-1-i)\n")
    refused(program, "par i in N:\n  atomic S(i)\n")


def test_an_element_of_each_residue():
    C = td.inout(td.placeholder((8,), "float32", name="C"))
    X = td.placeholder((64,), "float32", name="X")
    i = td.reduce_axis(64, name="i")
    S = td.update(C, over=(i,), at=i % 8, value=X[i], op="set", name="S")
    program = td.func("f", [C, X], [S]).program
    accepted(program, "io in 8:\n  par ii in 8:\n    S(io*8+ii)\n")
    refused(program, "par io in 8:\n  ii in 8:\n    S(io*8+ii)\n", "WAW")
    accepted(program, "par ii in 8:\n  io in 8:\n    S(io*8+ii)\n")


def test_an_update_runs_each_instance_once():
    program = histogram("add")
    refused(program, SERIAL.replace("ii in 4", "ii in 5"), "WAW")


def test_an_update_that_changes_nothing_more_may_run_again():
    N = td.sizes("N")
    B = td.placeholder((N + 1,), "float32", name="B")
    X = td.placeholder((N,), "float32", name="X")
    i = td.reduce_axis(N, name="i")
    shifted = """
b in N+1:
  H.base(b)
{}io in (N+3)//4:
  ii in 4:
    H(min(io*4, max(N-4, 0))+ii) if min(io*4, max(N-4, 0))+ii < N
"""
    for op, legal in (("set", True), ("max", True), ("add", False)):
        H = td.update(B, over=(i,), at=i, value=X[i], op=op, name="H")
        program = td.func("f", [B, X], [H]).program
        if legal:
            accepted(program, shifted.format(""))
        else:
            refused(program, shifted.format(""), "WAW")
        refused(program, shifted.format("par "), "WAW")

import pytest

import tdsl as td
from tdsl.ir.visit import leaves
from tests.analysis.asking import REASSOCIATES, UNORDERED, accepted, refused


def matmul_of(M, N, K, dtype="float32", assume=()):
    A = td.placeholder((M, K), dtype, name="A")
    B = td.placeholder((K, N), dtype, name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("matmul", [A, B], [C], assume=assume).program


@pytest.fixture
def symbolic():
    return matmul_of(*td.sizes("M N K"))


@pytest.fixture
def primes():
    return matmul_of(509, 521, 503)


TILED = """
io in (M+7)//8:
  jo in (N+15)//16:
    ko in (K+3)//4:
      ki in 4:
        ii in 8:
          ji in 16:
            C(io*8+ii, jo*16+ji, ko*4+ki) if io*8+ii < M, jo*16+ji < N, ko*4+ki < K
"""


def concrete(text, **values):
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text


def test_guarded_tiles_are_exact(symbolic, primes):
    accepted(symbolic, TILED)
    accepted(primes, concrete(TILED, M=509, N=521, K=503))


def test_swapping_the_halves_of_a_reduction_reassociates(symbolic):
    swapped = TILED.replace("ko in (K+3)//4", "?").replace("ki in 4", "ko in (K+3)//4")
    accepted(symbolic, swapped.replace("?", "ki in 4"), REASSOCIATES)


def test_swapping_the_halves_of_an_integer_reduction_is_exact():
    program = matmul_of(5, 7, 12, "int32")
    accepted(program, "i in 5:\n  j in 7:\n    ki in 4:\n      ko in 3:\n        C(i,j,ko*4+ki)\n")


@pytest.mark.parametrize("loop", ["io", "jo", "ii", "ji"])
@pytest.mark.parametrize("kind", ["par", "vec", "gx", "lx"])
def test_data_loops_may_run_in_parallel(symbolic, loop, kind):
    accepted(symbolic, TILED.replace(f"{loop} in", f"{kind} {loop} in"))


@pytest.mark.parametrize("loop", ["ko", "ki"])
@pytest.mark.parametrize("kind", ["par", "vec"])
def test_reduction_loops_may_not(symbolic, loop, kind):
    text = TILED.replace(f"{loop} in", f"{kind} {loop} in")
    refusal = refused(symbolic, text, "WAW")
    assert f"iterations of {loop}" in refusal.reason


def test_an_atomic_reduction_may_run_in_parallel_but_is_unordered(symbolic):
    text = TILED.replace("ko in", "par ko in").replace("C(", "atomic C(")
    accepted(symbolic, text, UNORDERED)


def test_atomic_integer_sums_are_exact():
    program = matmul_of(5, 7, 12, "int32")
    accepted(program, "i in 5:\n  j in 7:\n    par k in 12:\n      atomic C(i,j,k)\n")


def test_an_unguarded_split_leaves_the_domain(symbolic):
    text = "i in M:\n  jo in (N+3)//4:\n    ji in 4:\n      k in K:\n        C(i, jo*4+ji, k)\n"
    refused(symbolic, text, "bounds")


def test_an_unguarded_split_of_a_divisible_size_is_fine():
    M, N, K = td.sizes("M N K")
    program = matmul_of(M, N, K, assume=["N % 4 == 0"])
    accepted(
        program, "i in M:\n  jo in N//4:\n    ji in 4:\n      k in K:\n        C(i, jo*4+ji, k)\n"
    )


def test_a_split_that_drops_the_tail_is_refused(symbolic):
    refused(
        symbolic,
        "i in M:\n  jo in N//4:\n    ji in 4:\n      k in K:\n        C(i, jo*4+ji, k)\n",
        "coverage",
    )
    refused(
        symbolic,
        "i in M:\n  j in N:\n    ko in K//4:\n      ki in 4:\n        C(i, j, ko*4+ki)\n",
        "coverage",
    )


def test_a_reduction_loop_outermost_is_exact(symbolic):
    accepted(symbolic, "k in K:\n  i in M:\n    j in N:\n      C(i, j, k)\n")


def test_a_reversed_reduction_reassociates(symbolic):
    accepted(symbolic, "i in M:\n  j in N:\n    k in K:\n      C(i, j, K-1-k)\n", REASSOCIATES)


def test_a_skipped_iteration_of_a_reduction_is_refused(symbolic):
    text = "i in M:\n  j in N:\n    k in K:\n      C(i, j, k) if k > 0\n"
    refused(symbolic, text, "coverage")


def test_a_reduction_that_runs_twice_is_refused(symbolic):
    refused(symbolic, "i in M:\n  j in N:\n    k in K:\n      n in 2:\n        C(i, j, k)\n", "WAW")


def test_a_reduction_may_run_again_as_a_whole(symbolic):
    accepted(symbolic, "n in 2:\n  i in M:\n    j in N:\n      k in K:\n        C(i, j, k)\n")
    refused(symbolic, "par n in 2:\n  i in M:\n    j in N:\n      k in K:\n        C(i, j, k)\n")


def test_shifted_tails_repeat_whole_reductions(symbolic):
    text = """
{kind}io in (M+7)//8:
  ii in 8:
    j in N:
      k in K:
        C(min(io*8, max(M-8, 0))+ii, j, k) if min(io*8, max(M-8, 0))+ii < M
"""
    accepted(symbolic, text.format(kind=""))
    refused(symbolic, text.format(kind="par "), "WAW")


def test_shifted_tails_of_a_reduction_loop_repeat_updates(symbolic):
    text = """
i in M:
  j in N:
    ko in (K+7)//8:
      ki in 8:
        C(i, j, min(ko*8, max(K-8, 0))+ki) if min(ko*8, max(K-8, 0))+ki < K
"""
    refused(symbolic, text, "WAW")


def test_balanced_tails_are_exact():
    program = matmul_of(10, 4, 3)
    # 10 in 4 parts of 2 or 3
    text = """
par io in 4:
  ii in 3:
    j in 4:
      k in 3:
        C(io*2+min(io, 2)+ii, j, k) if io*2+min(io, 2)+ii < (io+1)*2+min(io+1, 2)
"""
    accepted(program, text)
    refused(program, text.replace("io*2+min(io, 2)+ii <", "ii <"))


def conv(n, h, w, c, f):
    X = td.placeholder((n, h + 2, w + 2, c), "float32", name="X")
    W = td.placeholder((3, 3, c, f), "float32", name="W")
    r, s, q = td.reduce_axis(3, name="r"), td.reduce_axis(3, name="s"), td.reduce_axis(c, name="q")
    Y = td.compute(
        (n, h, w, f),
        lambda b, y, x, o: td.sum(X[b, y + r, x + s, q] * W[r, s, q, o], axis=(r, s, q)),
        name="Y",
    )
    return td.func("conv", [X, W], [Y]).program


CONV = """
par b in 2:
  par yo in 14:
    xo in 7:
      oo in 4:
        qo in 8:
          {first}:
            {second}:
              qi in 4:
                yi in 4:
                  xi in 8:
                    vec oi in 16:
                      Y(b, yo*4+yi, xo*8+xi, oo*16+oi, r, s, qo*4+qi)
"""


def test_a_convolution_in_fourteen_loops():
    program = conv(2, 56, 56, 32, 64)
    accepted(program, CONV.format(first="r in 3", second="s in 3"), REASSOCIATES)


def test_windows_in_canonical_order_are_exact():
    program = conv(2, 56, 56, 32, 64)
    text = """
par b in 2:
  par yo in 14:
    xo in 7:
      oo in 4:
        {first}:
          {second}:
            qo in 8:
              qi in 4:
                yi in 4:
                  xi in 8:
                    vec oi in 16:
                      Y(b, yo*4+yi, xo*8+xi, oo*16+oi, r, s, qo*4+qi)
"""
    accepted(program, text.format(first="r in 3", second="s in 3"))
    accepted(program, text.format(first="s in 3", second="r in 3"), REASSOCIATES)


def test_a_triangular_sum():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    k = td.reduce_axis(N, name="k")
    P = td.compute((N,), lambda i: td.sum(A[k], axis=k, where=k <= i), name="P")
    program = td.func("prefix", [A], [P]).program
    accepted(program, "i in N:\n  k in N:\n    P(i, k)\n")
    accepted(program, "i in N:\n  k in i+1:\n    P(i, k)\n")
    accepted(
        program,
        "par io in (N+3)//4:\n  k in N:\n    ii in 4:\n      P(io*4+ii, k) if io*4+ii < N\n",
    )
    refused(program, "i in N:\n  k in i:\n    P(i, k)\n", "coverage")


def test_a_sum_over_a_data_dependent_mask():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    W = td.placeholder((N,), "int32", name="W")
    k = td.reduce_axis(N, name="k")
    P = td.compute((4,), lambda i: td.sum(A[k], axis=k, where=td.cast(W[k], "int64") > i), name="P")
    program = td.func("masked", [A, W], [P]).program
    accepted(program, "par i in 4:\n  k in N:\n    P(i, k)\n")
    refused(program, "i in 4:\n  par k in N:\n    P(i, k)\n", "WAW")
    refused(program, "i in 4:\n  k in N:\n    P(i, k) if k > 0\n", "coverage")


def test_a_reducer_that_does_not_commute_keeps_its_order():
    A = td.placeholder((8,), "float32", name="A")
    B = td.placeholder((8,), "float32", name="B")
    k = td.reduce_axis(8, name="k")
    compose = td.reducer(
        identity=(1.0, 0.0), combine=lambda x, y: (x[0] * y[0], x[1] * y[0] + y[1])
    )
    C = td.compute((1,), lambda i: compose((A[k], B[k]), axis=k), name="C")
    program = td.func("compose", [A, B], list(C)).program
    text = "i in 1:\n  {}:\n    {}:\n      C(i, ko*2+ki)\n"
    accepted(program, text.format("ko in 4", "ki in 2"))
    refused(program, text.format("ki in 2", "ko in 4"))
    largest = td.reducer(identity=(0.0,), combine=lambda a, b: td.maximum(a, b) + 0.0)
    D = td.compute((1,), lambda i: largest(A[k], axis=k), name="D")
    accepted(
        td.func("largest", [A], [D]).program,
        "i in 1:\n  ki in 2:\n    ko in 4:\n      D(i, ko*2+ki)\n",
        REASSOCIATES,
    )


def test_argmax_gives_the_same_bits_in_any_order():
    A = td.placeholder((4, 8), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    C = td.compute((4,), lambda i: td.argmax(A[i, k], axis=k), name="C")
    program = td.func("argmax", [A], [C]).program
    block = leaves(program.body)[0].block.name
    accepted(program, f"i in 4:\n  ki in 2:\n    ko in 4:\n      {block}(i, ko*2+ki)\n")
    refused(program, f"i in 4:\n  par k in 8:\n    {block}(i, k)\n")


def test_an_empty_reduction_still_has_its_init(symbolic):
    text = "k in K:\n  i in M:\n    j in N:\n      C(i, j, k)\n"
    accepted(symbolic, text)


def test_a_frozen_init_may_stand_elsewhere(symbolic):
    text = """
i in M:
  j in N:
    C.init(i, j)
i in M:
  k in K:
    j in N:
      C(i, j, k)
"""
    accepted(symbolic, text)
    late = "\n".join([*text.strip().splitlines()[3:], *text.strip().splitlines()[:3]]) + "\n"
    refused(symbolic, late)


def test_a_frozen_init_inside_the_reduction_is_refused(symbolic):
    text = """
k in K:
  i in M:
    j in N:
      C.init(i, j)
  i in M:
    j in N:
      C(i, j, k)
"""
    refused(symbolic, text)

import pytest

import tdsl as td
from tests.analysis.asking import accepted, refused


@pytest.fixture
def blur():
    """C[i, j] over N + 2 rows, D[i, j] = C[i, j] + C[i+1, j] + C[i+2, j]."""
    N, M = td.sizes("N M")
    A = td.placeholder((N + 2, M), "float32", name="A")
    C = td.compute((N + 2, M), lambda i, j: A[i, j] * 2.0, name="C")
    D = td.compute((N, M), lambda i, j: C[i, j] + C[i + 1, j] + C[i + 2, j], name="D")
    return td.func("blur", [A], [D]).program


def test_packing_and_a_private_accumulator():
    """C = A @ B with a copy of B's panel and of the tile of C."""
    A = td.placeholder((16, 16), "float16", name="A")
    B = td.placeholder((16, 16), "float16", name="B")
    P = td.compute((16, 16), lambda k, j: B[k, j], name="P")
    k = td.reduce_axis(16, name="k")
    T = td.compute((16, 16), lambda i, j: td.sum(A[i, k] * P[k, j], axis=k), name="T")
    C = td.compute((16, 16), lambda i, j: T[i, j], name="C")
    program = td.func("mm", [A, B], [C]).program
    text = """
jo in 2:
  alloc P:
    pk in 16:
      pj in 8:
        P(pk, jo*8+pj)
    par io in 4:
      alloc T:
        ko in 2:
          ki in 8:
            ti in 4:
              vec tj in 8:
                T(io*4+ti, jo*8+tj, ko*8+ki)
        ci in 4:
          cj in 8:
            C(io*4+ci, jo*8+cj)
"""
    accepted(program, text)
    inside = """
jo in 2:
  alloc P:
    pk in 16:
      pj in 8:
        P(pk, jo*8+pj)
    io in 4:
      ko in 2:
        alloc T:
          ki in 8:
            ti in 4:
              vec tj in 8:
                T(io*4+ti, jo*8+tj, ko*8+ki)
          ci in 4:
            cj in 8:
              C(io*4+ci, jo*8+cj)
"""
    refused(program, inside)
    early = """
jo in 2:
  alloc P:
    pk in 16:
      pj in 8:
        P(pk, jo*8+pj)
    io in 4:
      alloc T:
        ko in 2:
          ki in 8:
            ti in 4:
              vec tj in 8:
                T(io*4+ti, jo*8+tj, ko*8+ki)
          ci in 4:
            cj in 8:
              C(io*4+ci, jo*8+cj)
"""
    refused(program, early, "RAW")


def test_a_factored_reduction_over_threads():
    A = td.placeholder((64,), "float32", name="A")
    k, t = td.reduce_axis(16, name="k"), td.reduce_axis(4, name="t")
    P = td.compute((4,), lambda t: td.sum(A[t * 16 + k], axis=k), name="P")
    S = td.compute((1,), lambda i: td.sum(P[t], axis=t), name="S")
    program = td.func("rf", [A], [S]).program
    accepted(program, "par t in 4:\n  k in 16:\n    P(t, k)\ni in 1:\n  t in 4:\n    S(i, t)\n")
    refused(program, "i in 1:\n  par t in 4:\n    k in 16:\n      P(t, k)\n    S(i, t)\n", "WAW")
    accepted(program, "i in 1:\n  t in 4:\n    k in 16:\n      P(t, k)\n    S(i, t)\n")


def test_gathers_wait_for_the_whole_tensor():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    I = td.placeholder((N,), "int64", name="I")
    C = td.compute((N,), lambda i: A[i] + 1.0, name="C")
    D = td.compute((N,), lambda i: C[I[i]], name="D")
    program = td.func("f", [A, I], [D]).program
    accepted(program, "par i in N:\n  C(i)\npar i in N:\n  D(i)\n")
    refused(program, "i in N:\n  C(i)\n  D(i)\n")


def test_selects_tell_which_elements_are_read():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    C = td.compute((N,), lambda i: A[i] + 1.0, name="C")
    D = td.compute((N,), lambda i: td.select(i > 0, C[i - 1], 0.0), name="D")
    program = td.func("f", [A], [D]).program
    accepted(program, "i in N:\n  C(i)\n  D(i)\n")
    accepted(program, "i in N:\n  D(i)\n  C(i)\n")  # reads what the iteration before wrote
    refused(program, "par i in N:\n  C(i)\n  D(i)\n", "RAW")
    # C is needed for all but the last element
    accepted(program, "i in N:\n  C(i) if i < N-1\ni in N:\n  D(i)\n")


def test_a_reader_that_reads_nothing_needs_no_writer():
    a = td.placeholder((6,), "float32", name="A")
    c = td.compute((6,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((6,), lambda i: td.select(i < 3, c[i], 0.0), name="D")
    program = td.func("f", [a], [d]).program
    first = "alloc C:\n  i in 3:\n    C(i)\n  i in 3:\n    D(i)\n"
    accepted(program, first + "alloc C:\n  i in 3:\n    D(i+3)\n")
    refused(program, first + "alloc C:\n  i in 4:\n    D(i+2)\n", "coverage", (2,))


def test_a_folded_copy_serves_its_own_readers_only():
    a = td.placeholder((7,), "float32", name="A")
    c = td.compute((7,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((6,), lambda i: c[i] + c[i + 1], name="D")
    program = td.func("f", [a], [d]).program
    half = "alloc C layout a -> a % 2:\n  C({0})\n  i in 3:\n    C(i+{0}+1)\n    D(i+{0})\n"
    # the first copy loses C(3) at C(5); the second one makes it again for D(2)
    accepted(program, half.format(3) + half.format(0))
    refused(program, half.format(3).replace("D(i+3)", "D(5-i)") + half.format(0))


def test_two_cases_of_a_size_cover_together(blur):
    text = """
i in N+2:
  j in M:
    C(i, j)
i in N:
  jo in M//8:
    ji in 8:
      D(i, jo*8+ji) if M % 8 <= 0
  j in M:
    D(i, j) if M % 8 >= 1
"""
    accepted(blur, text)
    refused(blur, text.replace("M % 8 >= 1", "M % 8 >= 2"), "coverage")

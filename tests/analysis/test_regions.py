import pytest

import tdsl as td
from tdsl.analysis.regions import needed_box
from tdsl.ir.affine import equal
from tdsl.ir.stmt import For
from tdsl.ir.visit import accessed_buffers, walk
from tests.analysis.nests import expression, schedule


def blur(n, m, taps=3, stride=1):
    """C over (n, m), D[i, j] = sum of taps of C: sizes or numbers."""
    A = td.placeholder((stride * n + taps, m), "float32", name="A")
    C = td.compute((stride * n + taps, m), lambda i, j: A[i, j] * 2.0, name="C")
    r = td.reduce_axis(taps, name="r")
    D = td.compute((n, m), lambda i, j: td.sum(C[i * stride + r, j], axis=r), name="D")
    return td.func("blur", [A], [D]).program


def box_of(program, buffer, loop):
    below = next(s for s in walk(program.body) if isinstance(s, For) and s.var.name == loop)
    target = next(b for b in accessed_buffers(program.body) if b.name == buffer)
    names = {s.var.name: s.var for s in walk(program.body) if isinstance(s, For)}
    names |= {v.name: v for v in program.sizes}
    return needed_box(program, target, below.body), names


def check(program, buffer, loop, origin, extent):
    box, names = box_of(program, buffer, loop)
    for found, text in zip(box.origin + box.extent, origin + extent, strict=True):
        assert equal(found, expression(text, names)), (found, text)


TILED = """
i in M+3:
  j in N:
    C(i, j)
io in (M+7)//8:
  jo in (N+15)//16:
    ii in 8:
      ji in 16:
        r in 3:
          D(io*8+ii, jo*16+ji, r) if io*8+ii < M, jo*16+ji < N
"""


@pytest.fixture
def tiled():
    M, N = td.sizes("M N")
    return schedule(blur(M, N), "alloc C:\n" + "\n".join("  " + s for s in TILED.split("\n")))


def test_a_tile_needs_a_constant_box_with_its_halo(tiled):
    check(tiled, "C", "jo", ["io*8", "jo*16"], ["10", "16"])
    check(tiled, "C", "ii", ["io*8+ii", "jo*16"], ["3", "16"])


def test_a_strip_needs_whole_rows(tiled):
    check(tiled, "C", "io", ["io*8", "0"], ["10", "N"])


def test_strided_windows():
    M = td.sizes("M")
    program = schedule(
        blur(M, 4, taps=5, stride=2),
        """
alloc C:
  i in M*2+5:
    j in 4:
      C(i, j)
  io in (M+3)//4:
    ii in 4:
      j in 4:
        r in 5:
          D(io*4+ii, j, r) if io*4+ii < M
""",
    )
    check(program, "C", "io", ["io*8", "0"], ["11", "4"])


def test_shifted_tails_keep_a_constant_extent():
    M = td.sizes("M")
    program = schedule(
        blur(M, 4),
        """
alloc C:
  i in M+3:
    j in 4:
      C(i, j)
  io in (M+7)//8:
    ii in 8:
      j in 4:
        r in 3:
          D(min(io*8, max(M-8, 0))+ii, j, r) if min(io*8, max(M-8, 0))+ii < M
""",
    )
    check(program, "C", "io", ["min(io*8, max(M-8, 0))", "0"], ["10", "4"])


def pointwise(index, n=64):
    A = td.placeholder((n,), "float32", name="A")
    C = td.compute((n,), lambda i: A[i] + 1.0, name="C")
    D = td.compute((n,), lambda i: index(C, i, n), name="D")
    program = td.func("f", [A], [D]).program
    return schedule(
        program,
        """
alloc C:
  i in 64:
    C(i)
  io in 8:
    ii in 8:
      D(io*8+ii)
""",
    )


def test_clamped_neighbours_have_a_constant_extent():
    def around(C, i, n):
        return C[td.maximum(i - 1, 0)] + C[td.minimum(i + 1, n - 1)]

    box, _ = box_of(pointwise(around), "C", "io")
    assert equal(box.extent[0], expression("10", {}))


def test_divisions_and_remainders():
    check(pointwise(lambda C, i, n: C[i // 2]), "C", "io", ["io*4"], ["4"])
    check(pointwise(lambda C, i, n: C[i % 8]), "C", "io", ["0"], ["8"])
    check(pointwise(lambda C, i, n: C[63 - i]), "C", "io", ["56-io*8"], ["8"])


def test_gathers_need_everything():
    A = td.placeholder((64,), "float32", name="A")
    I = td.placeholder((64,), "int64", name="I")
    C = td.compute((64,), lambda i: A[i] + 1.0, name="C")
    D = td.compute((64,), lambda i: C[I[i]], name="D")
    program = schedule(
        td.func("f", [A, I], [D]).program,
        "alloc C:\n  i in 64:\n    C(i)\n  j in 64:\n    D(j)\n",
    )
    check(program, "C", "j", ["0"], ["64"])


def test_an_untouched_buffer_needs_nothing(tiled):
    box, _ = box_of(tiled, "A", "io")
    assert all(equal(e, expression("0", {})) for e in box.extent)


def shifted(n, offset, length):
    """D[i] = C[i + offset] over n, of a C of some length."""
    A = td.placeholder((length,), "float32", name="A")
    C = td.compute((length,), lambda i: A[i] + 1.0, name="C")
    D = td.compute((n,), lambda i: C[i + offset], name="D")
    return td.func("f", [A], [D]).program


def inside_one(program, length, lines):
    """The schedule of D's loops inside a loop `o` of one iteration."""
    body = "\n".join("    " + line for line in lines.splitlines())
    return schedule(program, f"alloc C:\n  i in {length}:\n    C(i)\n  o in 1:\n{body}\n")


def test_a_guard_keeps_the_last_tile_from_reading_on():
    program = shifted(9, 2, 20)
    text = "io in 3:\n  ii in 4:\n    D(io*4+ii){}"
    check(inside_one(program, 20, text.format(" if io*4+ii < 9")), "C", "o", ["2"], ["9"])
    check(inside_one(program, 20, text.format(" if io*4+ii < 10")), "C", "o", ["2"], ["12"])
    check(inside_one(program, 20, text.format("")), "C", "o", ["2"], ["12"])


def test_fewer_iterations_than_the_extent_need_fewer_elements():
    M = td.sizes("M")
    program = shifted(M, 1, M + 5)
    text = "io in M//4:\n  ii in 4:\n    D(io*4+ii)"
    check(inside_one(program, "M+5", text), "C", "o", ["1"], ["M//4*4"])
    check(inside_one(program, "M+5", "i in 4:\n  D(i) if i < M"), "C", "o", ["1"], ["4"])
    program = shifted(9, 1, 20)
    check(inside_one(program, 20, "i in 4:\n  D(i) if i < 9"), "C", "o", ["1"], ["4"])


def test_a_box_is_no_larger_than_the_tensor():
    check(inside_one(shifted(9, 0, 10), 10, "i in 10:\n  D(i)"), "C", "o", ["0"], ["10"])
    check(inside_one(shifted(9, 1, 10), 10, "i in 12:\n  D(i)"), "C", "o", ["0"], ["10"])
    check(inside_one(shifted(9, 1, 10), 10, "i in 10:\n  D(i)"), "C", "o", ["0"], ["10"])
    check(inside_one(shifted(9, 1, 10), 10, "i in 9:\n  D(i)"), "C", "o", ["1"], ["9"])
    M = td.sizes("M")
    check(inside_one(shifted(M, 0, M), "M", "i in M+1:\n  D(i)"), "C", "o", ["0"], ["M"])
    check(inside_one(shifted(M, 0, M + 2), "M+2", "i in M:\n  D(i)"), "C", "o", ["0"], ["M"])


def test_two_taps_need_what_lies_between_whichever_comes_first():
    for first, second in ((2, 0), (0, 2)):
        half = pointwise(lambda C, i, n, a=first, b=second: C[a + i // 2] + C[b + i // 2])
        check(half, "C", "io", ["io*4"], ["6"])
        check(half, "C", "ii", ["io*4 + ii//2"], ["3"])


def test_taps_at_the_same_place_need_one_element():
    program = pointwise(lambda C, i, n: C[td.minimum(i, n - 1)] + C[i])
    box, _ = box_of(program, "C", "ii")
    assert equal(box.extent[0], expression("1", {}))


def test_an_iteration_that_starts_later_needs_later_elements():
    check(inside_one(shifted(9, 2, 20), 20, "i in 8:\n  D(i+1)"), "C", "o", ["3"], ["8"])


def test_what_outer_loops_turn_around_counts_with_all_its_values():
    text = (
        "alloc C:\n  i in 20:\n    C(i)\n  o in 2:\n    i in 4:\n      D((o+i)%4) if (o+i)%4 < 3\n"
    )
    check(schedule(shifted(3, 2, 20), text), "C", "o", ["2"], ["4"])


def test_a_whole_tensor_is_needed_where_tiles_reach_beyond_it():
    M = td.sizes("M")
    text = "io in (M+3)//4:\n  ii in 4:\n    D(io*4+ii)"
    check(inside_one(shifted(M, 0, M), "M", text), "C", "o", ["0"], ["M"])
    check(inside_one(shifted(M, 1, M + 1), "M+1", text), "C", "o", ["1"], ["(M+3)//4*4"])


def test_a_window_as_large_as_the_tensor_keeps_its_place():
    A = td.placeholder((10,), "float32", name="A")
    C = td.compute((10,), lambda i: A[i] + 1.0, name="C")
    D = td.compute(
        (3, 10), lambda o, i: td.select(i + o < 10, C[td.minimum(i + o, 9)], 0.0), name="D"
    )
    E = td.compute((3, 10), lambda o, i: td.select(i + o < 10, C[i + o], 0.0), name="E")
    text = "alloc C:\n  i in 10:\n    C(i)\n  o in 3:\n    i in 10:\n      {}(o, i)\n"
    check(schedule(td.func("f", [A], [E]).program, text.format("E")), "C", "o", ["o"], ["10"])
    box, _ = box_of(schedule(td.func("f", [A], [D]).program, text.format("D")), "C", "o")
    assert equal(box.extent[0], expression("10", {}))


def triangle(text):
    """Sums of rows that other loops shorten."""
    a = td.placeholder((20,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((2, 8), lambda o, i: td.sum(a[k + 1], axis=k, where=k < 8 - i), name="P")
    return schedule(td.func("f", [a], [p]).program, text)


def test_rows_are_as_long_as_the_longest_over_all_loops_outside():
    program = triangle("o in 2:\n  i in 8:\n    k in 8-i:\n      P(o, i, k)\n")
    check(program, "A", "i", ["1"], ["8"])
    check(program, "A", "o", ["1"], ["8"])
    program = triangle("i in 8:\n  o in 2:\n    k in i+1:\n      P(o, i, k)\n")
    check(program, "A", "o", ["1"], ["8"])
    check(
        triangle("i in 8:\n  o in i+1:\n    k in o+1:\n      P(o, i, k)\n"), "A", "o", ["1"], ["8"]
    )


def test_rows_whose_length_has_no_bound_need_the_whole_tensor():
    M = td.sizes("M")
    a = td.placeholder((M,), "float32", name="A")
    k = td.reduce_axis(M, name="k")
    p = td.compute((M,), lambda i: td.sum(a[k], axis=k), name="P")
    program = td.func("f", [a], [p]).program
    check(schedule(program, "i in M:\n  k in i*i+1:\n    P(i, k)\n"), "A", "i", ["0"], ["M"])
    check(schedule(program, "i in M:\n  k in i+2:\n    P(i, k)\n"), "A", "i", ["0"], ["M"])


def test_a_box_of_a_known_extent_keeps_it_though_the_tensor_is_no_longer():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    c = td.compute((n,), lambda i: a[i] * 2.0, name="C")
    d = td.compute((n,), lambda i: c[i] + 1.0, name="D")
    program = td.func("f", [a], [d], assume=[n <= 4]).program
    tail = "i in N:\n  C(i)\nu in 1:\n  q in 4:\n    D(q) if q < N\n"
    check(schedule(program, tail), "C", "u", ("0",), ("4",))

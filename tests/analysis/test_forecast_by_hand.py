"""Forecasts of loops that can be counted on fingers: instructions, registers, edges of caches."""

from dataclasses import replace

import pytest

import tdsl as td
from tdsl.analysis.forecast import _operations, forecast
from tdsl.ir.visit import leaves
from tests.analysis.nests import schedule
from tests.analysis.test_forecast import TARGET, cycles, of
from tests.scheduling.algorithms import increment, matmul

A, B, C = (td.placeholder((1024,), "float32", name=name) for name in "ABC")
N = td.placeholder((1024,), "int32", name="N")


def operations(value, dtype="float32"):
    """What one instance of a block with some value counts as."""
    block = td.compute((1024,), lambda i: td.cast(value(i), dtype), name="X")
    (leaf,) = leaves(td.func("f", [A, B, C, N], [block]).program.body)
    return _operations(leaf.block)


SUMS = {
    "A": (lambda i: A[i], 0),
    "A at i + 3": (lambda i: A[(i + 3) % 1024], 0),  # indices are the addresses' work
    "A + B": (lambda i: A[i] + B[i], 1),
    "A + (B + C)": (lambda i: A[i] + (B[i] + C[i]), 2),
    "A * B + C": (lambda i: A[i] * B[i] + C[i], 1),  # one instruction
    "A + B * C": (lambda i: A[i] + B[i] * C[i], 1),
    "A * B + B * C": (lambda i: A[i] * B[i] + B[i] * C[i], 2),
    "A * (B + C)": (lambda i: A[i] * (B[i] + C[i]), 2),
    "-A": (lambda i: -A[i], 1),
    "A / B": (lambda i: A[i] / B[i], 8),
    "exp A": (lambda i: td.exp(A[i]), 16),
    "exp A / (B + 1)": (lambda i: td.exp(A[i]) / (B[i] + 1.0), 16 + 8 + 1),
    "max(A, B)": (lambda i: td.maximum(A[i], B[i]), 1),
    "A < B ? A : C": (lambda i: td.select(A[i] < B[i], A[i], C[i]), 2),
}


@pytest.mark.parametrize(("value", "count"), SUMS.values(), ids=SUMS)
def test_operations_of_floats(value, count):
    assert operations(value) == count


@pytest.mark.parametrize(
    ("dtype", "term", "count"),
    [
        ("float32", lambda a, b: a, 1),
        ("float32", lambda a, b: a * b, 1),  # one instruction with the sum
        ("int32", lambda a, b: a * b, 2),
        ("float32", lambda a, b: a + b, 2),
        ("float32", td.maximum, 2),
    ],
    ids=["sum", "dot", "integer dot", "sum of sums", "sum of maxima"],
)
def test_operations_of_a_sum(dtype, term, count):
    a, b = (td.placeholder((64,), dtype, name=name) for name in "ab")
    k = td.reduce_axis(64, name="k")
    total = td.compute((), lambda: td.sum(term(a[k], b[k]), axis=k), name="T")
    (leaf,) = leaves(td.func("f", [a, b], [total]).program.body)
    assert _operations(leaf.block) == count


def test_a_product_that_a_step_brings_to_a_sum_stays_an_instruction_of_its_own():
    product = td.compute((64,), lambda i: A[i] * B[i], name="P")
    s = of(td.func("f", [A, B, C], [td.compute((64,), lambda i: product[i] + C[i], name="D")]))
    s.inline("P")  # results are those of the algorithm, where the product was rounded
    assert _operations(s.index.leaves["D"].block) == 2


def test_the_widest_result_tells_how_many_lanes_there_are():
    def value(i):
        return td.exp(A[i]), td.cast(td.exp(A[i]), "float64")

    both = td.compute((1024,), value, name="P")
    s = of(td.func("f", [A], list(both)))
    s.vectorize(s.split("P.i", 16)[1])
    # 8 lanes of float64: two instructions for each of 16 + 16 + 1/2 operations, two a cycle
    assert cycles(s) == 64 * (32.5 + 1)


def test_integers_have_no_instruction_that_multiplies_and_adds():
    assert operations(lambda i: N[i] * N[i] + N[i], "int32") == 2


def test_a_conversion_is_half_an_operation():
    assert operations(lambda i: td.cast(N[i], "float32")) == 0.5


def straight(n):
    """n sums without a loop: two loads, one addition and one store each."""
    s = of(td.func("f", [A, B], [td.compute((n,), lambda i: A[i] + B[i], name="S")]))
    s.unroll("S.i")
    return cycles(s)


def test_code_that_outgrows_the_decoded_cache_runs_at_half_the_rate():
    assert straight(500) == 500  # 2000 instructions, four a cycle
    assert straight(501) == 2 * 501


@pytest.mark.parametrize(("size", "expected"), [(0, 2), (1, 2), (2, 4), (3, 6)])
def test_a_turn_and_a_store_for_each_element_and_one_at_least(size, expected):
    assert cycles(of(increment("N")), N=size) == expected


def triangle(n):
    """Sums over i + 1 elements for each i."""
    a = td.placeholder((n,), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    p = td.compute((n,), lambda i: td.sum(a[k], axis=k, where=k <= i), name="P")
    text = f"i in {n}:\n  k in i+1:\n    P(i, k)\n"
    return schedule(td.func("f", [a], [p]).program, text)


def rectangle(n, depth):
    a = td.placeholder((n,), "float32", name="A")
    k = td.reduce_axis(depth, name="k")
    p = td.compute((n,), lambda i: td.sum(a[k], axis=k), name="P")
    text = f"i in {n}:\n  k in {depth}:\n    P(i, k)\n"
    return schedule(td.func("f", [a], [p]).program, text)


@pytest.mark.parametrize(("n", "middle"), [(8, 4), (9, 5)])
def test_a_triangle_counts_as_its_middle_row_in_each_turn(n, middle):
    useful = middle / n  # the block has n values of k: no turn of the middle row is idle
    assert useful <= 1
    assert forecast(triangle(n), TARGET, {}) == forecast(rectangle(n, middle), TARGET, {})


def stages():
    """Three stages of 64 elements; the middle one copies."""
    a = td.placeholder((64,), "float32", name="A")
    b = td.compute((64,), lambda i: a[i] + 1, name="B")
    c = td.compute((64,), lambda i: b[i], name="C")
    return of(td.func("f", [a], [td.compute((64,), lambda i: c[i] + 1, name="D")]))


def test_registers_take_no_loads_and_stores():
    s = stages()
    assert cycles(s) == 3 * 64 * 2  # a store and a turn each
    s.set_scope("B", "register")
    assert cycles(s) == 64 * (1.5 + 2 + 2)  # half a cycle for a load, and for an addition
    s.set_scope("C", "register")
    assert cycles(s) == 64 * (1.5 + 1 + 2)  # the copy is a turn alone


def tiled(rows, registers):
    s = of(matmul(96, 64, 256))
    _, _, ii, ji = s.tile("C.i", "C.j", rows, 64)
    s.reorder("C.k", ii, ji)
    s.unroll(ii)
    s.vectorize(ji)
    return cycles(s, replace(TARGET, vector_registers=registers))


def test_sums_are_spilled_where_there_are_more_of_them_than_registers():
    # 4 x 4 vectors of sums fit 16 registers, 6 x 4 fit 32, 32 x 4 fit neither
    assert tiled(4, 16) == tiled(4, 32) == tiled(4, 1000)
    assert tiled(6, 16) > tiled(6, 32) == tiled(6, 1000)
    assert tiled(32, 32) > tiled(32, 33) > tiled(32, 1000)


def test_what_is_used_once_is_in_no_register_for_long():
    s = of(increment(40))
    s.unroll("B.i")
    assert cycles(s, replace(TARGET, vector_registers=1)) == 40
    s = of(increment(64))
    s.unroll(s.split("B.i", 16)[1])
    assert cycles(s, replace(TARGET, vector_registers=1)) == cycles(s)


def test_a_cache_holds_as_much_as_it_has_room_for_and_no_more():
    whole = 4 * (64 * 64) * (1 + 1 + 2)  # what is written is read before, and goes back
    turn = 4 * (64 + 64 * 64 + 2 * 64)  # of C.i: a row of A, all of B and a row of C

    def with_room(size):
        return cycles(of(matmul(64, 64, 64)), replace(TARGET, l1=size))

    assert with_room(whole) == with_room(1 << 30)
    assert with_room(whole - 1) > with_room(whole)
    assert with_room(turn) == with_room(whole - 1)  # all comes in once
    assert with_room(turn - 1) > with_room(turn)
    assert with_room(256) < with_room(255)  # a line of A, one of B and one of C, there and back
    fetched = (with_room(whole - 1) - with_room(whole)) * 4 * 48
    assert fetched == pytest.approx(whole)  # 48 bytes a cycle, a quarter of it in nobody's shadow


def test_streams_are_written_without_being_read():
    s = of(increment(1 << 24))
    before = cycles(s)
    s.stream("B")
    saved = 4 << 24  # of 12 bytes an element, 4; out of all three caches
    assert before - cycles(s) == pytest.approx(0.25 * saved * (1 / 48 + 1 / 16 + 1 / 10), rel=0.01)


def test_a_nest_in_threads_waits_for_them_once_each_time_it_starts():
    s = of(increment(64))
    before = cycles(s)
    s.parallel("B.i")
    assert cycles(s) == before / 2 + 1000
    s = of(increment(63))
    s.parallel("B.i")
    assert cycles(s) == pytest.approx(2 * 32 + 1000)  # one core runs a turn more than the other
    s = of(increment(64))
    s.parallel(s.split("B.i", 8)[1])
    assert cycles(s) == pytest.approx(before / 2 + 8 * 1000)


def test_a_nest_fetches_with_the_caches_of_as_many_cores_as_any_of_its_loops_has():
    n = 1 << 24
    A = td.placeholder((4, n), "float32", name="A")
    B = td.compute((4, n), lambda i, j: A[i, j] + 1, name="B")
    C = td.compute((4, n), lambda i, j: B[i, j] + 1, name="C")
    s = of(td.func("f", [A], [C]))
    s.compute_at("B", "C.i")
    before = cycles(s)
    s.parallel("B.j")
    # 2 cycles for an element of B, which is most; of the 24 bytes (two loads, two stores that cost
    # a load too) a quarter shows
    work, fetched = 2 * 4 * n, 24 * 4 * n
    saved = (work + 0.25 * fetched * (1 / 48 + 1 / 16)) / 2
    assert before - cycles(s) == pytest.approx(saved - 4 * 1000, rel=0.01)

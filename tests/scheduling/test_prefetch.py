import re

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.equal import alpha_equal, fingerprint
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Prefetch
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.running import check, nest, scheduled, shown


def fetched(s):
    program = lower(s.program, s.target).program
    return [n for n in walk(program.body) if isinstance(n, Prefetch)]


def copies(rows=20, columns=64):
    a = td.placeholder((rows, columns), "float32", name="A")
    b = td.compute((rows, columns), lambda i, j: a[i, j] + 1.0, name="B")
    return td.func("copies", [a], [b])


def test_prefetch_is_shown_traced_and_replayed():
    s = scheduled(copies())
    s.prefetch("B", "A", lambda i, j: (i + 1, j))
    s.prefetch("B", "B", "i, j -> i, j + 16")
    assert "B[i, j] = A[i, j] + 1  # prefetch A[i + 1, j], prefetch B[i, j + 16]" in nest(s)
    assert 's.prefetch("B", "A", "i, j -> i + 1, j")' in str(s.trace)
    check(s)


def test_prefetch_follows_its_block_through_later_steps():
    s = scheduled(copies())
    s.prefetch("B", "A", "i, j -> i + 1, j")
    io, _, _, ji = s.tile("i", "j", 4, 16)
    s.vectorize(ji)
    s.parallel(io)
    assert "prefetch A[io * 4 + ii + 1, jo * 16 + ji]" in nest(s)
    assert len(fetched(s)) == 1
    check(s)


def test_prefetch_stays_with_the_part_of_a_reduction_that_loads():
    s = scheduled(matmul(5, 6, 12))
    s.prefetch("C", "B", "i, j, k -> k + 4, j")
    ko, _ = s.split("C.k", 4)
    s.rfactor(ko)
    prefetching = [line.strip() for line in nest(s).splitlines() if "prefetch" in line]
    assert len(prefetching) == 1
    assert prefetching[0].startswith("C.rf[")
    assert prefetching[0].endswith("# prefetch B[ko * 4 + ki + 4, j]")
    check(s)


@pytest.mark.parametrize(("lanes", "lines"), [(8, 1), (16, 1), (32, 2), (64, 4)])
def test_one_prefetch_for_each_line_of_a_vector(lanes, lines):
    s = scheduled(copies())
    _, ji = s.split("j", lanes)
    s.vectorize(ji, lanes)
    s.prefetch("B", "A", "i, j -> i + 1, j")
    assert len(fetched(s)) == lines


def test_prefetch_outside_of_the_tensor_changes_no_result():
    f = copies()
    s = td.Schedule(f)
    s.prefetch("B", "A", "i, j -> i + 100000, j - 7")
    a = np.random.default_rng(0).random((20, 64), np.float32)
    assert np.array_equal(td.build(s)(a), td.reference(f)(a))


def test_prefetch_is_part_of_the_text_and_the_fingerprint():
    s = scheduled(matmul(5, 6, 4))
    before = s.program
    s.prefetch("C", "B", "i, j, k -> k + 8, j")
    text = print_program(s.program)
    assert re.search(r"fetch\((\S+), (\S+), (\S+) -> B\[\3 \+ 8, \2\]\)", text)
    assert alpha_equal(parse_program(text), s.program)
    assert not alpha_equal(before, s.program)
    assert fingerprint(before) != fingerprint(s.program)


def test_prefetch_of_what_the_kernel_makes_is_refused():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1.0, name="B")
    c = td.compute((8,), lambda i: b[i] + 1.0, name="C")
    s = scheduled(td.func("f", [a], [c]))
    with pytest.raises(td.ScheduleError, match="neither an argument nor a result"):
        s.prefetch("C", "B", "i -> i")


@pytest.mark.parametrize(
    ("index_map", "message"),
    [("i, j -> i", "1 iteration variables, the map takes 2"), ("i -> i, 0", "the map gives 2")],
)
def test_prefetch_with_a_map_that_does_not_fit_is_refused(index_map, message):
    s = scheduled(increment())
    with pytest.raises(td.ScheduleError, match=message):
        s.prefetch("B", "A", index_map)


def test_a_block_that_is_placed_takes_its_prefetches_along():
    a = td.placeholder((8, 8), "float32", name="A")
    b = td.compute((8, 8), lambda i, j: a[i, j] + 1.0, name="B")
    c = td.compute((8, 8), lambda i, j: b[i, j] + 1.0, name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.prefetch("B", "A", "i, j -> i + 1, j")
    s.compute_at("B", at="C.i")
    shown(
        s,
        """
        for i in 8:
          alloc B: f32[8, 8]
          for i_1 in 1:
            for j in 8:
              B[i + i_1, j] = A[i + i_1, j] + 1  # prefetch A[i + i_1 + 1, j]
          for j in 8:
            C[i, j] = B[i, j] + 1
        """,
    )

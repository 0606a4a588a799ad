"""Steps that try to fool the prover: each is refused, or gives what the algorithm gives.

Also as lowered, where windows slide and guards are dropped. tests/analysis/test_adversary.py has
schedules as text, which no step could make.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tdsl.lower import lower
from tests.scheduling.running import check, inputs_of, scheduled


@dataclass(frozen=True)
class Attempt:
    name: str
    algorithm: Callable
    steps: tuple
    refused: bool


ATTEMPTS: list[Attempt] = []


def right(name, algorithm, *steps):
    ATTEMPTS.append(Attempt(name, algorithm, steps, refused=False))


def wrong(name, algorithm, *steps):
    ATTEMPTS.append(Attempt(name, algorithm, steps, refused=True))


def changed_in_place():
    """C needs B, which needs A as it was before S changes it."""
    A = td.inout(td.placeholder((8,), "float32", name="A"))
    X = td.placeholder((8,), "float32", name="X")
    B = td.compute((8,), lambda i: A[i] * 2.0, name="B")
    i = td.reduce_axis(8, name="i")
    S = td.update(A, over=i, at=i, value=X[i], op="add", name="S")
    C = td.compute((8,), lambda i: B[i] + S[i], name="C")
    return td.func("changed", [A, X], [S, C])


wrong("inline past a change", changed_in_place, lambda s: s.inline("B"))
wrong("reverse_inline past a change", changed_in_place, lambda s: s.reverse_inline("C"))
wrong("compute_at past a change", changed_in_place, lambda s: s.compute_at("B", "C.i"))
right("consume at the change", changed_in_place, lambda s: s.reverse_compute_at("C", "S.i"))
right("join the change", changed_in_place, lambda s: s.compute_with("S", at="B.i"))
right("join all three", changed_in_place,
      lambda s: s.compute_with("S", at="B.i"), lambda s: s.compute_with("C", at="B.i"))  # fmt: skip
right("copy before the change", changed_in_place, lambda s: s.cache_read("B", "A"))
right("copy after the change", changed_in_place, lambda s: s.cache_read("C", "A"))
wrong("turn around and join", changed_in_place,
      lambda s: s.reverse("B.i"), lambda s: s.compute_with("S", at="B.i"))  # fmt: skip


def changed_by_its_reader():
    A = td.inout(td.placeholder((8,), "float32", name="A"))
    j = td.reduce_axis(7, name="j")
    B = td.compute((8,), lambda i: A[7 - i] + 1.0, name="B")
    T = td.update(A, over=j, at=j, value=lambda c: B[j] + c[j + 1], op="set", name="T")
    return td.func("changed_by_its_reader", [A], [T])


wrong("inline into what changes", changed_by_its_reader, lambda s: s.inline("B"))
wrong("compute where it changes", changed_by_its_reader, lambda s: s.compute_at("B", "T.j"))
right("copy of what is kept", changed_by_its_reader, lambda s: s.cache_read("T", "B", at="T.j"))


def half_summed():
    Z, X = (td.placeholder((8,), "float32", name=name) for name in "ZX")
    i = td.reduce_axis(8, name="i")
    S = td.update(Z, over=i, at=i // 2, value=X[i], op="add", name="S")
    B = td.compute((8,), lambda i: S[i] + 1.0, name="B")
    C = td.compute((8,), lambda i: B[7 - i] * S[i], name="C")
    return td.func("half_summed", [Z, X], [C])


right("inline what reads an update", half_summed, lambda s: s.inline("B"))
wrong("an update in parallel", half_summed, lambda s: s.parallel("S.i"))
right("an atomic update in parallel", half_summed,
      lambda s: s.atomic("S"), lambda s: s.parallel("S.i"))  # fmt: skip
right("a factored update", half_summed, lambda s: s.split("S.i", 4), lambda s: s.rfactor("S.io"))
wrong("half of an update copied out", half_summed, lambda s: s.cache_write("S", at="S.i"))


def read_elsewhere(at, rank=1):
    def make():
        A = td.placeholder((8,) * rank, "float32", name="A")
        B = td.compute((8,) * rank, lambda *i: A[i] + 1.0, name="B")
        C = td.compute((8, 8), lambda i, j: B[at(i, j)] * 2.0, name="C")
        return td.func("elsewhere", [A], [C])

    return make


for _name, _at in {
    "mirrored": lambda i, j: (7 - i, j),
    "its diagonal": lambda i, j: (i, i),
    "one element": lambda i, j: (3, j),
    "halves": lambda i, j: (i // 2, j),
}.items():
    wrong(f"reverse_inline of {_name}", read_elsewhere(_at, 2), lambda s: s.reverse_inline("C"))
wrong("reverse_inline of what is read by all columns", read_elsewhere(lambda i, j: i),
      lambda s: s.reverse_inline("C"))  # fmt: skip
right("reverse_inline of a transposed read", read_elsewhere(lambda i, j: (j, i), 2),
      lambda s: s.reverse_inline("C"))  # fmt: skip
right("consume at a broadcast", read_elsewhere(lambda i, j: i),
      lambda s: s.reverse_compute_at("C", "B.i0"))  # fmt: skip


def transposed_product():
    A = td.placeholder((8, 8), "float32", name="A")
    B = td.compute((8, 8), lambda i, j: A[i, j] + 1.0, name="B")
    C = td.compute((8, 8), lambda i, j: B[j, i] * B[i, j], name="C")
    return td.func("transposed", [A], [C])


wrong("consume rows that need columns", transposed_product,
      lambda s: s.reverse_compute_at("C", "B.i"))  # fmt: skip


def blur():
    A = td.placeholder((10, 6), "int32", name="A")
    X = td.compute((10, 6), lambda y, x: A[y, x] * 2, name="X")
    Y = td.compute((8, 6), lambda y, x: X[y, x] + X[y + 1, x] + X[y + 2, x], name="Y")
    return td.func("blur", [A], [Y])


def window(rows=None):
    steps = (lambda s: s.compute_at("X", "Y.y"), lambda s: s.store_at("X"))
    return steps if rows is None else (*steps, lambda s: s.fold_storage("X", rows))


wrong("a producer that comes late", blur, *window(), lambda s: s.shift("Y.y", 1, block="X"))
right("a consumer that comes late", blur, *window(), lambda s: s.shift("Y.y", 1, block="Y"))
wrong("late, in three rows", blur, *window(3), lambda s: s.shift("Y.y", 1, block="Y"))
right("late, in four rows", blur, *window(4), lambda s: s.shift("Y.y", 1, block="Y"))
right("a ring walked backwards", blur, *window(3), lambda s: s.reverse("Y.y"))
wrong("a ring in lanes", blur, *window(3), lambda s: s.vectorize("Y.y", 4))
wrong("a ring in threads", blur, *window(3), lambda s: s.parallel("Y.y"))
right("a ring unrolled", blur, *window(3), lambda s: s.unroll("Y.y"))
right("a ring in pieces", blur, *window(3), lambda s: s.partition("Y.y", 4))
wrong("a ring whose readers wait for all", blur, *window(3), lambda s: s.fission("Y.y", "X"))
right("a window skewed", blur, *window(), lambda s: s.skew("Y.x", "Y.y"))
right("a ring under a tail that moves back", blur,
      lambda s: s.split("Y.y", 3, tail="shift"), lambda s: s.compute_at("X", "Y.yi"),
      lambda s: s.store_at("X"), lambda s: s.fold_storage("X", 3))  # fmt: skip
wrong("a ring of a larger step", blur,
      lambda s: s.split("Y.y", 2), lambda s: s.compute_at("X", "Y.yo"), lambda s: s.store_at("X"),
      lambda s: s.fold_storage("X", 3))  # fmt: skip
wrong("stored outside of threads in a ring", blur,
      lambda s: s.compute_at("X", "Y.y"), lambda s: s.parallel("Y.y"), lambda s: s.store_at("X"),
      lambda s: s.fold_storage("X", 3))  # fmt: skip

for _map, _fits in {
    "y, x -> y // 2, x": False,
    "y, x -> y % 5, x": False,
    "y, x -> y + x": False,
    "y, x -> y * 5 + x": False,
    "y, x -> 8 - y, x": False,
    "y, x -> y, (x + y) % 6": True,
    "y, x -> y * 6 + x": True,
    "y, x -> y * 7 + x": True,
    "y, x -> 9 - y, 5 - x": True,
    "y, x -> y // 4, x, y % 4": True,
}.items():
    (right if _fits else wrong)(
        f"layout {_map}", blur, lambda s, text=_map: s.transform_layout("X", text)
    )


def sums(dtype="float32"):
    A = td.placeholder((6, 8), dtype, name="A")
    k, m = td.reduce_axis(8, name="k"), td.reduce_axis(6, name="m")
    R = td.compute((6,), lambda i: td.sum(A[i, k], axis=k), name="R")
    T = td.compute((6,), lambda i: td.sum(R[m] * A[i, m], axis=m), name="T")
    return td.func("sums", [A], [T])


AT_M = (lambda s: s.compute_at("R", "T.m"), lambda s: s.store_at("R"))
FROZEN = (lambda s: s.decompose_reduction("R", "R.i"),)
SKEWED = (lambda s: s.skew("R.k", "R.i"), lambda s: s.reorder("R.k", "R.i"))
right("a sum inside a sum", sums, lambda s: s.compute_at("R", "T.m"))
right("a sum inside a sum, kept outside", sums, *AT_M)
wrong("threads that sum in one copy", sums, *AT_M, lambda s: s.parallel("T.i"))
right("one sum at a time in one place", sums, *AT_M, lambda s: s.fold_storage("R", 1))
wrong("a sum copied out before its end", sums, lambda s: s.cache_write("R", at="R.k"))
wrong("half a sum copied out", sums,
      lambda s: s.split("R.k", 4), lambda s: s.cache_write("R", at="R.ko"))  # fmt: skip
wrong("a frozen init and parallel terms", sums, *FROZEN, lambda s: s.parallel("R.k"))
right("a frozen init joined again", sums, *FROZEN, lambda s: s.compute_with("R", at="R.init.i"))
wrong("a frozen init the other way", sums, *FROZEN, lambda s: s.reverse("R.init.i"),
      lambda s: s.compute_with("R", at="R.init.i"))  # fmt: skip
right("a frozen init and pieces of a sum", sums, *FROZEN, lambda s: s.partition("R.k", 3))
wrong("pieces of a sum with one init", sums, lambda s: s.partition("R.k", 3))
wrong("terms in lanes", sums, lambda s: s.vectorize("R.k", 4))
wrong("rows and terms in threads", sums, lambda s: s.parallel(s.fuse("R.i", "R.k")))
wrong("rows and terms in lanes", sums, lambda s: s.vectorize(s.fuse("R.i", "R.k"), 4))
right("terms in lanes that are atomic", sums, lambda s: s.atomic("R"),
      lambda s: s.vectorize("R.k", 4))  # fmt: skip
right("skewed terms, parallel rows", sums, *SKEWED, lambda s: s.parallel("R.i"))
wrong("skewed terms, parallel diagonals", sums, *SKEWED, lambda s: s.parallel("R.k"))
right("terms from the end", sums, lambda s: s.reverse("R.k"))
right("jammed rows", sums, lambda s: s.unroll_and_jam("R.i", 4))
right("jammed terms", sums, lambda s: s.unroll_and_jam("R.k", 4))
wrong("a sum past the caches", sums, lambda s: s.stream("R"))
right("parts computed where they are added", sums, lambda s: s.split("R.k", 4),
      lambda s: s.rfactor("R.ko"), lambda s: s.compute_at("R.rf", "R.r"))  # fmt: skip


def shared_storage(reads_old):
    """R may lie where P was: it reads P's element at its own place, or nothing of P."""

    def make():
        A = td.placeholder((8,), "float32", name="A")
        P = td.compute((8,), lambda i: A[i] + 1.0, name="P")
        Q = td.compute((8,), lambda i: P[7 - i] * 2.0, name="Q")
        R = td.compute((8,), lambda i: (P if reads_old else A)[i] * 3.0, name="R")
        T = td.compute((8,), lambda i: Q[i] + R[i], name="T")
        return td.func("shared", [A], [T])

    return make


REUSED = (lambda s: s.reuse("R", "P"),)
for _old in (True, False):
    _how = "that is read" if _old else "that is not read"
    _made = shared_storage(_old)
    right(f"storage {_how}", _made, *REUSED)
    wrong(f"inline past new storage {_how}", _made, *REUSED, lambda s: s.inline("Q"))
    wrong(f"compute past new storage {_how}", _made, *REUSED, lambda s: s.compute_at("Q", "T.i"))
    wrong(f"join new storage {_how}", _made, *REUSED, lambda s: s.compute_with("R", at="Q.i"))
    right(f"new storage backwards {_how}", _made, *REUSED, lambda s: s.reverse("R.i"))
    wrong(f"old storage is read late {_how}", _made, lambda s: s.inline("Q"), *REUSED)
wrong("storage that its own block reads elsewhere", shared_storage(True),
      lambda s: s.reuse("Q", "P"))  # fmt: skip


def matrices():
    """Products of 2 x 2 matrices: operands associate and do not swap."""
    parts = [td.placeholder((3, 12), "int32", name=name) for name in "abcd"]
    k = td.reduce_axis(12, name="k")
    times = td.reducer(
        identity=(1, 0, 0, 1),
        combine=lambda x, y: (
            *(x[0] * y[0] + x[1] * y[2], x[0] * y[1] + x[1] * y[3]),
            *(x[2] * y[0] + x[3] * y[2], x[2] * y[1] + x[3] * y[3]),
        ),
    )
    made = td.compute((3,), lambda i: times(tuple(p[i, k] for p in parts), axis=k), name="P")
    return td.func("matrices", parts, list(made))


HALVES = (lambda s: s.split("P.k", 5),)
PARTS = (*HALVES, lambda s: s.rfactor("P.ko"))
THIRDS = (lambda s: s.split("P.k", (None, 2, 2)),)
wrong("products backwards", matrices, lambda s: s.reverse("P.k"))
wrong("products in strides", matrices, *HALVES, lambda s: s.reorder("P.ki", "P.ko"))
right("products in parts", matrices, *PARTS)
right("products in parts, each first", matrices, *PARTS, lambda s: s.reverse("P.rf.ko"))
wrong("products in parts backwards", matrices, *PARTS, lambda s: s.reverse("P.rf.ki"))
wrong("parts of products backwards", matrices, *PARTS, lambda s: s.reverse("P.r"))
wrong("parts of products in strides", matrices, *HALVES, lambda s: s.rfactor("P.ki"))
wrong("parts from the middle", matrices, *THIRDS, lambda s: s.rfactor("P.km"))
right("parts of two loops", matrices, *THIRDS, lambda s: s.rfactor(s.fuse("P.ko", "P.km")))
right("parts of parts", matrices, *THIRDS, lambda s: s.rfactor("P.ko"),
      lambda s: s.rfactor("P.rf.km"))  # fmt: skip
wrong("parts of parts in strides", matrices, *THIRDS, lambda s: s.rfactor("P.ko"),
      lambda s: s.rfactor("P.rf.ki"))  # fmt: skip
right("rows inside of parts", matrices, *HALVES, lambda s: s.reorder("P.ko", "P.i", "P.ki"),
      lambda s: s.rfactor("P.ko"))  # fmt: skip
wrong("rows inside of strides", matrices, *HALVES, lambda s: s.reorder("P.ko", "P.i", "P.ki"),
      lambda s: s.rfactor("P.ki"))  # fmt: skip


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda a: a.name)
def test_a_step_is_refused_or_right(attempt):
    s = scheduled(attempt.algorithm())
    if attempt.refused:
        with pytest.raises(td.ScheduleError):
            _take(s, attempt.steps)
    else:
        _take(s, attempt.steps)
    check(s)
    arrays = inputs_of(s.func, {})
    wanted = interpret(s.func.program, arrays)
    got = interpret(lower(s.program, s.target).program, arrays)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5)


def _take(s, steps):
    for step in steps:
        step(s)

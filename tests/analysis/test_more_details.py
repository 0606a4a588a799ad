"""What single facts of the prover mean: conditions, boxes, counts, and what has no answer."""

import pytest

import tdsl as td
from tdsl.analysis import Refused, prove, storage
from tdsl.analysis.access import accesses
from tdsl.analysis.cost import flops_of
from tdsl.analysis.dependences import _is_empty
from tdsl.analysis.model import Models
from tdsl.analysis.order import unless_before
from tdsl.analysis.traffic import Traffic
from tdsl.analysis.witness import never_run, value_at
from tdsl.ir import build
from tdsl.ir.frames import Sizes, Unknown
from tdsl.ir.visit import leaves
from tests.analysis.asking import refused
from tests.analysis.nests import schedule
from tests.analysis.test_regions import check, inside_one, shifted


def only_block(func):
    return leaves(func.program.body)[0].block


def test_what_a_condition_of_a_sum_reads_is_an_access():
    x = td.placeholder((4,), "float32", name="X")
    m = td.placeholder((4,), "int32", name="M")
    k = td.reduce_axis(4, name="k")
    y = td.compute((1,), lambda i: td.sum(x[k], axis=k, where=m[k] > 0), name="Y")
    blocks = [leaf.block for leaf in leaves(td.func("f", [x, m], [y]).program.body)]
    block = next(b for b in blocks if b.where is not None)
    assert {a.buffer.name for a in accesses(block)} == {"X", "M", "Y"}


@pytest.mark.parametrize(
    ("make", "flops"),
    [
        (lambda v: -v, 0),
        (td.abs, 0),
        (lambda v: td.select(td.isnan(v), 0.0, v), 0),
        (lambda v: td.select(td.isinf(v), 0.0, v), 0),
        (td.sqrt, 1),
        (td.exp, 1),
    ],
    ids=["neg", "abs", "isnan", "isinf", "sqrt", "exp"],
)
def test_signs_and_tests_are_no_operations(make, flops):
    x = td.placeholder((4,), "float32", name="X")
    y = td.compute((4,), lambda i: make(x[i]), name="Y")
    assert flops_of(only_block(td.func("f", [x], [y]))) == flops


def test_a_row_that_shrinks_with_the_loop_outside_is_longest_in_its_first_iteration():
    a = td.placeholder((20,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((8,), lambda i: td.sum(a[k + 1], axis=k, where=k < 8 - i), name="P")
    program = td.func("f", [a], [p]).program
    program = schedule(program, "i in 8:\n  k in 8-i:\n    P(i, k)\n")
    check(program, "A", "i", ["1"], ["8"])


@pytest.mark.parametrize("guard", ["io*4+ii <= 9", "io*4+ii >= 9"])
def test_only_a_guard_below_the_extent_narrows_a_box(guard):
    text = f"io in 3:\n  ii in 4:\n    D(io*4+ii) if {guard}"
    check(inside_one(shifted(9, 2, 20), 20, text), "C", "o", ["2"], ["12"])


def test_traffic_of_a_triangle_counts_its_longest_row():
    a = td.placeholder((8,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((8,), lambda i: td.sum(a[k], axis=k, where=k <= i), name="P")
    program = td.func("f", [a], [p]).program
    program = schedule(program, "i in 8:\n  k in i+1:\n    P(i, k)\n")
    assert Traffic(program, {}).flops == 64


@pytest.mark.parametrize("make", [build.floordiv, build.floormod])
def test_what_divides_by_nothing_is_nothing(make):
    program = td.func("f", *pointwise(td.sizes("N"))).program
    (n,) = program.sizes
    assert value_at(make(build.index(7), n), {n: 0}) == 0
    assert value_at(make(build.index(7), n), {n: 7}) == (make is build.floordiv)


def pointwise(n):
    x = td.placeholder((n,), "float32", name="X")
    return [x], [td.compute((n,), lambda i: x[i], name="Y")]


def test_blocks_of_another_kernel_are_refused():
    one, other = (td.func("f", *pointwise(4)).program for _ in range(2))
    with pytest.raises(Refused, match="block Y is not part of the algorithm"):
        prove(one, other)


def test_there_is_no_witness_of_nothing():
    program = td.func("f", *pointwise(4)).program
    block = leaves(program.body)[0].block
    models = Models(Sizes(program.sizes, program.assume))
    dom = models.instances(block).dom
    write = next(a for a in accesses(block) if a.is_write)
    assert never_run(dom.subtract(dom), block, write, models.sizes) is None
    assert never_run(dom, block, write, models.sizes).element == (0,)


class Endless:
    """A relation about which no question is answered in time."""

    def is_empty(self):
        raise Unknown("too long")


def test_what_is_not_known_to_be_empty_is_looked_at():
    assert not _is_empty(Endless())


def test_a_fold_whose_turns_are_not_known_is_looked_at_pair_by_pair(monkeypatch):
    a = td.placeholder((8,), "float32", name="A")
    c = td.compute((8,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((8,), lambda i: c[i] * 2.0, name="D")
    program = td.func("f", [a], [d]).program
    asked = []

    def once_unknown(*args, **named):
        asked.append(args)
        if len(asked) == 1:
            raise Unknown("too long")
        return unless_before(*args, **named)

    monkeypatch.setattr(storage, "unless_before", once_unknown)
    refused(
        program, "alloc C layout a -> a % 3:\n  i in 8:\n    C(i)\n  i in 8:\n    D(i)\n", "WAR"
    )
    assert len(asked) > 1

import pytest

import tdsl as td
from tdsl.analysis.cost import bytes_of, cost_of, costs, flops_of
from tdsl.ir.affine import equal
from tdsl.ir.stmt import For
from tdsl.ir.visit import leaves, walk
from tests.analysis.nests import expression, schedule


@pytest.fixture
def matmul():
    A = td.placeholder((64, 32), "float32", name="A")
    B = td.placeholder((32, 48), "float32", name="B")
    k = td.reduce_axis(32, name="k")
    C = td.compute((64, 48), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("mm", [A, B], [C]).program


def loop(program, name):
    return next(s for s in walk(program.body) if isinstance(s, For) and s.var.name == name)


def test_one_instance_of_a_matrix_product(matmul):
    block = leaves(matmul.body)[0].block
    assert flops_of(block) == 2
    assert bytes_of(block) == 4 * 4


def test_each_loop_of_a_matrix_product(matmul):
    found = {v.name: cost.at({}) for v, cost in costs(matmul).items()}
    assert found["i"][0] == 2 * 64 * 48 * 32
    assert found["i"][2] == 4 * (64 * 32 + 32 * 48 + 64 * 48)
    assert cost_of(matmul, loop(matmul, "k")).at({}) == (64, 32 * 16, 4 * (32 + 32 + 1))


def test_a_tile_touches_less_than_it_asks_for(matmul):
    program = schedule(
        matmul,
        "io in 8:\n  jo in 6:\n    k in 32:\n      ii in 8:\n        ji in 8:\n"
        "          C(io*8+ii, jo*8+ji, k)\n",
    )
    flops, asked, touched = cost_of(program, loop(program, "k")).at({})
    assert flops == 2 * 32 * 64
    assert touched == 4 * (8 * 32 + 32 * 8 + 64)
    assert asked == 16 * 32 * 64


def test_stages_add_up():
    a = td.placeholder((16,), "float32", name="A")
    b = td.compute((16,), lambda i: a[i] + 1.0, name="B")
    c = td.compute((16,), lambda i: b[i] * 2.0 + 1.0, name="C")
    program = td.func("f", [a], [c]).program
    assert cost_of(program, program.body).at({}) == (16 * 3, 16 * 4 * 4, 4 * 48)
    assert {v.name for v in costs(program)} == {"i"}
    assert sorted(cost.at({})[0] for cost in costs(program).values()) == [16, 32]


def test_a_row_that_shrinks_counts_its_longest():
    a = td.placeholder((8,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    p = td.compute((8,), lambda i: td.sum(a[k], axis=k, where=k < 8 - i), name="P")
    program = schedule(td.func("f", [a], [p]).program, "i in 8:\n  k in 8-i:\n    P(i, k)\n")
    assert cost_of(program, program.body).at({})[0] == 64


def test_counts_keep_sizes():
    N = td.sizes("N")
    A = td.placeholder((N,), "float64", name="A")
    C = td.compute((N,), lambda i: td.exp(A[i]) + 1.0, name="C")
    program = td.func("f", [A], [C]).program
    cost = cost_of(program, program.body)
    names = {"N": program.sizes[0]}
    assert equal(cost.flops, expression("N*2", names))
    assert equal(cost.touched, expression("N*16", names))


def test_a_triangle_counts_its_longest_row():
    A = td.placeholder((8,), "float32", name="A")
    k = td.reduce_axis(8, name="k")
    P = td.compute((8,), lambda i: td.sum(A[k], axis=k, where=k <= i), name="P")
    program = td.func("f", [A], [P]).program
    program = schedule(program, "i in 8:\n  k in i+1:\n    P(i, k)\n")
    assert cost_of(program, program.body).at({})[0] == 64


COUNTED = {
    "-a": (lambda a: -a, 0),
    "abs": (td.abs, 0),
    "isnan": (lambda a: td.select(td.isnan(a), 0.0, 1.0), 0),
    "isinf": (lambda a: td.select(td.isinf(a), 0.0, 1.0), 0),
    "sqrt": (td.sqrt, 1),
    "floor": (td.floor, 1),
    "exp": (td.exp, 1),
    "a * a + a": (lambda a: a * a + a, 2),
    "a < 1": (lambda a: td.select(a < 1.0, 0.0, 1.0), 1),
}


@pytest.mark.parametrize(("value", "count"), COUNTED.values(), ids=COUNTED)
def test_operations_that_change_a_sign_or_ask_for_a_kind_are_free(value, count):
    A = td.placeholder((8,), "float32", name="A")
    B = td.compute((8,), lambda i: value(A[i]), name="B")
    assert flops_of(leaves(td.func("f", [A], [B]).program.body)[0].block) == count


def test_integers_are_no_floating_point():
    A = td.placeholder((8,), "int32", name="A")
    B = td.compute((8,), lambda i: -A[i] * A[i] + 3, name="B")
    assert flops_of(leaves(td.func("f", [A], [B]).program.body)[0].block) == 0

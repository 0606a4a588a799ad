"""Loops that count: what is said to run each instance once must, and plain splits must be seen."""

import random
from itertools import product

import pytest

import tdsl as td
from tdsl.analysis.digits import counts_through
from tdsl.analysis.witness import value_at
from tdsl.ir.visit import leaves, loop_path
from tests.analysis.nests import schedule

M, N = td.sizes("M N")


def pointwise(m=M, n=N):
    A = td.placeholder((m, n), "float32", name="A")
    B = td.compute((m, n), lambda i, j: A[i, j] + 1.0, name="B")
    return td.func("f", [A], [B]).program


def counted(program, text):
    """The answer for the one leaf, and what is true for some sizes."""
    scheduled = schedule(program, text)
    (leaf,) = leaves(scheduled.body)
    loops = loop_path(scheduled.body, leaf)
    said = counts_through(leaf, [(loop.var, loop.extent) for loop in loops])
    truths = [once(leaf, loops, dict(zip(program.sizes, at, strict=True))) for at in sizes(program)]
    return said, all(truths)


def sizes(program):
    return product([1, 2, 3, 5, 8], repeat=len(program.sizes))


def once(leaf, loops, env):
    """Whether each instance runs exactly once, and nothing else does."""
    ran = []

    def visit(rest, env):
        if rest:
            for n in range(value_at(rest[0].extent, env)):
                visit(rest[1:], env | {rest[0].var: n})
        elif all(value_at(g.cond, env) for g in leaf.guards):
            ran.append(tuple(value_at(b, env) for b in leaf.bindings))

    visit(loops, env)
    wanted = product(*(range(value_at(it.extent, env)) for it in leaf.block.iters))
    return sorted(ran) == sorted(wanted)


COUNTING = [
    ("i in M:\n  j in N:\n    B(i, j)", ()),
    ("j in N:\n  i in M:\n    B(i, j)", ()),
    ("io in (M+3)//4:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j) if io*4+ii < M", ()),
    ("io in 2:\n  ii in 4:\n    j in 6:\n      B(io*4+ii, j)", (8, 6)),
    ("io in 3:\n  ii in 4:\n    j in 6:\n      B(io*4+ii, j) if io*4+ii < 9", (9, 6)),
    ("a in 2:\n  b in 2:\n    c in 3:\n      j in 1:\n        B(a*6+b*3+c, j)", (12, 1)),
    ("u in 1:\n  i in 3:\n    j in 2:\n      B(i, j)", (3, 2)),
    ("j in 5:\n  B(0, j)", (1, 5)),
    ("io in 1:\n  ii in 8:\n    j in 6:\n      B(ii+io*8, j)", (8, 6)),
    ("io in (M+3)//4:\n  ii in 4:\n    j in N:\n      B(ii+io*4, j) if ii+io*4 < M", ()),
]


@pytest.mark.parametrize(("text", "extents"), COUNTING)
def test_plain_splits_are_seen_to_count(text, extents):
    assert counted(pointwise(*extents), text) == (True, True)


OTHERWISE = [
    ("i in M:\n  j in N:\n    B(i, j) if i < M-1", ()),
    ("i in M:\n  j in N:\n    B(i, j) if i >= 1", ()),
    ("io in (M+3)//4:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j)", ()),
    ("io in M//4:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j) if io*4+ii < M", ()),
    ("io in (M+3)//4:\n  ii in 3:\n    j in N:\n      B(io*4+ii, j) if io*4+ii < M", ()),
    ("ii in 4:\n  io in (M+3)//4:\n    j in N:\n      B(io*4+ii, j) if io*4+ii <= M-1", ()),
    ("io in (M+3)//4:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j) if io*4+ii <= M", ()),
    ("io in 2:\n  ii in 4:\n    j in 6:\n      B(io*4+ii+1, j)", (8, 6)),
    ("io in 2:\n  ii in 4:\n    j in 6:\n      B(io*4+ii, j)", (9, 6)),
    ("i in 3:\n  j in 3:\n    B(i, i)", (3, 3)),
    ("u in 2:\n  i in 3:\n    j in 2:\n      B(i, j)", (3, 2)),
    ("j in 5:\n  B(0, j)", (2, 5)),
    ("i in 0:\n  j in 5:\n    B(i, j)", (3, 5)),
    ("i in 3:\n  j in 5:\n    B(i*2, j)", (6, 5)),
    ("i in M:\n  j in N:\n    B(j, i)", ()),
    ("io in 2:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j)", ()),
    ("io in 2:\n  ii in 4:\n    j in N:\n      B(io*4+ii, j) if io*4+ii < M", ()),
    ("io in 3:\n  ii in 2:\n    j in 2:\n      B(io*2+ii, j) if io*2+ii < 5", (6, 2)),
    ("u in 2:\n  v in 1:\n    i in 3:\n      j in 2:\n        B(i, j)", (3, 2)),
    ("io in (M+3)//4:\n  ii in 4:\n    j in N:\n      B(ii*((M+3)//4)+io, j)", ()),
    ("ii in M:\n  io in 2:\n    j in N:\n      B(io+ii*2, j) if io+ii*2 < M", ()),
    ("ii in M:\n  io in 2:\n    j in N:\n      B(ii+io*4, j)", ()),
    ("io in M:\n  ii in N:\n    B(io+ii, io)", ()),
    ("i in M:\n  j in N:\n    k in 1:\n      B(i+k*0+0*j, j+k)", ()),
]


@pytest.mark.parametrize(("text", "extents"), OTHERWISE)
def test_other_loops_are_not_said_to_count(text, extents):
    said, _ = counted(pointwise(*extents), text)
    assert not said


def test_what_is_said_to_count_does():
    rng = random.Random(5)
    agreed = 0
    for _ in range(300):
        m, n = rng.randint(1, 9), rng.randint(1, 4)
        outer, inner = rng.randint(1, 4), rng.randint(1, 4)
        weight = rng.choice([inner, inner, inner, inner + 1, max(1, inner - 1)])
        guard = rng.choice(["", f" if a*{weight}+b < {m}", f" if a*{weight}+b < {m + 1}"])
        columns = rng.choice([n, n, n + 1])
        text = f"a in {outer}:\n  b in {inner}:\n    c in {columns}:\n"
        said, true = counted(pointwise(m, n), f"{text}      B(a*{weight}+b, c){guard}")
        assert true or not said
        agreed += said
    assert agreed > 20

"""What is written out for the commonest nodes agrees with what follows from their annotations."""

from __future__ import annotations

import pytest

from tdsl import dtypes
from tdsl.ir.below import BELOW, REBUILD, STATEMENTS, reader_of, rebuilder_of
from tdsl.ir.build import TRUE, index
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Broadcast,
    Buffer,
    Cast,
    Const,
    Expr,
    Fma,
    Load,
    Math,
    MathFn,
    Node,
    Ramp,
    Select,
    Shuffle,
    Var,
)
from tdsl.ir.stmt import Alloc, Barrier, For, If, Let, LoopKind, Part, Prefetch, Seq, Stmt, Store
from tdsl.lower.team import Step

I, J = Var("i"), Var("j")
A = Buffer("A", dtypes.float32, (index(8), index(8)))
LOAD = Load(A, (I, J))
STORE = Store(A, (I, J), LOAD, TRUE, atomic=True, stream=True)

NODES: list[Node] = [
    I,
    index(3),
    Binary(BinaryOp.ADD, I, J),
    Ramp(I, index(1), 8),
    Broadcast(I, 8),
    Fma(LOAD, LOAD, LOAD),
    Select(TRUE, I, J),
    Cast(I, dtypes.int32),
    Math(MathFn.EXP, (LOAD,)),
    Shuffle((I, J), (0, 1)),
    LOAD,
    Load(A, (I, J), TRUE),
    STORE,
    Store(A, (I, J), LOAD),
    Let(I, J, STORE),
    Seq((STORE, STORE)),
    Seq(()),
    Alloc(A, STORE),
    If(TRUE, STORE),
    If(TRUE, STORE, Seq(())),
    For(I, index(8), STORE),
    For(I, index(8), STORE, LoopKind.UNROLLED, (Part(J, index(8)), Part(I, index(1)))),
    Prefetch(A, (I, J)),
    Barrier(),
    Step(STORE, (I,)),
]
IDS = [f"{number}-{type(node).__name__}" for number, node in enumerate(NODES)]


@pytest.mark.parametrize("node", NODES, ids=IDS)
def test_readers_agree(node: Node) -> None:
    read, general = BELOW[type(node)], reader_of(type(node))
    expected = () if general is None else general(node)
    found = () if read is None else read(node)
    assert len(found) == len(expected)
    assert all(a is b for a, b in zip(found, expected, strict=True))
    statements = STATEMENTS[type(node)]
    inside = () if statements is None else statements(node)
    assert list(inside) == [n for n in found if isinstance(n, Stmt)]


def _changed(n: Node) -> Node:
    match n:
        case Buffer():
            return Buffer("B", n.dtype, n.shape)
        case Var():
            return Var(f"{n.name}.new", n.dtype)
        case Expr():
            return Const(True, dtypes.bool_) if n.dtype.is_bool else index(7)
        case Part():
            return Part(n.var, index(7))
        case _:
            return Barrier()


@pytest.mark.parametrize("node", NODES, ids=IDS)
def test_rebuilders_agree(node: Node) -> None:
    rebuild, general = REBUILD[type(node)], rebuilder_of(type(node))
    if rebuild is None or general is None:
        assert rebuild is general
        return
    assert rebuild(node, lambda n: n) is node
    made: dict[int, Node] = {}

    def once(n: Node) -> Node:
        return made.setdefault(id(n), _changed(n))

    assert rebuild(node, once) == general(node, once)

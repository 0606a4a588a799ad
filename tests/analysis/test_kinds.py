"""How tensors are written, what may run again, and which order of updates changes bits."""

from dataclasses import replace
from itertools import pairwise, product

import pytest

import tdsl as td
from tdsl import dtypes
from tdsl.analysis.dependences import Storage, dependences
from tdsl.analysis.numerics import Numerics, swaps_exactly
from tdsl.analysis.repeat import is_idempotent
from tdsl.ir import build
from tdsl.ir.expr import Buffer, Load, Var
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    For,
    IterVar,
    Leaf,
    Param,
    Program,
    Role,
    Seq,
    Write,
)
from tdsl.ir.visit import leaves
from tests.analysis.asking import accepted, refused
from tests.analysis.nests import schedule
from tests.analysis.test_refusals import sums


def pointwise():
    x = td.placeholder((4,), "float32", name="X")
    t = td.compute((4,), lambda i: x[i] + 1.0, name="T")
    y = td.compute((4,), lambda i: t[i] + t[3 - i], name="Y")
    return td.func("f", [x], [y]).program


def summed():
    return sums("T")


def updated(inout=False):
    b = td.placeholder((4,), "float32", name="T")
    x = td.placeholder((6,), "float32", name="X")
    r = td.reduce_axis(6, name="r")
    u = td.update(td.inout(b) if inout else b, over=(r,), at=r // 2, value=x[r], op="add", name="U")
    return td.func("f", [b, x], [u]).program


def storage_of(program):
    deps = dependences(program)
    return {buffer.name: kind for buffer, kind in deps.storage.items() if deps.writers[buffer]}


def test_storage_by_how_it_is_written():
    assert storage_of(pointwise()) == {"T": Storage.SINGLE, "Y": Storage.SINGLE}
    assert storage_of(summed()) == {"T": Storage.REDUCED, "Y": Storage.SINGLE}
    assert storage_of(updated()) == {"U": Storage.SHARED}
    assert storage_of(updated(inout=True)) == {"T": Storage.SHARED}


def test_a_copy_is_written_once():
    s = td.Schedule(td.func("f", *matrix()))
    s.cache_read("Y", "X", at="i")
    kinds = {leaf.block.kind for leaf in leaves(s.program.body)}
    assert BlockKind.COPY in kinds
    assert set(storage_of(s.algorithm).values()) == {Storage.SINGLE}


def matrix():
    x = td.placeholder((4, 4), "float32", name="X")
    return [x], [td.compute((4, 4), lambda i, j: x[j, i], name="Y")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("i in 4:\n  T.init(i)\n  k in 3:\n    T(i, k)\n  Y(i)\n", Storage.REDUCED),
        ("i in 4:\n  T.init(i)\n  k in 3:\n    T(i, k)\n    Y(i)\n", Storage.SHARED),
        ("i in 4:\n  k in 3:\n    T(i, k)\ni in 4:\n  T.init(i)\ni in 4:\n  Y(i)\n",
         Storage.SHARED),
        ("u in 2:\n  i in 4:\n    T.init(i)\n    k in 3:\n      T(i, k)\ni in 4:\n  Y(i)\n",
         Storage.SHARED),
        ("i in 4:\n  T.init(i)\ni in 4:\n  T.init(i)\n  k in 3:\n    T(i, k)\n  Y(i)\n",
         Storage.SHARED),
        ("i in 4:\n  Y(i)\ni in 4:\n  T.init(i)\n  k in 3:\n    T(i, k)\n", Storage.SHARED),
    ],
)  # fmt: skip
def test_a_reduction_that_is_read_or_starts_in_between_is_shared(text, kind):
    assert storage_of(schedule(summed(), text))["T"] is kind


def test_writers_and_reducers_are_the_blocks_that_write():
    deps = dependences(summed())
    written = {b.name: [w.name for w in ws] for b, ws in deps.writers.items()}
    assert written == {"X": [], "T": ["T.init", "T"], "Y": ["Y"]}
    assert {b.name: block.name for b, block in deps.reducers.items()} == {"T": "T"}
    assert [b.name for b in deps.buffers] == ["T", "Y"]
    for buffer in deps.buffers:
        assert deps.of_buffer(buffer) == [d for d in deps.all if d.buffer.name == buffer.name]
        assert deps.of_buffer(buffer)[1:] or buffer.name == "Y"


def by_hand(*blocks, result="H"):
    """Blocks of one loop each over 4, writing g and then the result."""
    four = build.index(4)
    found = {w.buffer for b in blocks for w in b.writes}
    body = Seq(tuple(For(v := Var("v"), four, Leaf(b, (v,))) for b in blocks))
    (out,) = [b for b in found if b.name == result]
    for buffer in found - {out}:
        body = Alloc(buffer, body)
    return Program("f", (Param(X, Role.IN), Param(out, Role.OUT)), (), (), body)


X, G, H = (Buffer(name, dtypes.float32, (build.index(4),)) for name in "XGH")


def block(name, write, at, value, kind=BlockKind.COMPUTE):
    i = Var("i")
    return Block(name, (IterVar(i, build.index(4)),), (Write(write, (at(i),), value(i)),), kind)


def test_what_is_written_twice_and_read_is_shared():
    twice = block("g", G, lambda i: build.floordiv(i, 2), lambda i: Load(X, (i,)))
    read = block("h", H, lambda i: i, lambda i: Load(G, (i,)))
    assert storage_of(by_hand(twice, read)) == {"G": Storage.SHARED, "H": Storage.SINGLE}
    assert storage_of(by_hand(replace(twice, kind=BlockKind.COPY), read))["G"] is Storage.SHARED
    once = block("g", G, lambda i: i, lambda i: Load(X, (i,)), BlockKind.COPY)
    assert storage_of(by_hand(once, read))["G"] is Storage.SINGLE
    more = block("m", G, lambda i: i, lambda i: Load(G, (i,)), BlockKind.UPDATE)
    assert storage_of(by_hand(once, more, read))["G"] is Storage.SHARED


def test_halves_written_in_other_ways_are_shared():
    whole = Buffer("G", dtypes.float32, (build.index(8),))
    once = block("g", whole, lambda i: i, lambda i: Load(X, (i,)))
    upper = block(
        "m",
        whole,
        lambda i: build.add(i, 4),
        lambda i: Load(whole, (build.add(i, 4),)),
        BlockKind.UPDATE,
    )
    read = block("h", H, lambda i: i, lambda i: Load(whole, (i,)))
    assert storage_of(by_hand(once, upper, read))["G"] is Storage.SHARED
    both = replace(upper, kind=BlockKind.COMPUTE)
    assert storage_of(by_hand(once, both, read))["G"] is Storage.SINGLE


def test_two_reductions_of_one_tensor_are_shared():
    program = summed()
    (t,) = [leaf.block for leaf in leaves(program.body) if leaf.block.name == "T"]
    (y,) = [leaf.block for leaf in leaves(program.body) if leaf.block.name == "Y"]
    alone, other = replace(t, init=None), replace(t, init=None)
    i, j, k, m = (Var(n) for n in "ijkm")
    four, three = build.index(4), build.index(3)

    def storage(*parts):
        body = Alloc(t.writes[0].buffer, Seq(parts))
        made = Program("f", program.params, (), (), body)
        return storage_of(made)["T"]

    def nest(x):
        return For(i, four, For(k, three, Leaf(x, (i, k))))

    start, read = For(j, four, Leaf(t.init, (j,))), For(m, four, Leaf(y, (m,)))
    assert storage(start, nest(t), read) is Storage.REDUCED
    assert storage(start, nest(t), nest(other), read) is Storage.SHARED
    assert storage(start, nest(alone), read) is Storage.SHARED
    write = replace(t.writes[0], indices=(i,), value=Load(t.writes[0].buffer, (i,)))
    more = Block("more", (IterVar(i, four),), (write,), BlockKind.UPDATE)
    assert storage(start, nest(t), For(m, four, Leaf(more, (m,))), read) is Storage.SHARED


REPEATABLE = ("min", "max", "any", "all", "argmin", "argmax")


def reducing(name, dtype):
    x = td.placeholder((4, 5), dtype, name="X")
    k = td.reduce_axis(5, name="k")
    y = td.compute((4,), lambda i: getattr(td, name)(x[i, k], axis=k), name="Y")
    return next(leaf.block for leaf in leaves(td.func("f", [x], [y]).program.body))


@pytest.mark.parametrize("name", [*REPEATABLE, "sum", "prod"])
def test_what_may_run_again_at_once(name):
    found = reducing(name, "bool" if name in ("any", "all") else "float32")
    assert is_idempotent(found) == (name in REPEATABLE)


def test_blocks_that_read_what_they_write_may_not_run_again():
    at = lambda i: i  # noqa: E731 - an index
    assert is_idempotent(block("g", G, at, lambda i: Load(X, (i,))))
    assert not is_idempotent(block("g", G, at, lambda i: Load(G, (i,))))
    assert not is_idempotent(block("g", G, at, lambda i: build.add(Load(G, (i,)), Load(X, (i,)))))


def test_blocks_that_reduce_nothing_have_no_updates_to_swap():
    assert not swaps_exactly(block("g", G, lambda i: i, lambda i: Load(X, (i,))))


def test_labels_are_in_order():
    assert list(Numerics) == sorted(Numerics)
    for one, two in pairwise(Numerics):
        assert one < two
        assert max(one, two) is max(two, one) is two
    assert [a <= b for a, b in product(Numerics, Numerics)].count(True) == 10
    assert [a < b for a, b in product(Numerics, Numerics)].count(True) == 6
    with pytest.raises(TypeError):
        assert Numerics.EXACT < 1


def total(op="add"):
    """A sum in place of one element, and a maximum."""
    h = td.inout(td.placeholder((1,), "float32", name="H"))
    x = td.placeholder((6,), "float32", name="X")
    i = td.reduce_axis(6, name="i")
    u = td.update(h, over=(i,), at=i // 6, value=x[i], op=op, name="U")
    return td.func("f", [h, x], [u]).program


def test_updates_of_an_argument_run_once_unless_that_changes_nothing():
    again = "t in 2:\n  i in 6:\n    U(i)\n"
    refused(total(), again, "WAW", (0,))
    accepted(total("max"), again, Numerics.REASSOCIATES)
    refused(total("max"), "par " + again, "WAW", (0,))


def test_two_sums_into_one_tensor_run_each_update_once():
    program = two_sums()
    serial = "i in 4:\n  T.init(i)\n  k in 3:\n    T(i, k)\n  k in 3:\n    M(i, k)\n  Y(i)\n"
    accepted(program, serial)
    again = serial.replace("k in 3:\n    M", "k in 3:\n    M(i, k)\n    M")
    assert "M would run twice" in refused(program, again, "WAW", (0,)).reason
    refused(program, serial.replace("T.init(i)", "T.init(i) if i < 3"), "coverage", (3,))


def two_sums():
    """T = sum of X, and the same added once more by M."""
    program = summed()
    t, y = (leaf.block for leaf in leaves(program.body))
    more = replace(t, name="M", init=None)
    i, j, k, m = (Var(n) for n in "ijkm")
    four, three = build.index(4), build.index(3)
    start, read = For(j, four, Leaf(t.init, (j,))), For(m, four, Leaf(y, (m,)))
    sums = [For(i, four, For(k, three, Leaf(x, (i, k)))) for x in (t, more)]
    body = Alloc(t.writes[0].buffer, Seq((start, *sums, read)))
    return Program("f", program.params, (), (), body)

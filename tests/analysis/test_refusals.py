"""Each refusal: what it says, the iterations that it names, and what it advises.

A refusal that is left out is often followed by another one, further on and less to the point, so
the words and the witness are asked for, not just that the schedule is refused.
"""

import pytest

import tdsl as td
from tdsl.analysis import Refused, prove
from tdsl.analysis.dependences import dependences
from tdsl.analysis.model import sites_of
from tdsl.ir import build
from tdsl.ir.stmt import Alloc, Program, Seq, Store
from tests.analysis.nests import schedule
from tests.analysis.oracle import replay


def chain(n=6, m=6):
    """C from A, and D that reads two neighbours of C."""
    a = td.placeholder((n + 1,), "float32", name="A")
    c = td.compute((n + 1,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((m,), lambda i: c[i] + c[i + 1], name="D")
    return td.func("f", [a], [d]).program


def scattered():
    """Counts of data, in a tensor of the kernel's own."""
    b = td.placeholder((6,), "int32", name="B")
    at = td.placeholder((6,), "int64", name="I")
    i = td.reduce_axis(6, name="i")
    h = td.update(b, over=(i,), at=at[i], value=1, op="add", name="H")
    d = td.compute((6,), lambda i: h[i] + 1, name="D")
    return td.func("f", [b, at], [d]).program


def sums(name="R"):
    """Sums of rows that a result reads: nothing but the result has to be complete."""
    x = td.placeholder((4, 3), "float32", name="X")
    k = td.reduce_axis(3, name="k")
    r = td.compute((4,), lambda i: td.sum(x[i, k], axis=k), name=name)
    y = td.compute((4,), lambda i: r[i] * 2.0, name="Y")
    return td.func("f", [x], [y]).program


def counted():
    """A sum in place: running an update again changes it."""
    h = td.inout(td.placeholder((4,), "float32", name="H"))
    x = td.placeholder((6,), "float32", name="X")
    i = td.reduce_axis(6, name="i")
    u = td.update(h, over=(i,), at=i // 2, value=x[i], op="add", name="U")
    return td.func("f", [h, x], [u]).program


def masked():
    """Sums of what a mask lets through, of which a result is made."""
    x = td.placeholder((4, 3), "float32", name="X")
    m = td.placeholder((3,), "int32", name="M")
    k = td.reduce_axis(3, name="k")
    r = td.compute((4,), lambda i: td.sum(x[i, k], axis=k, where=m[k] > 0), name="R")
    y = td.compute((4,), lambda i: r[i] * 2.0, name="Y")
    return td.func("f", [x, m], [y]).program


def masked_result():
    """The sums of what a mask lets through, which are the result."""
    x = td.placeholder((4, 3), "float32", name="X")
    m = td.placeholder((3,), "int32", name="M")
    k = td.reduce_axis(3, name="k")
    r = td.compute((4,), lambda i: td.sum(x[i, k], axis=k, where=m[k] > 0), name="R")
    return td.func("f", [x, m], [r]).program


def greatest():
    """The place of the greatest, and how great it is."""
    x = td.placeholder((4, 3), "float32", name="X")
    k = td.reduce_axis(3, name="k")
    place, value = td.compute((4,), lambda i: td.max_with_index(x[i, k], axis=k), name="R")
    return td.func("f", [x], [place, value]).program


def gathered():
    """D from elements of C that data tell."""
    a = td.placeholder((7,), "float32", name="A")
    at = td.placeholder((6,), "int64", name="I")
    c = td.compute((7,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((6,), lambda i: c[at[i]] * 2.0, name="D")
    return td.func("f", [a, at], [d]).program


def recurrence():
    """Each element is made of the one before it, in place."""
    h = td.inout(td.placeholder((5,), "float32", name="H"))
    i = td.reduce_axis(4, name="i")
    u = td.update(h, over=(i,), at=i + 1, value=lambda cur: cur[i] * 2.0, op="set", name="U")
    return td.func("f", [h], [u]).program


def picked():
    """Elements of A that a condition on data picks, in a tensor of the kernel's own."""
    a = td.placeholder((6,), "float32", name="A")
    m = td.placeholder((1,), "int32", name="M")
    c = td.compute((6,), lambda i: td.select(m[0] > 0, a[i], 0.0), name="C")
    d = td.compute((6,), lambda i: c[i] * 2.0, name="D")
    return td.func("f", [a, m], [d]).program


WHOLE = "a reduction may run again only as a whole, its init and all its loops included"
CASES = {
    "a layout that is no affine map": (
        chain,
        "alloc C layout a -> a*a:\n  i in 7:\n    C(i)\n  i in 6:\n    D(i)\n",
        "the layout of C is not affine, so nothing can be proven about it",
        None,
        "use concrete factors in index maps",
    ),
    "a fold of what data index": (
        scattered,
        "alloc H layout a -> a % 6:\n  i in 6:\n    H.base(i)\n  i in 6:\n    H(i)\n"
        "  i in 6:\n    D(i)\n",
        "H reaches H through data, and the storage is smaller than the tensor",
        None,
        "keep the whole tensor",
    ),
    "two copies": (
        chain,
        "i in 7:\n  alloc C:\n    C(i)\n    D(i) if i < 6\n",
        "D uses C in another copy than the one that C writes",
        ("RAW", "C", (1,), {"i": 1}, {"i": 0}),
        "move the allocation of C outward (store_at)",
    ),
    "copies of two allocations": (
        chain,
        "i in 7:\n  alloc C:\n    C(i)\nalloc C:\n  i in 6:\n    D(i)\n",
        "D uses C in another copy than the one that C writes",
        ("RAW", "C", (0,), {"i": 0}, {"i": 0}),
        "move the allocation of C outward (store_at)",
    ),
    "outside of an allocation": (
        chain,
        "alloc C:\n  i in 7:\n    C(i)\ni in 6:\n  D(i)\n",
        "D uses C outside its allocation",
        None,
        "store_at or hoist_storage moves the allocation of C outward",
    ),
    "too early": (
        chain,
        "i in 6:\n  C(i)\n  D(i)\nC(6)\n",
        "the order changes, but D reads what C writes to C",
        ("RAW", "C", (1,), {"i": 1}, {"i": 0}),
        "C has to run before D: fission, or move it outward",
    ),
    "at once": (
        chain,
        "par i in 7:\n  C(i)\n  D(i-1) if i >= 1\n",
        "iterations of i may run at once, but D reads what C writes to C",
        ("RAW", "C", (0,), {"i": 0}, {"i": 1}),
        "leave the loop serial, or finish the producer before it (fission, compute_at)",
    ),
    "computed again, but not all of it": (
        chain,
        "i in 6:\n  alloc C:\n    C(i)\n    j in 2:\n      C(i+j) if j < 1\n    D(i)\n",
        "D reads C where C has not written it before, in that copy",
        ("coverage", "C", (1,), {"i": 0}, {}),
        "compute C further out, or over a larger region",
    ),
    "computed again in another copy": (
        chain,
        "i in 6:\n  alloc C:\n    j in 2:\n      C(i+j)\n  alloc C:\n    C(i)\n    D(i)\n",
        "D reads C where C has not written it before, in that copy",
        ("coverage", "C", (1,), {"i": 0}, {}),
        "compute C further out, or over a larger region",
    ),
    "a result that lacks an element": (
        chain,
        "i in 7:\n  C(i)\ni in 5:\n  D(i)\n",
        "D does not run for every element of D",
        ("coverage", "D", (5,), {"i": 5}, {}),
        "cover the whole extent: loops that count beyond it take a guard",
    ),
    "a masked result that lacks an element": (
        masked_result,
        "i in 4:\n  R.init(i)\n  k in 3:\n    R(i, k) if i < 3\n",
        "R does not run for every element of R",
        ("coverage", "R", (3,), {"i": 3, "k": 0}, {}),
        "cover the whole extent: loops that count beyond it take a guard",
    ),
    "beyond the domain": (
        chain,
        "i in 7:\n  C(i)\ni in 7:\n  D(i)\n",
        "D would run outside its domain, where D has no room to grow",
        ("bounds", "D", (6,), {"i": 6}, {}),
        "use tail='guard', or a factor that divides the extent",
    ),
    "an overwritten value that data may ask for": (
        gathered,
        "alloc C layout a -> min(a, 5):\n  i in 7:\n    C(i)\n  i in 6:\n    D(i)\n",
        "C overwrites a value of C that D still has to read",
        None,
        "keep more of the tensor: a larger fold factor, or the whole of it",
    ),
    "updates of one element, backwards": (
        recurrence,
        "i in 4:\n  U(3-i)\n",
        "the order changes, but U reads what U writes to H",
        ("RAW", "H", (3,), {"i": 1}, {"i": 0}),
        "keep the loops in the order that the recurrence needs, or skew them first",
    ),
    "an overwritten value": (
        chain,
        "alloc C layout a -> a % 1:\n  C(0)\n  i in 6:\n    C(i+1)\n    D(i)\n",
        "C overwrites a value of C that D still has to read",
        ("WAR", "C", (0,), {"i": 0}, {"i": 0}),
        "keep more of the tensor: a larger fold factor, or the whole of it",
    ),
    "no affine extent": (
        chain,
        "i in 7:\n  C(i)\ni in 6:\n  j in i*i+1:\n    D(i) if j < 1\n",
        "D: i * i is no affine expression of loops and sizes, so nothing can be proven about it",
        None,
        "split by concrete factors, and fuse loops of concrete extents only",
    ),
    "an update twice": (
        counted,
        "i in 6:\n  U(i)\nU(0)\n",
        "U would run twice on one instance, and updates what it wrote before",
        ("WAW", "H", (0,), {}, {}),
        "use tail='guard'; a reduction may run again as a whole, with its init",
    ),
    "an update at once": (
        counted,
        "par i in 6:\n  U(i)\n",
        "iterations of i may run at once, but U and U write the same element of H",
        ("WAW", "H", (0,), {"i": 0}, {"i": 1}),
        "rfactor the reduction over this loop, make the block atomic, or leave it serial",
    ),
    "a sum without its start": (
        sums,
        "i in 4:\n  R.init(i) if i < 3\n  k in 3:\n    R(i, k)\n  Y(i)\n",
        "a part of the reduction R would run without its init",
        ("coverage", "R", (3,), {"i": 3, "k": 0}, {}),
        WHOLE,
    ),
    "a sum without its end": (
        sums,
        "i in 4:\n  R.init(i)\n  k in 2:\n    R(i, k)\n  Y(i)\n",
        "a part of the reduction R would run without the rest of it",
        ("coverage", "R", (0,), {"i": 0}, {}),
        WHOLE,
    ),
    "a sum whose rows lack their end": (
        sums,
        "i in 4:\n  R.init(i)\n  k in 3:\n    R(i, k) if i*3+k < 11\n  Y(i)\n",
        "a part of the reduction R would run without the rest of it",
        ("coverage", "R", (3,), {"i": 3}, {}),
        WHOLE,
    ),
    "a sum without its start, whose loop starts late": (
        sums,
        "i in 4:\n  R.init(i) if i < 3\n  k in 4:\n    R(i, k-1) if k >= 1\n  Y(i)\n",
        "a part of the reduction R would run without its init",
        ("coverage", "R", (3,), {"i": 3, "k": 1}, {}),
        WHOLE,
    ),
    "a masked sum without its start": (
        masked,
        "i in 4:\n  R.init(i) if i < 3\n  k in 3:\n    R(i, k)\n  Y(i)\n",
        "a part of the reduction R would run without its init",
        ("coverage", "R", (3,), {"i": 3, "k": 0}, {}),
        WHOLE,
    ),
    "a sum that starts after it": (
        sums,
        "i in 4:\n  k in 2:\n    R(i, k)\n  R.init(i)\n  Y(i)\n",
        "R runs where nothing initialises it in that copy of R",
        None,
        "move the allocation of R outside the reduction",
    ),
    "a sum that starts in another copy": (
        sums,
        "i in 4:\n  alloc R:\n    R.init(i)\n  alloc R:\n    k in 2:\n      R(i, k)\n    Y(i)\n",
        "R runs where nothing initialises it in that copy of R",
        None,
        "move the allocation of R outside the reduction",
    ),
    "a start without a sum": (
        sums,
        "i in 4:\n  R.init(i)\nt in 2:\n  i in 4:\n    R.init(i)\n    k in 3:\n      R(i, k)\n"
        "i in 4:\n  Y(i)\n",
        "R.init and R do not run together as a whole",
        None,
        None,
    ),
    "a start with two sums": (
        sums,
        "t in 2:\n  i in 4:\n    R.init(i)\n    k in 2:\n      R(i, k)\n"
        "  i in 4:\n    R(i, 2)\ni in 4:\n  Y(i)\n",
        "R.init and R do not run together as a whole",
        None,
        None,
    ),
    "sums at once in one copy": (
        sums,
        "par t in 2:\n  i in 4:\n    R.init(i)\n    k in 3:\n      R(i, k)\ni in 4:\n  Y(i)\n",
        "iterations that may run at once compute the same element of R, in one copy",
        ("WAW", "R", (0,), {"t": 1}, {"t": 0}),
        "give each its own copy: put the allocation of R inside the loop",
    ),
    "read while a sum is under way": (
        sums,
        "t in 2:\n  i in 4:\n    R.init(i)\n    k in 3:\n      R(i, k)\n      Y(i) if k >= 1\n",
        "the order changes, but Y reads what R writes to R",
        ("RAW", "R", (0,), {"t": 0, "i": 0, "k": 2}, {"t": 0, "i": 0, "k": 1}),
        "R has to run before Y: fission, or move it outward",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_refusal_says_what_where_and_what_to_do(name):
    make, text, reason, where, hint = CASES[name]
    program = make()
    scheduled = schedule(program, text)
    with pytest.raises(Refused) as caught:
        prove(program, scheduled)
    found = caught.value
    assert found.reason == reason
    assert found.hint == hint
    if where is None:
        assert found.witness is None
        return
    kind, buffer, element, first, second = where
    witness = found.witness
    assert (witness.kind, witness.buffer, witness.element) == (kind, buffer, element)
    assert {v: witness.first.get(v) for v in first} == first
    assert {v: witness.second.get(v) for v in second} == second
    assert witness.render() in str(found)
    assert replay(program, scheduled, witness) is None


def test_reads_beyond_an_argument_are_refused_though_data_may_not_pick_them():
    program = picked()
    padded = schedule(program, "io in 2:\n  ii in 4:\n    C(io*4+ii)\ni in 6:\n  D(i)\n")
    with pytest.raises(Refused, match="outside its domain, where A has no room to grow") as caught:
        prove(program, padded)
    assert caught.value.witness.element == (6,)


def test_a_lost_value_is_refused_though_no_iteration_can_be_named(monkeypatch):
    """Points are looked for within a budget, too."""
    make, text, reason, *_ = CASES["an overwritten value"]
    program = make()
    monkeypatch.setattr("tdsl.analysis.storage.two_moments", lambda *_: None)
    with pytest.raises(Refused) as caught:
        prove(program, schedule(program, text))
    assert (caught.value.reason, caught.value.witness) == (reason, None)


def test_statements_of_lowered_programs_are_refused():
    program = chain()
    store = Store(program.body.buffer, (build.index(0),), build.index(1))
    with pytest.raises(Refused, match="Store is lowered IR, which has no proof"):
        sites_of(program, store)


@pytest.mark.parametrize("inside", [("C",), ("D",), ()])
def test_accesses_outside_of_an_allocation_have_no_dependences(inside):
    """Also where one of the two is in sight."""
    program = chain()
    buffer = program.body.buffer
    parts = program.body.body.body
    body = Seq(
        tuple(
            Alloc(buffer, s) if name in inside else s for name, s in zip("CD", parts, strict=True)
        )
    )
    with pytest.raises(Refused, match="C is accessed outside its allocation"):
        dependences(Program(program.name, program.params, program.sizes, program.assume, body))


@pytest.mark.parametrize("name", ["A", "D"])
def test_arguments_and_results_are_not_allocated(name):
    program = chain()
    buffer = next(p.buffer for p in program.params if p.buffer.name == name)
    body = Alloc(buffer, program.body)
    scheduled = Program(program.name, program.params, program.sizes, program.assume, body)
    with pytest.raises(Refused, match=f"{name} is an argument or a result, which is the caller's"):
        prove(program, scheduled)

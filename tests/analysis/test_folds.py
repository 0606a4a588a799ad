"""Storage smaller than its tensor: accepted is what a plain run gets right, neither more nor less.

Families of schedules, each under several layouts: the oracle keeps elements in the places that the
layout gives them, and says whether a value is lost.
"""

from itertools import product

import pytest

import tdsl as td
from tdsl import dtypes
from tdsl.analysis import Refused, prove
from tdsl.ir import build
from tdsl.ir.expr import Buffer, Load, Var
from tdsl.ir.stmt import Alloc, Block, For, IterVar, Leaf, Param, Program, Role, Seq, Write
from tests.analysis.nests import schedule
from tests.analysis.oracle import replay, verdict
from tests.analysis.test_recurrences import step_temporary


def window(n=6):
    """D from two of C, with one in between."""
    a = td.placeholder((n + 2,), "float32", name="A")
    c = td.compute((n + 2,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((n,), lambda i: c[i] + c[i + 2], name="D")
    return td.func("f", [a], [d]).program


def even(n=4):
    """D from every second element of C."""
    a = td.placeholder((2 * n,), "float32", name="A")
    c = td.compute((2 * n,), lambda i: a[i] + 1.0, name="C")
    d = td.compute((n,), lambda i: c[2 * i], name="D")
    return td.func("f", [a], [d]).program


def summed(n=4):
    """Sums of rows, each of which two results read."""
    x = td.placeholder((n, 2), "float32", name="X")
    k = td.reduce_axis(2, name="k")
    c = td.compute((n,), lambda i: td.sum(x[i, k], axis=k), name="C")
    d = td.compute((n,), lambda i: c[i] + c[n - 1 - i], name="D")
    return td.func("f", [x], [d]).program


LAYOUTS = ("a % 1", "a % 2", "a % 3", "a % 4", "a % 5", "a//2", "(a+1)//2", "7-a", "min(a, 3)")
FAMILIES = {
    "sliding": (window, "w in 2:\n  C(w)\ni in 6:\n  C(i+2)\n  D(i)\n"),
    "sliding down": (window, "w in 2:\n  C(7-w)\ni in 6:\n  C(5-i)\n  D(5-i)\n"),
    "sliding at once": (window, "w in 2:\n  C(w)\npar i in 6:\n  C(i+2)\n  D(i)\n"),
    "one ahead": (window, "w in 3:\n  C(w)\ni in 6:\n  C(i+3) if i < 5\n  D(i)\n"),
    "one behind": (window, "w in 2:\n  C(w)\ni in 7:\n  D(i-1) if i >= 1\n  C(i+2) if i < 6\n"),
    "guarded": (window, "i in 8:\n  C(i)\n  D(i-2) if i >= 2\n"),
    "guarded down": (window, "i in 8:\n  C(7-i)\n  D(7-i) if i >= 2\n"),
    "apart": (window, "i in 8:\n  C(i)\ni in 6:\n  D(i)\n"),
    "again": (window, "i in 6:\n  w in 3:\n    C(i+w)\n  D(i)\n"),
    "again, down": (window, "i in 6:\n  w in 3:\n    C(i+2-w)\n  D(i)\n"),
    "again, at once": (window, "i in 6:\n  par w in 3:\n    C(i+w)\n  D(i)\n"),
    "the two needed": (window, "i in 6:\n  w in 2:\n    C(i+w*2)\n  D(i)\n"),
    "pairs": (window, "o in 3:\n  w in 4:\n    C(o*2+w)\n  i in 2:\n    D(o*2+i)\n"),
    "pairs down": (window, "o in 3:\n  w in 4:\n    C(4-o*2+w)\n  i in 2:\n    D(4-o*2+i)\n"),
    "even": (even, "i in 4:\n  C(i*2)\ni in 4:\n  D(i)\n"),
    "even down": (even, "i in 8:\n  C(7-i)\ni in 4:\n  D(i)\n"),
    "even sliding": (even, "i in 4:\n  C(i*2)\n  D(i)\n"),
    "even, odd last": (even, "i in 4:\n  C(i*2)\n  D(i)\ni in 4:\n  C(i*2+1)\n"),
    "even, odd first": (even, "i in 4:\n  C(i*2+1)\n  C(i*2)\n  D(i)\n"),
    "even, odd between": (even, "i in 4:\n  C(i*2)\n  C(i*2+1)\n  D(i)\n"),
    "all again": (even, "t in 2:\n  w in 4:\n    C(w*2)\n  i in 4:\n    D(i) if t < 1\n"),
    "each again": (even, "t in 2:\n  i in 4:\n    C(i*2)\n    D(i) if t >= 1\n"),
    "sums": (summed, "i in 4:\n  k in 2:\n    C(i, k)\ni in 4:\n  D(i)\n"),
    "sums again": (summed, "i in 4:\n  w in 2:\n    C.init(select(w < 1, i, 3-i))\n    k in 2:\n"
                   "      C(select(w < 1, i, 3-i), k)\n  D(i)\n"),
}  # fmt: skip


def judged(program, text):
    """Whether the prover accepts a schedule, and whether it is legal."""
    scheduled = schedule(program, text)
    legal = verdict(program, scheduled, {})[0] != "illegal"
    refusal = None
    try:
        prove(program, scheduled)
    except Refused as caught:
        refusal = caught
    if refusal is not None and refusal.witness is not None:
        assert replay(program, scheduled, refusal.witness) is None, str(refusal)
    return refusal is None, legal


def indented(text, by="  "):
    return "".join(f"{by}{line}\n" for line in text.splitlines())


@pytest.mark.parametrize("name", FAMILIES)
def test_folds_that_lose_nothing_are_accepted(name):
    make, text = FAMILIES[name]
    for layout in LAYOUTS:
        accepted, legal = judged(make(), f"alloc C layout a -> {layout}:\n{indented(text)}")
        assert accepted == legal, layout


INSIDE = {
    "tiles": """
o in 2:
  alloc C layout a -> {}:
    w in 5:
      C(o*3+w)
    i in 3:
      D(o*3+i)
""",
    "tiles at once": """
par o in 2:
  alloc C layout a -> {}:
    w in 5:
      C(o*3+w)
    i in 3:
      D(o*3+i)
""",
    "tiles that slide": """
o in 2:
  alloc C layout a -> {}:
    w in 2:
      C(o*3+w)
    i in 3:
      C(o*3+i+2)
      D(o*3+i)
""",
    "tiles in one copy": """
alloc C layout a -> {}:
  o in 2:
    w in 5:
      C(o*3+w)
    i in 3:
      D(o*3+i)
""",
}


@pytest.mark.parametrize("name", INSIDE)
def test_folds_of_copies_in_loops(name):
    for layout in LAYOUTS:
        accepted, legal = judged(window(), INSIDE[name].format(layout))
        assert accepted == legal, layout


def test_one_of_two_layouts_folds():
    text = """
i in 3:
  alloc C layout a -> {}:
    w in 3:
      C(i+w)
    D(i)
i in 3:
  alloc C layout a -> {}:
    w in 3:
      C(i+3+w)
    D(i+3)
"""
    for one, two in product(LAYOUTS[1:4], LAYOUTS[1:4]):
        accepted, legal = judged(window(), text.format(one, two))
        assert accepted == legal == ("a % 2" not in (one, two))


STEPS = {
    "a copy for each": """
t in 8:
  alloc g:
    i in 4:
      g(t, i)
    j in 4:
      h(t, j)
""",
    "two in turn": """
t in 4:
  alloc g:
    s in 2:
      i in 4:
        g(t*2+s, i)
      j in 4:
        h(t*2+s, j)
""",
    "two, written at first": """
t in 4:
  alloc g:
    s in 2:
      i in 4:
        g(t*2+s, i)
    s in 2:
      j in 4:
        h(t*2+s, j)
""",
    "two leaves in turn": """
t in 4:
  alloc g:
    i in 4:
      g(t*2, i)
    j in 4:
      h(t*2, j)
    i in 4:
      g(t*2+1, i)
    j in 4:
      h(t*2+1, j)
""",
    "two leaves, written at first": """
t in 4:
  alloc g:
    i in 4:
      g(t*2, i)
    i in 4:
      g(t*2+1, i)
    j in 4:
      h(t*2, j)
    j in 4:
      h(t*2+1, j)
""",
    "all in turn": """
alloc g:
  t in 8:
    i in 4:
      g(t, i)
    j in 4:
      h(t, j)
""",
    "all at once": """
alloc g:
  par t in 8:
    i in 4:
      g(t, i)
    j in 4:
      h(t, j)
""",
    "element by element": """
alloc g:
  t in 8:
    i in 4:
      g(t, i)
      h(t, i)
""",
    "columns": """
alloc g:
  i in 4:
    t in 8:
      g(t, i)
      h(t, i)
""",
    "columns, apart": """
alloc g:
  i in 4:
    t in 8:
      g(t, i)
    t in 8:
      h(t, i)
""",
    "columns at once": """
alloc g:
  par i in 4:
    t in 8:
      g(t, i)
      h(t, i)
""",
    "a copy for each element": """
t in 8:
  i in 4:
    alloc g:
      g(t, i)
      h(t, i)
""",
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_that_share_a_copy(name):
    for layout in ("", " layout a -> a % 4", " layout a -> a % 3", " layout a -> 3-a"):
        accepted, legal = judged(
            step_temporary(), STEPS[name].replace("alloc g", "alloc g" + layout)
        )
        assert accepted == legal, layout


def grid():
    """Temporaries of each step of two loops: for t, u: { g[i] = X[t, u, i]; H[t, u, i] = g[i] }."""
    x, h = (Buffer(n, dtypes.float32, tuple(map(build.index, (2, 3, 2)))) for n in "XH")
    g = Buffer("g", dtypes.float32, (build.index(2),))

    def block(name, target, source):
        t, u, i = (Var(n) for n in "tui")
        whole = (t, u, i)
        iters = tuple(IterVar(v, build.index(n)) for v, n in zip(whole, (2, 3, 2), strict=True))
        at = {3: whole, 1: (i,)}
        value = Load(source, at[source.rank])
        return Block(name, iters, (Write(target, at[target.rank], value),))

    t, u, a, b = (Var(n) for n in "tuab")
    two, three = build.index(2), build.index(3)
    first = For(a, two, Leaf(block("g", g, x), (t, u, a)))
    second = For(b, two, Leaf(block("h", h, g), (t, u, b)))
    nest = For(t, two, For(u, three, Alloc(g, Seq((first, second)))))
    return Program("grid", (Param(x, Role.IN), Param(h, Role.OUT)), (), (), nest)


GRIDS = {
    "a copy for each step": """
t in 2:
  u in 3:
    alloc g:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "a copy for each row": """
t in 2:
  alloc g:
    u in 3:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "rows apart": """
t in 2:
  alloc g:
    u in 3:
      i in 2:
        g(t, u, i)
    u in 3:
      i in 2:
        h(t, u, i)
""",
    "one copy": """
alloc g:
  t in 2:
    u in 3:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "one copy, turned": """
alloc g:
  u in 3:
    t in 2:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "one copy, rows at once": """
alloc g:
  par t in 2:
    u in 3:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "a copy for each row, at once": """
par t in 2:
  alloc g:
    u in 3:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
    "a copy for each row, steps at once": """
t in 2:
  alloc g:
    par u in 3:
      i in 2:
        g(t, u, i)
      i in 2:
        h(t, u, i)
""",
}


@pytest.mark.parametrize("name", GRIDS)
def test_steps_of_two_loops_that_share_a_copy(name):
    accepted, legal = judged(grid(), GRIDS[name])
    assert accepted == legal

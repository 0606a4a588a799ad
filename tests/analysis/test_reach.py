"""How far indices reach, against all their values."""

import random
from itertools import product

import pytest

from tdsl.analysis.reach import ZERO, Reach, reach
from tdsl.analysis.witness import value_at
from tdsl.dtypes import as_dtype
from tdsl.ir import build
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Buffer, Load, Var
from tests.analysis.nests import expression

o, i, j, N = (Var(name) for name in "oijN")
NAMES = {"o": o, "i": i, "j": j, "N": N}
LAST = {i: 3, j: 5}
INNER = {v: Affine({}, n) for v, n in LAST.items()}


def of(text):
    return reach(expression(text, NAMES), INNER)


def values(e, outer):
    """The values of an index over all inner points."""
    return [
        value_at(e, {o: outer, N: 7, i: x, j: y})
        for x, y in product(range(LAST[i] + 1), range(LAST[j] + 1))
    ]


EXACT = [
    "i",
    "o",
    "N",
    "5",
    "i*2+o*8",
    "o*8-i",
    "7-i*3+j",
    "i+j-2",
    "i//2",
    "(i+1)//2",
    "(o*4+i)//2",
    "(o*4+i+3)//4",
    "i%4",
    "(i+4)%8",
    "(o*8+i+2)%8",
    "min(i+o, i+N)",
    "min(o*4, N-4)+i",
    "select(o < 2, i, i+4)",
    "min(i+2, i+o+3)",
]
ENCLOSED = [
    "min(i, j)",
    "max(i+2, j+o)",
    "max(i-1, 0)+o",
    "(o+i)//2",
    "(o*3+i)//2",
    "(o*2+i)//4",
    "(i+2)%4",
    "(i+o)%4",
    "(o*2+j)%4",
    "j%4",
    "max(i, o)",
    "min(i*2, j+o)",
    "select(i < 2, i+o, j-o)",
    "select(o < 2, i, j*2)",
    "select(i < j, 3, 9)",
    "(i*3)%7-j//2",
    "(i+1)%4",
    "(o*4+N*3+i)%8",
    "(o*8+N*3+i)%8",
    "(o*4+N*3+i)//4",
    "(o+i)//3",
    "(o*3+j+1)//3",
    "(o*7+N+min(o, o+i))%8",
    "(o*7+N+min(o, o+i))//8",
    "(0-i)//2",
    "(3-j)%4",
]


@pytest.mark.parametrize("text", EXACT + ENCLOSED)
def test_values_lie_within_reach(text):
    found = of(text)
    e = expression(text, NAMES)
    for outer in range(6):
        low, high = bounds_of(found, outer)
        assert all(low <= v <= high for v in values(e, outer)), text


@pytest.mark.parametrize("text", EXACT)
def test_reach_is_no_further_than_needed(text):
    found = of(text)
    e = expression(text, NAMES)
    widths = []
    for outer in range(6):
        low, high = bounds_of(found, outer)
        widths.append((high - low) - (max(values(e, outer)) - min(values(e, outer))))
    assert min(widths) == 0, text
    assert found.width.is_constant, text


def bounds_of(found, outer):
    env = {o: outer, N: 7}
    return value_at(found.low.expr(), env), value_at(found.high.expr(), env)


def test_what_does_not_move_has_no_width():
    for text in ("o", "N", "o*3+N", "(o+3)//2", "(o+N)%4", "min(o, N)", "select(o < 2, o, N)"):
        assert of(text) == Reach(linear(expression(text, NAMES)), ZERO)


@pytest.mark.parametrize(
    ("text", "low", "width"),
    [
        ("(o+i)//3", "o//3", 1),
        ("(o+j)//3", "o//3", 2),
        ("(o*3+i)//3", "o", 1),
        ("(o*3+i+2)//3", "o", 1),
        ("(o*3+j+1)//3", "o", 2),
        ("j%4", "0", 3),
        ("(o*2+j)%4", "0", 3),
        ("(o*4+i+1)%4", "0", 3),
        ("(o*8+i+1)%8", "1", 3),
        ("(i+4)%8", "4", 3),
        ("(o*7+min(o, o+i))%8", "0", 3),
        ("(o*7+min(o, o+j)+1)//8", "o", 0),
        ("(i+5)%8", "0", 7),
        ("select(i < 2, i+o, j-o)", "min(o, 0-o)", None),
        ("min(i*2, j+o)", "min(0, o)", 6),
        ("max(i, j*2-o)", "max(0, 0-o)", 10),
        ("select(o < 2, i, j*2)", "0", 10),
        ("o*2-i*3", "o*2-9", 9),
        ("i-j", "0-5", 8),
    ],
)
def test_reach_of_known_indices(text, low, width):
    found = of(text)
    assert found.low == linear(expression(low, NAMES))
    assert width is None or found.width == Affine({}, width)
    assert found.high == found.low + found.width


def test_data_and_products_reach_anywhere():
    data = Load(Buffer("A", as_dtype("int64"), (build.index(8),)), (i,))
    fixed = Load(Buffer("A", as_dtype("int64"), (build.index(8),)), (o,))
    moving = (data, fixed, build.add(data, i), build.floordiv(data, 2), build.mul(i, j))
    for e in (*moving, build.minimum(data, i), build.minimum(i, data), build.floormod(fixed, 3)):
        assert reach(e, INNER) is None
    turning = build.mul(i, j)
    for e in (build.minimum(turning, i), build.maximum(i, turning), build.floordiv(turning, 2)):
        assert reach(e, INNER) is None
    for e in (build.select(build.lt(o, 3), turning, i), build.select(build.lt(o, 3), i, turning)):
        assert reach(e, INNER) is None
    for e in (build.select(build.lt(o, 3), data, i), build.select(build.lt(i, 3), i, data)):
        assert reach(e, INNER) is None


def test_symbolic_ranges_stay_symbolic():
    whole = reach(expression("o*4+i", NAMES), {i: linear(build.sub(N, 1))})
    assert whole.low == linear(expression("o*4", NAMES))
    assert whole.width == linear(expression("N-1", NAMES))


def test_random_indices_lie_within_reach():
    rng = random.Random(3)

    def index(depth):
        if depth == 0:
            return rng.choice(["i", "j", "o", "i", "j", str(rng.randint(-3, 6))])
        a, b, n = index(depth - 1), index(depth - 1), rng.randint(2, 5)
        forms = [f"({a}+{b})", f"({a}-{b})", f"({a}*{n})", f"(({a})//{n})", f"(({a})%{n})"]
        return rng.choice(
            [*forms, f"min({a}, {b})", f"max({a}, {b})", f"select(o+{a} < {b}, {b}, {a})"]
        )

    known = 0
    for _ in range(250):
        text = index(rng.randint(1, 3))
        e = expression(f"({text})+0*i", NAMES)
        found = reach(e, INNER)
        if found is None:
            continue
        known += 1
        for outer in (0, 1, 5):
            low, high = bounds_of(found, outer)
            assert all(low <= v <= high for v in values(e, outer)), text
    assert known > 150

"""Schedules written to fool the prover: brute force at small sizes says what each one is.

A case is an algorithm, a schedule as text and what it is: EXACT, REASSOCIATES or ILLEGAL. The
oracle runs it on symbolic values and must say the same; witnesses of refusals must be true.
"""

from dataclasses import dataclass, field

import pytest

import tdsl as td
from tdsl.analysis import Numerics, Refused, prove
from tests.analysis.nests import schedule
from tests.analysis.oracle import replay, verdict

EXACT, REASSOCIATES, ILLEGAL = "exact", "reassociates", "illegal"
N = 16


@dataclass(frozen=True)
class Case:
    name: str
    program: object
    text: str
    meant: str
    sizes: dict = field(default_factory=dict)


CASES: list[Case] = []


def case(name, program, text, meant, **sizes):
    CASES.append(Case(name, program, text, meant, sizes))


def scatter(at, read=None, n=N, extent=64, op="set", assume=(), sizes=()):
    """C changed in place at `at(i)`, from X or from what `read(i)` holds."""
    C = td.inout(td.placeholder((extent,), "float32", name="C"))
    X = td.placeholder((n,), "float32", name="X")
    i = td.reduce_axis(n, name="i")
    value = (lambda cur: cur[read(i)] + 1.0) if read else (lambda cur: X[i])
    S = td.update(C, over=(i,), at=at(i), value=value, op=op, name="S")
    return td.func("f", [C] if read else [C, X], [S], assume=assume).program


PAR = f"par i in {N}:\n  S(i)\n"
STRIDES = {
    "threes from threes and one": (lambda i: 3 * i, lambda i: 3 * i + 1, EXACT),
    "twos from fours": (lambda i: 2 * i, lambda i: 4 * i, ILLEGAL),
    "twos from odd": (lambda i: 2 * i, lambda i: 2 * i + 1, EXACT),
    "twos from twos before": (lambda i: 2 * i + 2, lambda i: 2 * i, ILLEGAL),
    "twos and a digit": (lambda i: 2 * i + i % 2, None, EXACT),
    "twos and three digits": (lambda i: 2 * i + 3 * (i % 2), None, EXACT),
    "threes that overlap": (lambda i: 2 * i - 2 * (i % 2), None, ILLEGAL),
    "one and a half": (lambda i: 6 * i // 4, None, EXACT),
    "two thirds": (lambda i: 2 * i // 3, None, ILLEGAL),
    "a permutation modulo 16": (lambda i: (i * 5) % 16, None, EXACT),
    "no permutation modulo 16": (lambda i: (i * 6) % 16, None, ILLEGAL),
    "blocks turned": (lambda i: i // 4 * 4 + (3 - i % 4), None, EXACT),
    "blocks turned and moved": (lambda i: i // 4 * 4 + (4 - i % 4), None, EXACT),
    "blocks turned too far": (lambda i: i // 4 * 3 + (3 - i % 4), None, ILLEGAL),
    "digits swapped": (lambda i: i % 4 * 4 + i // 4, None, EXACT),
    "digits swapped, too dense": (lambda i: i % 4 * 3 + i // 4, None, ILLEGAL),
    "folded in the middle": (lambda i: td.minimum(i, N - 1 - i), None, ILLEGAL),
    "folded apart": (lambda i: td.select(i < 8, 2 * i, 2 * (N - 1 - i) + 1), None, EXACT),
    "folded on one": (lambda i: td.select(i < 8, 2 * i, 2 * (N - 1 - i)), None, ILLEGAL),
    "clamped": (lambda i: td.minimum(i, N - 2), None, ILLEGAL),
    "far ahead": (lambda i: i, lambda i: i + N, EXACT),
    "one too near": (lambda i: i, lambda i: i + N - 1, ILLEGAL),
    "all read one that nobody writes": (lambda i: i + 1, lambda i: i * 0, EXACT),
    "all read one that one writes": (lambda i: i, lambda i: i * 0 + 3, ILLEGAL),
    "quotients of other elements": (lambda i: 2 * i, lambda i: i // 2 * 2 + 1, EXACT),
    "quotients of the same": (lambda i: 2 * i, lambda i: i // 2 * 2, ILLEGAL),
}
for _name, (_at, _read, _meant) in STRIDES.items():
    case(_name, scatter(_at, _read), PAR, _meant)

LANES = "io in 4:\n  vec ii in 4:\n    S(io*4+ii)\n"
case("lanes read four ahead", scatter(lambda i: i, lambda i: i + 4), LANES, EXACT)
case("lanes read three ahead", scatter(lambda i: i, lambda i: i + 3), LANES, ILLEGAL)
case("lanes read four behind", scatter(lambda i: i + 4, lambda i: i), LANES, EXACT)
case("lanes read one behind", scatter(lambda i: i + 1, lambda i: i), LANES, ILLEGAL)
case("lanes write residues", scatter(lambda i: i % 4), LANES, EXACT)
case("lanes write residues of three", scatter(lambda i: i % 3), LANES, ILLEGAL)
case("windows of lanes overlap", scatter(lambda i: i, lambda i: i + 4),
     LANES.replace("io in", "par io in"), ILLEGAL)  # fmt: skip
case("lanes of strided columns", scatter(lambda i: i, lambda i: i + 4),
     "vec ii in 4:\n  io in 4:\n    S(io*4+ii)\n", EXACT)  # fmt: skip
case("columns before rows against the grain", scatter(lambda i: i, lambda i: i + 1),
     "ii in 4:\n  io in 4:\n    S(io*4+ii)\n", ILLEGAL)  # fmt: skip
case("a tail that runs twice", scatter(lambda i: i, n=14),
     "io in 4:\n  ii in 4:\n    S(min(io*4, 10)+ii)\n", EXACT)  # fmt: skip
case("a tail that runs twice, of a sum", scatter(lambda i: i, n=14, op="add"),
     "io in 4:\n  ii in 4:\n    S(min(io*4, 10)+ii)\n", ILLEGAL)  # fmt: skip
case("a tail that runs twice at once", scatter(lambda i: i, n=14),
     "par io in 4:\n  ii in 4:\n    S(min(io*4, 10)+ii)\n", ILLEGAL)  # fmt: skip
case("a tail that runs twice and reads", scatter(lambda i: i, lambda i: i + 1, n=14),
     "io in 4:\n  ii in 4:\n    S(min(io*4, 10)+ii)\n", ILLEGAL)  # fmt: skip


def symbolic_shift(assume=()):
    M, n = td.sizes("M N")
    return scatter(lambda i: i + M, lambda i: i, n=n, extent=n + M, assume=assume)


SHIFT = "par i in N:\n  S(i)\n"
case("a distance that may be one", symbolic_shift(), SHIFT, ILLEGAL, M=1, N=4)
case("a distance beyond all", symbolic_shift(["M >= N"]), SHIFT, EXACT, M=4, N=4)
case("a distance of no more than all", symbolic_shift(["M >= N - 1"]), SHIFT, ILLEGAL, M=3, N=4)
case("a distance of nothing", symbolic_shift(["M == 0"]), SHIFT, EXACT, M=0, N=4)


def diagonal(di, dj, n=6):
    A = td.inout(td.placeholder((n + 4, n + 4), "float32", name="A"))
    i, j = td.reduce_axis(n, name="i"), td.reduce_axis(n, name="j")
    S = td.update(
        A, over=(i, j), at=(i + 2, j + 2), value=lambda cur: cur[i + 2 + di, j + 2 + dj] + 1.0,
        op="set", name="S",
    )  # fmt: skip
    return td.func("f", [A], [S]).program


SWAP = "j in 6:\n  i in 6:\n    S(i, j)\n"
ROWS = "par i in 6:\n  j in 6:\n    S(i, j)\n"
COLUMNS = "i in 6:\n  par j in 6:\n    S(i, j)\n"
TILES = "io in 2:\n  jo in 3:\n    ii in 3:\n      ji in 2:\n        S(io*3+ii, jo*2+ji)\n"
SKEWED = "i in 6:\n  par d in 16:\n    S(i, d-2*i) if d-2*i >= 0, d-2*i < 6\n"
WAVES = "d in 16:\n  par i in 6:\n    S(i, d-2*i) if d-2*i >= 0, d-2*i < 6\n"
for _di, _dj, _meant in (
    (-1, 0, "EXEEE"), (0, -1, "EEXEE"), (-1, -1, "EXEEE"), (-1, 1, "XXEXE"), (1, -1, "XXEXE"),
    (-1, 2, "XXEXX"), (-2, 1, "XXEXE"),
):  # fmt: skip
    for _text, _letter in zip((SWAP, ROWS, COLUMNS, TILES, WAVES), _meant, strict=True):
        _what = {SWAP: "swapped", ROWS: "rows", COLUMNS: "columns", TILES: "tiles", WAVES: "waves"}
        case(f"({_di}, {_dj}) {_what[_text]}", diagonal(_di, _dj), _text,
             EXACT if _letter == "E" else ILLEGAL)  # fmt: skip


def triangle(n=5, where=lambda i, k: k > i, dtype="float32"):
    A = td.placeholder((n, n), dtype, name="A")
    k = td.reduce_axis(n, name="k")
    T = td.compute((n,), lambda i: td.sum(A[i, k], axis=k, where=where(i, k)), name="T")
    return td.func("f", [A], [T]).program


case("a triangle by its own rows", triangle(),
     "i in 5:\n  k in 4-i:\n    T(i, k+i+1)\n", EXACT)  # fmt: skip
case("a triangle short of its last column", triangle(),
     "i in 5:\n  k in 3:\n    T(i, k+i+1) if k+i+1 < 5\n", ILLEGAL)  # fmt: skip
case("a triangle by diagonals", triangle(),
     "d in 5:\n  i in 5:\n    T(i, i+d) if i+d < 5\n", EXACT)  # fmt: skip
case("a triangle by diagonals from afar", triangle(),
     "d in 5:\n  i in 5:\n    T(i, i+4-d) if i+4-d < 5\n", REASSOCIATES)  # fmt: skip
case("a triangle of whole numbers from afar", triangle(dtype="int32"),
     "d in 5:\n  i in 5:\n    T(i, i+4-d) if i+4-d < 5\n", EXACT)  # fmt: skip
case("an init where k is first", triangle(),
     "i in 5:\n  k in 5:\n    T.init(i) if k < 1\n    T(i, k)\n", EXACT)  # fmt: skip
case("an init where a term is first", triangle(),
     "i in 5:\n  k in 5:\n    T.init(i) if k >= i+1, k < i+2\n    T(i, k)\n", ILLEGAL)  # fmt: skip
case("an init after the first", triangle(where=lambda i, k: k >= 0),
     "i in 5:\n  k in 5:\n    T.init(i) if k >= 1, k < 2\n    T(i, k)\n", ILLEGAL)  # fmt: skip
case("an init each time", triangle(),
     "i in 5:\n  k in 5:\n    T.init(i)\n    T(i, k)\n", ILLEGAL)  # fmt: skip
case("all inits at once with the sums", triangle(),
     "par i in 5:\n  j in 5:\n    T.init(j) if i < 1\n  k in 5:\n    T(i, k)\n",
     ILLEGAL)  # fmt: skip


def product_of(rows, depth, dtype="float32"):
    A = td.placeholder((rows, depth), dtype, name="A")
    k = td.reduce_axis(depth, name="k")
    C = td.compute((rows,), lambda i: td.sum(A[i, k], axis=k), name="C")
    return td.func("f", [A], [C]).program


FIRST = "i in 3:\n  k in {}:\n    C.init(i) if k < 1\n    C(i, k)\n"
case("an init in the first iteration of four", product_of(3, 4), FIRST.format(4), EXACT)
case("an init in the first iteration of none", product_of(3, 0), FIRST.format(0), ILLEGAL)
case("an init in the first iteration of some", product_of(3, td.sizes("K")),
     FIRST.format("K"), ILLEGAL, K=0)  # fmt: skip
case("nothing to add", product_of(3, 0), "k in 0:\n  i in 3:\n    C(i, k)\n", EXACT)
case("rows and terms in one parallel loop", product_of(3, 4),
     "par fuse i in 3, k in 4:\n  C(i, k)\n", ILLEGAL)  # fmt: skip
case("rows and terms in one loop", product_of(3, 4), "fuse i in 3, k in 4:\n  C(i, k)\n", EXACT)
case("terms and rows in one loop", product_of(3, 4), "fuse k in 4, i in 3:\n  C(i, k)\n", EXACT)
case("every other term first", product_of(3, 4),
     "i in 3:\n  kk in 4:\n    C(i, kk//2 + kk%2*2)\n", REASSOCIATES)  # fmt: skip
case("a term twice and one never", product_of(3, 4),
     "i in 3:\n  kk in 4:\n    C(i, kk//2*2)\n", ILLEGAL)  # fmt: skip
case("a row of another copy", product_of(8, 4),
     "i in 8:\n  k in 4:\n    C((i*3)%8, k)\n", EXACT)  # fmt: skip
case("rows that do not all come", product_of(8, 4),
     "row in 8:\n  k in 4:\n    C((row*2)%8, k)\n", ILLEGAL)  # fmt: skip


def pipeline():
    A = td.placeholder((10,), "float32", name="A")
    F = td.compute((10,), lambda i: A[i] * 2.0, name="F")
    G = td.compute((8,), lambda i: F[i] + F[i + 2], name="G")
    return td.func("f", [A], [G]).program


RING = "alloc F layout i -> i%{}:\n  F(0)\n  F(1)\n  {}i in 8:\n    F(i+2)\n    G(i)\n"
case("a ring of three", pipeline(), RING.format(3, ""), EXACT)
case("a ring of two", pipeline(), RING.format(2, ""), ILLEGAL)
case("a ring of four", pipeline(), RING.format(4, ""), EXACT)
case("a ring that threads share", pipeline(), RING.format(3, "par "), ILLEGAL)
case("lanes that share a ring", pipeline(), RING.format(10, "vec "), ILLEGAL)
AHEAD = "alloc F layout i -> i%{}:\n  F(0)\n  F(1)\n  F(2)\n  i in 8:\n    {}\n"
case("one ahead in a ring of three, read last", pipeline(),
     AHEAD.format(3, "F(i+3) if i < 7\n    G(i)"), ILLEGAL)  # fmt: skip
case("one ahead in a ring of three, read first", pipeline(),
     AHEAD.format(3, "G(i)\n    F(i+3) if i < 7"), EXACT)  # fmt: skip
case("one ahead in a ring of four", pipeline(),
     AHEAD.format(4, "F(i+3) if i < 7\n    G(i)"), EXACT)  # fmt: skip
case("one ahead without the last", pipeline(),
     AHEAD.format(4, "F(i+3) if i < 6\n    G(i)"), ILLEGAL)  # fmt: skip
case("no way to the first", pipeline(),
     "alloc F layout i -> i%3:\n  F(1)\n  i in 8:\n    F(i+2)\n    G(i)\n", ILLEGAL)  # fmt: skip
case("stored by halves in a ring", pipeline(),
     "alloc F layout i -> i//2%2, i%2:\n  F(0)\n  F(1)\n  i in 8:\n    F(i+2)\n    G(i)\n",
     EXACT)  # fmt: skip
case("two elements in one place", pipeline(),
     "alloc F layout i -> i//2:\n  i in 10:\n    F(i)\n  i in 8:\n    G(i)\n", ILLEGAL)  # fmt: skip
case("backwards in one place", pipeline(),
     "alloc F layout i -> 9-i:\n  i in 10:\n    F(i)\n  i in 8:\n    G(7-i)\n", EXACT)  # fmt: skip
case("a private copy short of its halo", pipeline(),
     "io in 2:\n  alloc F:\n    i in 5:\n      F(io*4+i)\n    i in 4:\n      G(io*4+i)\n",
     ILLEGAL)  # fmt: skip
case("a private copy with its halo", pipeline(),
     "par io in 2:\n  alloc F:\n    i in 6:\n      F(io*4+i)\n    i in 4:\n      G(io*4+i)\n",
     EXACT)  # fmt: skip
case("threads that compute one halo alike", pipeline(),
     "par io in 2:\n  i in 6:\n    F(io*4+i)\n  i in 4:\n    G(io*4+i)\n", EXACT)  # fmt: skip
case("threads that read a halo of another", pipeline(),
     "par io in 2:\n  i in 5:\n    F(io*5+i)\n  i in 4:\n    G(io*4+i)\n", ILLEGAL)  # fmt: skip


def recurrence(back=1):
    X = td.placeholder((12,), "float32", name="X")
    t = td.scan_axis(12, name="t")
    out = td.scan(
        t, {"a": ((), 0.0), "b": ((), 1.0)},
        lambda t, prev: {"a": prev["b"] + X[t], "b": prev["a"] * 2.0}, name="r",
    )  # fmt: skip
    return td.func("f", [X], [out["a"], out["b"]]).program


STEP = "r.a({0})\n    r.b({0})\n"
case("steps in order", recurrence(), f"t in 12:\n    {STEP.format('t')}", EXACT)
case("steps with their states swapped", recurrence(), "t in 12:\n  r.b(t)\n  r.a(t)\n", EXACT)
case("steps from the end", recurrence(), f"t in 12:\n    {STEP.format('11-t')}", ILLEGAL)
case("one state after the other", recurrence(),
     "t in 12:\n  r.a(t)\nu in 12:\n  r.b(u)\n", ILLEGAL)  # fmt: skip
case("steps in lanes", recurrence(), f"vec t in 12:\n    {STEP.format('t')}", ILLEGAL)
case("steps in blocks", recurrence(),
     f"to in 3:\n  ti in 4:\n    {STEP.format('to*4+ti')}", EXACT)  # fmt: skip
case("blocks of steps turned", recurrence(),
     f"ti in 4:\n  to in 3:\n    {STEP.format('to*4+ti')}", ILLEGAL)  # fmt: skip
case("a step twice", recurrence(), f"t in 12:\n  u in 2:\n    {STEP.format('t')}", EXACT)
case("one state a step ahead", recurrence(),
     "r.a(0)\nt in 12:\n  r.a(t+1) if t < 11\n  r.b(t)\n", ILLEGAL)  # fmt: skip


def two_readers():
    A = td.placeholder((8,), "float32", name="A")
    F = td.compute((8,), lambda i: A[i] + 1.0, name="F")
    G = td.compute((8,), lambda i: F[7 - i] * 2.0, name="G")
    H = td.compute((8,), lambda i: F[i] + G[i], name="H")
    return td.func("f", [A], [F, H]).program


case("joined with a mirrored reader", two_readers(),
     "i in 8:\n  F(i)\n  G(i)\ni in 8:\n  H(i)\n", ILLEGAL)  # fmt: skip
case("joined with a mirrored reader that is turned", two_readers(),
     "i in 8:\n  F(i)\n  G(7-i)\ni in 8:\n  H(i)\n", EXACT)  # fmt: skip
case("joined readers", two_readers(), "i in 8:\n  F(i)\ni in 8:\n  G(i)\n  H(i)\n", EXACT)
case("joined halves, of which one looks ahead", two_readers(),
     "i in 8:\n  F(i)\ni in 8:\n  H(i)\n  G(i)\n", ILLEGAL)  # fmt: skip
case("a result in a private copy", two_readers(),
     "i in 8:\n  F(i)\npar i in 8:\n  alloc G:\n    G(i)\n    H(i)\n", EXACT)  # fmt: skip


def in_place():
    """B reads A as it was, and then A is changed: the copy that keeps it is the old value."""
    A = td.inout(td.placeholder((8,), "float32", name="A"))
    X = td.placeholder((8,), "float32", name="X")
    B = td.compute((8,), lambda i: A[7 - i] * 2.0, name="B")
    i = td.reduce_axis(8, name="i")
    S = td.update(A, over=i, at=i, value=X[i], op="add", name="S")
    return td.func("f", [A, X], [B, S]).program


case("read before it is changed", in_place(), "i in 8:\n  B(i)\ni in 8:\n  S(i)\n", EXACT)
case("read after it is changed", in_place(), "i in 8:\n  S(i)\ni in 8:\n  B(i)\n", ILLEGAL)
case("read while it is changed", in_place(), "i in 8:\n  B(i)\n  S(i)\n", ILLEGAL)
case("read while it is changed, turned", in_place(), "i in 8:\n  B(7-i)\n  S(i)\n", EXACT)
case("threads of both", in_place(), "par i in 8:\n  B(7-i)\n  S(i)\n", EXACT)
case("threads of both, crossing", in_place(), "par i in 8:\n  B(i)\n  S(i)\n", ILLEGAL)


def lookup(op):
    X = td.placeholder((12,), "int32", name="X")
    Z = td.placeholder((5,), "float32", name="Z")
    r = td.reduce_axis(12, name="r")
    S = td.update(Z, over=r, at=X[r], value=td.cast(r, "float32"), op=op, name="S")
    return td.func("f", [X, Z], [S]).program


BASE = "b in 5:\n  S.base(b)\n"
for _op, _turned in (("set", ILLEGAL), ("add", REASSOCIATES), ("max", REASSOCIATES)):
    case(f"places from data, {_op}", lookup(_op), f"{BASE}r in 12:\n  S(r)\n", EXACT)
    case(f"places from data, {_op}, turned", lookup(_op), f"{BASE}r in 12:\n  S(11-r)\n", _turned)
    case(f"places from data, {_op}, at once", lookup(_op), f"{BASE}par r in 12:\n  S(r)\n", ILLEGAL)


@pytest.mark.parametrize("c", CASES, ids=lambda c: c.name)
def test_the_prover_is_not_fooled(c):
    program = schedule(c.program, c.text)
    found, why = verdict(c.program, program, c.sizes)
    assert found == c.meant or (found, c.meant) == (REASSOCIATES, EXACT), why
    if c.meant != ILLEGAL:
        wanted = Numerics.EXACT if c.meant == EXACT else Numerics.REASSOCIATES
        assert prove(c.program, program).numerics is wanted
        return
    with pytest.raises(Refused) as caught:
        prove(c.program, program)
    witness = caught.value.witness
    assert witness is not None, caught.value
    assert replay(c.program, program, witness) is None

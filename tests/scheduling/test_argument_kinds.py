"""Kinds of arguments: what each takes, the normal form that primitives get, and what it refuses."""

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.stmt import Scope
from tdsl.scheduling.arguments import AXES, KINDS, SCOPES, TAILS, checked, encoded
from tdsl.scheduling.index_map import IndexMap
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.running import scheduled


@pytest.fixture(scope="module")
def s():
    """Blocks C@0, C@1 and D; tensors A, B, D and the intermediate C."""
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.partition("C.j", 3)
    return s


def normal(s, kind, value):
    return checked(s, "step", "x", KINDS[kind], value)


TAKEN = [
    ("FactorsArg", 1, 1),
    ("FactorsArg", np.int64(4), 4),
    ("FactorsArg", (None, 4), (None, 4)),
    ("FactorsArg", [2, None, 1], (2, None, 1)),
    ("FactorArg", 1, 1),
    ("LanesArg", None, None),
    ("LanesArg", 1, 1),
    ("DimArg", None, None),
    ("DimArg", -1, -1),
    ("CountArg", 0, 0),
    ("CountArg", -7, -7),
    ("PointsArg", 1, 1),
    ("PointsArg", (1, 2, 90, 300), (1, 2, 90, 300)),
    ("PointsArg", [16], (16,)),
    ("PadArg", None, None),
    ("PadArg", 0, 0),
    ("PadArg", (0, 3), (0, 3)),
    ("PadArg", [1], (1,)),
    ("MultiplesArg", 1, 1),
    ("MultiplesArg", (4, 1), (4, 1)),
    ("MultiplesArg", [8], (8,)),
    ("FlagArg", True, True),
    ("FlagArg", False, False),
    ("ConditionArg", "N > 3", "N > 3"),
    ("InstructionArg", "dot", "dot"),
    ("MaybeLoopArg", None, None),
    ("MaybeBlockArg", None, None),
    ("BlockArg", "D", "D"),
    ("BlockArg", "C@1", "C@1"),
    ("BlockArg", "C", "C"),  # of several pieces: primitives that take one ask which
    ("TensorArg", "A", "A"),
    ("TensorArg", "C", "C"),
    ("StoredArg", "C", "C"),
    ("StoredArg", "D", "D"),
    ("StoredArg", "A", "A"),
    *(("TailArg", tail, tail) for tail in ("guard", "mask", "shift", "pad", "peel", "balance",
                                           "exact")),
    *(("ScopeArg", scope.value, scope.value) for scope in Scope),
    *(("AxisArg", axis, axis) for axis in ("group.x", "group.y", "local.x", "local.y", "vector")),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "form"), TAKEN)
def test_what_a_kind_takes_has_one_form(s, kind, value, form):
    got = normal(s, kind, value)
    assert got == form
    assert type(got) is type(form)


REFUSED = [
    *(("FactorsArg", bad) for bad in (0, -1, True, 2.0, "4", (4,), (None,), (4, 2), (None, None),
                                      (None, 0), (None, True), ())),
    *(("FactorArg", bad) for bad in (0, False, True, 1.5, None, "1")),
    *(("LanesArg", bad) for bad in (0, True, "8")),
    *(("DimArg", bad) for bad in (1.0, True, "0")),
    *(("CountArg", bad) for bad in (None, True, 0.5, "1")),
    *(("PointsArg", bad) for bad in (0, (2, 1), (3, 3), (300, 2, 90), (0, 1), True, "3")),
    *(("PadArg", bad) for bad in (-1, (0, -1), (-1, 0), True, "1", (None,))),
    *(("MultiplesArg", bad) for bad in (0, (1, 0), None, "2", True)),
    *(("TailArg", bad) for bad in ("none", 3, None)),
    *(("ScopeArg", bad) for bad in ("heap", 3)),
    *(("AxisArg", bad) for bad in ("serial", "parallel", "vectorized", 0)),
    *(("FlagArg", bad) for bad in (1, 0, None, "yes")),
    *(("ConditionArg", bad) for bad in (None, 3)),
    *(("IndexMapArg", bad) for bad in (None, 3, ("i", "j"))),
    *(("LoopArg", bad) for bad in (None, 3, (), ("C.i",))),
    *(("MaybeLoopArg", bad) for bad in (3, ())),
    *(("BlockArg", bad) for bad in (None, 3, ("C",))),
    *(("MaybeBlockArg", bad) for bad in (3,)),
    *(("TensorArg", bad) for bad in (None, 3)),
    *(("StoredArg", bad) for bad in (None, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_what_a_kind_refuses_is_told_with_what_it_expects(s, kind, value):
    with pytest.raises(td.TypeMismatch) as caught:
        normal(s, kind, value)
    expects = KINDS[kind].expects
    assert caught.value.message == f"argument 'x' of step: expected {expects}, got {value!r}"


@pytest.mark.parametrize(
    ("kind", "value", "hint"),
    [
        ("TailArg", "blance", "did you mean 'balance'?"),
        ("TailArg", 3, None),
        ("ScopeArg", "registers", "did you mean 'register'?"),
        ("FactorsArg", (4, 2), "the one None stands for what the other factors leave"),
        ("FactorsArg", 0, None),
        ("LoopArg", ("C.i",), None),
        ("LoopArg", (), None),
    ],
)
def test_some_refusals_help(s, kind, value, hint):
    with pytest.raises(td.TypeMismatch) as caught:
        normal(s, kind, value)
    assert caught.value.hint == hint


def test_all_loops_in_place_of_one_are_told_apart(s):
    with pytest.raises(td.TypeMismatch) as caught:
        normal(s, "LoopArg", s.loops("D"))
    assert caught.value.hint == "pass one loop, not the tuple of all: i, j = s.loops(...)"
    with pytest.raises(td.TypeMismatch) as caught:
        normal(s, "LoopArg", (*s.loops("D"), "D.i"))
    assert caught.value.hint is None


def test_loops_are_given_by_handle_or_name(s):
    i, j = s.loops("D")
    assert normal(s, "LoopArg", i) == normal(s, "LoopArg", "D.i") == i
    assert normal(s, "MaybeLoopArg", "D.j") == j
    with pytest.raises(td.ScheduleError, match="cannot step: block 'D' has no loop 'q'"):
        normal(s, "LoopArg", "D.q")


def test_blocks_and_tensors_are_given_by_name_or_as_the_algorithm_has_them():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: b[i] + 1, name="C")
    s = scheduled(td.func("f", [a], [c]))
    assert normal(s, "BlockArg", b) == normal(s, "TensorArg", b) == normal(s, "StoredArg", b) == "B"
    assert normal(s, "TensorArg", a) == normal(s, "StoredArg", a) == "A"
    for kind, message in (
        ("BlockArg", "there is no block 'Q'"),
        ("TensorArg", "there is no tensor 'Q'"),
        ("StoredArg", "there is no block 'Q'"),
    ):
        with pytest.raises(td.ScheduleError, match=f"cannot step: {message}"):
            normal(s, kind, "Q")
    with pytest.raises(td.ScheduleError, match="there is no block 'A'"):
        normal(s, "BlockArg", a)


def test_a_block_of_several_tensors_is_stored_as_one():
    a = td.placeholder((8,), "float32", name="A")
    p, q = td.compute((8,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((8,), lambda i: p[i] + q[i], name="C")
    s = scheduled(td.func("f", [a], [c]))
    assert normal(s, "StoredArg", "P") == "P"
    assert normal(s, "StoredArg", "P.1") == "P.1"
    assert normal(s, "TensorArg", q) == "P.1"


def test_index_maps_are_given_as_text_or_as_functions(s):
    text = normal(s, "IndexMapArg", "i, j -> j, i")
    assert isinstance(text, IndexMap)
    assert str(normal(s, "IndexMapArg", lambda i, j: (j, i))) == str(text) == "i, j -> j, i"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("i, j -> i // j", "an index map divides by positive constants only"),
        (lambda i, j: (i, "j"), "an index map returns index expressions, got 'j'"),
    ],
)
def test_what_is_wrong_in_an_index_map_is_told_with_the_argument_that_it_is(s, wrong, told):
    with pytest.raises((td.FormatError, td.TypeMismatch)) as caught:
        normal(s, "IndexMapArg", wrong)
    assert caught.value.message == f"argument 'x' of step: {told}"
    assert caught.value.span.file == __file__


def test_words_are_those_of_the_language():
    assert TAILS == ("guard", "mask", "shift", "pad", "peel", "balance", "exact")
    assert tuple(scope.value for scope in Scope) == SCOPES
    assert set(AXES) == {
        *(f"{where}.{axis}" for where in ("group", "local") for axis in "xyz"), "vector",
    }  # fmt: skip


def test_traces_hold_loops_names_and_numbers():
    s = scheduled(increment(8))
    (i,) = s.loops("B")
    assert encoded(s, (i, [np.int32(3), None, "x"], True, 0.5))[1:] == ((3, None, "x"), True, 0.5)
    assert encoded(s, i).label == "B.i"
    assert encoded(s, i).var is i.var
    assert type(encoded(s, np.int32(3))) is int
    with pytest.raises(td.TypeMismatch, match="cannot stand in a trace") as caught:
        encoded(s, {"a": 1})
    assert caught.value.hint == "pass loops, names, numbers and tuples"

"""Arguments that no primitive takes are refused: what is told, and that nothing changes.

`CALLS` holds one good call of each primitive, `MISFITS` what is not of each kind of argument, with
words that the message must hold. A primitive that is new fails here until it has a good call.
"""

from __future__ import annotations

from functools import cache

import pytest

import tdsl as td
from tdsl.errors import TypeMismatch
from tdsl.scheduling.primitive import PRIMITIVES
from tests.fuzz.instructions import declare
from tests.scheduling.algorithms import chain, cumsum, increment, matmul


def product() -> td.Schedule:
    return td.Schedule(matmul(8, 8, 12, relu=True))


def of_any_size() -> td.Schedule:
    return td.Schedule(matmul("M", "N", "K", relu=True))


def chained() -> td.Schedule:
    return td.Schedule(chain(16, 0))


def recurrence() -> td.Schedule:
    return td.Schedule(cumsum(16))


def twice() -> td.Schedule:
    a = td.placeholder((16,), "float32", name="A")
    first = td.compute((16,), lambda i: a[i] + 1, name="C")
    return td.Schedule(td.func("twice", [a], [first, td.compute((16,), lambda i: a[i], name="D")]))


def mapped() -> td.Schedule:
    """A product with a nest of 4 lanes by 3 terms innermost."""
    declare()
    s = product()
    s.split("C.j", 4)
    s.split("C.k", 3)
    s.reorder("C.jo", "C.ko", "C.ji", "C.ki")
    return s


def copied() -> td.Schedule:
    """A product that copies rows of B inside its own loops over them."""
    s = product()
    s.reorder("C.k", "C.i", "C.j")
    s.cache_read("C", "B", at="C.k")
    return s


def placed() -> td.Schedule:
    s = product()
    s.compute_at("C", at="D.i")
    return s


def kept() -> td.Schedule:
    s = placed()
    s.store_at("C")
    return s


# a schedule, and arguments that are accepted there
CALLS = {
    "align": (product, {"tensor": "C", "multiple": 16, "dim": 0}),
    "atomic": (product, {"block": "C"}),
    "bind": (product, {"loop": "D.i", "axis": "group.x"}),
    "cache_read": (product, {"block": "C", "tensor": "A", "scope": "stack", "at": "C.i"}),
    "cache_write": (product, {"block": "C", "scope": "stack", "at": "C.i"}),
    "call_extern": (mapped, {"loop": "C.ji", "function": "c_dot_float32_4x3"}),
    "compute_at": (product, {"block": "C", "at": "D.i"}),
    "compute_with": (twice, {"block": "D", "at": "C.i"}),
    "decompose_reduction": (product, {"block": "C", "at": "C.i"}),
    "double_buffer": (copied, {"block": "B.C", "at": "C.k"}),
    "fission": (placed, {"loop": "D.i", "after": "C"}),
    "fold_storage": (product, {"tensor": "C", "factor": 8, "dim": 0}),
    "fuse": (product, {"a": "D.i", "b": "D.j"}),
    "hoist_storage": (placed, {"block": "C"}),
    "inline": (chained, {"block": "B"}),
    "pad_einsum": (product, {"block": "C", "multiples": (1, 1, 8)}),
    "parallel": (product, {"loop": "D.i"}),
    "partition": (product, {"loop": "D.i", "at": (2, 5)}),
    "pipeline": (copied, {"block": "B.C", "at": "C.k", "ahead": 2}),
    "prefetch": (product, {"block": "D", "tensor": "D", "index_map": "i, j -> i + 1, j"}),
    "reorder": (product, {"loops": ("D.j", "D.i")}),
    "reuse": (chained, {"tensor": "C", "of": "B"}),
    "reverse": (product, {"loop": "D.i"}),
    "reverse_compute_at": (product, {"block": "D", "at": "C.i"}),
    "reverse_inline": (chained, {"block": "C"}),
    "rfactor": (product, {"loop": "C.k", "axis": 1}),
    "set_scope": (product, {"block": "C", "scope": "stack"}),
    "shift": (kept, {"loop": "D.i", "by": 1, "block": "D"}),
    "skew": (product, {"loop": "D.j", "by": "D.i", "factor": 2}),
    "specialize": (of_any_size, {"condition": "M == 8", "loop": "D.i"}),
    "split": (product, {"loop": "D.i", "inner": (None, 2, 2), "tail": "guard"}),
    "split_scan": (recurrence, {"loop": "t", "inner": 4}),
    "store_at": (placed, {"block": "C", "at": "D.i"}),
    "stream": (product, {"block": "D"}),
    "tensorize": (mapped, {"loop": "C.ji", "instruction": "dot_float32_4x3"}),
    "tile": (product, {"i": "D.i", "j": "D.j", "ti": 4, "tj": 2, "tail": "mask"}),
    "transform_layout": (product, {"tensor": "C", "index_map": "i, j -> j, i", "pad": (0, 2)}),
    "unroll": (product, {"loop": "D.j"}),
    "unroll_and_jam": (product, {"loop": "D.i", "factor": 2, "tail": "guard"}),
    "vectorize": (product, {"loop": "D.j", "lanes": 4}),
}  # fmt: skip

_OTHER = td.Schedule(increment(8)).loops("B")[0]
_NO_LOOPS = [
    (3, "expected a loop handle or name"),
    (True, "got True"),
    ((), "got ()"),
    ("", "there is no loop ''"),
    ("nothing", "there is no loop 'nothing'"),
    ("nothing.i", "there is no loop 'nothing.i'"),
    (_OTHER, "loop 'i' belongs to another schedule (of 'increment')"),
]
_NO_NAMES = [(3, "got 3"), (None, "got None"), (1.5, "got 1.5"), ([], "got []")]
_NO_BLOCKS = [*_NO_NAMES, ("nothing", "there is no block 'nothing'"), ("", "there is no block ''")]
_NO_TENSORS = [*_NO_NAMES, ("nothing", "there is no tensor 'nothing'")]
_NO_INTEGERS = [(1.5, "got 1.5"), ("2", "got '2'"), (False, "got False"), ([2], "got [2]")]
_NOT_POSITIVE = [(0, "expected a positive integer"), (-1, "got -1")]
_NO_TEXTS = [(3, "got 3"), (None, "got None")]
_NOT_FLAGS = [(1, "expected True or False, got 1"), (None, "got None"), ("yes", "got 'yes'")]


def optional(misfits: list[tuple[object, str]]) -> list[tuple[object, str]]:
    """The misfits of a kind that takes None too."""
    return [row for row in misfits if row[0] is not None]


# an argument kind, what is not of it, and words of the message
MISFITS: dict[str, list[tuple[object, str]]] = {
    "LoopArg": [*_NO_LOOPS, (None, "got None")],
    "MaybeLoopArg": _NO_LOOPS,
    "BlockArg": _NO_BLOCKS,
    "MaybeBlockArg": optional(_NO_BLOCKS),
    "StoredArg": _NO_BLOCKS,
    "TensorArg": _NO_TENSORS,
    "FactorArg": [*_NO_INTEGERS, *_NOT_POSITIVE, (None, "got None")],
    "LanesArg": [*_NO_INTEGERS, *_NOT_POSITIVE],
    "FactorsArg": [
        (0, "got 0"), (-1, "got -1"), (2.0, "got 2.0"), ("2", "got '2'"), (False, "got False"),
        (None, "got None"), ((2,), "got (2,)"), ((None,), "with one None"), ((4, 2), "got (4, 2)"),
        ((None, None), "with one None"), ((None, 0), "got (None, 0)"), ((), "got ()"),
        ((None, 2.0), "got (None, 2.0)"),
    ],
    "CountArg": [*_NO_INTEGERS, (None, "got None")],
    "DimArg": _NO_INTEGERS,
    "PointsArg": [
        (0, "got 0"), ((0, 2), "got (0, 2)"), ((3, 2), "an increasing tuple"), ((2, 2), "(2, 2)"),
        ("2", "got '2'"), (2.5, "got 2.5"), (None, "got None"), (True, "got True"),
    ],
    "PadArg": [(-1, "integer >= 0"), ((0, -2), "got (0, -2)"), ("1", "got '1'"), (0.5, "got 0.5")],
    "MultiplesArg": [(0, "positive"), ((1, 0, 8), "got (1, 0, 8)"), ("8", "'8'"), (None, "None")],
    "TailArg": [*_NO_TEXTS, ("maks", "expected one of guard, mask, shift, pad, peel, balance")],
    "ScopeArg": [*_NO_TEXTS, ("sahred", "expected one of global, stack, register, shared")],
    "AxisArg": [*_NO_TEXTS, ("gruop.x", "expected one of group.x"), ("vector.x", "'vector.x'")],
    "ConditionArg": [*_NO_TEXTS, (True, "a comparison of sizes such as 'N % 16 == 0'")],
    "InstructionArg": [*_NO_TEXTS, ("nothing_known", "no instruction 'nothing_known'")],
    "IndexMapArg": [
        *_NO_TEXTS, ("i, j", "'i, j' is no index map"), ("i, i -> i", "different names"),
        ("i, j -> i +", "does not parse"), ("i, j -> q, i", "'q' is not an index"),
        ("i, j -> i // 0, j", "positive constants"), ("i, j -> i.x, j", "index"),
    ],
    "bool": _NOT_FLAGS,
}  # fmt: skip


@cache
def ready(name: str) -> td.Schedule:
    """The schedule that a good call is made on; refused calls leave it as it is."""
    return CALLS[name][0]()


def called(s: td.Schedule, name: str, given: dict[str, object]) -> object:
    """The call, in which what a primitive takes any number of is given by position."""
    given = dict(given)
    loops = given.pop("loops", ())
    assert isinstance(loops, tuple)
    return getattr(s, name)(*loops, **given)


def refused(name: str, given: dict[str, object]) -> td.TdslError:
    """The error of a call, of which nothing is left in the schedule."""
    s = ready(name)
    before, length = s.program, len(s.trace)
    with pytest.raises(td.TdslError) as caught:
        called(s, name, given)
    assert s.program is before
    assert len(s.trace) == length
    return caught.value


def test_each_primitive_has_a_good_call() -> None:
    assert set(CALLS) == set(PRIMITIVES)
    for name, (_, given) in CALLS.items():
        assert {"unsafe", *given} >= set(PRIMITIVES[name].signature.parameters) - {"prepacked"}


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_good_calls_are_good(name: str) -> None:
    make, given = CALLS[name]
    s = make()
    length = len(s.trace)
    called(s, name, given)
    assert len(s.trace) == length + 1


def parameters() -> list[tuple[str, str, str]]:
    """Of all primitives: the primitive, the parameter and its kind."""
    return [
        (name, p.name, str(p.annotation))
        for name in sorted(CALLS)
        for p in PRIMITIVES[name].signature.parameters.values()
    ]


def loop_parameters() -> list[tuple[str, str]]:
    """Those that take one loop."""
    kinds = ("LoopArg", "MaybeLoopArg")
    return [(n, p) for n, p, kind in parameters() if kind in kinds and p != "loops"]


@pytest.mark.parametrize(("name", "parameter", "kind"), parameters())
def test_what_is_not_of_a_kind_is_refused_by_name(name: str, parameter: str, kind: str) -> None:
    assert MISFITS[kind]
    for wrong, words in MISFITS[kind]:
        good = CALLS[name][1]
        value = ("D.j", wrong) if parameter == "loops" else wrong
        error = refused(name, good | {parameter: value})
        assert words in error.message, (wrong, error.message)
        assert name in error.message
        if isinstance(error, td.FormatError):  # of a text, which it quotes
            assert error.message.startswith(f"argument {parameter!r} of {name}: ")
        if isinstance(error, TypeMismatch) and "expected" in error.message:
            assert error.message.startswith(f"argument {parameter!r} of {name}: expected ")
            assert error.message.endswith(f", got {wrong!r}")


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"reorder"}))
def test_an_argument_that_is_missing_or_unknown_is_named(name: str) -> None:
    good = CALLS[name][1]
    signature = PRIMITIVES[name].signature
    for parameter in signature.parameters.values():
        if parameter.default is parameter.empty:
            error = refused(name, {k: v for k, v in good.items() if k != parameter.name})
            assert isinstance(error, TypeMismatch)
            assert error.message == f"{name}: missing a required argument: {parameter.name!r}"
            assert f"the call is s.{name}({', '.join(signature.parameters)[:4]}" in error.hint
    error = refused(name, good | {"unsave": True})
    assert error.message == f"{name}: got an unexpected keyword argument 'unsave'"
    assert "did you mean 'unsafe'" in error.hint


@pytest.mark.parametrize(("name", "parameter"), loop_parameters())
def test_a_loop_that_a_step_has_ended_is_refused_with_that_step(name: str, parameter: str) -> None:
    make, good = CALLS[name]
    s = make()
    handles = {f"{block}.{x.name}": x for block in s.blocks() for x in s.loops(block)}
    free = [x for label, x in handles.items() if label not in good.values()]
    handle = free[0] if free else handles.popitem()[1]
    step = len(s.trace) + 1
    s.split(handle, 2)
    with pytest.raises(td.ScheduleError) as caught:
        called(s, name, good | {parameter: handle})
    assert caught.value.primitive == name
    assert f"loop {handle.name!r} was ended by step {step}, " in caught.value.reason
    assert "handles which that step returned" in caught.value.hint

"""Traces as text, to the letter: variables, quotes, combinators inside combinators, JSON."""

import json

import pytest

import tdsl as td
from tdsl.ir.expr import Var
from tdsl.scheduling import replay
from tdsl.scheduling.trace import Call, LoopRef, Step, Trace, Writer
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.running import scheduled


def loop(name, block="B"):
    return LoopRef(Var(name), f"{block}.{name}")


def written(*steps, func="f", target="llvm"):
    """The lines of a trace of some steps, without the one that makes the schedule."""
    trace = Trace(func, target)
    for step in steps:
        trace.append(step)
    return str(trace).splitlines()[1:]


def test_the_target_is_written_unless_it_is_this_machine():
    assert str(Trace("f")) == "s = td.Schedule(f)"
    assert str(Trace("f", "opencl")) == 's = td.Schedule(f, "opencl")'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-3, "-3"),
        (0.5, "0.5"),
        ("i, j -> j", '"i, j -> j"'),
        ("it's", '"it\'s"'),
        ('a "b"', "'a \"b\"'"),
        ("a\\b", r"'a\\b'"),
        ("a\nb", r"'a\nb'"),
        ((), "()"),
        ((4,), "(4,)"),
        ((None, 4, (2, "x")), '(None, 4, (2, "x"))'),
        (loop("i"), '"B.i"'),
    ],
)
def test_arguments_are_written_as_python_reads_them(value, text):
    assert written(Step("f", (value,))) == [f"s.f({text})"]
    assert written(Step("f", (), (("key", value),))) == [f"s.f(key={text})"]


def test_handles_are_variables_from_the_step_that_returned_them_on():
    i, o, n, m = loop("i"), loop("io"), loop("ii"), loop("m")
    assert written(
        Step("split", (i, 4), result=(o, n)),
        Step("parallel", (o,), result=o),
        Step("reorder", (n, o), result=(n, o)),
        Step("other", ("B",), result=o),
        Step("partly", (n,), result=(n, m)),
        Step("one", (m,), result=(loop("q"),)),
        Step("mixed", (m,), result=("B", loop("r"))),
        Step("named", (m,), result="C"),
    ) == [
        'io, ii = s.split("B.i", 4)',
        "s.parallel(io)",
        "s.reorder(ii, io)",
        's.other("B")',
        "ii, m = s.partly(ii)",
        "q, = s.one(m)",
        "s.mixed(m)",
        "s.named(m)",
    ]


def test_a_loop_that_is_given_and_returned_takes_no_variable():
    i = loop("i")
    assert written(Step("unroll", (i,), result=i), Step("unroll", (i,), result=i)) == [
        's.unroll("B.i")', 's.unroll("B.i")',
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "variable"),
    [("f", "f_1"), ("s", "s_1"), ("td", "td_1"), ("rf.k", "rf_k"), ("a_b", "a_b"),
     ("0", "loop_0"), ("for", "loop_for"), ("ä", "ä"), ("", "loop_")],
)  # fmt: skip
def test_variables_are_names_that_python_has_not_taken(name, variable):
    assert written(Step("g", (), result=loop(name))) == [f"{variable} = s.g()"]


def test_loops_of_one_name_are_numbered():
    steps = [Step("g", (), result=loop("i")) for _ in range(3)]
    assert [line.split()[0] for line in written(*steps)] == ["i", "i_1", "i_2"]


def test_files_have_no_variables_but_the_schedule():
    assert Writer({"s"}).line(Step("g", (), result=loop("td"))) == "td = s.g()"


def test_notes_stand_above_their_step():
    assert written(Step("f", (), notes=("one", "two"))) == ["# one", "# two", "s.f()"]


def test_one_unsafe_step_makes_a_trace_unsafe():
    trace = Trace("f")
    trace.append(Step("g", ()))
    assert not trace.is_unsafe
    assert trace.append(Step("g", (), unsafe=True)) == 2
    assert trace.append(Step("g", ())) == 3
    assert trace.is_unsafe


def test_a_call_is_written_with_the_schedule_in_front():
    i, o = loop("i"), loop("io")
    call = Call("strip", (i, 8), (("by", "x"),), o)
    assert Writer({"s"}).line(call) == 'io = strip(s, "B.i", 8, by="x")'


@td.combinator
def inner_pair(s, i, width):
    o, n = s.split(i, width)
    s.reverse(n)
    return o, n


@td.combinator
def outer_pair(s, i, *, last):
    o, _ = inner_pair(s, i, 8)
    inner_pair(s, o, 4)
    return s.reverse(last)


def test_combinators_inside_combinators_are_recorded_as_they_were_called():
    s = scheduled(increment(64))
    s.reverse("B.i")
    outer_pair(s, "B.i", last="B.ii")
    s.unroll("B.ii")
    assert len(s.trace) == 7
    assert str(s.trace).splitlines()[1:] == [
        's.reverse("B.i")',
        '# outer_pair(s, "B.i", last="B.ii")',
        '# inner_pair(s, "B.i", 8)',
        'io, ii = s.split("B.i", 8)',
        "s.reverse(ii)",
        "# inner_pair(s, io, 4)",
        "ioo, ioi = s.split(io, 4)",
        "s.reverse(ioi)",
        "s.reverse(ii)",
        "s.unroll(ii)",
    ]
    first, call, last = s.trace.json()["steps"]
    assert first == {"primitive": "reverse", "args": ["B.i"], "result": "B.i"}
    assert last == {"primitive": "unroll", "args": ["B.ii"], "result": "B.ii"}
    assert (call["call"], call["args"], call["options"]) == (
        "outer_pair",
        ["B.i"],
        {"last": "B.ii"},
    )
    assert [step.get("call", step.get("primitive")) for step in call["steps"]] == [
        "inner_pair", "inner_pair", "reverse",
    ]  # fmt: skip
    assert [step["primitive"] for step in call["steps"][1]["steps"]] == ["split", "reverse"]


def test_a_combinator_that_fails_inside_another_leaves_what_was_there():
    @td.combinator
    def tries(s):
        try:
            inner_pair(s, "B.i", 0)
        except td.TdslError:
            s.reverse("B.i")

    s = scheduled(increment(64))
    s.unroll("B.i")
    tries(s)
    s.unroll("B.i")
    assert str(s.trace).splitlines()[1:] == [
        's.unroll("B.i")', "# tries(s)", 's.reverse("B.i")', 's.unroll("B.i")',
    ]  # fmt: skip


def test_json_holds_labels_options_and_results():
    s = scheduled(matmul(8, 8, 8))
    s.split("C.i", (None, 2, 2))
    s.split("C.j", 3, tail="mask")
    data = s.trace.json()
    assert data == {
        "tdsl_trace": 1,
        "func": "matmul",
        "target": "llvm -mcpu=znver4",
        "steps": [
            {"primitive": "split", "args": ["C.i", [None, 2, 2]],
             "result": ["C.io", "C.im", "C.ii"]},
            {"primitive": "split", "args": ["C.j", 3], "options": {"tail": "mask"},
             "result": ["C.jo", "C.ji"]},
        ],
    }  # fmt: skip
    again = scheduled(matmul(8, 8, 8))
    replay(json.loads(json.dumps(data)), again)
    assert str(again) == str(s)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"steps": []}, "not a trace of version 1: tdsl_trace is None"),
        ({"tdsl_trace": 2, "steps": []}, "not a trace of version 1: tdsl_trace is 2"),
        ({"tdsl_trace": 1}, "the steps of a trace are a list"),
        ({"tdsl_trace": 1, "steps": ["split"]}, "a step of a trace is an object, got 'split'"),
        ({"tdsl_trace": 1, "steps": [{"call": "x"}]}, "the steps of a trace are a list"),
        ({"tdsl_trace": 1, "steps": [{"primitive": "split", "args": "B.i"}]}, "bad arguments in"),
        ({"tdsl_trace": 1, "steps": [{"primitive": "split", "options": []}]}, "bad arguments in"),
        ({"tdsl_trace": 1, "steps": [{}]}, "there is no primitive 'None'"),
    ],
)
def test_what_is_no_trace_is_refused(data, message):
    s = scheduled(increment(8))
    with pytest.raises(td.FormatError) as caught:
        replay(data, s)
    assert caught.value.message.startswith(message)
    assert len(s.trace) == 0

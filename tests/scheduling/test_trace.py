import json

import pytest

import tdsl as td
from tdsl.ir.equal import alpha_equal
from tdsl.scheduling import replay
from tests.scheduling.algorithms import increment, matmul, softmax
from tests.scheduling.running import check, nest, scheduled


def gemm(s):
    io, jo, ii, ji = s.tile("D.i", "D.j", 9, 48)
    s.compute_at("C", at=jo)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    s.set_scope("C", "register")
    s.unroll(ci)
    s.vectorize(cj, 16)
    s.unroll(ii)
    s.vectorize(ji, 16)
    s.parallel(io)
    return s


def same_program(a, b):
    return alpha_equal(a.program, b.program) and alpha_equal(a.algorithm, b.algorithm)


def test_the_trace_prints_as_python_with_handles_as_variables():
    s = scheduled(increment(100))
    i, _ = s.split("B.i", 9)
    s.parallel(i)
    assert str(s.trace) == (
        's = td.Schedule(increment, "llvm -mcpu=znver4")\n'
        'io, ii = s.split("B.i", 9)\n'
        "s.parallel(io)"
    )


def test_the_printed_trace_rebuilds_the_schedule():
    func = matmul(relu=True)
    s = gemm(scheduled(func))
    scope = {"td": td, func.name: func}
    exec(str(s.trace), scope)
    assert same_program(s, scope["s"])
    assert str(scope["s"].trace) == str(s.trace)


def test_json_replays():
    func = matmul(relu=True)
    s = gemm(scheduled(func))
    s.cache_read("C", "B")
    data = json.loads(json.dumps(s.trace.json()))
    again = scheduled(func)
    replay(data, again)
    assert same_program(s, again)
    assert again.trace.json() == s.trace.json()


def test_a_newer_trace_is_refused():
    with pytest.raises(td.FormatError, match="version"):
        replay({"tdsl_trace": 2, "steps": []}, scheduled(increment(8)))


@pytest.mark.parametrize(
    "steps", [None, [1], [{"primitive": "save", "args": ["x"]}], [{"args": 3}]]
)
def test_a_broken_trace_is_refused(steps):
    with pytest.raises(td.FormatError):
        replay({"tdsl_trace": 1, "steps": steps}, scheduled(increment(8)))


def test_a_refused_step_changes_nothing():
    s = scheduled(matmul(4, 4, 4))
    before, text = s.program, str(s)
    for bad in (
        lambda: s.parallel("k"),
        lambda: s.split("k", 3, tail="exact"),
        lambda: s.unroll("nothing"),
        lambda: s.split("i", 0),
        lambda: s.compute_at("C", at="i"),
    ):
        with pytest.raises(td.TdslError):
            bad()
    assert s.program is before
    assert str(s) == text
    assert len(s.trace) == 0


def test_unsafe_steps_stay_visible():
    s = scheduled(matmul(4, 4, 4))
    s.parallel("k", unsafe=True)
    assert s.trace[0].unsafe
    assert s.trace.is_unsafe
    assert "unsafe=True" in str(s.trace)
    assert 'unsafe: s.parallel("C.k", unsafe=True)' in str(s)


def test_later_steps_of_an_unsafe_schedule_are_checked_for_new_conflicts():
    s = scheduled(softmax())
    s.parallel("total.k", unsafe=True)
    s.split("out.j", 4)
    assert s.trace[1].unproven
    assert "not proven: an earlier step is unsafe" in str(s.trace)


def test_every_step_knows_its_line():
    s = scheduled(increment(8))
    s.split("i", 4)
    (step,) = s.trace
    assert step.span.file == __file__
    assert "s.split" in step.span.text


def test_numerics_of_each_step_are_recorded():
    s = scheduled(matmul(4, 4, 8))
    ko, ki = s.split("k", 4)
    s.reorder(ki, ko)
    assert [step.numerics for step in s.trace] == ["exact", "reassociates"]


def test_stale_handles_name_the_step_that_ended_them():
    s = scheduled(increment(64))
    (i,) = s.loops("B")
    s.split(i, 8)
    with pytest.raises(td.ScheduleError, match=r"ended by step 1, s.split\(\"B.i\", 8\)"):
        s.unroll(i)
    with pytest.raises(td.ScheduleError, match="ended by step 1"):
        _ = i.extent
    assert repr(i) == "<Loop i (ended)>"
    assert not i.is_alive


def test_handles_of_another_schedule_are_refused():
    a, b = scheduled(increment(64)), scheduled(increment(64))
    with pytest.raises(td.ScheduleError, match="belongs to another schedule"):
        a.unroll(b.loops("B")[0])


def test_ambiguous_bare_names_list_the_choices():
    s = scheduled(matmul(4, 4, 4, relu=True))
    with pytest.raises(td.ScheduleError, match=r"say which: 'C\.i', 'D\.i'"):
        s.unroll("i")


def test_tensors_stand_for_their_blocks():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert s.cache_read(b, a) == "A.B"
    assert s.loops(b) == s.loops("B")


def test_printing_shows_nest_and_numerics():
    s = scheduled(increment(8))
    assert str(s) == "for i in 8:\n  B[i] = A[i] + 1\nnumerics: exact"
    assert repr(s) == "<Schedule of increment after 0 steps>"


def test_the_view_shows_loops_extents_and_accesses():
    s = gemm(scheduled(matmul(64, 64, 64, relu=True)))
    view = s.nest
    (c,) = [block for block in view.blocks if block.name == "C"]
    assert [loop.name for loop in c.loops][:3] == ["io", "jo", "k"]
    assert [loop.reduces for loop in c.loops][:3] == [False, False, True]
    assert {access.tensor for access in c.reads} == {"A", "B", "C"}
    assert [access.scope.value for access in c.writes] == ["register"]
    assert c.loops[0].blocks == ("C", "D")
    assert nest(s) == str(view)


def test_combinators_are_one_call_and_expand():
    @td.combinator
    def strip(s, loop, width):
        outer, inner = s.split(loop, width)
        s.vectorize(inner, width)
        return outer

    s = scheduled(increment(64))
    outer = strip(s, "i", 8)
    s.parallel(outer)
    assert len(s.trace) == 3
    assert '# strip(s, "i", 8)' in str(s.trace)
    assert s.trace.json()["steps"][0]["call"] == "strip"
    again = scheduled(increment(64))
    replay(s.trace.json(), again)
    assert same_program(s, again)
    check(s)


def test_a_refused_combinator_is_undone_as_a_whole():
    @td.combinator
    def doomed(s):
        s.split("i", 2)
        s.unroll("nothing")

    s = scheduled(matmul(4, 4, 4))
    i = s.loops("C")[0]
    before = s.program
    with pytest.raises(td.ScheduleError):
        doomed(s)
    assert s.program is before
    assert len(s.trace) == 0
    s.unroll(i)


def test_two_combinators_of_one_name_are_refused():
    def make():
        def clash(s):
            return None

        return clash

    td.combinator(make())
    other = make()
    other.__module__ = "elsewhere"
    with pytest.raises(td.TdslError, match="registered already"):
        td.combinator(other)

"""What the body of a schedule file may say, and where each thing that it may not is pointed at."""

import pytest

import tdsl as td
from tdsl.schedules.combinators import split_k
from tdsl.scheduling import check_file, file_body, find_algorithm, parse_location
from tdsl.scheduling.combinator import COMBINATORS
from tests.scheduling.algorithms import increment
from tests.scheduling.files import write
from tests.scheduling.running import scheduled

FIRST = 6  # the line that bodies start at


def steps(path):
    """The steps that a file takes, as Python."""
    return [str(step) for step in load(path).trace]


def load(path):
    func = find_algorithm(parse_location("algorithm.py:matmul", path.parent))
    return td.load_schedule(path, func)


def test_loops_over_ranges_count_from_nothing_or_from_a_number(tmp_path):
    body = 'i = s.loops("C")[0]\nfor n in range(2):\n    i, q = s.split(i, 2)\n'
    body += "for n in range(3, 5):\n    i, q = s.split(i, n)\n"
    body += "for n in range(2, 2):\n    s.split(i, n)\n"
    assert [step.rsplit(" ")[-1] for step in steps(write(tmp_path, body))] == [
        "2)", "2)", "3)", "4)",
    ]  # fmt: skip


def test_slices_pick_loops_from_either_end(tmp_path):
    body = (
        'a, b = s.loops("C")[:2]\nc, = s.loops("C")[2:]\nd = s.loops("C")[-2]\n'
        "s.reorder(c, a)\ns.parallel(d)\n"
    )
    assert steps(write(tmp_path, body)) == ['s.reorder("C.k", "C.i")', 's.parallel("C.j")']


def test_arguments_are_constants_names_and_tuples_of_them(tmp_path):
    body = (
        'io, im, ii = s.split("i", [None, 4, 2])\n'
        's.split(loop="j", inner=3)\n'
        's.shift("k", -3)\n'
        's.cache_read("C", "A", at=None)\n'
        "s.reorder(im, io)\n"
    )
    assert steps(write(tmp_path, body)) == [
        's.split("C.i", (None, 4, 2))',
        's.split("C.j", 3)',
        's.shift("C.k", -3)',
        's.cache_read("C", "A")',
        's.reorder("C.im", "C.io")',
    ]


def test_a_handle_is_a_loop_wherever_its_name_went(tmp_path):
    body = (
        'o, i = s.split("i", 8)\no, m = s.split(o, 4)\n'  # `o` is another loop from here on
        "s.parallel(o)\n"
    )
    s = load(write(tmp_path, body))
    assert [loop.name for loop in s.loops("C")][:3] == ["ioo", "ioi", "ii"]
    assert [str(step) for step in s.trace][-1] == 's.parallel("C.ioo")'


FAULTS = [
    ('a = s.loops("C")[True]\n', (17, 21, "picked by a constant or a slice")),
    ('a = s.loops("C")["i"]\n', (17, 20, "picked by a constant or a slice")),
    ('a, = s.loops("C")[:True]\n', (19, 23, "the ends of a slice are integers")),
    ('a, = s.loops("C")["i":]\n', (18, 21, "the ends of a slice are integers")),
    ('a, = s.loops("C", 1)[:1]\n', (5, 20, "only s.loops(block) can be asked")),
    ('a = s.loops(block="C")\n', (4, 22, "only s.loops(block) can be asked")),
    ("a = s.loops(3)\n", (4, 14, "only s.loops(block) can be asked")),
    ('a = s.split("i", 4)[0]\n', (4, 19, "only s.loops(block) can be asked")),
    ('a = s.loops("D")[0]\n', (4, 16, "there is no block 'D'")),
    ('a = s.loops("C")[3]\n', (4, 19, "there are 3 loops")),
    ('a = s.loops("C")[-4]\n', (4, 20, "there are 3 loops")),
    ('a, b = s.parallel("i")\n', (0, 4, "2 names for 1 values")),
    ('a, b, c = s.split("i", 4)\n', (0, 7, "3 names for 2 values")),
    ('a, b.c = s.split("i", 4)\n', (0, 6, "only names can be assigned")),
    ('a, (b, c) = s.loops("C")[:2]\n', (0, 9, "only names can be assigned")),
    ('a.b = s.parallel("i")\n', (0, 3, "only names can be assigned")),
    ('a, s = s.split("i", 4)\n', (3, 4, "'s' is the schedule and cannot be assigned")),
    ("for s in range(2):\n    s.reverse(0)\n", (4, 5, "'s' is the schedule")),
    ("a = 4\n", (4, 5, "expected a call, or a query such as s.loops('C')[-3:]")),
    ('a = b = s.parallel("i")\n', (0, 23, "a schedule file holds calls of primitives")),
    ('a: int = s.parallel("i")\n', (0, 24, "a schedule file holds calls of primitives")),
    ('s.split("i", factor=4, factor=8)\n', (0, 32, "keywords are written out, each once")),
    ("tile_in_registers()\n", (0, 19, "the first argument of a combinator is s")),
    ('tile_in_registers("C")\n', (0, 22, "the first argument of a combinator is s")),
    ("for n in range():\n    s.unroll(n)\n", (9, 16, "loops run over range(n)")),
    ("for n in range(1, 2, 3):\n    s.unroll(n)\n", (9, 23, "loops run over range(n)")),
    ("for n in range(stop=3):\n    s.unroll(n)\n", (9, 22, "loops run over range(n)")),
    ('for n in range("3"):\n    s.unroll(n)\n', (9, 19, "loops run over range(n)")),
    ("for n in range(0, 1.5):\n    s.unroll(n)\n", (9, 22, "loops run over range(n)")),
    ("for n in range(0, 100001):\n    s.unroll(n)\n", (9, 25, "loops run over range(n)")),
    ("for n in range(1):\n    s.unroll(n)\nelse:\n    s.unroll(n)\n", (0, 0, "and for loops")),
    (")\n", (0, 1, "does not parse: unmatched ')'")),
    ('s.split("i" 4)\n', (8, 9, "does not parse: invalid syntax")),
    ("s.split(" + "9" * 5000 + ")\n", (0, 1, "does not parse: Exceeds the limit")),
]  # fmt: skip


@pytest.mark.parametrize(("body", "found"), FAULTS)
def test_a_fault_is_pointed_at_from_its_first_column_to_its_last(tmp_path, body, found):
    start, end, message = found
    report = check_file(write(tmp_path, body))
    assert not report.ok
    assert isinstance(report.error, td.TdslError)
    assert message in report.error.message
    span = report.error.span
    assert (span.line, span.column, span.end_column) == (FIRST, start, end)


def test_what_goes_over_several_lines_is_pointed_at_where_it_starts(tmp_path):
    report = check_file(write(tmp_path, 's.parallel("i")\ns.split(\n    "i",\n    "four")\n'))
    span = report.error.span
    assert (span.line, span.column, span.end_column) == (FIRST + 1, 0, 0)
    assert "s.split(\n" in str(report.error)
    assert "| ^^^^^^^^\n" in str(report.error) + "\n"  # to the end of the line


def test_columns_are_characters_not_bytes(tmp_path):
    report = check_file(write(tmp_path, 'äöü, ß = s.split("ä", 4)\n'))
    assert (report.error.span.column, report.error.span.end_column) == (9, 24)


@pytest.mark.parametrize("text", ["1 + " * 100_000 + "1\n", "-" * 200_000 + "1\n"])
def test_what_is_too_deep_to_parse_is_refused_at_the_first_line_of_the_body(tmp_path, text):
    report = check_file(write(tmp_path, text))
    assert report.error.message.startswith("does not parse: ")
    assert report.error.span.line == FIRST


def test_a_file_with_null_characters_is_refused(tmp_path):
    report = check_file(write(tmp_path, 's.split("i"\0, 4)\n'))
    assert "null" in report.error.message
    span = report.error.span
    assert (span.line, span.column, span.end_column) == (1, 0, 1)


def nested(depth):
    lines = [" " * n + f"for n{n} in range(1):\n" for n in range(depth)]
    return "".join(lines) + " " * depth + 's.reverse("i")\n'


def test_loops_nest_twenty_deep_and_no_deeper(tmp_path):
    assert steps(write(tmp_path, nested(20))) == ['s.reverse("C.i")']
    report = check_file(write(tmp_path, nested(21)))
    assert report.error.message == "loops nest more than 20 deep"
    assert (report.error.span.line, report.error.span.column) == (FIRST + 20, 20)


@pytest.fixture
def few_calls(monkeypatch):
    """Bodies of three calls at most."""
    monkeypatch.setattr(file_body, "MAX_CALLS", 3)
    return scheduled(increment(8))


@pytest.mark.parametrize(
    ("numbers", "calls"), [("3", 3), ("0, 3", 3), ("2, 3", 1), ("-3", 0), ("-3, -1", 2)]
)
def test_calls_are_counted(few_calls, numbers, calls):
    body = f"for n in range({numbers}):\n    s.reverse('i')\n"
    file_body.run_body(few_calls, body, "f.tdsl", 0)
    assert len(few_calls.trace) == calls


def test_a_call_too_many_is_refused(few_calls):
    body = "for n in range(2):\n    s.reverse('i')\n" * 2
    with pytest.raises(td.FormatError, match="more than 3 calls") as caught:
        file_body.run_body(few_calls, body, "f.tdsl", 0)
    assert caught.value.span.line == 4
    assert len(few_calls.trace) == 3


@pytest.mark.parametrize("numbers", ["4", "0, 4", "-4, 0", "4, 5"])
def test_ranges_hold_small_numbers(few_calls, numbers):
    body = f"for n in range({numbers}):\n    s.reverse('i')\n"
    with pytest.raises(td.FormatError, match=r"loops run over range\(n\)"):
        file_body.run_body(few_calls, body, "f.tdsl", 0)


def test_a_combinator_that_nothing_has_imported_is_found_in_the_library(tmp_path, monkeypatch):
    asked = []

    def declare():
        asked.append("library")
        monkeypatch.setitem(COMBINATORS, "split_k", split_k)

    monkeypatch.setattr(file_body, "declare_combinators", declare)
    monkeypatch.delitem(COMBINATORS, "split_k")
    path = write(tmp_path, "s.reverse('i')\nsplit_q(s, 'C', 4)\n")
    assert check_file(path).error.message == "there is no combinator 'split_q'"
    assert asked == ["library"]
    report = check_file(write(tmp_path, 'file_blocked(s, "C", 4, 8)\nsplit_k(s, "C.k", 4)\n'))
    assert "there is no combinator" not in str(report)


def test_a_name_that_nothing_has_set_comes_with_those_that_something_has(tmp_path):
    error = check_file(write(tmp_path, 'outer, inner = s.split("i", 4)\ns.parallel(oter)\n')).error
    assert error.message == "'oter' is not set"
    assert error.hint == "did you mean 'outer'?"
    error = check_file(write(tmp_path, 's.paralel("i")\n')).error
    assert error.message == "there is no primitive 'paralel'"
    assert error.hint.startswith("did you mean 'parallel'")

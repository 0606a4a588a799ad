"""Headers of schedule files, how files are written, and what `check_file` reports as text."""

import os
import stat
from pathlib import Path

import pytest

import tdsl as td
from tdsl.scheduling import check_file, find_algorithm, parse_location
from tests.scheduling.algorithms import increment
from tests.scheduling.files import ALGORITHM, write
from tests.scheduling.running import scheduled

HEADER = "tdsl-schedule 1\nalgorithm algorithm.py:matmul\nfingerprint 0\ntarget llvm\n"


@pytest.fixture
def algorithm(tmp_path):
    write(tmp_path, "")
    return find_algorithm(parse_location("algorithm.py:matmul", tmp_path))


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("tdsl-plan 1\n", "is no schedule file", (1, 0, 11)),
        ("tdsl-schedule one\n", "is no schedule file", (1, 0, 17)),
        ("tdsl-schedule\n", "is no schedule file", (1, 0, 13)),
        ("tdsl-schedule 2\n", "has version 2; this tdsl reads up to 1", (1, 0, 15)),
        (HEADER.replace("target llvm\n", ""), "no line 'target'", (1, 0, 15)),
        (HEADER.replace("target llvm\n", "target\n"), "no line 'target'", (1, 0, 15)),
        (HEADER.replace("fingerprint 0\n", ""), "no line 'fingerprint'", (1, 0, 15)),
        (HEADER.replace("llvm", "llvm\ntarget llvm"), "'target' is given twice", (5, 0, 11)),
        (HEADER.replace("target", "machine"), "'machine' is no line of a header", (4, 0, 12)),
        ("tdsl-schedule 1", "no line 'algorithm'", (1, 0, 15)),
    ],
)
def test_a_fault_of_a_header_is_pointed_at(tmp_path, text, message, place):
    path = tmp_path / "x.tdsl"
    path.write_text(text)
    error = check_file(path).error
    assert isinstance(error, td.FormatError)
    assert error.message.endswith(message)
    assert (error.span.line, error.span.column, error.span.end_column) == place


def test_the_body_starts_after_the_first_empty_line(tmp_path):
    write(tmp_path, "")
    path = tmp_path / "x.tdsl"
    path.write_text(HEADER + '  \n\ns.parallel("C.i")\ns.parallel("C.k")\n')
    report = check_file(path)
    assert report.steps == 1
    assert report.error.span.line == 8


def test_a_file_of_the_largest_size_is_read(tmp_path):
    write(tmp_path, "")
    path = tmp_path / "x.tdsl"
    text = HEADER + "\n"
    path.write_text(text + "\n" * ((1 << 20) - len(text)))
    assert check_file(path).ok
    path.write_text(text + "\n" * ((1 << 20) + 1 - len(text)))
    assert check_file(path).error.message == f"{path} is larger than 1048576 bytes"


def test_a_new_file_has_the_permissions_that_the_process_gives(tmp_path):
    before = os.umask(0o027)
    try:
        scheduled(increment(8)).save(str(tmp_path / "f.tdsl"))  # a path may be text
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f.tdsl").stat().st_mode) == 0o640


def test_a_file_that_is_replaced_keeps_its_permissions_and_no_special_ones(tmp_path):
    path = tmp_path / "f.tdsl"
    path.write_text("")
    path.chmod(0o4604)
    scheduled(increment(8)).save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert path.read_text().startswith("tdsl-schedule 1\n")


def test_a_schedule_is_saved_to_a_path(tmp_path):
    s = scheduled(increment(8))
    with pytest.raises(td.TypeMismatch, match="a schedule is saved to a path, got 3"):
        s.save(3)
    with pytest.raises(td.FormatError, match=r"cannot write .*: No such file") as caught:
        s.save(tmp_path / "absent" / "f.tdsl")
    assert caught.value.hint == f"make the directory first: {tmp_path / 'absent'}"


def test_a_loaded_schedule_says_where_its_file_said_the_algorithm_is(tmp_path, algorithm):
    path = write(tmp_path, 's.parallel("i")\n')
    (tmp_path / "copy").mkdir()
    td.load_schedule(path, algorithm).save(tmp_path / "copy" / "f.tdsl")
    assert (tmp_path / "copy" / "f.tdsl").read_text().splitlines()[1] == (
        "algorithm ../algorithm.py:matmul"
    )


def test_loading_takes_a_path_and_an_algorithm(tmp_path, algorithm):
    path = write(tmp_path, 's.parallel("i")\n')
    assert len(td.load_schedule(str(path), algorithm).trace) == 1
    for arguments in ((3, algorithm), (path, 3), (algorithm, path)):
        with pytest.raises(td.TypeMismatch, match="from a path for an algorithm") as caught:
            td.load_schedule(*arguments)
        assert caught.value.hint == "td.load_schedule(path, func)"


def test_a_target_that_is_given_wins_over_the_one_in_the_file(tmp_path, algorithm):
    path = write(tmp_path, 's.parallel("i")\n')
    assert str(td.load_schedule(path, algorithm).target) == "llvm -mcpu=znver4"
    assert str(td.load_schedule(path, algorithm, "llvm -mcpu=znver5").target) == (
        "llvm -mcpu=znver5"
    )


def mark_of(path):
    """The fingerprint of the algorithm beside a file, as tdsl writes it."""
    func = find_algorithm(parse_location("algorithm.py:matmul", path.parent))
    td.Schedule(func).save(path.with_suffix(".saved"))
    return path.with_suffix(".saved").read_text().splitlines()[2].split()[1]


CHANGED = "the algorithm has changed since this file was written"


@pytest.mark.parametrize(
    ("body", "hint"),
    [('s.parallel("C.k")\n', None), ('s.parallel("C.q")\n', "did you mean 'C.k'?")],
)
def test_a_refusal_tells_whether_the_algorithm_has_changed(tmp_path, algorithm, body, hint):
    path = write(tmp_path, body)
    with pytest.raises(td.ScheduleError) as caught:
        td.load_schedule(path, algorithm)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(CHANGED)
    path = write(tmp_path, body, mark=mark_of(path))
    with pytest.raises(td.ScheduleError) as same:
        td.load_schedule(path, algorithm)
    own = same.value.hint
    assert own is None or CHANGED not in own
    assert caught.value.hint == (CHANGED if own is None else f"{own}; {CHANGED}")


def test_a_report_of_a_good_file_is_one_line(tmp_path):
    path = write(tmp_path, 'k, q = s.split("k", 4)\ns.reorder(q, k)\n')
    path = write(tmp_path, path.read_text().partition("\n\n")[2], mark=mark_of(path))
    report = check_file(path)
    assert (report.path, report.ok, report.changed, report.unsafe) == (path, True, False, ())
    assert str(report) == f"{path}: ok, 2 steps, reassociates"


def test_a_report_lists_unsafe_steps_by_line_and_what_stopped_it(tmp_path):
    path = write(tmp_path, 's.reverse("i")\ns.parallel("k", unsafe=True)\ns.unroll("q")\n')
    report = check_file(path)
    assert [step.primitive for step in report.unsafe] == ["parallel"]
    head, changed, unsafe, *rest = str(report).splitlines()
    assert head == f"{path}: FAILED, 2 steps, exact"
    assert changed == "  the algorithm has changed since this file was written"
    assert unsafe == '  unsafe: line 7: s.parallel("C.k", unsafe=True)'
    assert rest == ["  " + line for line in str(report.error).splitlines()]
    assert not check_file(path, allow_unsafe=True).ok


def test_a_report_of_what_is_no_schedule_file_has_no_steps(tmp_path):
    path = tmp_path / "x.tdsl"
    path.write_text("nothing\n")
    report = check_file(str(path))
    assert report.path == Path(path)
    assert str(report).splitlines()[0] == f"{path}: FAILED, 0 steps, unknown"
    assert "has changed" not in str(report)


def test_steps_point_at_their_line_of_the_file(tmp_path, algorithm):
    path = write(tmp_path, 'io, ii = s.split("i", 4)\n\ns.parallel(io)\n', source=ALGORITHM)
    spans = [step.span for step in td.load_schedule(path, algorithm).trace]
    assert [(span.file, span.line, span.text) for span in spans] == [
        (str(path), 6, 'io, ii = s.split("i", 4)'),
        (str(path), 8, "s.parallel(io)"),
    ]

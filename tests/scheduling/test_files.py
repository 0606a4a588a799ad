import os
import runpy

import pytest

import tdsl as td
from tdsl.ir.equal import alpha_equal
from tdsl.scheduling import check_file, parse_location
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.files import ALGORITHM, write


def test_saved_files_load_to_the_same_schedule(tmp_path):
    func = matmul()
    s = td.Schedule(func, "llvm -mcpu=znver4")
    io, jo, ii, ji = s.tile("i", "j", 6, 32)
    s.cache_write("C", at=jo)
    s.reorder("C.k", ii, ji)
    s.vectorize(ji, 16)
    s.parallel(io)
    path = tmp_path / "gemm.tdsl"
    s.save(path)
    again = td.load_schedule(path, func)
    assert alpha_equal(again.program, s.program)
    assert str(again.target) == "llvm -mcpu=znver4"
    other = tmp_path / "again.tdsl"
    again.save(other)
    assert other.read_text() == path.read_text()


def test_a_saved_file_reads_like_python(tmp_path):
    func = increment(100)
    s = td.Schedule(func, "llvm -mcpu=znver4")
    s.parallel(s.split("i", 9)[0])
    s.save(tmp_path / "f.tdsl", algorithm="other.py:increment")
    lines = (tmp_path / "f.tdsl").read_text().splitlines()
    assert lines[0] == "tdsl-schedule 1"
    assert lines[1] == "algorithm other.py:increment"
    assert lines[2].startswith("fingerprint ")
    assert lines[3:] == [
        "target llvm -mcpu=znver4",
        "",
        'io, ii = s.split("B.i", 9)',
        "s.parallel(io)",
    ]


def test_files_hold_queries_loops_and_combinators(tmp_path):
    body = (
        'io, jo, ii, ji = file_blocked(s, "C", 4, 8)  # a comment\n'
        'k = s.loops("C")[-1]\n'
        "s.reorder(k, ii, ji)\n"
        'last, = s.loops("C")[-1:]\n'
        "for n in range(3):\n"
        "    s.split(s_name, 2)\n"
    )
    path = write(tmp_path, body)
    report = check_file(path)
    assert not report.ok
    assert "'s_name' is not set" in str(report.error)
    assert (report.error.span.line, report.error.span.column) == (11, 12)
    path = write(tmp_path, body.replace("s_name", '"C.ji"').replace("range(3)", "range(1)"))
    report = check_file(path)
    assert report.ok, report
    assert report.steps == 3
    func = report_func(path)
    s = td.load_schedule(path, func)
    saved = tmp_path / "saved.tdsl"
    s.save(saved)
    assert 'io, jo, ii, ji = file_blocked(s, "C", 4, 8)' in saved.read_text()
    assert check_file(saved).ok


def report_func(path):
    from tdsl.scheduling import find_algorithm

    return find_algorithm(parse_location("algorithm.py:matmul", path.parent))


def test_functions_of_sizes_are_called(tmp_path):
    path = write(tmp_path, 's.parallel("i")\n', "algorithm.py:sized(M=4, N=8)")
    report = check_file(path)
    assert report.ok, report
    assert report.numerics == "exact"


def test_a_changed_algorithm_breaks_at_a_line(tmp_path):
    body = 's.parallel("C.i")\ns.parallel("C.j")\n'
    good = write(tmp_path, body)
    assert check_file(good).ok
    assert check_file(good).changed
    changed = ALGORITHM.replace("(M, N), lambda i, j: td.sum", "(M, 7), lambda i, q: td.sum")
    changed = changed.replace("B[k, j]", "B[k, q]").replace("(K, N)", "(K, 7)")
    path = write(tmp_path, body, source=changed)
    report = check_file(path)
    assert not report.ok
    assert report.changed
    assert report.error.span.line == 7
    assert report.error.span.file == str(path)
    assert "no loop 'j'" in str(report.error)


def test_unsafe_files_fail_unless_allowed(tmp_path):
    path = write(tmp_path, 's.parallel("k", unsafe=True)\n')
    report = check_file(path)
    assert not report.ok
    assert report.error is None
    assert "unsafe: line 6" in str(report)
    assert check_file(path, allow_unsafe=True).ok


def test_refusals_point_at_the_line_of_the_file(tmp_path):
    path = write(tmp_path, 's.split("i", 4)\ns.parallel("k")\n')
    error = check_file(path).error
    assert isinstance(error, td.ScheduleError)
    assert (error.span.line, error.span.column, error.span.end_column) == (7, 0, 15)
    assert error.witness is not None


HOSTILE = [
    ("import os\n", 6, 0, "calls of primitives"),
    ('os.system("x")\n', 6, 0, "only s.primitive"),
    ('s.save("x")\n', 6, 0, "no primitive 'save'"),
    ('s.__class__("x")\n', 6, 0, "no primitive '__class__'"),
    ('__import__("os")\n', 6, 0, "first argument"),
    ('eval(s, "1")\n', 6, 0, "no combinator 'eval'"),
    ("s = 3\n", 6, 4, "expected a call"),
    ('s = s.loops("C")\n', 6, 0, "cannot be assigned"),
    ('x = [s.split("i", 4) for i in range(3)]\n', 6, 4, "expected a call"),
    ('s.split("i", 2 + 2)\n', 6, 13, "arguments are"),
    ('s.split("i", (lambda: 4)())\n', 6, 13, "arguments are"),
    ('s.split(*("i", 4))\n', 6, 8, "arguments are"),
    ('s.split(**{"loop": "i"})\n', 6, 0, "keywords are written out"),
    ('s.split("i", f"{4}")\n', 6, 13, "arguments are"),
    ('a, b, c = s.split("i", 4)\n', 6, 0, "3 names for 2 values"),
    ('a = s.loops("C")[7]\n', 6, 4, "there are 3 loops"),
    ('a = s.loops("C")[::2]\n', 6, 17, "arguments are"),
    ('for i in s.loops("C"):\n    s.unroll(i)\n', 6, 9, "range"),
    ("for i in range(10**9):\n    s.unroll(i)\n", 6, 15, "arguments are"),
    ("for i in range(999999999):\n    s.unroll(i)\n", 6, 9, "range"),
    ('while True:\n    s.unroll("i")\n', 6, 0, "calls of primitives"),
    ("def f():\n    pass\n", 6, 0, "calls of primitives"),
    ('s.split("i" 4)\n', 6, 8, "does not parse"),
    ('s.splitt("i", 4)\n', 6, 0, "did you mean 'split'"),
    ('s.split("i", "four")\n', 6, 0, "expected a positive integer"),
    ("x.y.z(1)\n", 6, 0, "only s.primitive"),
    ('ä = s.split("i", nöpe)\n', 6, 17, "is not set"),
    ('s.transform_layout("C", "i, j -> exec(i)")\n', 6, 0, "may not stand"),
]


@pytest.mark.parametrize(("body", "line", "column", "message"), HOSTILE)
def test_anything_else_is_refused_with_line_and_column(tmp_path, body, line, column, message):
    report = check_file(write(tmp_path, body))
    assert not report.ok
    assert message in str(report.error)
    assert (report.error.span.line, report.error.span.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no schedule file"),
        ("tdsl-schedule x\n", "no schedule file"),
        ("tdsl-schedule 2\n", "version 2"),
        ("tdsl-schedule 1\n", "no line 'algorithm'"),
        ("tdsl-schedule 1\nalgorithm a.py:b\nalgorithm a.py:b\n", "given twice"),
        ("tdsl-schedule 1\ncolour red\n", "no line of a header"),
        (
            "tdsl-schedule 1\nalgorithm a b c\nfingerprint 1\ntarget llvm\n",
            "where the algorithm is",
        ),
        ("tdsl-schedule 1\nalgorithm os:system\nfingerprint 1\ntarget llvm\n", "no library module"),
        ("tdsl-schedule 1\nalgorithm none.py:b\nfingerprint 1\ntarget llvm\n", "there is no file"),
        ("tdsl-schedule 1\nalgorithm b\nfingerprint 1\ntarget llvm\n", "in which file"),
    ],
)
def test_broken_headers_are_refused(tmp_path, text, message):
    path = tmp_path / "x.tdsl"
    path.write_text(text)
    assert message in str(check_file(path).error)


def test_large_and_binary_files_are_refused(tmp_path):
    path = tmp_path / "x.tdsl"
    path.write_bytes(b"tdsl-schedule 1\n" + b" " * (1 << 20))
    assert "larger than" in str(check_file(path).error)
    path.write_bytes(b"tdsl-schedule 1\n\xff\xfe")
    assert "not UTF-8" in str(check_file(path).error)
    assert "cannot read" in str(check_file(tmp_path / "absent").error)


def test_deep_nesting_is_refused(tmp_path):
    path = write(tmp_path, 's.split("i", ' + "(" * 5000 + "4" + ")" * 5000 + ")\n")
    assert not check_file(path).ok
    body = (
        "".join("  " * n + f"for a{n} in range(1):\n" for n in range(30))
        + "  " * 30
        + 's.unroll("i")\n'
    )
    assert "nest more than" in str(check_file(write(tmp_path, body)).error)


def test_saving_keeps_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    s = td.Schedule(increment(8), "llvm -mcpu=znver4")
    path = tmp_path / "f.tdsl"
    s.save(path)
    text = path.read_text()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fdopen", fail)
    s.split("i", 4)
    with pytest.raises(td.FormatError, match=r"cannot write .*f\.tdsl: disk full"):
        s.save(path)
    assert path.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["f.tdsl"]


NAMED_OTHERWISE = """
import tdsl as td

def make(n=8):
    a = td.placeholder((n,), "float32", name="A")
    return td.func("twice", [a], [td.compute((n,), lambda i: a[i] * 2, name="B")])

def sized(n):
    return make(n)
"""


def test_a_file_names_the_function_that_declares_the_algorithm(tmp_path):
    (tmp_path / "kernels.py").write_text(NAMED_OTHERWISE)
    scope = runpy.run_path(str(tmp_path / "kernels.py"))
    s = td.Schedule(scope["make"]())
    s.unroll("B.i")
    s.save(tmp_path / "f.tdsl")
    assert "algorithm kernels.py:make\n" in (tmp_path / "f.tdsl").read_text()
    report = check_file(tmp_path / "f.tdsl")
    assert report.ok
    assert not report.changed


@pytest.mark.parametrize(
    ("place", "message", "hint"),
    [
        ("kernels.py:mak", "kernels.py defines no 'mak'", "did you mean 'make'?"),
        (
            "kernels.py:td",
            "'td' in kernels.py is module, not an algorithm",
            "one of 'make', 'sized'",
        ),
        ("kernels.py:sized", "sized(): missing a required argument: 'n'", "such as sized(M=512)"),
        ("kernels.py:make(m=3)", "make(m=3): got an unexpected keyword argument 'm'", "the sizes"),
        ("none.py:make", "there is no file", None),
    ],
)
def test_a_place_without_the_algorithm_points_at_its_line(tmp_path, place, message, hint):
    (tmp_path / "kernels.py").write_text(NAMED_OTHERWISE)
    (tmp_path / "f.tdsl").write_text(
        f"tdsl-schedule 1\nalgorithm {place}\nfingerprint 0\ntarget llvm\n\n"
    )
    error = check_file(tmp_path / "f.tdsl").error
    assert isinstance(error, td.TdslError)
    assert message in error.message
    assert error.span.line == 2
    assert hint is None or hint in error.hint

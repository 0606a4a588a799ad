"""Edited algorithms: `check` names the line that broke, and `--fix` adapts or drops it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tdsl.scheduling import check_file
from tdsl.scheduling.repair import repair_file

ALGORITHM = """
import tdsl as td

M, N, K = 64, 96, 32
A = td.placeholder((M, K), "float32", name="A")
B = td.placeholder((K, N), "float32", name="B")
bias = td.placeholder((N,), "float32", name="bias")
k = td.reduce_axis(K, name="k")
C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
D = td.compute((M, N), lambda i, j: C[i, j] + bias[j], name="D")
matmul = td.func("matmul", [A, B, bias], [D])
"""

BODY = """\
i, j = s.loops("D")
io, jo, ii, ji = s.tile(i, j, 8, 32, tail="exact")
s.compute_at("C", jo)
s.cache_read("C", "B", at="C.k")
ko, ki = s.split("C.k", 8, tail="exact")
s.vectorize(ji, 16)
s.set_scope("C", "stack")
s.transform_layout("C", "i, j -> j // 8, i, j % 8")
s.prefetch("D", "bias", "i, j -> j")
s.parallel(io)
"""
FIRST = 6  # the line of the file that the body starts at


@dataclass(frozen=True)
class Edited:
    """An edit of the algorithm, the line of the body that breaks, why, and what --fix makes."""

    name: str
    old: str
    new: str
    line: int
    reason: str
    fixed: str | None  # None: the line is dropped


EDITS = (
    Edited("the tiled block gets another name", 'name="D")', 'name="out")', 0,
           "there is no block 'D'", 'i, j = s.loops("out")'),
    Edited("an extent that a tile no longer divides", "M, N, K = 64", "M, N, K = 60", 1,
           "60 % 8 = 4", "io, jo, ii, ji = s.tile(i, j, 8, 32)"),
    Edited("the producer gets another name", 'name="C")', 'name="prod")', 2,
           "there is no block 'C'", 's.compute_at("prod", jo)'),
    Edited("an argument gets another name", 'name="B")', 'name="B_packed")', 3,
           "there is no tensor 'B'", 's.cache_read("C", "B_packed", at="C.k")'),
    Edited("a reduction that a split no longer divides", "96, 32", "96, 36", 4,
           "36 % 8 = 4", 'ko, ki = s.split("C.k", 8)'),
    Edited("the reduction axis gets another name", 'name="k")', 'name="depth")', 3,
           "has no loop", 's.cache_read("C", "B", at="C.depth")'),
    Edited("the producer has another rank",
           'C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")\n'
           "D = td.compute((M, N), lambda i, j: C[i, j]",
           'C = td.compute((1, M, N), lambda b, i, j: td.sum(A[i, k] * B[k, j], axis=k), '
           'name="C")\nD = td.compute((M, N), lambda i, j: C[0, i, j]', 7,
           "takes 2", None),
    Edited("what is prefetched is gone", " + bias[j]", " * 2.0", 8,
           "there is no tensor 'bias'", None),
    Edited("the producer is gone", "C[i, j] + bias[j]", "A[i, 0] * B[0, j] + bias[j]", 2,
           "there is no block 'C'", None),
    Edited("the result has a batch in front",
           "D = td.compute((M, N), lambda i, j: C[i, j]",
           "D = td.compute((2, M, N), lambda b, i, j: C[i, j]", 0,
           "2 names for 3 values", 'i, j = s.loops("D")[1:]'),
)  # fmt: skip


def write(folder, source=ALGORITHM):
    (folder / "algorithm.py").write_text(source)
    path = folder / "matmul.schedule"
    if not path.exists():
        header = "tdsl-schedule 1\nalgorithm algorithm.py:matmul\nfingerprint 0\n"
        path.write_text(f"{header}target llvm -mcpu=znver4\n\n{BODY}")
    return path


def edited(edit):
    assert ALGORITHM.count(edit.old) == 1
    source = ALGORITHM.replace(edit.old, edit.new)
    if "bias" not in source.split("matmul = ")[0].split("D = ")[1]:
        source = source.replace("[A, B, bias]", "[A, B]")
    return source


def test_the_schedule_fits_the_algorithm_as_it_was(tmp_path):
    report = check_file(write(tmp_path))
    assert report.ok, report
    assert report.steps == 9


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_an_edit_breaks_one_line_for_a_reason(edit, tmp_path):
    write(tmp_path)
    path = write(tmp_path, edited(edit))
    report = check_file(path)
    assert not report.ok
    assert report.changed
    assert report.error.span.line == FIRST + edit.line
    assert edit.reason in str(report.error)
    broken = BODY.splitlines()[edit.line]
    assert broken in str(report)


@pytest.mark.parametrize("edit", EDITS, ids=lambda e: e.name)
def test_fix_adapts_or_drops_the_line(edit, tmp_path):
    write(tmp_path)
    path = write(tmp_path, edited(edit))
    repair = repair_file(path)
    assert repair.left is None
    first = repair.changes[0]
    assert first.before == BODY.splitlines()[edit.line]
    assert first.after == edit.fixed
    assert f"-{first.before}" in repair.diff.splitlines()
    if edit.fixed is not None:
        assert f"+{edit.fixed}" in repair.diff.splitlines()
    assert path.read_text() == repair.before, "nothing is written yet"
    repair.write()
    report = check_file(path)
    assert report.ok, report
    assert not report.changed
    assert repair_file(path).diff == ""


def test_a_rename_holds_for_the_rest_of_the_file(tmp_path):
    write(tmp_path)
    path = write(tmp_path, ALGORITHM.replace('name="C")', 'name="prod")'))
    repair = repair_file(path)
    assert [change.line - FIRST for change in repair.changes] == [2, 3, 4, 6, 7]
    assert 's.split("prod.k", 8, tail="exact")' in repair.after
    assert "'C' is called 'prod' now" in str(repair.changes[0])


def test_what_used_a_dropped_name_is_dropped_too(tmp_path):
    write(tmp_path)
    source = ALGORITHM.replace("lambda i, j: C[i, j] + bias[j]", "lambda i, j: bias[j]")
    path = write(tmp_path, source.replace("[A, B, bias]", "[bias]"))
    repair = repair_file(path)
    dropped = [change.line - FIRST for change in repair.changes if change.after is None]
    assert dropped == [2, 3, 4, 6, 7]
    repair.write()
    assert check_file(path).ok


def test_a_loop_left_empty_is_dropped_whole(tmp_path):
    write(tmp_path)
    path = tmp_path / "matmul.schedule"
    text = path.read_text().partition("\n\n")[0]
    path.write_text(text + '\n\nfor n in range(2):\n    s.split("E.i", 2)\ns.parallel("D.i")\n')
    repair = repair_file(path)
    assert repair.after.partition("\n\n")[2] == 's.parallel("D.i")\n'


def test_all_loops_of_a_block_may_get_other_names(tmp_path):
    body = 'io, jo, ii, ji = s.tile("D.i", "D.j", 8, 32)\ns.parallel(io)\ns.unroll("C.i")\n'
    path = write(tmp_path, ALGORITHM.replace("lambda i, j: C[i, j] + b", "lambda y, x: C[y, x] + b")
                 .replace("bias[j]", "bias[x]"))  # fmt: skip
    text = path.read_text().partition("\n\n")[0]
    path.write_text(f"{text}\n\n{body}")
    repair = repair_file(path)
    (change,) = repair.changes
    assert change.after == 'io, jo, ii, ji = s.tile("D.y", "D.x", 8, 32)'
    assert change.why == "loops of 'D' have other names now: 'i' is 'y', 'j' is 'x'"
    assert 's.unroll("C.i")' in repair.after
    repair.write()
    assert check_file(path).ok

"""`--fix` line by line: what each change of a small algorithm makes of a line that it broke."""

from dataclasses import dataclass

import pytest

import tdsl as td
from tdsl.scheduling import repair
from tdsl.scheduling.adaptations import _candidates
from tdsl.scheduling.repair import Change, repair_file

SOURCE = """
import tdsl as td

A = td.placeholder((16, 24), "float32", name="A")
B = td.placeholder((24, 8), "float32", name="B")
k = td.reduce_axis(24, name="k")
C = td.compute((16, 8), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
E = td.compute((16, 8), lambda i, j: C[i, j] + 1.0, name="E")
D = td.compute((4, 16, 8), lambda b, i, j: E[i, j] * 2.0, name="D")
small = td.func("small", [A, B], [D])
"""
HEADER = "tdsl-schedule 1\nalgorithm algorithm.py:small\nfingerprint 0\ntarget llvm -mcpu=znver4\n"
FIRST = 6  # the line that bodies start at


def repaired(folder, body, *edits):
    """A repair, after edits of the algorithm, each as old and new text."""
    source = SOURCE
    for old, new in edits:
        assert source.count(old) == 1
        source = source.replace(old, new)
    (folder / "algorithm.py").write_text(source)
    path = folder / "small.schedule"
    path.write_text(f"{HEADER}\n{body}")
    return repair_file(path)


def body_of(found):
    return found.after.partition("\n\n")[2]


K_IS = ('axis(24, name="k")', 'axis(24, name="{}")')


def axis(name):
    return K_IS[0], K_IS[1].format(name)


D_IS_YX = ("lambda b, i, j: E[i, j] * 2.0", "lambda b, y, x: E[y, x] * 2.0")
SAID = 's.reverse("D.b")\n'


@dataclass(frozen=True)
class Adapted:
    """The last line of a body, what it becomes, and what is said of it."""

    name: str
    edits: tuple[tuple[str, str], ...]
    before: str
    line: str
    after: str | None
    why: str


CASES = (
    Adapted("a bare loop", (axis("kk"),), "", 's.reverse("k")', 's.reverse("kk")',
            "the loop 'k' is called 'kk' now"),
    Adapted("a bare loop that may be left out", (axis("kk"),), "",
            's.cache_read("C", "B", at="k")', 's.cache_read("C", "B", at="kk")',
            "the loop 'k' is called 'kk' now"),
    Adapted("the block of a loop, not a tensor", (('name="C"', 'name="prod"'),),
            SAID + 's.reverse("E.i")\n', 's.unroll("C.i")', 's.unroll("prod.i")',
            "'C' is called 'prod' now"),
    Adapted("a block beside a loop, which no tensor is called",
            (("D = td", "D, _ = td"), ('E[i, j] * 2.0, name="D"',
                                       '(E[i, j] * 2.0, E[i, j]), name="doubled_D"')),
            "", 's.shift("b", 1, "D")', 's.shift("b", 1, "doubled_D")',
            "'D' is called 'doubled_D' now"),
    Adapted("a tensor, not a block", (('24, 8), "float32", name="B"',
                                       '24, 8), "float32", name="B_packed"'),),
            "", 's.cache_read("C", "B")', 's.cache_read("C", "B_packed")',
            "'B' is called 'B_packed' now"),
    Adapted("the one loop of its block that nothing names", (D_IS_YX,),
            SAID + 's.reverse("D.x")\n', 's.reverse("D.i")', 's.reverse("D.y")',
            "the loop 'i' is called 'y' now"),
    Adapted("the one loop whose name no variable has", (D_IS_YX,),
            SAID + 'y, q = s.split("E.j", 4)\n', 's.reverse("D.i")', 's.reverse("D.x")',
            "the loop 'i' is called 'x' now"),
    Adapted("a loop of the block, not a closer one of another",
            (axis("depth"), ("lambda i, j: C[i, j] + 1.0", "lambda i, kj: C[i, kj] + 1.0")),
            's.reverse("C.i")\ns.reverse("C.j")\n', 's.reverse("C.k")', 's.reverse("C.depth")',
            "the loop 'k' is called 'depth' now"),
    Adapted("several loops beside one that is as it was", (D_IS_YX,), "",
            's.reorder("D.i", "D.j", "D.b")', 's.reorder("D.y", "D.x", "D.b")',
            "loops of 'D' have other names now: 'i' is 'y', 'j' is 'x'"),
    Adapted("one loop whose new name another block's loop has, too",
            (("lambda i, j: C[i, j] + 1.0", "lambda i, x: C[i, x] + 1.0"),
             ("lambda b, i, j: E[i, j] * 2.0", "lambda b, i, x: E[i, x] * 2.0")),
            SAID + 's.reverse("E.x")\ns.reverse("D.i")\n', 's.reverse("D.j")',
            's.reverse("D.x")', "loops of 'D' have other names now: 'j' is 'x'"),
    Adapted("a tail behind other keywords", (), "",
            's.split("C.k", inner=5, tail="exact")', 's.split("C.k", inner=5)',
            "the tail is left to the default"),
    Adapted("a tail that keywords follow", (), "",
            's.split("C.k", tail="exact", inner=5)', 's.split("C.k", inner=5)',
            "the tail is left to the default"),
    Adapted("lanes that there cannot be", (), "",
            's.vectorize("D.j", 0)', 's.vectorize("D.j")', "the target's own width"),
    Adapted("lanes by name", (), "",
            's.vectorize("D.j", lanes=0)', 's.vectorize("D.j")', "the target's own width"),
    Adapted("a query of a part that is the whole now", (), "",
            'i, j = s.loops("E")[1:]', 'i, j = s.loops("E")', "'E' has the loops i, j now"),
    Adapted("a query of what is in the middle", (), "",
            'i, = s.loops("D")', 'i, = s.loops("D")[1:2]', "'D' has the loops b, i, j now"),
    Adapted("a query of what is in front", (), "",
            'b, i = s.loops("D")', 'b, i = s.loops("D")[:2]', "'D' has the loops b, i, j now"),
    Adapted("more names than there are loops", (), "",
            'b, i, j = s.loops("E")', None, "3 names for 2 values"),
    Adapted("what cannot be assigned", (), "",
            'i, j.q = s.loops("E")', None, "only names can be assigned"),
    Adapted("a block that is there is not renamed", (), SAID, 's.inline("C")', None,
            "'C' is a reduction"),
    Adapted("a primitive that never was", (), SAID, 's.splitt("C.i", 4)', None,
            "there is no primitive 'splitt'"),
    Adapted("a block that is like no other", (), "", 's.reverse("Q.i")', None,
            "there is no loop 'Q.i'"),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_line_is_adapted_or_dropped(case, tmp_path):
    found = repaired(tmp_path, case.before + case.line + "\n", *case.edits)
    assert found.left is None
    (change,) = found.changes
    assert (change.before, change.after) == (case.line, case.after)
    assert case.why in change.why
    fixed = "" if case.after is None else case.after + "\n"
    assert body_of(found) == case.before + fixed


def test_changes_are_told_with_line_and_reason():
    assert str(Change(7, "  s.unroll(i)", None, "gone")) == "line 7: s.unroll(i)\n    dropped: gone"
    assert str(Change(7, "s.unroll(i)", "  s.unroll(j)", "called so")) == (
        "line 7: s.unroll(i)\n    now s.unroll(j): called so"
    )


def test_the_header_changes_in_its_fingerprint_alone(tmp_path):
    found = repaired(tmp_path, "s.reverse('fingerprint 3')\n")
    lines = found.after.splitlines()
    (mark,) = [line for line in lines if line.startswith("fingerprint ")]
    assert [line for line in lines if line != mark] == [
        line for line in HEADER.splitlines() if line != "fingerprint 0"
    ] + [""]
    td.Schedule(scope(tmp_path)["small"]).save(tmp_path / "new.schedule")
    assert mark in (tmp_path / "new.schedule").read_text().splitlines()
    assert str(found.path) == str(tmp_path / "small.schedule")
    assert found.diff.splitlines()[:3] == [
        f"--- {found.path}", f"+++ {found.path}", "@@ -1,6 +1,5 @@",
    ]  # fmt: skip


def scope(folder):
    found = {}
    exec((folder / "algorithm.py").read_text(), found)
    return found


def test_a_statement_of_several_lines_is_dropped_whole(tmp_path):
    body = 's.inline(\n    "C"\n)\n' + SAID + 's.reverse("Q.i")'  # the last line has no end
    found = repaired(tmp_path, body)
    assert [change.line for change in found.changes] == [6, 7, 8, 10]
    assert [change.before for change in found.changes] == [
        "s.inline(", '    "C"', ")", 's.reverse("Q.i")',
    ]  # fmt: skip
    assert body_of(found) == SAID.rstrip("\n")


def test_a_fault_in_the_second_line_of_a_statement_drops_both(tmp_path):
    found = repaired(tmp_path, 's.split("C.i",\n    unset)\n' + SAID)
    assert [change.line for change in found.changes] == [6, 7]
    assert body_of(found) == SAID


def test_a_tail_on_a_line_of_its_own_goes_alone(tmp_path):
    found = repaired(tmp_path, 's.split("C.k", 5,\n        tail="exact")\n')
    assert [str(change) for change in found.changes] == [
        'line 7: tail="exact")\n    now ): the tail is left to the default'
    ]
    assert body_of(found) == 's.split("C.k", 5,\n        )\n'


LOOP = "for n in range(2):\n"


@pytest.mark.parametrize(
    ("body", "fixed", "lines"),
    [
        (LOOP + "    for m in range(2):\n" + '        s.reverse("Q.i")\n' + SAID, SAID, [6, 7, 8]),
        (LOOP + '    s.reverse("Q.i")\n    s.reverse("D.b")\n', LOOP + "    " + SAID, [7]),
        (SAID + LOOP + '    s.reverse("D.b")\n    s.reverse("Q.i")\n', SAID + LOOP + "    " + SAID,
         [9]),
        (LOOP + '    s.reverse("Q.i")\n' + LOOP + '    s.reverse("D.b")\n',
         LOOP + '    s.reverse("D.b")\n', [6, 7]),
    ],
)  # fmt: skip
def test_loops_are_dropped_where_nothing_is_left_in_them(tmp_path, body, fixed, lines):
    found = repaired(tmp_path, body)
    assert [change.line for change in found.changes] == lines
    assert body_of(found) == fixed


def test_what_does_not_parse_is_left(tmp_path):
    found = repaired(tmp_path, 's.reverse("D.b"\n')
    assert isinstance(found.left, td.FormatError)
    assert found.changes == ()
    assert body_of(found) == 's.reverse("D.b"\n'


def test_trials_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(repair, "_LARGEST_TRIALS", 3)
    body = "".join(f's.reverse("Q{n}{n}{n}.i")\n' for n in range(5))
    found = repaired(tmp_path, body)
    # the first run, and one after each line that was dropped
    assert [change.line for change in found.changes] == [6, 7, 8]
    assert "there is no loop 'Q333.i'" in found.left.message


def test_names_are_alike_hold_one_another_or_are_the_last():
    packed = {f"B_{part}" for part in ("tiled", "packed", "last", "first", "new", "old")}
    assert _candidates("B", packed | {"C"}) == sorted(packed)
    assert _candidates("B_packed", {"B", "C"}) == ["B"]
    assert _candidates("matmul", {"B", "matmul2", "mamul"}) == ["matmul2", "mamul"]
    assert _candidates("B", {"depth"}) == ["depth"]
    assert _candidates("B", {"depth", "width"}) == []
    assert _candidates("B", set()) == []

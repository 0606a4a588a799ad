import json
import sqlite3

import pytest

import tdsl as td
from tdsl.records import (
    Database,
    Outcome,
    Record,
    RecordError,
    RecordingSchedule,
    Verdict,
    export_lines,
    import_lines,
    replay_steps,
    workload_of,
)
from tdsl.records.workload import Epilogue
from tdsl.scheduling import Schedule

TARGET = td.target("llvm -mcpu=znver4")


def matmul(names="ABC", axes="ijk", size=64, relu=False, name="matmul"):
    a, b, c = names
    i, j, k = axes
    left = td.placeholder((size, size), "float32", name=a)
    right = td.placeholder((size, size), "float32", name=b)
    r = td.reduce_axis(size, name=k)
    scope = {}
    exec(  # the axes of a compute are named by the lambda's parameters
        f"make = lambda {i}, {j}: td.sum(left[{i}, r] * right[r, {j}], axis=r)",
        {"td": td, "left": left, "right": right, "r": r},
        scope,
    )
    product = td.compute((size, size), scope["make"], name=c)
    if not relu:
        return td.func(name, [left, right], [product])
    out = td.compute((size, size), lambda i, j: td.maximum(product[i, j], 0.0), name="D")
    return td.func(name, [left, right], [out])


def schedule(func):
    s = RecordingSchedule(func, TARGET)
    out = s.cache_write(s.blocks()[-1], "register")
    i, j = s.loops(out)
    io, jo, ii, ji = s.tile(i, j, 4, 32)
    s.compute_at(s.blocks()[0], at=jo)
    ci, cj, k = s.loops(s.blocks()[0])[-3:]
    s.reorder(k, ci, cj)
    s.cache_read(s.blocks()[0], func.inputs[1], at=jo)
    s.vectorize(ji)
    s.vectorize(cj)
    s.unroll(ci)
    s.unroll(ii)
    s.parallel(io)
    return s


def record(seconds=(0.25,), candidate=None, outcome=Outcome.OK, steps=()):
    return Record({"choices": {}, "knobs": candidate or {"t": 4}}, outcome, seconds, steps)


def test_steps_by_position_rebuild_the_schedule():
    s = schedule(matmul())
    again = RecordingSchedule(matmul(), TARGET)
    replay_steps(again, json.loads(json.dumps(s.steps)))
    assert str(again.nest) == str(s.nest)
    assert again.steps == s.steps


def test_steps_by_position_fit_an_algorithm_with_other_names():
    s = schedule(matmul())
    other = Schedule(matmul("XYZ", "pqr"), TARGET)
    replay_steps(other, s.steps)
    renamed = str(s.nest).translate(str.maketrans("ABCijk", "XYZpqr"))
    assert len(other.trace) == len(s.trace)
    assert str(other.nest).count("\n") == renamed.count("\n")


def test_steps_of_a_combinator_that_was_refused_are_not_recorded():
    @td.combinator
    def bad_pair(s):
        s.split("C.i", 4)
        s.parallel("C.k")

    s = RecordingSchedule(matmul(), TARGET)
    with pytest.raises(td.ScheduleError):
        bad_pair(s)
    assert s.steps == ()


def test_recorded_steps_that_skip_their_proof_are_not_replayed():
    step = {"do": "parallel", "args": [{"loop": [0, 2]}], "options": {"unsafe": True}}
    with pytest.raises(RecordError, match="skips its proof"):
        replay_steps(Schedule(matmul(), TARGET), [step])


@pytest.mark.parametrize(
    "step",
    [
        {"do": "split", "args": [{"loop": [0, 9]}, 4]},
        {"do": "split", "args": [{"loop": [-1, 0]}, 4]},
        {"do": "split", "args": "x"},
        {"args": []},
        {"do": "split", "args": [{"rope": 1}, 4]},
        7,
        None,
    ],
)
def test_a_damaged_step_is_an_error_of_the_record(step):
    with pytest.raises(RecordError):
        replay_steps(Schedule(matmul(), TARGET), [step])


def test_names_are_no_part_of_the_key_but_shapes_and_threads_are():
    def key(func, threads=2):
        return workload_of(func, TARGET, threads).key

    assert key(matmul()) == key(matmul("XYZ", "pqr", name="product"))
    assert key(matmul()) != key(matmul(size=32))
    assert key(matmul()) != key(matmul(), threads=1)
    assert key(matmul()) != key(matmul(relu=True))


def test_an_epilogue_keeps_the_anchor():
    plain, relu = (workload_of(matmul(relu=r), TARGET, 2) for r in (False, True))
    assert plain.anchor == relu.anchor
    assert (plain.epilogue, relu.epilogue) == (Epilogue.NONE, Epilogue.ELEMENTWISE)


def test_symbolic_sizes_need_numbers():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    f = td.func("twice", [a], [td.compute((n,), lambda i: a[i] * 2.0, name="B")])
    with pytest.raises(RecordError, match="N has no number"):
        workload_of(f, TARGET, 1)
    assert workload_of(f, TARGET, 1, {"N": 8}).shapes == "A: f32[8], B: f32[8]"


def test_records_come_back_as_they_were(tmp_path):
    w = workload_of(matmul(), TARGET, 2)
    with Database(tmp_path / "db") as db:
        db.add_workload(w)
        assert db.add(w.key, record((0.5, 0.25, 0.75)))
        assert not db.add(w.key, record((9.0,)))
        assert db.add(w.key, record((), {"t": 8}, Outcome.WRONG))
        assert db.add(w.key, record((), {"t": 9}, Outcome.REFUSED))
    with Database(tmp_path / "db") as db:
        assert db.workloads() == [w]
        assert [r.time for r in db.records(w.key)] == [0.25, None, None]
        assert db.trials(w.key) == 2
        assert [r.candidate["knobs"] for r in db.best(w.key, 5)] == [{"t": 4}]


def test_damaged_rows_are_skipped_and_counted(tmp_path):
    with Database(tmp_path / "db") as db:
        db.add("w", record())
        db.add("w", record((0.1,), {"t": 5}))
    with sqlite3.connect(tmp_path / "db") as link:
        link.execute("UPDATE records SET payload = substr(payload, 1, 30) WHERE id = 1")
        link.execute("INSERT INTO verdicts VALUES ('w', '{}')")
    with Database(tmp_path / "db") as db:
        assert [r.time for r in db.records("w")] == [0.1]
        assert db.verdict("w") is None
        assert db.damaged == 2


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "db"
    path.write_bytes(b"not a database at all, but long enough to be one" * 40)
    with pytest.raises(RecordError, match="is no database of tdsl"):
        Database(path)


def test_a_newer_database_is_refused(tmp_path):
    Database(tmp_path / "db").close()
    with sqlite3.connect(tmp_path / "db") as link:
        link.execute("UPDATE meta SET value = '99'")
    with pytest.raises(RecordError, match="version 99"):
        Database(tmp_path / "db")


def test_an_export_can_be_imported_even_torn(tmp_path):
    w = workload_of(matmul(), TARGET, 2)
    verdict = Verdict(2, False, {"a": 1}, (), "exact", 0.5, 1.0, 0.01, ("s.unroll",), 0)
    with Database(tmp_path / "one") as db:
        db.add_workload(w)
        db.add(w.key, record())
        db.add(w.key, record((0.1,), {"t": 5}))
        db.set_verdict(w.key, verdict)
        lines = list(export_lines(db, db.workloads()))
    with Database(tmp_path / "two") as db:
        report = import_lines(db, [*lines[:3], lines[3][:40], lines[4]])
        assert (report.added, report.known, report.damaged) == (1, 0, 1)
        again = import_lines(db, lines)
        assert (again.added, again.known, again.damaged) == (1, 1, 0)
        assert db.verdict(w.key) == verdict
        assert db.workloads() == [w]


def test_an_import_of_something_else_is_refused(tmp_path):
    with Database(tmp_path / "db") as db, pytest.raises(RecordError, match="no export"):
        import_lines(db, ["hello"])
    with Database(tmp_path / "db") as db, pytest.raises(RecordError, match="version 99"):
        import_lines(db, ['{"tdsl_records": 99}'])

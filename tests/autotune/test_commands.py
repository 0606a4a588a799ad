"""`tdsl tune` and `tdsl db` on a workload whose trials are all made, and on bad input."""

import json
import sys

import numpy as np
import onnx
import pytest

import tdsl as td
from tdsl.autotune.tuning import tune
from tdsl.cli import main
from tdsl.cli.tuning import task_for
from tdsl.runtime import pool
from tests.autotune.fakes import FakeMeasurer, made_up
from tests.graph.onnx_models import ModelBuilder

TRIALS = 12
TUNED = ("tune", "relu", "-s", "4096", "--threads", "1", "--trials", str(TRIALS))


@pytest.fixture
def db(tmp_path):
    """A database in which relu is tuned; its times are made up, and the default is slow."""
    task = task_for("relu", "4096", target=None, threads=1)
    default = str(td.default_schedule(task.func).program)

    def seconds(program):
        return 5e-3 if program == default else made_up(program)

    path = tmp_path / "db"
    tune(task, TRIALS, db=path, search="random", measurer=FakeMeasurer(seconds))
    return path


@pytest.fixture
def tdsl(monkeypatch, capsys):
    """Runs a command line: the exit status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tdsl", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return ended.value.code or 0, shown.out, shown.err

    return run


def test_a_finished_run_measures_nothing_and_prints_json_alone(tdsl, db, tmp_path):
    file = tmp_path / "relu.schedule"
    status, out, _ = tdsl(*TUNED, "--db", db, "--json", "--out", file)
    result = json.loads(out)
    assert status == 0
    assert (result["trials"], result["measured"], result["file"]) == (TRIALS, 0, str(file))
    assert tdsl("check", file)[0] == 0
    again = json.loads(tdsl(*TUNED, "--db", db, "--json")[1])
    assert {**again, "file": str(file)} == result


def test_a_read_only_database_is_read_and_says_that_it_takes_nothing(tdsl, db, monkeypatch):
    monkeypatch.setattr("tdsl.records.store._is_read_only", lambda path: True)
    assert f"{TRIALS} (0 measured now)" in tdsl(*TUNED, "--db", db)[1]
    assert "relu" in tdsl("db", "ls", "--db", db)[1]
    status, _, err = tdsl("tune", "softmax", "-s", "4x8", "--db", db)
    assert status != 0
    assert "is read-only" in " ".join(err.split())
    assert "--db" in err


def test_sizes_for_an_algorithm_that_has_none_are_told(tdsl, tmp_path):
    file = tmp_path / "fixed.py"
    file.write_text(
        "import tdsl as td\nA = td.placeholder((8,), 'float32', name='A')\n"
        "f = td.func('f', [A], [td.compute((8,), lambda i: A[i] + 1.0, name='B')])\n"
    )
    status, _, err = tdsl("tune", f"{file}:f", "-s", "4")
    assert status != 0
    assert "f has no symbolic sizes, and 1 numbers were given" in " ".join(err.split())


def test_without_json_a_summary_is_printed(tdsl, db):
    status, out, _ = tdsl(*TUNED, "--db", db)
    assert status == 0
    assert f"{TRIALS} (0 measured now)" in out


def test_a_tuned_schedule_is_built(db, monkeypatch):
    monkeypatch.setenv("TDSL_DB", str(db))
    monkeypatch.setenv("TDSL_NUM_THREADS", "1")
    func = task_for("relu", "4096", target=None, threads=1).func
    x = np.linspace(-1, 1, 4096, dtype=np.float32)
    assert np.array_equal(td.build(func, schedule="tuned")(x), np.maximum(x, 0))
    unknown = task_for("softmax", "4x8", target=None, threads=1).func
    with pytest.raises(td.TdslError, match="no tuned schedule is recorded for softmax"):
        td.build(unknown, schedule="tuned")


def test_records_are_listed_shown_and_moved(tdsl, db, tmp_path):
    (row,) = json.loads(tdsl("db", "ls", "--db", db, "--json")[1])
    assert (row["name"], row["trials"]) == ("relu", TRIALS)
    assert "relu" in tdsl("db", "ls", "--db", db)[1]
    assert len(json.loads(tdsl("db", "show", "relu", "--db", db, "--json")[1])) == TRIALS
    best = json.loads(tdsl("db", "best", "relu", "--db", db, "--json")[1])
    assert best["workload"] == row["key"]
    file, moved = tmp_path / "relu.jsonl", tmp_path / "moved"
    assert tdsl("db", "export", "relu", "--db", db, "--out", file)[0] == 0
    assert tdsl("db", "import", file, "--db", moved)[0] == 0
    (copied,) = json.loads(tdsl("db", "ls", "--db", moved, "--json")[1])
    assert copied == row


def test_the_kernels_of_a_model_are_tuned_with_their_weights_packed(tdsl, tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "db"))
    b = ModelBuilder()
    b.op("Relu", b.op("MatMul", "x", b.weight(64, 96)))
    path = tmp_path / "small.onnx"
    onnx.save(b.model({"x": ("float32", ["rows", 64])}, ["v1_0"]), path)
    threads = ("--threads", str(pool.num_threads()))
    arguments = ("tune", path, "--trials", "2", "--search", "random", *threads)
    status, out, err = tdsl(*arguments, "-s", "rows=40")
    assert status == 0, err
    assert "const f32[64x96]" in out
    assert "of 1 kernels got a quicker schedule" in out
    assert "2 (0 measured now)" in tdsl(*arguments, "-s", "rows=40")[1]
    session = td.Session(path, schedules="tuned")
    session.run({"x": np.ones((40, 64), np.float32)})
    assert len(session.report.tuned) == 1
    assert "extents with names" in tdsl(*arguments, "-s", "40x64")[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "rellu", "-s", "4"], "did you mean relu"),
        (["tune", "relu"], "relu takes 1 size, N, got 0"),
        (["tune", "conv2d", "-s", "1x3x8x8x4x2"], "R = 1 or 3"),
        (["tune", "max_pool2d", "-s", "1x1x2x2x5"], "nothing to measure: Y is 1 x 1 x 0 x 0"),
        (["tune", "relu", "-s", "axb"], "'axb' are not numbers"),
        (["tune", "relu", "-s", "0"], "nothing to measure where a size is 0"),
        (["tune", "relu", "-s", "4", "--trials", "0"], "--trials"),
        (["tune", "relu", "-s", "4", "--seconds", "-1"], "--seconds"),
        (["tune", "relu", "-s", "4", "--seed", "-1"], "--seed"),
        (["tune", "relu", "-s", "4", "--threads", "0"], "--threads"),
        (["tune", "relu", "-s", "4", "--search", "luck"], "no search 'luck'"),
        (["tune", "relu", "-s", "4", "--target", "vax"], "unknown target 'vax'"),
        (["tune", "relu", "-s", "4", "--out", "/no/such/file"], "there is no folder /no/such"),
        (["tune", "relu", "-s", "4", "--out", "/"], "/ is a folder"),
        (["tune", "relu", "-s", "4", "--db", "/proc/no/db"], "cannot make the folder /proc/no"),
        (["tune", "none.onnx"], "there is no file none.onnx"),
        (["tune", "m.onnx", "--out", "x"], "a model has one for each kernel"),
        (["tune", "nothing.py:f"], "there is no file nothing.py"),
        (["db", "ls", "--db", "/no/such/db"], "there is no database /no/such/db"),
        (["db", "import", "/no/such/file"], "there is no file /no/such/file"),
    ],
)
def test_bad_input_is_told_without_a_traceback(tdsl, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "db"))
    status, out, err = tdsl(*arguments)
    assert status != 0
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert out == ""

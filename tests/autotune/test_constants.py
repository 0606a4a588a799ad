"""Kernels whose constants are packed when a model is loaded: tuned that way, found that way."""

import re

import numpy as np
import pytest

import tdsl as td
from tdsl.autotune.lookup import NotTuned, tuned_schedule
from tdsl.autotune.measure import Limits
from tdsl.autotune.session import Options
from tdsl.autotune.tasks import task_of
from tdsl.autotune.tuning import tune
from tdsl.records import Database, Outcome, RecordError
from tdsl.runtime import pool
from tests.autotune.fakes import FakeMeasurer
from tests.graph.test_packing import product

QUICK = Options(limits=Limits(repeat=1, min_repeat_ms=1.0))


@pytest.fixture
def database(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "db"))
    return tmp_path / "db"


def test_candidates_with_packed_weights_are_measured_and_serve_the_model(database):
    g, w, x = product()
    (func,) = td.Session(g).algorithms
    task = task_of(func, constants=["x1"], threads=pool.num_threads())
    (result,) = tune(task, 4, db=database, search="random", options=QUICK)
    with Database(database) as db:
        records = db.records(task.workload.key)
    packed = [r for r in records if any(s["do"] == "transform_layout" for s in r.steps)]
    assert packed
    assert all(record.outcome is Outcome.OK for record in packed), packed[0].error
    session = td.Session(g, schedules="tuned")
    assert session.report.tuned == (func.name,)
    got = session.run({"x": x})["y"]
    np.testing.assert_allclose(got, np.maximum(x @ w.T, 0), rtol=1e-4, atol=1e-4)
    assert "const f32[96x64]" in str(result.task.workload)


def test_the_winner_takes_packed_weights(database):
    g, w, x = product()
    (func,) = td.Session(g).algorithms

    def seconds(program):
        narrow = re.search(r"^(?!.*alloc).*layout\(.* // (16|32|48)\b", program, re.MULTILINE)
        return 1e-6 if narrow else 1e-3

    task = task_of(func, constants=["x1"], threads=pool.num_threads())
    (result,) = tune(task, 12, db=database, search="random", measurer=FakeMeasurer(seconds))
    schedule = tuned_schedule(func, constants=["x1"], threads=pool.num_threads())
    assert result.verdict.candidate is not None
    assert any(param.layout is not None for param in schedule.program.params)
    session = td.Session(g, schedules="tuned")
    (step,) = session._last().executable.steps
    assert "x1" in step.kernel.packed
    assert step.inputs[1].name.endswith(".packed")
    got = session.run({"x": x})["y"]
    np.testing.assert_allclose(got, np.maximum(x @ w.T, 0), rtol=1e-4, atol=1e-4)


def test_constants_make_another_workload(database):
    g, _, _ = product()
    (func,) = td.Session(g).algorithms
    plain, packed = task_of(func, threads=1), task_of(func, constants=["x1"], threads=1)
    assert plain.workload.key != packed.workload.key
    assert plain.workload.anchor != packed.workload.anchor
    tune(packed, 2, db=database, search="random", measurer=FakeMeasurer())
    with pytest.raises(NotTuned):
        tuned_schedule(func, threads=1)
    with pytest.raises(RecordError, match="no input 'w' that could be constant"):
        _ = task_of(func, constants=["w"]).workload

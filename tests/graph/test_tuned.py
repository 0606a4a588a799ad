import numpy as np
import pytest

import tdsl as td
from tdsl.records import Database, Outcome, Record, RecordingSchedule, workload_of
from tdsl.runtime import pool
from tests.graph.test_packing import product


def model():
    g = td.graph.Graph()
    x = g.input("x", (6, 40))
    g.output("y", g.apply("exp", x))
    g.output("z", g.apply("tanh", x))
    return g


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A database that knows a schedule of the model's first kernel."""
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "db"))
    (func, *_) = td.Session(model()).algorithms
    s = RecordingSchedule(func, td.target("llvm"))
    s.vectorize(s.split(s.loops(func.outputs[0].name)[1], 8)[1])
    workload = workload_of(func, td.target("llvm"), pool.num_threads())
    with Database() as db:
        db.add_workload(workload)
        db.add(workload.key, Record({"vectors": 8}, Outcome.OK, (1e-6,), s.steps))
    return func


def test_kernels_take_recorded_schedules_and_defaults_otherwise(recorded):
    session = td.Session(model(), schedules="tuned")
    assert session.report.tuned == (recorded.name,)
    assert f"tuned: {recorded.name}" in str(session.report)
    first = session._last().executable.steps[0].kernel
    assert "vectorized(8)" in first.source("ir")
    x = np.linspace(-1, 1, 240, dtype=np.float32).reshape(6, 40)
    got = session.run({"x": x})
    np.testing.assert_allclose(got["y"], np.exp(x), rtol=1e-6)
    np.testing.assert_allclose(got["z"], np.tanh(x), rtol=1e-6)


def test_without_records_the_defaults_are_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "none"))
    session = td.Session(model(), schedules="tuned")
    assert session.report.tuned == ()


def test_weights_stay_packed_ahead(recorded):
    g, w, x = product()
    session = td.Session(g, schedules="tuned")
    (step,) = session._last().executable.steps
    assert step.kernel.packed
    want = np.maximum(x @ w.T, 0)
    np.testing.assert_allclose(session.run({"x": x})["y"], want, rtol=1e-4, atol=1e-4)

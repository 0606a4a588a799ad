import json

import numpy as np
import onnx
import pytest

import tdsl as td
from tdsl.graph import parallel_compile
from tests.graph.onnx_models import ModelBuilder


class Process:
    """Stands for a helper: notes what it was asked, and that it was ended."""

    def __init__(self, command, **_):
        self.task = json.loads(command[-1])
        self.ended = False
        started.append(self)

    def terminate(self):
        self.ended = True

    def wait(self):
        assert self.ended


started: list[Process] = []


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A file with three different kernels, an empty cache, and two processors."""
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path / "objects"))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    b = ModelBuilder()
    x = b.op("Relu", b.op("MatMul", "x", b.weight(8, 24)))
    x = b.op("Tanh", b.op("MatMul", x, b.weight(24, 40)))
    proto = b.model({"x": ("float32", [5, 8])}, [b.op("Softmax", x, axis=-1)])
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def processes(monkeypatch):
    started.clear()
    monkeypatch.setattr("subprocess.Popen", Process)
    return started


def test_helpers_start_where_kernels_are_missing_and_end_with_the_compilation(model, processes):
    td.Session(model)
    (process,) = processes
    assert process.ended
    assert process.task["shapes"] == {"x": [5, 8]}
    td.Session(model)
    assert len(processes) == 1


def fill_cache(path, shapes, others=None):
    """As a helper does that is alone."""
    task = {
        "path": str(path), "shapes": shapes, "others": others, "target": None, "disabled": [],
        "number": 0, "count": 1,
    }  # fmt: skip
    parallel_compile.main(json.dumps(task))


def refuse_schedules(monkeypatch):
    monkeypatch.setattr(
        "tdsl.graph.compile.default_schedule", lambda *_: pytest.fail("it was scheduled again")
    )


def test_a_helper_fills_the_cache(model, processes, monkeypatch):
    fill_cache(model, {"x": [5, 8]})
    refuse_schedules(monkeypatch)
    got = td.Session(model).run({"x": np.ones((5, 8), np.float32)})
    assert not processes
    np.testing.assert_allclose(next(iter(got.values())).sum(1), 1, rtol=1e-5)


def test_a_helper_compiles_kernels_of_symbolic_sizes(model, processes, monkeypatch):
    proto = onnx.load(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    onnx.save(proto, model)
    fill_cache(model, {"x": [5, 8]}, {"x": [10, 8]})
    refuse_schedules(monkeypatch)
    session = td.Session(model)
    for n in (5, 3):
        session.run({"x": np.ones((n, 8), np.float32)})
    assert session.symbolic_count == 3
    assert not processes


def test_helpers_end_when_a_compilation_fails(model, processes, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tdsl.graph.compile.Executable", interrupted)
    with pytest.raises(KeyboardInterrupt):
        td.Session(model)
    assert [process.ended for process in processes] == [True]

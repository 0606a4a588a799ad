import json

import numpy as np
from typer.testing import CliRunner

from tdsl.cli.main import app
from tests.graph.nets import residual_net


def model_file(folder):
    model, inputs = residual_net()
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return str(path), inputs


def test_run_writes_outputs_and_explains_fusion(tmp_path):
    path, inputs = model_file(tmp_path)
    (name, (_, shape)), *_ = inputs.items()
    np.savez(tmp_path / "in.npz", **{name: np.ones(shape, np.float32)})
    files = ["--inputs", str(tmp_path / "in.npz"), "--outputs", str(tmp_path / "out.npz")]
    done = CliRunner().invoke(app, ["run", path, *files, "--report"])
    assert done.exit_code == 0, done.output
    assert "not fused:" in done.output
    (result,) = dict(np.load(tmp_path / "out.npz")).values()
    assert result.shape == (1, 10)


def test_bench_reports_figures_and_a_trace(tmp_path):
    path, _ = model_file(tmp_path)
    trace = tmp_path / "trace.json"
    arguments = ["bench", path, "--runs", "2", "--json", "--trace", str(trace)]
    arguments += ["--schedules", "tuned", "--target", "llvm"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output)
    events = json.loads(trace.read_text())["traceEvents"]
    assert len(events) == figures["kernels"]
    assert 0 < figures["best_ms"] <= figures["median_ms"]


def test_a_target_that_is_not_there_is_told(tmp_path):
    path, _ = model_file(tmp_path)
    done = CliRunner().invoke(app, ["run", path, "--target", "cuda"])
    assert done.exit_code != 0
    assert "unknown target 'cuda'" in str(done.exception)

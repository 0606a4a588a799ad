import numpy as np
import pytest

import tdsl as td
from tests.graph.onnx_models import ModelBuilder


def product(width=96, rows=40, twice=False):
    rng = np.random.default_rng(0)
    g = td.graph.Graph()
    x = g.input("x", (rows, 64))
    w = rng.standard_normal((width, 64)).astype(np.float32)
    weights = g.constant(w)
    y = g.apply("relu", g.matmul(x, weights, transpose_b=True))
    g.output("y", y)
    if twice:
        g.output("z", g.apply("relu", g.matmul(g.apply("exp", x), weights, transpose_b=True)))
    return g, w, rng.standard_normal((rows, 64)).astype(np.float32)


def packed_inputs(session):
    steps = session._last().executable.steps
    return [v for step in steps for v in step.inputs if v.name.endswith(".packed")]


def test_weights_are_packed_once_when_the_model_is_compiled():
    g, w, x = product()
    session = td.Session(g)
    (value,) = packed_inputs(session)
    assert len(value.shape) == 3
    assert "packed constants 0.0" in session.report.memory
    np.testing.assert_allclose(
        session.run({"x": x})["y"], np.maximum(x @ w.T, 0), rtol=1e-4, atol=1e-4
    )


def test_kernels_of_one_form_share_a_packed_constant():
    g, w, x = product(twice=True)
    session = td.Session(g)
    values = packed_inputs(session)
    assert len(values) == 2
    assert values[0] is values[1]
    got = session.run({"x": x})
    np.testing.assert_allclose(got["z"], np.maximum(np.exp(x) @ w.T, 0), rtol=1e-4, atol=1e-4)


def test_an_operand_that_varies_is_not_packed_ahead():
    g = td.graph.Graph()
    x, y = g.input("x", (40, 64)), g.input("y", (64, 96))
    g.output("z", g.matmul(x, y))
    session = td.Session(g)
    assert not packed_inputs(session)
    a, b = np.ones((40, 64), np.float32), np.ones((64, 96), np.float32)
    np.testing.assert_array_equal(session.run({"x": a, "y": b})["z"], a @ b)


def test_a_model_of_any_batch_packs_its_weights_once():
    b = ModelBuilder()
    w = b.weight(64, 96)
    inputs = {"x": ("float32", ["batch", 64])}
    session = td.Session(b.model(inputs, [b.op("Relu", b.op("MatMul", "x", w))]))
    found = set()
    for rows in (40, 64, 100):
        x = np.ones((rows, 64), np.float32)
        session.run({"x": x})
        (value,) = packed_inputs(session)
        found.add(value)
    assert session.compiled_count == 3
    assert len(found) == 1


def test_a_model_whose_compilation_was_interrupted_compiles_again(monkeypatch, tmp_path):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path / "objects"))
    g, w, x = product()

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tdsl.driver.compile_text", interrupted)
        with pytest.raises(KeyboardInterrupt):
            td.Session(g)
    assert not [path for path in (tmp_path / "objects").glob("*") if path.suffix == ".tmp"]
    got = td.Session(g).run({"x": x})["y"]
    np.testing.assert_allclose(got, np.maximum(x @ w.T, 0), rtol=1e-4, atol=1e-4)

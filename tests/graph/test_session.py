import numpy as np
import pytest

import tdsl as td
from tdsl.graph import FeedError, FeedTypeError, GraphError
from tests.graph.nets import encoder, residual_net
from tests.graph.onnx_models import ModelBuilder, assert_close, onnxruntime, random_feeds


def linear_model(opset=17):
    b = ModelBuilder()
    y = b.op("Relu", b.op("Gemm", "x", b.weight(4, 5), b.weight(5)))
    inputs = {"x": ("float32", ["batch", 4])}
    return b.model(inputs, [y], opset), inputs, y


def test_a_residual_net_agrees_with_onnxruntime(tmp_path):
    model, inputs = residual_net()
    feeds = random_feeds(inputs)
    session = td.Session(model)
    assert_close(session.run(feeds), onnxruntime(model, feeds, tmp_path))
    assert session.report.kernels <= 10


def test_an_encoder_agrees_with_onnxruntime_for_any_batch(tmp_path):
    model, inputs = encoder()
    session = td.Session(model)
    assert session.compiled_count == 0
    for batch in (1, 3):
        feeds = random_feeds(inputs, batch=batch)
        assert_close(session.run(feeds), onnxruntime(model, feeds, tmp_path))
    assert session.compiled_count == 2
    session.run(feeds)
    assert session.compiled_count == 2


@pytest.mark.parametrize("disabled", [["fusion"], ["scales"], ["constants", "fusion"]])
def test_passes_left_out_change_no_result(disabled):
    model, inputs = residual_net()
    feeds = random_feeds(inputs)
    plain = td.Session(model, disabled_passes=disabled)
    assert_close(td.Session(model).run(feeds), plain.run(feeds), 1e-5)


def test_a_model_is_a_path_or_bytes_or_a_proto(tmp_path):
    model, inputs, _ = linear_model()
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    feeds = random_feeds(inputs, batch=2)
    results = [td.Session(m).run(feeds) for m in (path, str(path), path.read_bytes(), model)]
    for other in results[1:]:
        assert_close(other, results[0], 0)


def test_outputs_are_chosen_by_name():
    model, inputs, name = linear_model()
    session = td.Session(model)
    feeds = random_feeds(inputs, batch=1)
    assert list(session.run(feeds, [name])) == [name]
    with pytest.raises(FeedError, match="has no output 'other'"):
        session.run(feeds, ["other"])


def test_results_of_a_run_outlive_the_next():
    model, inputs, name = linear_model()
    session = td.Session(model)
    first = session.run(random_feeds(inputs, batch=2))[name]
    kept = first.copy()
    session.run(random_feeds(inputs, seed=1, batch=2))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("feeds", "error", "message"),
    [
        ({}, FeedError, "input 'x' is missing"),
        ({"x": np.ones((2, 4), "f"), "y": 1}, FeedError, "no input 'y'"),
        ({"x": np.ones((2, 3), "f")}, FeedError, "axis 1 is 4, got 3"),
        ({"x": np.ones(4, "f")}, FeedError, "has 2 axes, got 1"),
        ({"x": np.ones((2, 4))}, FeedTypeError, "is float32, got float64"),
    ],
)
def test_feeds_that_do_not_fit_are_refused(feeds, error, message):
    model, _, _ = linear_model()
    with pytest.raises(error, match=message):
        td.Session(model).run(feeds)


def test_extents_of_one_name_must_agree():
    b = ModelBuilder()
    inputs = {"x": ("float32", ["n", 2]), "y": ("float32", ["n", 2])}
    model = b.model(inputs, [b.op("Add", "x", "y")])
    with pytest.raises(FeedError, match=r"axis 0 \(n\) is 3, but 2 in input 'x', axis 0"):
        td.Session(model).run({"x": np.ones((2, 2), "f"), "y": np.ones((3, 2), "f")})


def test_shapes_may_depend_on_the_value_of_an_input():
    b = ModelBuilder()
    inputs = {"x": ("float32", [2, 6]), "shape": ("int64", [2])}
    model = b.model(inputs, [name := b.op("Relu", b.op("Reshape", "x", "shape"))])
    session = td.Session(model)
    x = np.arange(12, dtype="f").reshape(2, 6)
    for shape in ([3, 4], [4, 3], [3, 4]):
        got = session.run({"x": x, "shape": np.array(shape)})[name]
        np.testing.assert_array_equal(got, x.reshape(shape))
    assert session.compiled_count == 2


def test_extents_may_depend_on_the_value_of_an_input():
    b = ModelBuilder()
    inputs = {"x": ("float32", [4, 3]), "kept": ("bool", [4]), "ids": ("int64", [6])}
    rows = b.op("Relu", b.op("Compress", "x", "kept", axis=0))
    places = b.op("NonZero", b.op("Greater", "ids", b.constant(np.int64(2))))
    different = b.op("Unique", "ids", results=4, sorted=0)
    session = td.Session(b.model(inputs, [rows, places, *different], opset=20))
    x = np.arange(12, dtype="f").reshape(4, 3) - 5
    for flags, numbers in (([1, 0, 0, 1], [5, 2, 5, 0, 3, 2]), ([0, 0, 0, 0], [1] * 6)):
        kept, ids = np.array(flags, bool), np.array(numbers)
        got = session.run({"x": x, "kept": kept, "ids": ids})
        np.testing.assert_array_equal(got[rows], np.maximum(x[kept], 0))
        np.testing.assert_array_equal(got[places], [np.flatnonzero(ids > 2)])
        values, first, inverse, counts = (got[name] for name in different)
        assert list(values) == list(dict.fromkeys(ids))
        np.testing.assert_array_equal(ids[first], values)
        np.testing.assert_array_equal(values[inverse], ids)
        assert counts.sum() == len(ids)


def test_plans_for_values_of_inputs_do_not_pile_up():
    b = ModelBuilder()
    inputs = {"x": ("int64", [2])}
    session = td.Session(b.model(inputs, [name := b.op("NonZero", "x")]))
    for n in range(20):
        got = session.run({"x": np.array([n, 0])})[name]
        assert got.shape == (1, int(n > 0))
    assert session.compiled_count == 16


def test_counting_what_a_product_makes_is_refused():
    b = ModelBuilder()
    y = b.op("NonZero", b.op("MatMul", "x", b.weight(3, 3)))
    with pytest.raises(GraphError, match=r"NonZero of what a product .* is not supported"):
        td.Session(b.model({"x": ("float32", [2, 3])}, [y]))


def test_outputs_that_are_inputs_or_constants_are_copied():
    b = ModelBuilder()
    inputs = {"x": ("float32", [3])}
    same = b.op("Identity", "x")
    known = b.op("Identity", b.constant(np.ones(2, "f")))
    flat = b.op("Reshape", "x", b.constant(np.array([3, 1])))
    session = td.Session(b.model(inputs, [same, known, flat]))
    x = np.arange(3, dtype="f")
    got = session.run({"x": x})
    assert not np.shares_memory(got[same], x)
    np.testing.assert_array_equal(got[flat], x.reshape(3, 1))
    np.testing.assert_array_equal(got[known], np.ones(2))


def test_an_index_out_of_range_is_reported():
    b = ModelBuilder()
    inputs = {"ids": ("int64", [2])}
    session = td.Session(b.model(inputs, [b.op("Gather", b.weight(5, 3), "ids")]))
    with pytest.raises(IndexError, match="index 7 is out of range"):
        session.run({"ids": np.array([1, 7])})


def test_a_graph_built_by_hand_runs():
    g = td.graph.Graph()
    x = g.input("x", (2, 3, 8, 8))
    w = g.constant(np.full((4, 3, 3, 3), 0.5, np.float32))
    g.output("y", g.apply("relu", g.conv(x, w)))
    feed = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    got = td.Session(g).run({"x": feed})["y"]
    windows = np.lib.stride_tricks.sliding_window_view(feed, (3, 3), (2, 3))
    want = np.maximum(0.5 * windows.sum((1, 4, 5)), 0)[:, None]
    np.testing.assert_allclose(got, np.broadcast_to(want, got.shape), rtol=1e-5, atol=1e-5)


def test_a_profile_names_every_kernel():
    model, inputs = residual_net()
    session = td.Session(model)
    profile = session.profile(random_feeds(inputs), runs=2)
    assert len(profile.entries) == session.report.kernels
    assert "conv_add_relu" in str(profile)
    assert '"ph": "X"' in profile.chrome_trace()

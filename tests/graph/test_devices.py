"""Models on OpenCL devices, and targets that this machine cannot run."""

import numpy as np
import pytest

import tdsl as td
from tdsl.errors import LoweringError
from tests.graph.nets import encoder
from tests.graph.onnx_models import ModelBuilder, assert_close, random_feeds

pytestmark = pytest.mark.usefixtures("opencl")


def both(model, feeds):
    """What a device and this machine's processor compute."""
    return td.Session(model, target="opencl").run(feeds), td.Session(model).run(feeds)


def test_an_encoder_agrees_with_the_processor():
    model, inputs = encoder(length=6, width=8)
    assert_close(*both(model, random_feeds(inputs, batch=2)))


def test_a_convolution_and_its_pooling_agree_with_the_processor():
    b = ModelBuilder()
    y = b.op("Relu", b.op("Conv", "x", b.weight(8, 3, 3, 3), b.weight(8), pads=[1, 1, 1, 1]))
    y = b.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    inputs = {"x": ("float32", [2, 3, 10, 10])}
    assert_close(*both(b.model(inputs, [y]), random_feeds(inputs)))


def test_values_that_begin_inside_others_are_copied():
    b = ModelBuilder()
    inputs = {"x": ("float32", [6, 3])}
    doubled = b.op("Add", "x", "x")
    parts = [b.constant(np.array([n])) for n in (0, 1, 4, 6)]
    cut = [
        b.op("Slice", value, parts[start], parts[start + 1], b.constant(np.array([0])))
        for value in (doubled, "x")
        for start in (1, 2)
    ]
    flat = b.op("Reshape", cut[0], b.constant(np.array([9])))
    known = b.op("Slice", b.weight(6, 3), parts[1], parts[2], b.constant(np.array([0])))
    results = [b.op("Relu", flat), *cut[1:], b.op("Mul", cut[2], known)]
    assert_close(*both(b.model(inputs, results), random_feeds(inputs)), 0)


def test_results_of_a_run_outlive_the_next_and_profiles_name_kernels():
    b = ModelBuilder()
    y = b.op("Softmax", b.op("MatMul", "x", b.weight(4, 5)))
    session = td.Session(b.model({"x": ("float32", [3, 4])}, [y]), target="opencl")
    x = np.ones((3, 4), "f")
    first = session.run({"x": x})[y]
    kept = first.copy()
    session.run({"x": -x})
    np.testing.assert_array_equal(first, kept)
    profile = session.profile({"x": x}, runs=2)
    assert [entry.name for entry in profile.entries] == ["matmul", "softmax"]
    assert all(entry.seconds > 0 for entry in profile.entries)
    assert "MiB between kernels" in session.report.memory


def test_an_index_out_of_range_is_reported():
    b = ModelBuilder()
    model = b.model({"ids": ("int64", [2])}, [b.op("Gather", b.weight(5, 3), "ids")])
    session = td.Session(model, target="opencl")
    with pytest.raises(IndexError, match="index 7 is out of range"):
        session.run({"ids": np.array([1, 7])})


def test_a_processor_of_another_kind_is_refused():
    b = ModelBuilder()
    model = b.model({"x": ("float32", [2])}, [b.op("Relu", "x")])
    other = "neoverse-n1" if td.target("llvm").triple.startswith("x86") else "znver4"
    with pytest.raises(LoweringError, match="does not run on this machine"):
        td.Session(model, target=f"llvm -mcpu={other}")

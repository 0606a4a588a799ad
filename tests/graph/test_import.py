import numpy as np
import pytest
from onnx import TensorProto, helper

import tdsl as td
from tdsl.graph import GraphError, ModelFormatError, UnsupportedModelError
from tdsl.graph.onnx_import.importer import OnnxModel
from tdsl.graph.onnx_import.limits import Limits
from tests.graph.onnx_models import ModelBuilder


def external_model(folder, location, length="8"):
    b = ModelBuilder()
    inputs = {"x": ("float32", [2])}
    model = b.model(inputs, [b.op("Add", "x", "w")])
    tensor = model.graph.initializer.add(name="w", dims=[2], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("length", length)):
        tensor.external_data.add(key=key, value=value)
    (folder / "w.bin").write_bytes(np.array([1, 2], np.float32).tobytes())
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_external_data_are_read_from_beside_the_model(tmp_path):
    session = td.Session(external_model(tmp_path, "w.bin"))
    (got,) = session.run({"x": np.zeros(2, np.float32)}).values()
    np.testing.assert_array_equal(got, [1, 2])


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "", "link/secret"])
def test_external_data_never_leave_the_models_folder(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(8))
    (tmp_path / "secret").write_bytes(bytes(8))
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ModelFormatError, match="outside of"):
        td.Session(external_model(folder, location))


def test_external_data_of_a_wrong_length_are_refused(tmp_path):
    with pytest.raises(ModelFormatError, match="takes 8 bytes"):
        td.Session(external_model(tmp_path, "w.bin", length="800"))


def test_bytes_with_external_data_are_refused(tmp_path):
    path = external_model(tmp_path, "w.bin")
    with pytest.raises(ModelFormatError, match="kept in a file beside the model"):
        td.Session(path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"not a model at all", bytes(100)])
def test_other_bytes_are_no_model(data):
    with pytest.raises(ModelFormatError, match="no ONNX model"):
        td.Session(data)


def test_a_constant_shorter_than_its_shape_is_refused():
    b = ModelBuilder()
    model = b.model({"x": ("float32", [2])}, [b.op("Add", "x", "w")])
    model.graph.initializer.add(name="w", dims=[1 << 40], data_type=1, raw_data=bytes(8))
    with pytest.raises(ModelFormatError, match="would take"):
        td.Session(model)


def test_nodes_out_of_order_are_refused():
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Relu", ["x"], ["a"])]
    b = ModelBuilder()
    b.nodes = nodes
    with pytest.raises(ModelFormatError, match="reads 'a', which nothing before it computes"):
        td.Session(b.model({"x": ("float32", [2])}, ["y"]))


def test_unsupported_operators_are_listed_all_at_once():
    b = ModelBuilder()
    x = b.op("NonMaxSuppression", "x")
    b.op("TfIdfVectorizer", x)
    b.op("NonMaxSuppression", x)
    with pytest.raises(UnsupportedModelError) as caught:
        td.Session(b.model({"x": ("float32", [2])}, [x]))
    assert caught.value.problems == (
        "NonMaxSuppression (opset 17), 2 times",
        "TfIdfVectorizer (opset 17), once",
    )


def test_an_error_names_the_node():
    b = ModelBuilder()
    y = b.op("MatMul", "x", b.weight(3, 2), name="projection")
    with pytest.raises(GraphError, match=r"projection \(MatMul\): matrices of shapes"):
        td.Session(b.model({"x": ("float32", [2, 4])}, [y]))


def test_a_model_without_an_opset_is_refused():
    b = ModelBuilder()
    with pytest.raises(GraphError, match="opset 0"):
        td.Session(b.model({"x": ("float32", [2])}, [b.op("Relu", "x")], opset=0))


def test_functions_of_a_model_are_expanded():
    b = ModelBuilder()
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    versions = [helper.make_opsetid("", 17)]
    double = helper.make_function("mine", "Double", ["a"], ["b"], body, versions)
    y = b.op("Double", "x", domain="mine")
    model = b.model({"x": ("float32", [2])}, [y])
    model.functions.append(double)
    model.opset_import.append(helper.make_opsetid("mine", 1))
    (got,) = td.Session(model).run({"x": np.ones(2, np.float32)}).values()
    np.testing.assert_array_equal(got, [2, 2])


def test_composed_operators_are_expanded():
    b = ModelBuilder()
    y = b.op("MeanVarianceNormalization", "x")
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32)
    (got,) = td.Session(b.model({"x": ("float32", x.shape)}, [y])).run({"x": x}).values()
    axes = (0, 2, 3)
    want = (x - x.mean(axes, keepdims=True)) / x.std(axes, keepdims=True)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_the_logarithm_of_all_exponentials_in_doubles():
    b = ModelBuilder()
    y = b.op("ReduceLogSumExp", "x", keepdims=0)
    x = np.random.default_rng(0).standard_normal((3, 2, 2))
    model = b.model({"x": ("float64", x.shape)}, [y])
    (got,) = td.Session(model).run({"x": x}).values()
    np.testing.assert_allclose(got, np.log(np.exp(x).sum()), rtol=1e-12)


def test_branches_and_loops_disappear():
    b = ModelBuilder()
    values = [helper.make_tensor_value_info(n, 1, [2]) for n in ("then", "else")]
    bodies = [
        helper.make_graph([helper.make_node(kind, ["x", "x"], [info.name])], kind, [], [info])
        for kind, info in zip(("Add", "Mul"), values, strict=True)
    ]
    b.constants.append(helper.make_tensor("test", TensorProto.BOOL, [], [True]))
    y = b.op("If", "test", then_branch=bodies[0], else_branch=bodies[1])
    model = b.model({"x": ("float32", [2])}, [y])
    (got,) = td.Session(model).run({"x": np.array([3, 4], np.float32)}).values()
    np.testing.assert_array_equal(got, [6, 8])


def test_loops_that_never_end_are_refused():
    b = ModelBuilder()
    names = [("i", 7, []), ("go", 9, []), ("v", 1, [2])]
    infos = [helper.make_tensor_value_info(n, kind, s) for n, kind, s in names]
    outs = [
        helper.make_tensor_value_info(n, kind, s) for n, kind, s in (("go", 9, []), ("w", 1, [2]))
    ]
    body = helper.make_graph([helper.make_node("Relu", ["v"], ["w"])], "body", infos, outs)
    b.constants.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    y = b.op("Loop", "", "yes", "x", body=body)
    model = b.model({"x": ("float32", [2])}, [y])
    with pytest.raises(ModelFormatError, match="loops of the model repeat more than"):
        OnnxModel(model, Limits(nodes=50)).graph({"x": (2,)})


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("ConstantOfShape", [1 << 40]), ("Range", [0, 1 << 40, 1]), ("HannWindow", [1 << 40])],
)
def test_small_files_make_no_huge_arrays(kind, numbers):
    b = ModelBuilder()
    names = []
    for n, number in enumerate(numbers):
        shape = [1] if kind == "ConstantOfShape" else []
        b.constants.append(helper.make_tensor(f"n{n}", TensorProto.INT64, shape, [number]))
        names.append(f"n{n}")
    y = b.op(kind, *names)
    with pytest.raises(GraphError if kind == "HannWindow" else ModelFormatError, match=kind):
        td.Session(b.model({"x": ("float32", [2])}, [y]))


def test_values_beyond_the_limits_are_refused():
    b = ModelBuilder()
    b.constants.append(helper.make_tensor("shape", TensorProto.INT64, [2], [1 << 30, 1 << 30]))
    y = b.op("Expand", "x", "shape")
    with pytest.raises(ModelFormatError, match="makes a value of shape"):
        td.Session(b.model({"x": ("float32", [1])}, [y]))

"""Small ONNX models for the tests, and what onnxruntime or numpy make of them."""

import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peers import peers_root

TYPES = {
    "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE, "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}  # fmt: skip
RUNNER = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feeds = dict(np.load(sys.argv[2]))
names = [o.name for o in session.get_outputs()]
np.savez(sys.argv[3], **dict(zip(names, session.run(names, feeds))))
"""


class ModelBuilder:
    """Writes nodes one by one; names are made up."""

    def __init__(self, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants = [], []

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weight(self, *shape, scale=None):
        scale = 1 / np.sqrt(np.prod(shape[1:]) or 1) if scale is None else scale
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def op(self, kind, *inputs, results=1, **attributes):
        names = [f"v{len(self.nodes)}_{n}" for n in range(results)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if results == 1 else names

    def model(self, inputs, outputs, opset=17, name="g"):
        """`inputs`: name -> (dtype, shape); `outputs`: names, without shapes."""
        infos = [helper.make_tensor_value_info(n, TYPES[t], s) for n, (t, s) in inputs.items()]
        results = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self.nodes, name, infos, results, self.constants)
        versions = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=versions, ir_version=8)


def random_feeds(inputs, seed=0, **sizes):
    random = np.random.default_rng(seed)
    feeds = {}
    for name, (dtype, shape) in inputs.items():
        extents = [sizes.get(n, n) for n in shape]
        if dtype == "float32":
            feeds[name] = random.standard_normal(extents).astype(np.float32)
        else:
            feeds[name] = random.integers(0, 2, extents).astype(dtype)
    return feeds


def onnxruntime(model, feeds, folder):
    """What onnxruntime, without optimisations and in a process of its own, computes."""
    python = peers_root() / "venv-main" / "bin" / "python"
    if not python.exists():
        pytest.skip("onnxruntime is not installed (make peers)")
    paths = [str(folder / name) for name in ("model.onnx", "feeds.npz", "results.npz")]
    onnx.save(model, paths[0])
    np.savez(paths[1], **feeds)
    subprocess.run([python, "-c", RUNNER, *paths], check=True, timeout=120)
    return dict(np.load(paths[2]))


def assert_close(got, expected, limit=1e-4):
    """Largest difference over the standard deviation."""
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        assert got[name].shape == want.shape
        assert got[name].dtype == want.dtype
        if want.dtype.kind == "f" and want.size:
            assert np.abs(got[name] - want).max() <= limit * max(float(want.std()), 1e-6), name
        else:
            np.testing.assert_array_equal(got[name], want)

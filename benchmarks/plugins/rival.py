"""Worker plug-in: a peer as the shared bench.py and bench_models.py build it, unmodified.

Runs in the peer's own virtual environment; ``TDSL_PEERS`` names the folder of those files.
"""

import importlib
import os
import sys
from typing import Any

# what each peer's maker imports: loaded at the start, so that it doesn't count as building
MODULES = {
    "halide": ("halide",),
    "iree": ("iree.runtime", "iree.compiler"),
    "jax": ("jax",),
    "numba": ("numba",),
    "numpy": ("numpy",),
    "openvino": ("openvino", "onnx"),
    "ort": ("onnxruntime", "onnx"),
    "taichi": ("taichi",),
    "tinygrad": ("tinygrad",),
    "torch": ("torch",),
    "tvm": ("tvm",),
}


def start(argument: str, threads: int) -> str:
    """Import the peer and the shared bench files."""
    del threads
    sys.path.insert(0, os.environ["TDSL_PEERS"])
    product = argument.replace("-", ".").split(".", maxsplit=1)[0]
    modules = [importlib.import_module(name) for name in MODULES[product]]
    importlib.import_module("bench")
    return str(getattr(modules[0], "__version__", ""))


def make(argument: str, row: dict[str, Any], inputs: list[Any], threads: int) -> Any:
    """The peer's own function for *row*."""
    if row["kind"] == "model":
        models = importlib.import_module("bench_models")
        if argument not in models.PEERS:
            return None
        return models.PEERS[argument][1](row["name"].removeprefix("model_"), threads)
    bench = importlib.import_module("bench")
    _, maker, groups = bench.PEERS[argument]
    if row["group"] not in groups.split(","):
        return None
    return maker(row, inputs, threads)

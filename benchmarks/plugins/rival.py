"""Worker plug-in: a peer as the shared bench.py and bench_models.py build it, unmodified.

Runs in the peer's own virtual environment; ``TDSL_PEERS`` names the folder of those files.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
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
    if row["group"] == "pipeline":
        return _pipeline(argument, row, inputs, threads)
    bench = importlib.import_module("bench")
    _, maker, groups = bench.PEERS[argument]
    if row["group"] not in groups.split(","):
        return None
    return maker(row, inputs, threads)


def _pipeline(argument: str, row: dict[str, Any], inputs: list[Any], threads: int) -> Any:
    """The pipelines are ours: Halide's side and numpy's lie beside this file."""
    here = Path(__file__).parent
    if argument == "numpy":
        compute = _load(here.parent / "pipelines.py").NUMPY.get(row["kind"])
        return None if compute is None else lambda: compute(inputs, row)
    schedules = {"halide": "hand", "halide-adams": "Adams2019", "halide-mullapudi": "Mullapudi2016"}
    if argument not in schedules:
        return None
    return _load(here / "halide_pipelines.py").make(row, inputs, threads, schedules[argument])


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

"""Model graphs: built by hand or imported from ONNX, optimised, compiled, and run in one call."""

from tdsl.graph.builder import Graph
from tdsl.graph.errors import (
    FeedError,
    FeedTypeError,
    GraphError,
    ModelFormatError,
    UnsupportedModelError,
)
from tdsl.graph.ops.reductions import ReduceKind
from tdsl.graph.ops.windows import Window
from tdsl.graph.profile import Profile

__all__ = [
    "FeedError",
    "FeedTypeError",
    "Graph",
    "GraphError",
    "ModelFormatError",
    "Profile",
    "ReduceKind",
    "UnsupportedModelError",
    "Window",
]

"""Converters: images sampled at points and in regions."""

from __future__ import annotations

import math

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.sampling import Between, GridSample, Outside, RoiAlign

_BETWEEN = {
    "bilinear": Between.LINEAR, "linear": Between.LINEAR, "bicubic": Between.CUBIC,
    "cubic": Between.CUBIC, "nearest": Between.NEAREST,
}  # fmt: skip
_OUTSIDE = {"zeros": Outside.ZEROS, "border": Outside.BORDER, "reflection": Outside.REFLECTION}


@operator("GridSample")
def grid_sample(call: Call) -> Value:
    """At points of a grid."""
    mode, padding = call.text("mode", "linear"), call.text("padding_mode", "zeros")
    if mode not in _BETWEEN or padding not in _OUTSIDE:
        raise GraphError(f"GridSample with mode {mode!r} and padding_mode {padding!r}")
    op = GridSample(_BETWEEN[mode], _OUTSIDE[padding], bool(call.integer("align_corners")))
    return call.graph.one(op, call[0], call[1])


@operator("AffineGrid")
def affine_grid(call: Call) -> Value:
    """The points of an image that is turned, moved and stretched by a matrix."""
    theta, g = call[0], call.graph
    batch, _, *spatial = call.integers(1)
    call.bounded(math.prod(spatial), len(spatial) + 1)
    lines = []
    for n in spatial:
        ends = 1.0 if call.integer("align_corners") else 1.0 - 1.0 / n
        lines.append(np.linspace(-ends, ends, n) if n > 1 else np.zeros(1))
    mesh = np.meshgrid(*lines, indexing="ij")[::-1]
    flat = np.stack([*(m.reshape(-1) for m in mesh), np.ones(math.prod(spatial))], -1)
    points = g.constant(flat.astype(theta.dtype.numpy))
    made = g.matmul(points, theta, transpose_b=True)
    return g.reshape(made, (batch, *spatial, len(spatial)))


@operator("RoiAlign")
def roi_align(call: Call) -> Value:
    """Pooling of regions of images."""
    ratio = call.integer("sampling_ratio")
    if ratio < 1:
        raise GraphError("RoiAlign without a sampling_ratio depends on the data of a run")
    mode = call.text("mode", "avg")
    if mode not in ("avg", "max"):
        raise GraphError(f"RoiAlign with mode {mode!r} is not supported")
    newer = call.opset >= 16
    default = "half_pixel" if newer else "output_half_pixel"
    half = newer and call.text("coordinate_transformation_mode", default) == "half_pixel"
    op = RoiAlign(
        call.integer("output_height", 1), call.integer("output_width", 1), ratio,
        call.real("spatial_scale", 1.0), mode == "max", half,
    )  # fmt: skip
    return call.graph.one(op, call[0], call[1], call[2])

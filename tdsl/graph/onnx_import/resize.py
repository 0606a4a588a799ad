"""Converters: resizing. Which elements meet with which weights follows from the shapes alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Array, Value
from tdsl.graph.onnx_import.call import Call, operator
from tdsl.graph.ops.movement import Gather
from tdsl.graph.ops.sampling import Resample


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of a resize: extents before and after, their ratio, and the region used."""

    axis: int
    before: int
    after: int
    scale: float
    start: float
    end: float


@operator("Resize", "Upsample")
def resize(call: Call) -> Value:
    """Along one axis after the other."""
    x, g = call[0], call.graph
    mode = call.text("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise GraphError(f"{call.op_type} with mode {mode!r} is not supported")
    outside: Array | None = None
    for one in _axes(call):
        if one.after == one.before and one.scale == 1.0 and not _crops(call):
            continue
        at = _coordinates(call, one)
        if _crops(call):
            beyond = (at < 0) | (at > one.before - 1)
            along = [-1 if n == one.axis else 1 for n in range(len(x.shape))]
            beyond = beyond.reshape(along)
            outside = beyond if outside is None else outside | beyond
        if mode == "nearest":
            places = np.clip(_nearest(call, at), 0, one.before - 1).astype(np.int64)
            x = g.one(Gather(one.axis), x, g.constant(places))
            continue
        places, weights = _taps(call, one, at, cubic=mode == "cubic")
        kind = np.float64 if x.dtype.bits == 64 else np.float32
        x = g.one(Resample(one.axis), x, g.constant(places), g.constant(weights.astype(kind)))
    if outside is not None and outside.any():
        fill = call.scalar(call.real("extrapolation_value", 0.0), x)
        x = g.apply("where", g.constant(outside), fill, x)
    return x


def _crops(call: Call) -> bool:
    return _mode(call) == "tf_crop_and_resize"


def _mode(call: Call) -> str:
    older = call.op_type == "Upsample" or call.opset < 11
    return call.text("coordinate_transformation_mode", "asymmetric" if older else "half_pixel")


def _axes(call: Call) -> list[_Axis]:
    """What becomes of each axis that is named, or of all."""
    shape = call[0].shape
    rank = len(shape)
    axes = [call.front(a, rank) for a in call.integer_list("axes") or range(rank)]
    newer = call.opset >= 11 and call.op_type == "Resize"
    sizes_at, scales_at = (3, 2) if newer else (None, 1)
    region = [0.0] * len(axes) + [1.0] * len(axes)
    if newer and call.has(1) and _crops(call):
        region = [float(v) for v in call.array(1).reshape(-1)]
    if sizes_at is not None and call.has(sizes_at):
        return _by_sizes(call, axes, call.integers(sizes_at), region)
    scales = call.reals("scales") if call.given("scales") else call.array(scales_at).reshape(-1)
    if len(scales) != len(axes) or min(scales, default=1.0) <= 0:
        raise GraphError(f"{call.op_type}: scales {list(scales)} of {len(axes)} axes")
    made = []
    for n, (axis, scale) in enumerate(zip(axes, map(float, scales), strict=True)):
        span = region[n + len(axes)] - region[n] if _crops(call) else 1.0
        after = math.floor(shape[axis] * span * scale)
        made.append(_Axis(axis, shape[axis], after, scale, region[n], region[n + len(axes)]))
    return made


def _by_sizes(
    call: Call, axes: Sequence[int], sizes: list[int], region: Sequence[float]
) -> list[_Axis]:
    shape, policy = call[0].shape, call.text("keep_aspect_ratio_policy", "stretch")
    if len(sizes) != len(axes) or min(sizes, default=1) < 0:
        raise GraphError(f"{call.op_type}: sizes {sizes} of {len(axes)} axes")
    scales = [size / max(1, shape[axis]) for axis, size in zip(axes, sizes, strict=True)]
    if policy != "stretch" and scales:
        if policy not in ("not_larger", "not_smaller"):
            raise GraphError(f"{call.op_type}: keep_aspect_ratio_policy {policy!r}")
        one = (min if policy == "not_larger" else max)(scales)
        scales = [one] * len(axes)
        sizes = [math.floor(one * shape[axis] + 0.5) for axis in axes]
    return [
        _Axis(axis, shape[axis], sizes[n], scales[n], region[n], region[n + len(axes)])
        for n, axis in enumerate(axes)
    ]


def _coordinates(call: Call, one: _Axis) -> Array:
    """Where the elements of the result lie in the operand."""
    at, mode = np.arange(*call.bounded(one.after), dtype=np.float64), _mode(call)
    width = one.scale * one.before
    match mode:
        case "align_corners":
            return at * 0 if width == 1 else at * (one.before - 1) / (width - 1)
        case "asymmetric":
            return at / one.scale
        case "pytorch_half_pixel" if width == 1:
            return at * 0 - 0.5
        case "half_pixel" | "pytorch_half_pixel":
            return (at + 0.5) / one.scale - 0.5
        case "half_pixel_symmetric":
            offset = one.before / 2 * (1 - one.after / width)
            return offset + (at + 0.5) / one.scale - 0.5
        case "tf_half_pixel_for_nn":
            return (at + 0.5) / one.scale
        case "tf_crop_and_resize":
            part = at / (one.after - 1) if one.after > 1 else at * 0 + 0.5
            return (one.start + part * (one.end - one.start)) * (one.before - 1)
        case _:
            raise GraphError(f"{call.op_type}: coordinate_transformation_mode {mode!r}")


def _nearest(call: Call, at: Array) -> Array:
    older = call.op_type == "Upsample" or call.opset < 11
    how = call.text("nearest_mode", "floor" if older else "round_prefer_floor")
    match how:
        case "round_prefer_floor":
            return np.ceil(at - 0.5)
        case "round_prefer_ceil":
            return np.floor(at + 0.5)
        case "floor":
            return np.floor(at)
        case "ceil":
            return np.ceil(at)
        case _:
            raise GraphError(f"{call.op_type}: nearest_mode {how!r}")


def _taps(call: Call, one: _Axis, at: Array, *, cubic: bool) -> tuple[Array, Array]:
    """Positions and weights of the elements around each coordinate."""
    shrink = min(one.scale, 1.0) if call.integer("antialias") else 1.0
    support = (2 if cubic else 1) / shrink
    reach = math.ceil(support)
    base = np.floor(at)[:, None]
    call.bounded(one.after, 2 * reach)
    places = base + np.arange(-reach + 1, reach + 1)
    distance = np.abs(places - at[:, None]) * shrink
    alpha = call.real("cubic_coeff_a", -0.75)
    weights = _cubic(distance, alpha) if cubic else np.clip(1 - distance, 0, 1)
    if call.integer("exclude_outside"):
        weights = np.where((places < 0) | (places >= one.before), 0.0, weights)
    total = weights.sum(-1, keepdims=True)
    if shrink < 1.0 or call.integer("exclude_outside"):
        weights = weights / np.where(total == 0, 1.0, total)
    return np.clip(places, 0, one.before - 1).astype(np.int64), weights


def _cubic(d: Array, alpha: float) -> Array:
    inner = ((alpha + 2) * d - (alpha + 3)) * d * d + 1
    outer = ((alpha * d - 5 * alpha) * d + 8 * alpha) * d - 4 * alpha
    return np.where(d <= 1, inner, np.where(d < 2, outer, 0.0))

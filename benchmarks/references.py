"""Inputs and numpy reference of every kind of workload.

References are computed in float64 (integers exactly), share no code with any peer, and are what
each result is compared with before its time counts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import pipelines
from benchmarks.workloads import Workload

Array = NDArray[Any]
Sizes = dict[str, int]


@dataclass(frozen=True, slots=True)
class Family:
    """How one kind of workload draws its inputs and checks its result."""

    inputs: Callable[[np.random.Generator, Sizes], list[Array]]
    reference: Callable[[list[Array], Sizes], Array]


def make_inputs(row: Workload) -> list[Array]:
    """The arrays every peer is given for *row*: the same in each process and each run."""
    return FAMILIES[row.kind].inputs(np.random.default_rng(0), dict(row.shape))


def make_reference(row: Workload, inputs: list[Array]) -> Array:
    """What *row* must compute: float32 (rounded once, from float64), or integers exactly."""
    wide = [a.astype(np.float64) if a.dtype == np.float32 else a for a in inputs]
    result = FAMILIES[row.kind].reference(wide, dict(row.shape))
    return result.astype(np.float32) if result.dtype == np.float64 else result


def _normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, dtype=np.float32)


def _gemm_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    return [_normal(rng, s["m"], s["k"]), _normal(rng, s["k"], s["n"])]


def _int8_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    return [
        rng.integers(0, 128, (s["m"], s["k"]), dtype=np.uint8),
        rng.integers(-128, 128, (s["k"], s["n"]), dtype=np.int8),
    ]


def _conv_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    image = _normal(rng, 1, s["cin"], s["hw"], s["hw"])
    return [image, _normal(rng, s["cout"], s["cin"] // s["g"], s["r"], s["r"])]


def _matmul(arrays: list[Array], _: Sizes) -> Array:
    return np.asarray(np.matmul(arrays[0], arrays[1]))


def _int8_matmul(arrays: list[Array], _: Sizes) -> Array:
    # float64 holds these sums exactly, and its matmul is quick where numpy's integer one is not
    product = np.matmul(arrays[0].astype(np.float64), arrays[1].astype(np.float64))
    return np.asarray(product.astype(np.int32))


def _softmax_rows(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(e / e.sum(-1, keepdims=True))


def _attention(arrays: list[Array], s: Sizes) -> Array:
    q, k, v = arrays
    return np.asarray(_softmax_rows(q @ k.transpose(0, 2, 1) / math.sqrt(s["d"])) @ v)


def _convolution(arrays: list[Array], s: Sizes) -> Array:
    x, w = arrays
    r, st, p, o, g = s["r"], s["st"], s["pad"], s["o"], s["g"]
    padded = np.pad(x[0], ((0, 0), (p, p), (p, p)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (r, r), (1, 2))
    windows = windows[:, ::st, ::st][:, :o, :o]
    if g > 1:
        return np.asarray(np.einsum("cyxij,cij->cyx", windows, w[:, 0])[None])
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(s["cin"] * r * r, o * o)
    return np.asarray((w.reshape(s["cout"], -1) @ columns).reshape(1, s["cout"], o, o))


def _layernorm(arrays: list[Array], s: Sizes) -> Array:
    x, gain, bias = arrays
    d = x - x.mean(1, keepdims=True)
    variance = (d * d).sum(1, keepdims=True) / s["c"]
    return np.asarray(d / np.sqrt(variance + 1e-5) * gain + bias)


def _blur(arrays: list[Array], _: Sizes) -> Array:
    a = arrays[0]
    across = (a[:, :-2] + a[:, 1:-1] + a[:, 2:]) // 3
    return np.asarray((across[:-2] + across[1:-1] + across[2:]) // 3)


def _gray(image: Array) -> Array:
    return np.asarray(0.299 * image[0] + 0.587 * image[1] + 0.114 * image[2])


GAUSS = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5 * 1.5))
GAUSS = GAUSS / GAUSS.sum()


def _unsharp(arrays: list[Array], s: Sizes) -> Array:
    image = arrays[0]
    gray = _gray(image)
    down = sum((GAUSS[k] * gray[k : k + s["h"]] for k in range(1, 7)), GAUSS[0] * gray[: s["h"]])
    blurred = sum(
        (GAUSS[k] * down[:, k : k + s["w"]] for k in range(1, 7)), GAUSS[0] * down[:, : s["w"]]
    )
    center = gray[3:-3, 3:-3]
    return np.asarray(((2 * center - blurred) / center)[None] * image[:, 3:-3, 3:-3])


def _jacobi(arrays: list[Array], _: Sizes) -> Array:
    a = arrays[0]
    return np.asarray(
        0.2 * (a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])
    )


def _box3(a: Array) -> Array:
    rows = a[:-2] + a[1:-1] + a[2:]
    return np.asarray(rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:])


def _harris(arrays: list[Array], _: Sizes) -> Array:
    g = _gray(arrays[0])
    top, middle, bottom = g[:-2], g[1:-1], g[2:]
    dy = bottom - top
    iy = (dy[:, :-2] + 2 * dy[:, 1:-1] + dy[:, 2:]) / 12
    column = top + 2 * middle + bottom
    ix = (column[:, 2:] - column[:, :-2]) / 12
    xx, yy, xy = _box3(ix * ix), _box3(iy * iy), _box3(ix * iy)
    trace = xx + yy
    return np.asarray(xx * yy - xy * xy - 0.04 * trace * trace)


def _matrix(rng: np.random.Generator, s: Sizes) -> list[Array]:
    return [_normal(rng, s["r"], s["c"])]


def _vectors(count: int) -> Callable[[np.random.Generator, Sizes], list[Array]]:
    return lambda rng, s: [_normal(rng, s["n"]) for _ in range(count)]


FAMILIES: dict[str, Family] = {
    "gemm": Family(_gemm_inputs, _matmul),
    "gemm_sym": Family(_gemm_inputs, _matmul),
    "gemm_tn": Family(
        lambda rng, s: [_normal(rng, s["k"], s["m"]), _normal(rng, s["k"], s["n"])],
        lambda a, _: a[0].T @ a[1],
    ),
    "gemm_f64": Family(
        lambda rng, s: [
            rng.standard_normal((s["m"], s["k"])),
            rng.standard_normal((s["k"], s["n"])),
        ],
        _matmul,
    ),
    "gemm_relu": Family(
        lambda rng, s: [*_gemm_inputs(rng, s), _normal(rng, s["n"])],
        lambda a, _: np.maximum(a[0] @ a[1] + a[2], 0),
    ),
    "gemm_bf16": Family(_gemm_inputs, _matmul),
    "gemm_i8": Family(_int8_inputs, _int8_matmul),
    "bmm": Family(
        lambda rng, s: [
            _normal(rng, s["b"], s["m"], s["k"]),
            _normal(rng, s["b"], s["k"], s["n"]),
        ],
        _matmul,
    ),
    "attn": Family(
        lambda rng, s: [_normal(rng, s["h"], s["s"], s["d"]) for _ in range(3)], _attention
    ),
    "conv": Family(_conv_inputs, _convolution),
    "elem": Family(_vectors(2), lambda a, _: np.maximum(a[0] * 1.5 + 0.25, 0) + a[1]),
    "softmax": Family(_matrix, lambda a, _: _softmax_rows(a[0])),
    "layernorm": Family(
        lambda rng, s: [_normal(rng, s["r"], s["c"]), _normal(rng, s["c"]), _normal(rng, s["c"])],
        _layernorm,
    ),
    "rowsum": Family(_matrix, lambda a, _: a[0].sum(1)),
    "argmax": Family(_matrix, lambda a, _: a[0].argmax(1)),
    "transpose": Family(_matrix, lambda a, _: np.ascontiguousarray(a[0].T)),
    "cumsum": Family(_vectors(1), lambda a, _: np.cumsum(a[0])),
    "blur": Family(
        lambda rng, s: [rng.integers(0, 16000, (s["h"] + 2, s["w"] + 2), dtype=np.uint16)], _blur
    ),
    "unsharp": Family(
        lambda rng, s: [
            rng.random((3, s["h"] + 6, s["w"] + 6), dtype=np.float32) + np.float32(0.1)
        ],
        _unsharp,
    ),
    "jacobi": Family(lambda rng, s: [_normal(rng, s["h"], s["w"])], _jacobi),
    "harris": Family(
        lambda rng, s: [rng.random((3, s["h"] + 4, s["w"] + 4), dtype=np.float32)], _harris
    ),
    "bilateral": Family(pipelines.bilateral_inputs, pipelines.bilateral),
    "camera": Family(pipelines.raw_inputs, pipelines.camera),
    "chain8": Family(pipelines.chain_inputs, pipelines.chain),
    "chain8_flat": Family(pipelines.chain_inputs, pipelines.chain),
    "jacobi20": Family(pipelines.grid_inputs, pipelines.jacobi_steps),
    "jacobi20_flat": Family(pipelines.grid_inputs, pipelines.jacobi_steps),
    "local_laplacian": Family(pipelines.laplacian_inputs, pipelines.local_laplacian),
    "tiny": Family(_vectors(2), lambda a, _: a[0] + a[1]),
}

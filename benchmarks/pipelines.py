"""Inputs and numpy versions of the image pipelines: chains, steps in time, pyramids and grids.

A numpy version computes in the dtype that it is given: float64 for the reference, float32 when
numpy itself takes part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Sizes = dict[str, int]


def chain_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """An image 16 pixels larger than the result."""
    return [rng.random((s["h"] + 16, s["w"] + 16), dtype=np.float32)]


def chain(arrays: list[Array], _: Sizes) -> Array:
    """Eight means over a cross, each losing a pixel on every side."""
    a = arrays[0]
    for _stage in range(8):
        a = a.dtype.type(0.2) * (
            a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        )
    return a


def grid_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """A grid of random heights."""
    return [rng.random((s["h"], s["w"]), dtype=np.float32)]


def jacobi_steps(arrays: list[Array], s: Sizes) -> Array:
    """Means over a cross, again and again; the border stays."""
    a = arrays[0].copy()
    for _ in range(s["steps"]):
        a[1:-1, 1:-1] = a.dtype.type(0.2) * (
            a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:]
        )
    return a


def bilateral_inputs(rng: np.random.Generator, s: Sizes) -> list[Array]:
    """Smooth shades with noise, most of them between 0 and 1."""
    y, x = np.mgrid[0 : s["h"], 0 : s["w"]].astype(np.float32)
    shades = 0.5 + 0.45 * np.sin(x / 97) * np.cos(y / 61)
    noise = rng.standard_normal((s["h"], s["w"]), dtype=np.float32)
    return [(shades + 0.03 * noise).astype(np.float32)]


def bilateral(arrays: list[Array], s: Sizes) -> Array:
    """Cells of 8 x 8 pixels and tenths of the value, blurred by 1 4 6 4 1 along each axis."""
    image = arrays[0]
    dtype, (h, w) = image.dtype, (s["h"], s["w"])
    rows, columns = (h - 1) // 8 + 2, (w - 1) // 8 + 2
    after = ((rows + 2) * 8 - 4 - h, (columns + 2) * 8 - 4 - w)
    v = np.clip(np.pad(image, ((20, after[0]), (20, after[1])), mode="edge"), 0, 1)
    level = (v * 10 + dtype.type(0.5)).astype(np.int64)
    cell = np.arange(v.shape[0])[:, None] // 8 * (columns + 4) + np.arange(v.shape[1]) // 8
    at = (cell * 16 + level + 2).ravel()
    size = (rows + 4) * (columns + 4) * 16
    grid = np.stack([
        np.bincount(at, v.ravel(), size), np.bincount(at, minlength=size).astype(np.float64)
    ]).astype(dtype).reshape(2, rows + 4, columns + 4, 16)  # fmt: skip
    for axis in (3, 2, 1):
        n = grid.shape[axis] - 4
        taps = [np.take(grid, range(k, k + n), axis=axis) for k in range(5)]
        grid = taps[0] + 4 * taps[1] + 6 * taps[2] + 4 * taps[3] + taps[4]
    y, x = np.mgrid[0:h, 0:w]
    value = np.clip(image, 0, 1) * 10
    z = value.astype(np.int64)
    fy, fx, fz = (y % 8 / 8).astype(dtype), (x % 8 / 8).astype(dtype), value - z

    def between(a: Array, b: Array, f: Array) -> Array:
        return np.asarray(a + (b - a) * f)

    def row(dz: int) -> Array:
        corner = [grid[:, y // 8 + dy, x // 8 + dx, z + dz] for dy in (0, 1) for dx in (0, 1)]
        return between(between(corner[0], corner[1], fx), between(corner[2], corner[3], fx), fy)

    both = between(row(0), row(1), fz)
    return np.asarray(both[0] / both[1])


# what the numpy peer runs, by kind of row
NUMPY = {"chain8": chain, "jacobi20": jacobi_steps, "bilateral": bilateral}

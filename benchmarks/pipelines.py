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

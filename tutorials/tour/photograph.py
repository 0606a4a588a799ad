"""Scheduled by hand: a matrix product, and two filters on a photograph, against numpy and scipy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from tour.kernels import AMOUNT, GAUSS, RADIUS, SIGMA, SIZE, blur, matmul, unsharp
from tour.timing import milliseconds

import tdsl as td

Array = NDArray[Any]


def numpy_blur(image: Array) -> Array:
    """The same blur in whole-array numpy."""
    p = np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = p[:, :, :-2] + p[:, :, 1:-1] + p[:, :, 2:]
    return np.asarray((across[:, :-2] + across[:, 1:-1] + across[:, 2:]) * np.float32(1 / 9))


def numpy_unsharp(image: Array) -> Array:
    """The same sharpening in whole-array numpy."""
    r, (_, h, w) = RADIUS, image.shape
    p = np.pad(image, ((0, 0), (r, r), (r, r)), mode="edge")
    weights = [np.float32(x) for x in GAUSS]
    down = sum(p[:, t : t + h] * g for t, g in enumerate(weights))
    soft = sum(down[:, :, t : t + w] * g for t, g in enumerate(weights))
    return np.asarray(np.clip(image * np.float32(1 + AMOUNT) - soft * np.float32(AMOUNT), 0, 1))


def scipy_blur(image: Array) -> Array:
    """scipy's box filter, edges repeated."""
    return np.asarray(scipy.ndimage.uniform_filter(image, (0, 3, 3), mode="nearest"))


def scipy_unsharp(image: Array) -> Array:
    """scipy's Gaussian filter, then the same sharpening."""
    soft = scipy.ndimage.gaussian_filter(
        image, (0, SIGMA, SIGMA), mode="nearest", radius=(0, RADIUS, RADIUS)
    )
    return np.asarray(np.clip(image * np.float32(1 + AMOUNT) - soft * np.float32(AMOUNT), 0, 1))


def photograph() -> Array:
    """The photograph as planes of floats in 0 .. 1: float32[3, 600, 512]."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        pixels = np.asarray(Image.open(file).convert("RGB"))
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)


def save(image: Array, path: Path) -> None:
    """Write planes of floats as a picture."""
    pixels = np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
    Image.fromarray(pixels.transpose(1, 2, 0)).save(path)


def compare(
    title: str, schedule: td.Schedule, arguments: tuple[Array, ...], rivals: dict[str, Any]
) -> tuple[Array, list[str]]:
    """Build, check against every rival and time all; the result, and one row of the table."""
    fast = td.build(schedule)
    naive = td.build(td.Schedule(schedule.func))
    result = fast(*arguments)
    for name, rival in rivals.items():
        worst = float(np.abs(result - rival(*arguments)).max())
        limit = 1e-5 * max(1.0, float(np.abs(result).max()))
        if worst > limit:
            raise SystemExit(f"{title}: differs from {name} by {worst:.2e} (limit {limit:.0e})")
    out = np.empty_like(result)
    mine = milliseconds(lambda: fast(*arguments, out=out))
    others = {"naive": milliseconds(lambda: naive(*arguments, out=out))}
    others |= {name: milliseconds(lambda f=rival: f(*arguments)) for name, rival in rivals.items()}
    cells = [title, f"{mine:.3f} ms", schedule.numerics.value]
    cells += [
        f"{others[n] / mine:.1f} x" if n in others else "" for n in ("naive", "numpy", "scipy")
    ]
    return result, cells


def show(console: Console, output: Path) -> None:
    """Print a schedule's loops and the times; write the pictures."""
    console.print("The loops of the blur, after its schedule:")
    console.print(str(blur()), markup=False, soft_wrap=True)
    table = Table("kernel", "time", "numerics", "over naive", "over numpy", "over scipy")
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIZE, SIZE), dtype=np.float32) for _ in range(2))
    _, cells = compare(f"matmul {SIZE}", matmul(), (a, b), {"numpy": np.matmul})
    table.add_row(*cells)
    image = photograph()
    filters = {
        "blur 3x3": (blur(), {"numpy": numpy_blur, "scipy": scipy_blur}),
        "unsharp 7x7": (unsharp(), {"numpy": numpy_unsharp, "scipy": scipy_unsharp}),
    }
    save(image, output / "photograph.png")
    for title, (schedule, rivals) in filters.items():
        result, cells = compare(title, schedule, (image,), rivals)
        table.add_row(*cells)
        save(result, output / f"{schedule.func.name}.png")
    console.print(table)
    console.print(
        "naive: the same algorithm unscheduled, also compiled by tdsl. All results were compared.\n"
        f"Pictures: photograph.png, blur.png and unsharp.png in {output}/"
    )

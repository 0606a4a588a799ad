"""The tour: schedule a matrix product and two image filters, check them, print the speedups.

Run `make demo`, or `python tutorials/demo.py`. The filters work on a real photograph (Grace Hopper,
a public-domain picture that ships inside matplotlib) and write pictures beside each other into
`demo-output/`. `tdsl show tutorials/demo.py:matmul --asm` prints what the schedule became.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

import tdsl as td

Array = NDArray[Any]
SIZE = 512
RADIUS, SIGMA, AMOUNT = 3, 1.5, 1.5
_bell = np.exp(-(np.arange(-RADIUS, RADIUS + 1) ** 2) / (2 * SIGMA**2))
GAUSS = tuple(float(w) for w in _bell / _bell.sum())


def matmul_algorithm(n: int = SIZE) -> td.Func:
    """C = A B, and nothing about how."""
    A = td.placeholder((n, n), "float32", name="A")
    B = td.placeholder((n, n), "float32", name="B")
    k = td.reduce_axis(n, name="k")
    C = td.compute((n, n), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("matmul", [A, B], [C])


def matmul() -> td.Schedule:
    """Register tiles of 6 x 64, a packed panel of B for each thread."""
    s = td.Schedule(matmul_algorithm())
    s.cache_write("C", "register")
    i, j = s.loops("C.out")
    jo, ji = s.split(j, 64, tail="mask")
    io, ii = s.split(i, 6, tail="balance")
    s.reorder(jo, io, ii, ji)
    s.compute_at("C", at=io)
    ci, cj, k = s.loops("C")[-3:]
    s.reorder(k, ci, cj)
    packed = s.cache_read("C", "B", at=jo)
    for loop in (ji, cj, s.loops(packed)[-1]):
        s.vectorize(loop)
    s.unroll(ii)
    s.unroll(ci)
    s.parallel(jo)
    return s


def blur_algorithm() -> td.Func:
    """A separable 3 x 3 box blur of a colour image, edges repeated."""
    C, H, W = td.sizes("C H W")
    image = td.placeholder((C, H, W), "float32", name="image")
    padded = td.pad(image, (0, 1, 1), mode="edge", name="padded")
    across = td.compute(
        (C, H + 2, W),
        lambda c, y, x: padded[c, y, x] + padded[c, y, x + 1] + padded[c, y, x + 2],
        name="across",
    )
    blurred = td.compute(
        (C, H, W),
        lambda c, y, x: (across[c, y, x] + across[c, y + 1, x] + across[c, y + 2, x]) * (1 / 9),
        name="blurred",
    )
    return td.func("blur", [image], [blurred], assume=["H >= 1", "W >= 1"])


def blur() -> td.Schedule:
    """Strips of 32 rows; what a strip needs of the earlier stages is computed with it."""
    s = td.Schedule(blur_algorithm())
    c, y, x = s.loops("blurred")
    yo, _ = s.split(y, 32)
    for block in ("across", "padded"):
        s.compute_at(block, at=yo)
        s.vectorize(s.loops(block)[-1])
    s.vectorize(x)
    s.parallel(s.fuse(c, yo))
    return s


def unsharp_algorithm() -> td.Func:
    """image + 1.5 (image - Gaussian blur), a separable 7 x 7 blur, edges repeated."""
    C, H, W = td.sizes("C H W")
    taps, r = len(GAUSS), RADIUS
    image = td.placeholder((C, H, W), "float32", name="image")
    padded = td.pad(image, (0, r, r), mode="edge", name="padded")
    down = td.compute(
        (C, H, W + 2 * r),
        lambda c, y, x: sum(padded[c, y + t, x] * GAUSS[t] for t in range(taps)),
        name="down",
    )
    sharp = td.compute(
        (C, H, W),
        lambda c, y, x: td.maximum(
            td.minimum(
                image[c, y, x] * (1.0 + AMOUNT)
                - sum(down[c, y, x + t] * GAUSS[t] for t in range(taps)) * AMOUNT,
                1.0,
            ),
            0.0,
        ),
        name="sharp",
    )
    return td.func("unsharp", [image], [sharp], assume=["H >= 1", "W >= 1"])


def unsharp() -> td.Schedule:
    """Strips of 32 rows; the vertical pass is computed a row at a time."""
    s = td.Schedule(unsharp_algorithm())
    c, y, x = s.loops("sharp")
    yo, yi = s.split(y, 32)
    s.compute_at("down", at=yi)
    s.compute_at("padded", at=yo)
    for block in ("down", "padded"):
        s.vectorize(s.loops(block)[-1])
    s.vectorize(x)
    s.parallel(s.fuse(c, yo))
    return s


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


def milliseconds(run: Callable[[], object]) -> float:
    """Median time of a call, after a first one, over at least 0.2 s."""
    run()
    times = []
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def compare(
    title: str, schedule: td.Schedule, arguments: tuple[Array, ...], rivals: dict[str, Any]
) -> tuple[Array, list[str]]:
    """Build, check against every rival and time all; one row of the table."""
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


def main() -> None:
    """Run the tour."""
    console = Console()
    output = Path("demo-output")
    output.mkdir(exist_ok=True)
    console.print("[bold]A loop nest, after its schedule[/bold]")
    console.print(str(blur()), highlight=False, markup=False, soft_wrap=True)
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
    console.print(f"pictures in {output}/: photograph.png, blur.png, unsharp.png")


if __name__ == "__main__":
    main()

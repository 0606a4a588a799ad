"""A matrix product and two image filters: what they compute, and apart from it, how they loop.

`tdsl show tutorials/tour/kernels.py:matmul --asm` prints what a schedule became.
"""

from __future__ import annotations

import numpy as np

import tdsl as td

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

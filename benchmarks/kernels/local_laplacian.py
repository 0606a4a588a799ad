"""Local Laplacian filter: contrast is changed in every band of a pyramid, edges stay.

Levels of a pyramid reach beyond the image, as far as the levels above and below them read; the
image repeats its border there. `Plane` keeps where a level begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tdsl as td
from tdsl.scheduling.loops import Loop

BANDS = 8  # levels of the pyramids
SHADES = 8  # of which the image is remapped around each
ALPHA = 1.0 / (SHADES - 1)
BETA = 1.0
TABLE = 256 * (SHADES - 1)
Span = tuple[int, int]  # first and last, excluded
Shaded = Callable[..., td.Value]


def coarser(s: Span) -> Span:
    """What upsampling reads to make a span."""
    return s[0] // 2 - 1, (s[1] - 1) // 2 + 2


def finer(s: Span) -> Span:
    """What downsampling reads to make a span."""
    return 2 * s[0] - 1, 2 * s[1] + 1


def spans(extent: int) -> tuple[list[Span], list[Span]]:
    """Of the output's levels, and of the Gaussian levels that they are made of."""
    out = [(0, extent)]
    for _ in range(BANDS - 1):
        out.append(coarser(out[-1]))
    gauss = [out[-1]]
    for band in out[-2::-1]:
        low, high = finer(gauss[0])
        gauss.insert(0, (min(low, band[0]), max(high, band[1])))
    return out, gauss


@dataclass(frozen=True)
class Plane:
    """A tensor (..., y, x) whose first element stands at (`top`, `left`)."""

    tensor: td.Tensor
    top: int
    left: int

    def at(self, y: td.Value, x: td.Value, *k: object) -> td.Value:
        """The element at a place of the plane."""
        return self.tensor[(*k, y - self.top, x - self.left)]


def _make(name: str, ys: Span, xs: Span, shades: int, value: Shaded) -> Plane:
    """A plane, or a stack of one for each shade, of `value(y, x, *k)`."""
    size = ys[1] - ys[0], xs[1] - xs[0]
    if shades:
        tensor = td.compute(
            (shades, *size), lambda k, y, x: value(y + ys[0], x + xs[0], k), name=name
        )
    else:
        tensor = td.compute(size, lambda y, x: value(y + ys[0], x + xs[0]), name=name)
    return Plane(tensor, ys[0], xs[0])


def _down(name: str, f: Plane, ys: Span, xs: Span, shades: int) -> Plane:
    """Half the size, weights 1 3 3 1 along x, then along y."""

    def weigh(a: td.Value, b: td.Value, c: td.Value, d: td.Value) -> td.Value:
        return (a + (b + c) * 3.0 + d) * 0.125

    across = _make(
        f"{name}x", finer(ys), xs, shades,
        lambda y, x, *k: weigh(*(f.at(y, 2 * x + n, *k) for n in (-1, 0, 1, 2))),
    )  # fmt: skip
    return _make(
        name, ys, xs, shades,
        lambda y, x, *k: weigh(*(across.at(2 * y + n, x, *k) for n in (-1, 0, 1, 2))),
    )  # fmt: skip


def _up(f: Plane, y: td.Value, x: td.Value, *k: object) -> td.Value:
    """Twice the size, between the nearest elements."""

    def across(row: td.Value) -> td.Value:
        return f.at(row, x // 2 - 1 + x % 2 * 2, *k) * 0.25 + f.at(row, x // 2, *k) * 0.75

    return across(y // 2 - 1 + y % 2 * 2) * 0.25 + across(y // 2) * 0.75


def workload(shape: Mapping[str, int]) -> td.Func:
    """The pyramid of the output takes each band from the pyramids of the two nearest shades."""
    h, w = shape["h"], shape["w"]
    A = td.placeholder((3, h, w), "uint16", name="A")
    (ys, gys), (xs, gxs) = spans(h), spans(w)

    def colour(c: int | td.Value, y: td.Value, x: td.Value) -> td.Value:
        inside = td.minimum(td.maximum(y, 0), h - 1), td.minimum(td.maximum(x, 0), w - 1)
        return td.cast(A[(c, *inside)], "float32") * (1.0 / 65535.0)

    gray = _make(
        "gray", gys[0], gxs[0], 0,
        lambda y, x: colour(0, y, x) * 0.299 + colour(1, y, x) * 0.587 + colour(2, y, x) * 0.114,
    )  # fmt: skip

    def curve(i: td.Value) -> td.Value:
        v = td.cast(i - TABLE, "float32") * (1.0 / 256.0)
        return v * ALPHA * td.exp(v * v * -0.5)

    T = td.compute((2 * TABLE + 1,), curve, name="T")

    def remapped(y: td.Value, x: td.Value, k: td.Value) -> td.Value:
        v = gray.at(y, x)
        shade = td.cast(k, "float32") * (1.0 / (SHADES - 1))
        step = td.cast(v * float(TABLE), "int32")
        step = td.minimum(td.maximum(step, 0), TABLE)
        entry = td.cast(step - td.cast(k, "int32") * 256 + TABLE, "int64")
        return (v - shade) * BETA + shade + T[td.unchecked(entry)]

    G = [_make("G0", gys[0], gxs[0], SHADES, remapped)]
    I = [gray]
    for j in range(1, BANDS):
        G.append(_down(f"G{j}", G[-1], gys[j], gxs[j], SHADES))
        I.append(_down(f"I{j}", I[-1], gys[j], gxs[j], 0))

    out: Plane | None = None
    for j in reversed(range(BANDS)):
        out = _band(j, I[j], G, out, ys[j], xs[j], remapped)
    assert out is not None
    made = out

    def final(c: td.Value, y: td.Value, x: td.Value) -> td.Value:
        v = made.at(y, x) * (colour(c, y, x) + 0.01) / (gray.at(y, x) + 0.01)
        return td.cast(td.minimum(td.maximum(v, 0.0), 1.0) * 65535.0, "uint16")

    B = td.compute((3, h, w), final, name="B")
    return td.func("local_laplacian", [A], [B])


def _band(
    j: int, image: Plane, G: list[Plane], above: Plane | None, ys: Span, xs: Span, remapped: Shaded
) -> Plane:
    """A level of the output: its band, and what the coarser levels make of it."""

    def value(y: td.Value, x: td.Value) -> td.Value:
        level = image.at(y, x) * float(SHADES - 1)
        low = td.minimum(td.maximum(td.cast(level, "int32"), 0), SHADES - 2)
        part = level - td.cast(low, "float32")

        def band(step: int) -> td.Value:
            k = td.unchecked(td.cast(low, "int64") + step)
            own = G[j].at(y, x, k) if j else remapped(y, x, low + step)
            return own if above is None else own - _up(G[j + 1], y, x, k)

        mixed = band(0) * (1.0 - part) + band(1) * part
        return mixed if above is None else _up(above, y, x) + mixed

    return _make(f"O{j}", ys, xs, 0, value)


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Pyramids level by level; what lies between two levels is kept for a few rows."""
    del threads
    s = td.Schedule(func)
    halved = [f"{kind}{j}" for j in range(1, BANDS) for kind in "GI"]
    bands = [f"O{j}" for j in range(BANDS)]
    parallel = [_walk_down(s, name) for name in halved]
    parallel += [s.split(s.loops(name)[0], 8)[0] for name in ("gray", *bands[1:])]
    c, y, x = s.loops("B")
    strip, row = s.split(y, 16)
    s.reorder(strip, row, c, x)
    s.compute_at("O0", at=row)
    parallel.append(strip)
    across = [f"{name}x" for name in halved]
    for name in ("B", "T", "gray", "G0", *halved, *across, *bands):
        s.vectorize(s.split(s.loops(name)[-1], 16, tail="mask")[1])
    for loop in parallel:
        s.parallel(loop)
    return s


def _walk_down(s: td.Schedule, name: str) -> Loop:
    """Make a level strip by strip; rows of it slide down those that are halved along x."""
    *shade, y, x = s.loops(name)
    strip, row = s.split(y, 8)
    s.reorder(strip, *shade, row, x)
    s.compute_at(f"{name}x", at=row)
    s.store_at(f"{name}x", at=shade[0] if shade else strip)
    if name == "G1":
        s.compute_at("G0", at=s.loops("G1x")[-2])
    return strip

"""Halide's side of the image pipelines: the algorithms, with the schedules of Halide's own apps.

Loaded by ``rival.py`` in Halide's environment. ``hand`` is the schedule of the app of the same
name, else an autoscheduler's.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

hl: Any = importlib.import_module("halide")

x, y, z, c = hl.Var("x"), hl.Var("y"), hl.Var("z"), hl.Var("c")
xo, yo, xi, yi, t = (hl.Var(name) for name in ("xo", "yo", "xi", "yi", "t"))
Made = tuple[Any, tuple[int, ...], Any]


def f32(value: Any) -> Any:
    """A float32 constant or cast."""
    return hl.cast(hl.Float(32), value)


def bounded(image: Any) -> Any:
    """An image that repeats its border."""
    return hl.BoundaryConditions.repeat_edge(image)


def chain8(row: dict[str, Any], images: list[Any], hand: bool) -> Made:
    """The schedule of stencil_chain: tiles of 512 x 512, stages slide down within one."""
    stages = [images[0]]
    for number in range(8):
        stage, before = hl.Func(f"stage{number}"), stages[-1]
        cross = before[x + 1, y + 1] + before[x + 1, y] + before[x + 1, y + 2]
        stage[x, y] = (cross + before[x, y + 1] + before[x + 2, y + 1]) * f32(0.2)
        stages.append(stage)
    out = stages[-1]
    if hand:
        out.compute_root().tile(x, y, xo, yo, xi, yi, 512, 512)
        out.fuse(xo, yo, t).parallel(t).vectorize(xi, 16)
        for stage in stages[1:-1]:
            stage.store_at(out, t).compute_at(out, yi).vectorize(x, 16)
    return out, (row["h"], row["w"]), np.float32


def bilateral(row: dict[str, Any], images: list[Any], hand: bool) -> Made:
    """The schedule of bilateral_grid."""
    image = images[0]
    edged = bounded(image)
    r = hl.RDom([(0, 8), (0, 8)], "r")
    v = hl.clamp(edged[x * 8 + r.x - 4, y * 8 + r.y - 4], f32(0), f32(1))
    level = hl.cast(hl.Int(32), v * f32(10) + f32(0.5))
    grid, bz, bx, by, mixed, out = (
        hl.Func(name) for name in ("grid", "bz", "bx", "by", "mixed", "out")
    )
    grid[x, y, z, c] = f32(0)
    grid[x, y, level, c] += hl.select(c == 0, v, f32(1))

    def taps(at: Callable[[int], Any]) -> Any:
        return at(-2) + at(-1) * f32(4) + at(0) * f32(6) + at(1) * f32(4) + at(2)

    bz[x, y, z, c] = taps(lambda k: grid[x, y, z + k, c])
    bx[x, y, z, c] = taps(lambda k: bz[x + k, y, z, c])
    by[x, y, z, c] = taps(lambda k: bx[x, y + k, z, c])
    v = hl.clamp(image[x, y], f32(0), f32(1)) * f32(10)
    low = hl.cast(hl.Int(32), v)
    fx, fy = f32(x % 8) / f32(8), f32(y % 8) / f32(8)

    def plane(k: int) -> Any:
        def line(dy: int) -> Any:
            at = x // 8, y // 8 + dy
            return hl.lerp(by[at[0], at[1], low + k, c], by[at[0] + 1, at[1], low + k, c], fx)

        return hl.lerp(line(0), line(1), fy)

    mixed[x, y, c] = hl.lerp(plane(0), plane(1), v - f32(low))
    out[x, y] = mixed[x, y, 0] / mixed[x, y, 1]
    if hand:
        bz.compute_at(bx, y).reorder(c, z, x, y).vectorize(x, 8).unroll(c)
        grid.compute_at(bz, y)
        grid.update().reorder(c, r.x, r.y, x, y).unroll(c)
        bx.compute_root().reorder(c, x, z, y).parallel(y).vectorize(x, 8).unroll(c)
        by.compute_at(out, y).store_in(hl.MemoryType.Stack).reorder(c, x, y, z)
        by.reorder_storage(c, z, x, y).vectorize(x, 8).unroll(c)
        out.compute_root().parallel(y, 8).vectorize(x, 8)
        for f in (bz, bx, by):
            f.bound(c, 0, 2)
    return out, (row["h"], row["w"]), np.float32


def down(f: Any, *more: Any) -> Any:
    """Half the size, weights 1 3 3 1."""
    across, along = hl.Func(f.name() + "_dx"), hl.Func(f.name() + "_dy")
    a = [f[(2 * x + n, y, *more)] for n in (-1, 0, 1, 2)]
    across[(x, y, *more)] = (a[0] + f32(3) * (a[1] + a[2]) + a[3]) / f32(8)
    a = [across[(x, 2 * y + n, *more)] for n in (-1, 0, 1, 2)]
    along[(x, y, *more)] = (a[0] + f32(3) * (a[1] + a[2]) + a[3]) / f32(8)
    return along


def up(f: Any, *more: Any) -> Any:
    """Twice the size, between the nearest elements."""
    across, along = hl.Func(f.name() + "_ux"), hl.Func(f.name() + "_uy")
    far = f[(x // 2 - 1 + 2 * (x % 2), y, *more)]
    across[(x, y, *more)] = f32(0.25) * far + f32(0.75) * f[(x // 2, y, *more)]
    far = across[(x, y // 2 - 1 + 2 * (y % 2), *more)]
    along[(x, y, *more)] = f32(0.25) * far + f32(0.75) * across[(x, y // 2, *more)]
    return along


def local_laplacian(row: dict[str, Any], images: list[Any], hand: bool) -> Made:
    """The schedule of local_laplacian."""
    bands, shades = 8, 8
    k = hl.Var("k")
    edged = bounded(images[0])
    table, colour, gray, out = (hl.Func(name) for name in ("table", "colour", "gray", "out"))
    v = f32(x) / f32(256)
    table[x] = f32(1 / (shades - 1)) * v * hl.exp(-v * v / f32(2))
    colour[x, y, c] = f32(edged[x, y, c]) / f32(65535)
    gray[x, y] = (
        f32(0.299) * colour[x, y, 0] + f32(0.587) * colour[x, y, 1] + f32(0.114) * colour[x, y, 2]
    )

    gauss = [hl.Func(f"gauss{j}") for j in range(bands)]
    inside = [hl.Func(f"inside{j}") for j in range(bands)]
    made = [hl.Func(f"made{j}") for j in range(bands)]
    step = hl.cast(hl.Int(32), gray[x, y] * f32((shades - 1) * 256))
    step = hl.clamp(step, 0, (shades - 1) * 256)
    shade = f32(k) * f32(1 / (shades - 1))
    gauss[0][x, y, k] = gray[x, y] - shade + shade + table[step - 256 * k]
    inside[0][x, y] = gray[x, y]
    for j in range(1, bands):
        gauss[j][x, y, k] = down(gauss[j - 1], k)[x, y, k]
        inside[j][x, y] = down(inside[j - 1])[x, y]
    laplace = [hl.Func(f"laplace{j}") for j in range(bands)]
    laplace[-1][x, y, k] = gauss[-1][x, y, k]
    for j in range(bands - 1):
        laplace[j][x, y, k] = gauss[j][x, y, k] - up(gauss[j + 1], k)[x, y, k]
    for j in reversed(range(bands)):
        at = inside[j][x, y] * f32(shades - 1)
        low = hl.clamp(hl.cast(hl.Int(32), at), 0, shades - 2)
        part = at - f32(low)
        band = (f32(1) - part) * laplace[j][x, y, low] + part * laplace[j][x, y, low + 1]
        made[j][x, y] = band if j == bands - 1 else up(made[j + 1])[x, y] + band
    value = made[0][x, y] * (colour[x, y, c] + f32(0.01)) / (gray[x, y] + f32(0.01))
    out[x, y, c] = hl.cast(hl.UInt(16), hl.clamp(value, f32(0), f32(1)) * f32(65535))
    if hand:
        out.bound(x, 0, row["w"]).bound(y, 0, row["h"]).bound(c, 0, 3)
        table.compute_root()
        out.reorder(c, x, y).split(y, yo, y, 64).parallel(yo).vectorize(x, 8)
        gray.compute_root().parallel(y, 32).vectorize(x, 8)
        for j in range(1, 5):
            inside[j].compute_root().parallel(y, 32).vectorize(x, 8)
            gauss[j].compute_root().reorder_storage(x, k, y).reorder(k, y)
            gauss[j].parallel(y, 8).vectorize(x, 8)
            made[j].store_at(out, yo).compute_at(out, y).fold_storage(y, 8).vectorize(x, 8)
        made[0].compute_at(out, y).vectorize(x, 8)
        for j in range(5, bands):
            inside[j].compute_root()
            gauss[j].compute_root().parallel(k)
            made[j].compute_root()
    return out, (3, row["h"], row["w"]), np.uint16


MATRIX = ((437, -115, -49, -6675), (-64, 313, 25, -7209), (-22, -193, 501, -8010))


def mean(a: Any, b: Any) -> Any:
    """Of two values that are not negative, rounded up."""
    return hl.cast(hl.Int(16), (hl.cast(hl.Int(32), a) + hl.cast(hl.Int(32), b) + 1) // 2)


def smoother(a: tuple[Any, Any], b: tuple[Any, Any]) -> Any:
    """The mean of the pair that differs less, else of the second."""
    return hl.select(hl.absd(*a) < hl.absd(*b), mean(*a), mean(*b))


def tone() -> Any:
    """The curve, from 10 bits to 8."""
    curve = hl.Func("curve")
    g = hl.pow(hl.clamp(f32(x - 25) * f32(1 / 998), f32(0), f32(1)), f32(0.5))
    b = 2 - 2**0.5
    a = 2 - 2 * b
    light = f32(1) - (f32(a) * (f32(1) - g) * (f32(1) - g) + f32(b) * (f32(1) - g))
    v = hl.select(g > f32(0.5), light, f32(a) * g * g + f32(b) * g) * f32(255) + f32(0.5)
    curve[x] = hl.cast(hl.UInt(8), hl.clamp(v, f32(0), f32(255)))
    return curve


def mosaic(parts: Any, g_r: Any, g_b: Any) -> Any:
    """The three colours of every pixel; channel 0 of the parts is green in the rows of red."""

    def at(k: int) -> Callable[[int, int], Any]:
        return lambda dx, dy: parts[x // 2 + dx, y // 2 + dy, k]

    gr, rr, bb, gb = (at(k) for k in range(4))

    def green(f: Any) -> Callable[[int, int], Any]:
        return lambda dx, dy: f[x // 2 + dx, y // 2 + dy]

    def along(own: Any, known: Any, f: Any, dx: int, dy: int) -> Any:
        return own - mean(f(0, 0), f(dx, dy)) + mean(known(0, 0), known(dx, dy))

    def across(own: Any, known: Any, f: Any, dx: int, dy: int) -> Any:
        p = own - mean(f(0, 0), f(dx, dy)) + mean(known(0, 0), known(dx, dy))
        n = own - mean(f(dx, 0), f(0, dy)) + mean(known(dx, 0), known(0, dy))
        less = hl.absd(known(0, 0), known(dx, dy)) < hl.absd(known(dx, 0), known(0, dy))
        return hl.select(less, p, n)

    r, b = green(g_r), green(g_b)
    rows = (
        (along(gr(0, 0), rr, r, -1, 0), rr(0, 0),
         across(b(0, 0), rr, r, -1, 1), along(gb(0, 0), rr, r, 0, 1)),
        (gr(0, 0), r(0, 0), b(0, 0), gb(0, 0)),
        (along(gr(0, 0), bb, b, 0, -1), across(r(0, 0), bb, b, 1, -1),
         bb(0, 0), along(gb(0, 0), bb, b, 1, 0)),
    )  # fmt: skip
    colours = []
    for name, row in zip(("red", "green", "blue"), rows, strict=True):
        quarters = []
        for number, value in enumerate(row):
            quarter = hl.Func(f"{name}{number}")
            quarter[x, y] = value
            quarters.append(quarter[x, y])
        even, odd = (hl.select(x % 2 == 0, *quarters[k : k + 2]) for k in (0, 2))
        colours.append(hl.select(y % 2 == 0, even, odd))
    made = hl.Func("mosaic")
    made[x, y, c] = hl.mux(c, colours)
    return made


def camera(row: dict[str, Any], images: list[Any], hand: bool) -> Made:
    """The schedule of camera_pipe, with strips and vectors as there."""
    shifted, cut, parts, g_r, g_b, right, out = (
        hl.Func(name) for name in ("shifted", "cut", "parts", "g_r", "g_b", "right", "out")
    )
    shifted[x, y] = hl.cast(hl.Int(16), images[0][x + 6, y + 6])
    sides = hl.max(
        hl.max(shifted[x - 2, y], shifted[x + 2, y]), hl.max(shifted[x, y - 2], shifted[x, y + 2])
    )
    cut[x, y] = hl.clamp(shifted[x, y], hl.cast(hl.Int(16), 0), sides)
    parts[x, y, c] = hl.mux(c, [cut[2 * x + dx, 2 * y + dy] for dy in (0, 1) for dx in (0, 1)])

    def gr(dx: int, dy: int) -> Any:
        return parts[x + dx, y + dy, 0]

    def gb(dx: int, dy: int) -> Any:
        return parts[x + dx, y + dy, 3]

    g_r[x, y] = smoother((gr(1, 0), gr(0, 0)), (gb(0, -1), gb(0, 0)))
    g_b[x, y] = smoother((gb(-1, 0), gb(0, 0)), (gr(0, 1), gr(0, 0)))
    demosaiced = mosaic(parts, g_r, g_b)
    wide = [hl.cast(hl.Int(32), demosaiced[x, y, k]) for k in range(3)]
    right[x, y, c] = hl.mux(c, [
        hl.cast(hl.Int(16), (e + a * wide[0] + b * wide[1] + d * wide[2]) // 256)
        for a, b, d, e in MATRIX
    ])  # fmt: skip
    curve = tone()
    out[x, y, c] = curve[hl.clamp(right[x, y, c], 0, 1023)]
    if hand:
        yii = hl.Var("yii")
        out.bound(c, 0, 3).bound(x, 0, row["w"]).bound(y, 0, row["h"])
        curve.compute_root()
        out.compute_root().reorder(c, x, y).split(y, yo, yi, 128)
        out.tile(x, yi, x, yi, xi, yii, 64, 2, hl.TailStrategy.RoundUp)
        out.vectorize(xi).unroll(yii).unroll(c).parallel(yo)
        cut.compute_at(out, yi).store_at(out, yo).fold_storage(y, 16)
        cut.tile(x, y, x, y, xi, yi, 64, 2).vectorize(xi).unroll(yi)
        parts.compute_at(out, yi).store_at(out, yo).fold_storage(y, 8).reorder(c, x, y)
        parts.vectorize(x, 64, hl.TailStrategy.RoundUp).unroll(c)
        for green in (g_r, g_b):
            green.compute_at(out, yi).store_at(out, yo).fold_storage(y, 4)
            green.vectorize(x, 64, hl.TailStrategy.RoundUp)
        demosaiced.compute_at(out, x).vectorize(x).unroll(y).reorder(c, x, y).unroll(c)
        right.compute_at(out, x).reorder(c, x, y).vectorize(x).unroll(y).unroll(c)
    return out, (3, row["h"], row["w"]), np.uint8


PIPELINES = {
    "chain8": chain8,
    "bilateral": bilateral,
    "local_laplacian": local_laplacian,
    "camera": camera,
}
TYPES = {"float32": hl.Float(32), "uint16": hl.UInt(16), "uint8": hl.UInt(8)}


def make(row: dict[str, Any], inputs: list[Any], threads: int, scheduler: str) -> Any:
    """A function that computes the row, or None."""
    pipeline = PIPELINES.get(row["kind"])
    if pipeline is None:
        return None
    images = []
    for number, array in enumerate(inputs):
        image = hl.ImageParam(TYPES[str(array.dtype)], array.ndim, f"in{number}")
        stride = 1
        for d, extent in enumerate(array.shape[::-1]):
            image.dim(d).set_bounds(0, extent).set_stride(stride).set_estimate(0, extent)
            stride *= extent
        images.append(image)
    out, shape, dtype = pipeline(row, images, scheduler == "hand")
    whole = hl.Pipeline(out)
    if scheduler != "hand":
        folder = Path(hl.__file__).parent / "lib64"
        hl.load_plugin(str(folder / f"libautoschedule_{scheduler.lower()}.so"))
        out.set_estimates([(0, extent) for extent in shape[::-1]])
        parameters = hl.AutoschedulerParams(scheduler, {"parallelism": str(threads)})
        whole.apply_autoscheduler(hl.get_host_target(), parameters)
    target = hl.get_jit_target_from_environment()
    compiled = whole.compile_to_callable(whole.infer_arguments(), target)
    result = np.zeros(shape, dtype)
    buffers = [hl.Buffer(array) for array in inputs]
    given = [buffers[int(a.name.removeprefix("in"))] for a in whole.infer_arguments()]
    given.append(hl.Buffer(result))

    def call() -> Any:
        compiled(*given)
        return result

    return call

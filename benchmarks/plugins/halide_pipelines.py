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


PIPELINES = {"chain8": chain8, "bilateral": bilateral}
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

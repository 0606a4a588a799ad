"""A random legal schedule: random steps, those that the prover refuses left out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from math import prod

from tdsl.errors import ScheduleError
from tdsl.fuzzing.draw import Draw
from tdsl.fuzzing.makers import random_step
from tdsl.fuzzing.step import Step
from tdsl.ir.stmt import For, LoopKind
from tdsl.lang.func import Func
from tdsl.schedules.rules.tiles import register_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.loops import Loop

MOST_STEPS = 14
_TRIES = 3
_MOST_COPIES = 256  # of a body in straight-line code: more would only time the code generator
_NO_THREADS = {"parallel", "split_k", "wavefront"}
_GROUPS = ("group.x", "group.y", "group.z")
_LOCALS = ("local.x", "local.y", "local.z")
_MOST_ITEMS = 64  # of one work-group: every device has room for them


@dataclass
class Walk:
    """A schedule, the steps that made it, and how often each primitive was refused."""

    schedule: Schedule
    steps: list[Step] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take(self, step: Step) -> bool:
        """Try a step.

        Raises:
            LeftTraceError: it was refused, but the schedule is not as it was.
        """
        s = self.schedule
        before = (s.program, s.algorithm, len(s.trace))
        try:
            step.apply(s)
        except ScheduleError as error:
            if before != (s.program, s.algorithm, len(s.trace)):
                detail = f"{step.source()} was refused but changed the schedule"
                raise LeftTraceError(detail) from error
            self.refused.append(step.primitive)
            return False
        self.steps.append(step)
        return True


class LeftTraceError(Exception):
    """A refused step changed the schedule."""


def random_walk(func: Func, target: str, draw: Draw) -> Walk:
    """A random schedule of 5 to 14 steps, or of as many as are legal; see `Walk.take`."""
    walk = Walk(Schedule(func, target))
    on_device = target.startswith("opencl")
    wanted = draw.integer(1, 6) if on_device else draw.integer(5, MOST_STEPS)
    for _ in range(_TRIES * wanted):
        if len(walk.steps) >= wanted:
            break
        step = random_step(draw, walk.schedule)
        if step is None or (on_device and step.primitive in _NO_THREADS):
            continue
        if not grows_too_much(walk.schedule, step):
            walk.take(step)
    if on_device:
        _bind(walk, draw)
    return walk


def grows_too_much(s: Schedule, step: Step) -> bool:
    """Whether a step makes so much straight-line code that it only times the code generator."""
    if step.primitive == "tile_in_registers":
        return _register_tile(s, str(step.args[0])) > _MOST_COPIES
    if step.primitive not in ("unroll", "unroll_and_jam", "vectorize"):
        return False
    with contextlib.suppress(ScheduleError):
        loop = s.loop(str(step.args[0]), step.primitive)
        kept = (LoopKind.UNROLLED, LoopKind.VECTORIZED)
        for path in s.index.paths.values():
            loops = [x for x in path if isinstance(x, For)]
            if not any(x.var is loop.var for x in loops):
                continue
            counted = [Loop(s, x.var) for x in loops if x.kind in kept or x.var is loop.var]
            extents = [x.extent if isinstance(x.extent, int) else 1 for x in counted]
            if prod(extents) > _MOST_COPIES:
                return True
    return False


def _register_tile(s: Schedule, block: str) -> int:
    """The elements of the tile of a block: as many as registers hold where extents are symbolic."""
    view = s.nest.block(block)
    data = [x.extent for x in view.loops if not x.reduces][-2:]
    rows, columns = (n if isinstance(n, int) else None for n in (1, 1, *data)[-2:])
    lanes = s.target.lanes(view.writes[0].buffer.dtype.bits)
    tile = register_tile(rows, columns, lanes, s.target)
    return tile.rows * tile.columns


def _bind(walk: Walk, draw: Draw) -> None:
    """Outer loops become work-groups, some inner ones work-items."""
    for block in walk.schedule.blocks():
        loops = walk.schedule.loops(block)
        for loop, axis in zip(loops[: draw.integer(0, 2)], _GROUPS, strict=False):
            if not walk.take(Step("bind", (walk.schedule.index.label(loop.var), axis))):
                break
        axes = list(_LOCALS)
        items = 1
        for loop in reversed(walk.schedule.loops(block)[1:]):
            extent = loop.extent
            if not axes or not isinstance(extent, int) or not draw.chance(0.7):
                continue
            if items * extent > _MOST_ITEMS:
                continue
            label = walk.schedule.index.label(loop.var)
            if walk.take(Step("bind", (label, axes[0]))):
                axes.pop(0)
                items *= extent

"""A random legal schedule: random steps, those that the prover refuses left out."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from math import prod

from tdsl.errors import ScheduleError
from tdsl.fuzzing.device_steps import NO_DEVICE, Take, bind_and_stage
from tdsl.fuzzing.draw import Draw
from tdsl.fuzzing.makers import makers, random_step, swarm
from tdsl.fuzzing.step import Step
from tdsl.fuzzing.turns import is_sparse
from tdsl.ir.stmt import For, LoopKind
from tdsl.lang.func import Func
from tdsl.schedules.rules.tiles import register_tile
from tdsl.scheduling import Schedule
from tdsl.scheduling.loops import Loop
from tdsl.target import TargetKind

_LEAST_STEPS, _MOST_STEPS = 5, 14
_BEFORE_BINDING, _AFTER_BINDING = 6, 3  # steps on a device, at most
_TRIES = 3
_MOST_COPIES = 256  # of a body in straight-line code: more would only time the code generator

_ROUNDING = frozenset(
    (
        "split",
        "tile",
        "split_k",
        "split_scan",
        "tree_reduce",
        "wavefront",
        "tile_in_registers",
        "compute_with",
    )
)  # loops become longer than what they count


class LeftTraceError(Exception):
    """A refused step changed the schedule."""


def attempt(s: Schedule, step: Step) -> ScheduleError | None:
    """Do a step, or say why it is refused.

    Raises:
        LeftTraceError: it was refused, but the schedule is not as it was.
    """
    before = _state(s)
    try:
        step.apply(s)
    except ScheduleError as error:
        if before != _state(s):
            detail = f"{step.source()} was refused but changed the schedule"
            raise LeftTraceError(detail) from error
        return error
    return None


def _state(s: Schedule) -> tuple[object, ...]:
    """What a refused step must leave as it was. Trees are immutable: they are equal or replaced."""
    return s.program, s.algorithm, s.numerics, tuple(s.trace)


@dataclass
class Walk:
    """A schedule, the steps that made it, and how often each primitive was refused."""

    schedule: Schedule
    steps: list[Step] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take(self, step: Step) -> bool:
        """Try a step; see `attempt`."""
        if attempt(self.schedule, step) is not None:
            self.refused.append(step.primitive)
            return False
        self.steps.append(step)
        return True


def random_walk(func: Func, target: str, draw: Draw) -> Walk:
    """A random schedule of a function; see `random_steps` and `Walk.take`."""
    walk = Walk(Schedule(func, target))
    random_steps(walk.schedule, draw, walk.take)
    return walk


def random_steps(
    s: Schedule, draw: Draw, take: Take, *, swarms: bool = False,
    only: frozenset[str] | None = None,
) -> None:  # fmt: skip
    """Try steps until 5 to 14 are taken, or as many as are legal.

    For a device there are fewer, in front of those that bind its loops and behind them.

    Args:
        s: the schedule.
        draw: where choices come from.
        take: tries a step, and says whether it is legal.
        swarms: whether all steps are of a few primitives.
        only: those that are drawn; None: all.
    """
    on_device = s.target.kind is TargetKind.OPENCL
    least, most = (1, _BEFORE_BINDING) if on_device else (_LEAST_STEPS, _MOST_STEPS)
    wanted = draw.integer(least, most)
    among = swarm(draw) if swarms else only
    if on_device:
        among = (frozenset(makers()) if among is None else among) - NO_DEVICE
    _take_some(s, draw, take, wanted, among)
    if on_device:
        bind_and_stage(s, draw, take)
        _take_some(s, draw, take, draw.integer(0, _AFTER_BINDING), among)


def _take_some(
    s: Schedule, draw: Draw, take: Take, wanted: int, among: frozenset[str] | None
) -> None:
    taken = 0
    for _ in range(_TRIES * wanted):
        if taken >= wanted:
            break
        step = random_step(draw, s, among)
        if step is not None and not grows_too_much(s, step):
            taken += take(step)


def grows_too_much(s: Schedule, step: Step) -> bool:
    """Whether a step only times the code generator, or the interpreter.

    It makes too much straight-line code, or too many turns of loops for each that has work.
    """
    if step.primitive in _ROUNDING and is_sparse(s):
        return True
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

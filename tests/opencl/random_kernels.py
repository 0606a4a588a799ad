"""Random schedules for work-groups: random steps, then random binds, then all the checks."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import partial

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.fuzzing.differences import Disagreement
from tdsl.fuzzing.draw import Draw, RandomDraw
from tdsl.fuzzing.makers import random_step
from tdsl.ir.interp import HOSTILE, interpret
from tdsl.lower import LoweringWarning, lower
from tdsl.target import target
from tests.fuzz import kernels
from tests.fuzz.brute import size_samples
from tests.fuzz.generate import random_algorithm
from tests.fuzz.lowering import against_canonical
from tests.fuzz.oracles import known_sizes

OPENCL = target("opencl")
_UNFIT = {"parallel"}  # devices have no threads
_GROUPS = ("group.x", "group.y", "group.z")
_LOCALS = ("local.x", "local.y", "local.z")


@dataclass
class Found:
    """What became of one case: "built", why it was not lowered, or a disagreement."""

    seed: str
    outcome: str
    wrong: str | None = None
    source: str = ""


def random_schedule(seed: str):
    """An algorithm and a random schedule of it, with loops bound where the prover lets it."""
    algorithm = random_algorithm(seed)
    draw = RandomDraw(f"{seed}/opencl")
    s = td.Schedule(algorithm.func, target="opencl")
    for _ in range(draw.integer(0, 6)):
        step = random_step(draw, s)
        if step is None or step.primitive in _UNFIT:
            continue
        _try(step.apply, s)
    _bind_groups(draw, s)
    _stage(draw, s)
    _bind_locals(draw, s)
    return algorithm, s


def _try(action, *args) -> bool:
    try:
        action(*args)
    except td.ScheduleError:
        return False
    return True


def _bind_groups(draw: Draw, s: td.Schedule) -> None:
    """The outermost loops of some blocks."""
    for block in s.blocks():
        loops = s.loops(block)
        for loop, axis in zip(loops[: draw.integer(0, 2)], _GROUPS, strict=False):
            if not _try(s.bind, loop, axis):
                break


def _stage(draw: Draw, s: td.Schedule) -> None:
    """Tensors and copies that live inside group loops, in memory of the group or its items."""
    for block in s.blocks():
        loops = s.loops(block)
        groups = [x for x in loops if x.kind.value.startswith("group")]
        if not groups or not draw.chance(0.8):
            continue
        inside = loops[len(groups) - 1 :]
        at = inside[draw.integer(0, min(2, len(inside) - 1))]
        read = sorted({read.tensor for read in s.nest.block(block).reads} - {block})
        for tensor in read[: draw.integer(1, 2)]:
            scope = draw.choice(["shared", "shared", "register", "stack", "global"])
            if draw.chance(0.5) and tensor in s.blocks() and _try(s.compute_at, tensor, at):
                _try(s.set_scope, tensor, scope)
            else:
                _try(partial(s.cache_read, block, tensor, scope=scope, at=at))


def _bind_locals(draw: Draw, s: td.Schedule) -> None:
    """Inner loops; those that are too long or symbolic are split first."""
    for block in s.blocks():
        axes = list(_LOCALS)
        for loop in s.loops(block)[1:][:: draw.choice([1, -1])]:
            if not axes or not draw.chance(0.7):
                continue
            name = loop.name
            if draw.chance(0.6):
                inner = _split(s, loop, draw.integer(2, 4))
                if inner is None:
                    continue
                name = inner
            if _try(s.bind, name, axes[0]):
                axes.pop(0)


def _split(s: td.Schedule, loop, factor: int):
    try:
        return s.split(loop, factor)[1]
    except td.ScheduleError:
        return None


def run_case(seed: str, *, on_device: bool) -> Found:
    """Lower, interpret in hostile orders watching for conflicts, and run on a device."""
    algorithm, s = random_schedule(seed)
    exact = s.numerics is Numerics.EXACT
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LoweringWarning)
            lowered = lower(s.program, OPENCL).program
            kernel = td.build(s) if on_device else None
    except td.LoweringError as error:
        text = re.sub(r"'[^']*'|\b[A-Z]\w*(\.\w+)*", "_", error.message)[:110]
        return Found(seed, f"not lowered: {text}")
    for at in size_samples(algorithm, seed):
        wrong = against_canonical(s.program, at, OPENCL, 0, exact=exact)
        wrong = wrong or _conflict(lowered, at)
        if wrong is None and kernel is not None:
            wrong = kernels.against_canonical(kernel, s, at, 0)
        if wrong is not None:
            return Found(seed, "wrong", str(wrong), algorithm.source() + "\n" + str(s.trace))
    return Found(seed, "built")


def _conflict(lowered, at) -> Disagreement | None:
    for order in HOSTILE[1:3]:
        try:
            interpret(lowered, at.arrays(0), known_sizes(at), order, True)
        except td.TdslError as error:
            return Disagreement("conflict", f"{order.kind.value}: {error.message}")
    return None

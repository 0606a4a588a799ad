"""Elementwise: vectors along the last axis, chunks of the outer ones in parallel.

parallel io:  for jo:  vectorized(64) ji:  out[i, j] = ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_VECTORS = 4  # vectors in flight
_CHUNK = 1 << 16  # elements of one task of a long vector
_PLANES = 4  # results that are made of the same elements at once


@combinator
def vectorize_elements(
    s: Schedule, block: str, fused: int, width: int, lanes: int, chunk: int, tasks: int,
    stream: bool = False, planes: bool = False,
) -> None:  # fmt: skip
    """Vectorize a block along its last `fused` axes, taken as one, and spread the rest.

    Args:
        block: a block without reductions.
        fused: how many of its last axes are dense together, at least 1.
        width: elements of one step, in vectors of `lanes`.
        lanes: elements of a vector.
        chunk: elements of one parallel task where all axes are one.
        tasks: how many parallel tasks are enough.
        stream: whether stores bypass the caches.
        planes: whether the first axis is walked inside the vectors of the last one, whole.
    """
    loops = list(s.loops(block))
    plane = loops.pop(0) if planes else None
    last = loops[-fused]
    for inner in loops[len(loops) - fused + 1 :]:
        last = s.fuse(last, inner)
    outer = loops[: len(loops) - fused]
    if not outer and not (isinstance(last.extent, int) and last.extent <= chunk):
        first, last = s.split(last, chunk)
        outer = [first]
    if not (isinstance(last.extent, int) and last.extent <= width):
        last = s.split(last, width, tail="mask")[1]
    if plane is not None:
        s.reorder(*outer, *s.loops(block)[len(outer) + 1 : -1], plane, last)
        s.unroll(plane)
    s.vectorize(last, lanes)
    if stream:
        s.stream(block)
    if outer:
        spread(s, tuple(outer), tasks)


@dataclass(frozen=True)
class Elements(Plan):
    """A block of independent elements."""

    block: str
    fused: int
    width: int
    lanes: int
    chunk: int
    tasks: int
    stream: bool
    planes: bool

    @property
    def reason(self) -> str:
        how = f", the last {self.fused} axes as one" if self.fused > 1 else ""
        past = ", stored past the caches" if self.stream else ""
        each = ", the first axis innermost, as all of it is made of the same" if self.planes else ""
        return f"independent elements: {self.width} at a time{how}{each}{past}"

    def apply(self, s: Schedule) -> None:
        vectorize_elements(
            s, self.block, self.fused, self.width, self.lanes, self.chunk, self.tasks,
            stream=self.stream, planes=self.planes,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"width": tuple(self.lanes * n for n in (1, 2, 4, 8))}


def match(group: Group, target: Target) -> Plan | None:
    """One block that computes each element by itself."""
    facts = group.sink
    if group.members or facts.reduces or facts.is_ordered or not facts.data:
        return None
    if target.kind is not TargetKind.LLVM:
        return None
    lanes = target.lanes(facts.bits)
    fused = facts.dense_run(facts.data)
    planes = makes_planes(facts, fused)
    total = facts.count(facts.data[-fused:])
    vectors = 1 if planes else _VECTORS
    width = min(lanes * vectors, below(lanes * vectors, total))
    chunk = _CHUNK if total is None else min(_CHUNK, _share(total, width, target))
    return Elements(
        facts.name, fused, width, min(lanes, width), chunk, 4 * target.cores,
        streams(facts, target), planes,
    )  # fmt: skip


def _share(total: int, width: int, target: Target) -> int:
    """Elements of one task: all cores busy, whole steps."""
    share = -(-total // (4 * target.cores))
    return max(width * 16, -(-share // width) * width)


def makes_planes(facts: BlockFacts, fused: int) -> bool:
    """Whether the few planes of the first axis read the same elements, as those of a colour do."""
    if fused >= len(facts.data):
        return False
    plane, last = facts.data[0], facts.data[-1]
    extent = facts.extent(plane)
    if extent is None or not 1 < extent <= _PLANES:
        return False
    along = [load for load in facts.loads if last in load.vars]
    # a table in which each plane looks up something else is no tensor of planes
    moving = [load for load in along if load.is_plain(plane)]
    return not moving and any(plane not in load.vars for load in along)


def streams(facts: BlockFacts, target: Target) -> bool:
    """Whether the result is too large to be found in a cache by whoever reads it next."""
    elements = facts.count(facts.data)
    if elements is None:
        return False
    size = sum(elements * w.buffer.dtype.bytes for w in facts.writes)
    return size >= target.l3 and all(w.is_dense(facts.data[-1]) for w in facts.writes)


RULE = Rule("elementwise", match)

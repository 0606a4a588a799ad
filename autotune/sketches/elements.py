"""Elementwise blocks: vectors along the dense axes, chunks of the others in parallel."""

from __future__ import annotations

from tdsl.autotune.sketches.naming import Named
from tdsl.schedules.rules import transpose
from tdsl.schedules.rules.elementwise import match
from tdsl.schedules.rules.groups import Group
from tdsl.scheduling import Schedule

_MOST_VECTORS = 8
_MOST_CHUNK = 1 << 18


def fits(s: Schedule, group: Group) -> bool:
    """One block that computes each element by itself."""
    return match(group, s.target) is not None and transpose.match(group, s.target) is None


def sketch(s: Schedule, knob: Named, group: Group) -> None:
    """Chunks, vectors, and whether stores bypass the caches."""
    facts = group.sink
    loops = list(s.loops(facts.name))
    dense = facts.dense_run(facts.data)
    last = loops[-dense]
    for inner in loops[len(loops) - dense + 1 :]:
        last = s.fuse(last, inner)
    outer = loops[: len(loops) - dense]
    if not outer:
        first, last = s.split(last, knob.tile("chunk", last, _MOST_CHUNK))
        outer = [first]
    lanes = s.target.lanes(facts.bits)
    s.vectorize(s.split(last, knob.int("vectors", 1, _MOST_VECTORS) * lanes, tail="mask")[1], lanes)
    if knob.choice("stream", [False, True]):
        s.stream(facts.name)
    fused = outer[0]
    for loop in outer[1 : knob.choice("parallel", list(range(1, min(3, len(outer)) + 1)))]:
        fused = s.fuse(fused, loop)
    s.parallel(fused)

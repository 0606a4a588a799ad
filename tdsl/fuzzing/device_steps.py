"""What makes a schedule one for a device: loops bound to groups and work-items, copies near them.

A loop is cut now and then before it is bound, so that extents which are symbolic or large fit too.
"""

from __future__ import annotations

from collections.abc import Callable

from tdsl.fuzzing.draw import Draw
from tdsl.fuzzing.step import Step, read_by, written_by
from tdsl.scheduling import Schedule
from tdsl.scheduling.loops import Loop

Take = Callable[[Step], bool]

NO_DEVICE = frozenset({"parallel", "split_k", "wavefront"})  # devices have no threads
_GROUPS = ("group.x", "group.y", "group.z")
_LOCALS = ("local.x", "local.y", "local.z")
_SCOPES = {"shared": 4.0, "register": 1.0, "stack": 1.0, "global": 3.0}
_MOST_ITEMS = 64  # of one work-group: every device has room for them


def bind_and_stage(s: Schedule, draw: Draw, take: Take) -> None:
    """Outer loops become work-groups, some inner ones work-items; what groups read comes near."""
    for block in s.blocks():
        _bind_groups(s, block, draw, take)
    for block in s.blocks():
        if block in s.blocks():  # none before it took it away
            _stage(s, block, draw, take)
    for block in s.blocks():
        _bind_items(s, block, draw, take)


def _bind_groups(s: Schedule, block: str, draw: Draw, take: Take) -> None:
    """The outermost loops of a block, or the outer parts of them."""
    for depth, axis in zip(range(draw.integer(0, 2)), _GROUPS, strict=False):
        loops = s.loops(block)
        if depth >= len(loops):
            break
        if draw.chance(0.3):
            take(Step("split", (_label(s, loops[depth]), draw.integer(2, 4))))
        if not take(Step("bind", (_label(s, s.loops(block)[depth]), axis))):
            break


def _stage(s: Schedule, block: str, draw: Draw, take: Take) -> None:
    """Tensors and copies that live inside group loops, in memory of the group or its items."""
    loops = s.loops(block)
    groups = sum(loop.kind.value in _GROUPS for loop in loops)
    if not groups or not draw.chance(0.6):
        return
    inside = loops[groups - 1 :]
    at = _label(s, inside[draw.integer(0, min(2, len(inside) - 1))])
    view = s.nest.block(block)
    read = sorted(read_by(view) - written_by(view))
    makers = {name: b.name for b in s.nest.blocks for name in written_by(b)}
    for tensor in read[: draw.integer(1, 2)]:
        scope = draw.weighted(_SCOPES)
        maker = makers.get(tensor)
        if maker is not None and draw.chance(0.5) and take(Step("compute_at", (maker, at))):
            take(Step("set_scope", (maker, scope)))
        else:
            take(Step("cache_read", (block, tensor), (("scope", scope), ("at", at))))


def _bind_items(s: Schedule, block: str, draw: Draw, take: Take) -> None:
    """Inner loops of constant extent, outward or inward, until a work-group is full."""
    axes = list(_LOCALS)
    items = 1
    for loop in s.loops(block)[1:][:: draw.choice([1, -1])]:
        if not axes or not draw.chance(0.7):
            continue
        found = _inner_part(s, block, loop, draw, take) if draw.chance(0.4) else loop
        extent = None if found is None else found.extent
        if found is None or not isinstance(extent, int) or items * extent > _MOST_ITEMS:
            continue
        if take(Step("bind", (_label(s, found), axes[0]))):
            axes.pop(0)
            items *= extent


def _inner_part(s: Schedule, block: str, loop: Loop, draw: Draw, take: Take) -> Loop | None:
    """The inner loop of the two that a split leaves; None if it was refused."""
    depth = [found.var for found in s.loops(block)].index(loop.var)
    if not take(Step("split", (_label(s, loop), draw.integer(2, 4)))):
        return None
    return s.loops(block)[depth + 1]


def _label(s: Schedule, loop: Loop) -> str:
    return s.index.label(loop.var)

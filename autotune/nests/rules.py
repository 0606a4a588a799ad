"""What each primitive does to a symbolic nest, one function for each.

Primitives that are not in `RULES` are followed through the concrete schedule alone: what they make
gets the extents that it has for the knobs at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tdsl.autotune.knobs import KnobInt
from tdsl.autotune.nests.boxes import Box, touched_box
from tdsl.autotune.nests.model import (
    Binding,
    NestBlock,
    NestLoop,
    SymbolicNest,
    block_of,
    extent_term,
)
from tdsl.autotune.terms import Term, ceildiv, constant, maximum, minimum, product
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import LoopKind
from tdsl.scheduling import Step
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.trace import Value


@dataclass(frozen=True)
class Taken:
    """A step that was taken.

    Attributes:
        nest: before the step; rules change it.
        step: as the trace has it.
        given: its arguments, knobs and all.
        schedule: after the step.
        loop: the loop that a reference of the step stands for.
        value: of a term, for the knobs at hand.
    """

    nest: SymbolicNest
    step: Step
    given: Mapping[str, object]
    schedule: ScheduleCore
    loop: Callable[[Value], NestLoop]
    value: Callable[[Term], float]

    def block(self, name: object) -> NestBlock:
        """The block of a name, before the step."""
        return self.nest.blocks[str(getattr(name, "name", name))]

    def new_block(self, name: object, path: list[NestLoop], bindings: list[Binding]) -> None:
        """Add a block that the step made."""
        block = self.schedule.index.leaves[str(name)].block
        self.nest.blocks[str(name)] = block_of(block, self.nest.sizes, path, bindings)


def _number(value: object) -> Term:
    return value.term if isinstance(value, KnobInt) else constant(float(str(value)))


def split(taken: Taken) -> None:
    """One loop becomes several."""
    given = taken.given["inner"]
    factors = tuple(given) if isinstance(given, tuple | list) else (None, given)
    loop = taken.loop(taken.step.args[0])
    if dict(taken.step.options).get("tail") == "balance" and not loop.partners:
        blocks = ceildiv(loop.extent, _number(factors[1]))
        factors = (None, KnobInt(0, ceildiv(loop.extent, blocks)))
    _split(taken.nest, loop, factors)


def _split(nest: SymbolicNest, loop: NestLoop, factors: Sequence[object]) -> list[NestLoop]:
    known = [None if factor is None else _number(factor) for factor in factors]
    if loop.partners:
        return _split_fused(nest, loop, known)
    rest = ceildiv(loop.extent, product(factor for factor in known if factor is not None))
    extents = [rest if factor is None else factor for factor in known]
    kinds = _part_kinds(loop.kind, len(extents))
    parts = [NestLoop(extent, kind) for extent, kind in zip(extents, kinds, strict=True)]
    nest.replace_loop(loop, parts, [product(extents[n + 1 :]) for n in range(len(parts))])
    return parts


def _split_fused(
    nest: SymbolicNest, loop: NestLoop, factors: Sequence[Term | None]
) -> list[NestLoop]:
    """Split a fused loop in two: the inner part walks whole rows, or a piece of one.

    Raises:
        ValueError: it is split in more parts.
    """
    if len(factors) != 2 or factors[1] is None or len(loop.partners) != 1:
        raise ValueError("only the common case has a rule")
    (column,), size = loop.partners, factors[1]
    width = column.extent
    outer = NestLoop(ceildiv(loop.extent * width, size))
    inner = NestLoop(maximum(size / width, 1))
    across = NestLoop(minimum(size, width), virtual=True)
    inner.partners.append(across)
    nest.replace_loop(loop, [outer, inner], [size / width, constant(1)])
    nest.replace_loop(column, [across], [constant(1)])
    return [outer, inner]


def _part_kinds(kind: LoopKind, count: int) -> list[LoopKind]:
    """Concurrency stays outermost, lanes innermost, unrolling everywhere."""
    match kind:
        case LoopKind.SERIAL | LoopKind.UNROLLED:
            return [kind] * count
        case LoopKind.VECTORIZED:
            return [LoopKind.UNROLLED] * (count - 1) + [kind]
        case _:
            return [kind] + [LoopKind.SERIAL] * (count - 1)


def tile(taken: Taken) -> None:
    """Two loops become four; the inner parts go inside."""
    first, second = (taken.loop(arg) for arg in taken.step.args[:2])
    io, ii = _split(taken.nest, first, (None, taken.given["ti"]))
    jo, ji = _split(taken.nest, second, (None, taken.given["tj"]))
    _reorder(taken.nest, [io, jo, ii, ji])


def reorder(taken: Taken) -> None:
    """Loops change places."""
    _reorder(taken.nest, [taken.loop(arg) for arg in taken.step.args])


def _reorder(nest: SymbolicNest, loops: Sequence[NestLoop]) -> None:
    wanted = [part for loop in loops for part in (loop, *loop.partners)]
    for block in nest.blocks.values():
        here = [loop for loop in wanted if loop in block.path]
        places = sorted(block.path.index(loop) for loop in here)
        for place, loop in zip(places, here, strict=True):
            block.path[place] = loop


def fuse(taken: Taken) -> None:
    """The outer loop stands for both."""
    outer, inner = (taken.loop(arg) for arg in taken.step.args[:2])
    outer.partners += [inner, *inner.partners]
    inner.virtual = True
    for partner in outer.partners:
        partner.kind = outer.kind


def unroll(taken: Taken) -> None:
    """Mark a loop."""
    taken.loop(taken.step.args[0]).mark(LoopKind.UNROLLED)


def parallel(taken: Taken) -> None:
    """Mark a loop."""
    taken.loop(taken.step.args[0]).mark(LoopKind.PARALLEL)


def vectorize(taken: Taken) -> None:
    """A loop becomes vectors; what is left of it is unrolled."""
    loop = taken.loop(taken.step.args[0])
    lanes = taken.given.get("lanes")
    width = _number(lanes) if lanes is not None else constant(_native_lanes(taken, loop))
    kind = loop.kind if loop.kind.concurrent else LoopKind.UNROLLED
    if loop.partners:
        _vectorize_fused(taken, loop, width, kind)
        return
    outer = NestLoop(ceildiv(loop.extent, width), kind)
    outer.virtual = taken.value(loop.extent) <= taken.value(width)
    loop.extent, loop.kind = minimum(loop.extent, width), LoopKind.VECTORIZED
    taken.nest.replace_loop(loop, [outer, loop], [loop.extent, constant(1)])


def _vectorize_fused(taken: Taken, loop: NestLoop, width: Term, kind: LoopKind) -> None:
    """The lanes of a fused loop come out of its innermost component."""
    whole = product(each.extent for each in (loop, *loop.partners))
    if taken.value(whole) <= taken.value(width):
        loop.mark(LoopKind.VECTORIZED)
        return
    last = loop.partners.pop()
    left = NestLoop(ceildiv(last.extent, width), virtual=True)
    lanes = NestLoop(minimum(last.extent, width), LoopKind.VECTORIZED)
    taken.nest.replace_loop(last, [left, lanes], [lanes.extent, constant(1)])
    loop.partners.append(left)
    loop.mark(kind)


def _native_lanes(taken: Taken, loop: NestLoop) -> int:
    written = [
        access.buffer.dtype.bits
        for block in taken.nest.users(loop)
        for access in block.accesses
        if access.writes
    ]
    return taken.schedule.target.lanes(max(written, default=32))


def compute_at(taken: Taken) -> None:
    """A producer's loops are rebuilt over the box that one iteration of its consumer reads."""
    block = taken.block(taken.step.args[0])
    place = _place(taken, taken.step.args[1], block)
    written = {access.buffer: access.dims for access in block.accesses if access.writes}
    for buffer, dims in written.items():
        users = [other for other in taken.nest.blocks.values() if other is not block]
        users = [other for other in users if place[-1] in other.path]
        box = touched_box(users, buffer, place, shape_of(buffer, taken.nest.sizes))
        if box is not None:
            _rebuild(block, place, box, dims)
            return


def reverse_compute_at(taken: Taken) -> None:
    """A consumer's loops are rebuilt over the box that one iteration of its producer writes."""
    block = taken.block(taken.step.args[0])
    place = _place(taken, taken.step.args[1], block)
    makers = [b for b in taken.nest.blocks.values() if b is not block and place[-1] in b.path]
    for access in block.accesses:
        users = [
            b for b in makers if any(a.writes and a.buffer is access.buffer for a in b.accesses)
        ]
        box = touched_box(users, access.buffer, place, shape_of(access.buffer, taken.nest.sizes))
        if box is not None and not access.writes:
            _rebuild(block, place, box, access.dims)
            return


def _place(taken: Taken, at: Value, block: NestBlock) -> list[NestLoop]:
    """The loops from the outermost one down to `at`."""
    loop = taken.loop(at)
    other = next(b for b in taken.nest.users(loop) if b is not block)
    return other.outside(loop)


def _rebuild(
    block: NestBlock, place: list[NestLoop], box: Box, dims: Sequence[Mapping[int, int]]
) -> None:
    """New loops for each iter: over the box where an index is just that iter, else over all."""
    inside: list[NestLoop] = []
    for number, extent in enumerate(block.extents):
        dim = next((d for d, factors in enumerate(dims) if set(factors) == {number}), None)
        if dim is None or block.reduces[number]:
            loop = NestLoop(extent)
            block.bindings[number] = {loop: constant(1)}
        else:
            loop = NestLoop(minimum(box.extents[dim], extent))
            block.bindings[number] = {**box.origins[dim], loop: constant(1)}
        inside.append(loop)
    block.path = [*place, *inside]


def cache_read(taken: Taken) -> None:
    """A new block copies the box that one iteration reads."""
    block = taken.block(taken.step.args[0])
    name = str(taken.step.args[1])
    buffer = next(a.buffer for a in block.accesses if a.buffer.name == name)
    at = dict(taken.step.options).get("at")
    place = [] if at is None else _place_of(taken, at)
    _copy_block(taken, [block], buffer, place)


def _place_of(taken: Taken, at: Value) -> list[NestLoop]:
    loop = taken.loop(at)
    return taken.nest.users(loop)[0].outside(loop)


def cache_write(taken: Taken) -> None:
    """A new block copies what a block has computed to where it belongs."""
    block = taken.block(taken.step.args[0])
    buffer = next(access.buffer for access in block.accesses if access.writes)
    at = dict(taken.step.options).get("at")
    place = [] if at is None else _place_of(taken, at)
    _copy_block(taken, [block], buffer, place)


def _copy_block(
    taken: Taken, users: Sequence[NestBlock], buffer: Buffer, place: list[NestLoop]
) -> None:
    shape = shape_of(buffer, taken.nest.sizes)
    box = touched_box(users, buffer, place, shape)
    assert box is not None
    loops = [
        NestLoop(extent if place else full) for extent, full in zip(box.extents, shape, strict=True)
    ]
    bindings: list[Binding] = [
        {**(origin if place else {}), loop: constant(1)}
        for origin, loop in zip(box.origins, loops, strict=True)
    ]
    taken.new_block(taken.step.result, [*place, *loops], bindings)


def rfactor(taken: Taken) -> None:
    """The reduction's loops go to the partial results; the block adds up what one loop left."""
    loop = taken.loop(taken.step.args[0])
    (block,) = taken.nest.users(loop)
    reduced = block.reduction_loops()
    outside = block.path[: block.path.index(reduced[0])]
    inner = [other for other in block.path if other not in outside and other not in reduced]
    data = [dict(b) for r, b in zip(block.reduces, block.bindings, strict=True) if not r]
    left = NestLoop(loop.extent)
    copies = {other: NestLoop(other.extent) for other in inner}
    axis = int(str(dict(taken.step.options).get("axis", 0)))
    partial = taken.schedule.index.leaves[str(taken.step.result)].block
    bindings = _partial_bindings(block, loop, len(partial.iters), axis)
    taken.new_block(taken.step.result, list(block.path), bindings)
    total = taken.schedule.index.leaves[block.block.name].block
    moved = [{copies.get(other, other): f for other, f in binding.items()} for binding in data]
    taken.nest.blocks[block.block.name] = block_of(
        total,
        taken.nest.sizes,
        [*outside, *copies.values(), left],
        [*moved, {left: constant(1)}],
    )


def _partial_bindings(block: NestBlock, loop: NestLoop, count: int, axis: int) -> list[Binding]:
    """Data iters as before, at `axis` one that walks the loop, the rest of the reduction last."""
    data = [dict(b) for r, b in zip(block.reduces, block.bindings, strict=True) if not r]
    rest = [
        {other: factor for other, factor in b.items() if other is not loop}
        for r, b in zip(block.reduces, block.bindings, strict=True)
        if r
    ]
    place = axis if axis >= 0 else len(data) + 1 + axis
    data.insert(place, {loop: constant(1)})
    found = data + [binding for binding in rest if binding]
    return (found + [{} for _ in range(count)])[:count]


def shape_of(buffer: Buffer, sizes: Mapping[str, int]) -> tuple[Term, ...]:
    """The shape of a buffer under numbers for sizes."""
    return tuple(extent_term(extent, sizes) for extent in buffer.shape)


RULES: Mapping[str, Callable[[Taken], None]] = {
    rule.__name__: rule
    for rule in (
        split,
        tile,
        reorder,
        fuse,
        unroll,
        parallel,
        vectorize,
        compute_at,
        reverse_compute_at,
        cache_read,
        cache_write,
        rfactor,
    )
}

"""What a block touches: its accesses as relations from instances to elements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tdsl.analysis.model import Instances, Models
from tdsl.ir import build
from tdsl.ir.expr import Buffer, Expr, Load, Select, Unary, UnaryOp, Var
from tdsl.ir.frames import Frame, IslMap, IslSet, NotAffine, isl
from tdsl.ir.stmt import Block
from tdsl.ir.visit import children


@dataclass(frozen=True, slots=True)
class Access:
    """One read or write, under the conditions of the selects around it.

    `own` marks the accumulator: the load of the very element that a reduction's write updates,
    and that write itself. Those may be swapped where the reducer allows it.
    """

    buffer: Buffer
    indices: tuple[Expr, ...]
    conditions: tuple[Expr, ...]
    is_write: bool
    own: bool = False


def accesses(block: Block) -> tuple[Access, ...]:
    """Every access of a block, without repetitions."""
    found: dict[Access, None] = {}
    reduces = block.reducer is not None and bool(block.sources)
    if block.where is not None:
        found.update((a, None) for a in _reads(block.where, ()))
    for n, write in enumerate(block.writes):
        found[Access(write.buffer, write.indices, (), is_write=True, own=reduces)] = None
        for index in write.indices:
            found.update((a, None) for a in _reads(index, ()))
        value = block.sources[n] if reduces else write.value
        found.update((a, None) for a in _reads(value, ()))
    return tuple(found)


def _reads(e: Expr, conditions: tuple[Expr, ...]) -> Iterator[Access]:
    if isinstance(e, Select):
        yield from _reads(e.cond, conditions)
        yield from _reads(e.a, (*conditions, e.cond))
        yield from _reads(e.b, (*conditions, Unary(UnaryOp.NOT, e.cond)))
        return
    if isinstance(e, Load):
        yield Access(e.buffer, e.indices, conditions, is_write=False)
    for child in children(e):
        if isinstance(child, Expr):
            yield from _reads(child, conditions)


def relation(access: Access, space: Instances, models: Models, *, anywhere: bool = False) -> IslMap:
    """Instance to elements; where an index is not affine, to the whole extent of its dimension.

    `anywhere` also covers points outside the block's domain.
    """
    module = isl()
    frame, exact = space.frame, True
    dom = frame.universe() if anywhere else space.dom
    for cond in access.conditions:
        try:
            dom = dom.intersect(frame.condition(cond))
        except NotAffine:
            exact = False
    if access.conditions:  # arms of selects: what is left of "none of these values" is one piece
        dom = dom.coalesce()
    result = module.Map.from_domain(dom)
    whole: list[int] = []
    for n, index in enumerate(access.indices):
        try:
            one = frame.piecewise(index).as_map()
        except NotAffine:
            one = module.Map.from_domain(dom).add_dims(module.dim_type.out, 1)
            whole.append(n)
        result = result.flat_range_product(one)
    if whole or not (exact or anywhere):
        dims = whole if exact else None
        result = result.intersect_range(elements(access.buffer, models, dims))
    return result


def is_affine(access: Access, space: Instances) -> bool:
    """Whether all indices are affine functions of the instance."""
    try:
        for index in access.indices:
            space.frame.piecewise(index)
    except NotAffine:
        return False
    return True


def elements(buffer: Buffer, models: Models, dims: list[int] | None = None) -> IslSet:
    """The elements of a buffer, bounded in the dimensions asked for (None: all that can be)."""
    variables = [Var(f"e{n}") for n in range(buffer.rank)]
    frame = Frame(models.sizes, variables, buffer.shape, ghosts=False)
    found = frame.universe()
    for n, (var, extent) in enumerate(zip(variables, buffer.shape, strict=True)):
        if dims is None or n in dims:
            try:
                found = frame.bounded(found, var, extent)
            except NotAffine:
                found = found.intersect(frame.condition(build.ge(var, 0)))
    return found

"""No leaf runs an instance outside its block's iteration domain.

One exception: a tail padded up may, where all it touches out there is storage of its own that
grows: elements beyond the shape of allocated buffers.
"""

from __future__ import annotations

from enum import Enum
from functools import partial

from tdsl.analysis.access import Access, accesses, elements, is_affine, relation
from tdsl.analysis.model import Run, Site, as_map
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.analysis.witness import moment
from tdsl.ir.expr import Buffer, Checked, Expr
from tdsl.ir.frames import IslSet, budget
from tdsl.ir.visit import loads


class _Room(Enum):
    """What lies beyond the elements of a buffer."""

    NONE = "an argument's or result's storage is the caller's"
    FIXED = "a layout says where elements lie, and only where there are some"
    GROWS = "storage of its own is as large as what is stored"


def check_inside(state: State) -> None:
    """Check every leaf of a program.

    Raises:
        Refused: a leaf runs beyond its block's extents, at the cost of what it finds there.
    """
    for site in state.sites:
        run = state.run(site)
        if not run.inside:
            rooms = tuple(_room(state, site, a.buffer) for a in state.deps.accesses[id(site.block)])
            key = ("pad", run.key, rooms)
            state.memo.recall(key, partial(_check_padding, state, site, run))


def _check_padding(state: State, site: Site, run: Run) -> None:
    space = state.deps.models.instances(site.block)
    with budget():
        extra = run.raw.subtract(_inside(space.box, run))
    found = accesses(site.block)
    for access in found:
        room = _room(state, site, access.buffer)
        if not is_affine(access, space) or _depends_on_data(access):
            _refuse(state, site, extra, access)
        reach = relation(access, space, state.deps.models, anywhere=True)
        with budget():
            where = as_map(run.bind).intersect_domain(extra).apply_range(reach)
            shape = elements(access.buffer, state.deps.models)
            outside, within = where.subtract_range(shape), where.intersect_range(shape)
            if room is _Room.NONE and not outside.is_empty():
                _refuse(state, site, outside.domain(), access)
            if access.is_write and not within.is_empty():
                _refuse(state, site, within.domain(), access)
        if room is _Room.FIXED and access.is_write:
            _refuse(state, site, extra, access)


def _room(state: State, site: Site, buffer: Buffer) -> _Room:
    alloc = state.home(site, buffer).alloc
    if alloc is None:
        return _Room.NONE
    return _Room.GROWS if alloc.layout is None else _Room.FIXED


def _inside(box: IslSet, run: Run) -> IslSet:
    return as_map(run.bind).intersect_range(box).domain()


def _depends_on_data(access: Access) -> bool:
    return any(_has_data(e) for e in access.indices)


def _has_data(e: Expr) -> bool:
    return bool(loads(e)) or isinstance(e, Checked)


def _refuse(state: State, site: Site, times: IslSet, access: Access) -> None:
    raise Refused(
        f"{site.block.name} would run outside its domain, where {access.buffer.name} has no "
        "room to grow",
        moment("bounds", times, site, access, state.deps.models.sizes),
        hint="use tail='guard', or a factor that divides the extent",
    )

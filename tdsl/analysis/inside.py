"""No leaf runs an instance outside its block's iteration domain.

One exception: a tail padded up may, where all it touches out there is storage of its own that
grows: elements beyond the shape of allocated buffers.
"""

from __future__ import annotations

from functools import partial

from tdsl.analysis.access import Access, accesses, elements, is_affine, relation
from tdsl.analysis.model import Run, Site, as_map
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.analysis.witness import moment
from tdsl.ir.expr import Checked, Expr
from tdsl.ir.frames import IslSet, budget
from tdsl.ir.visit import loads


def check_inside(state: State) -> None:
    """Check every leaf of a program.

    Raises:
        Refused: a leaf runs beyond its block's extents, at the cost of what it finds there.
    """
    for site in state.sites:
        run = state.run(site)
        if not run.inside:
            homes = tuple(
                state.home(site, a.buffer).alloc is None
                for a in state.deps.accesses[id(site.block)]
            )
            key = ("pad", run.key, homes)
            state.memo.recall(key, partial(_check_padding, state, site, run))


def _check_padding(state: State, site: Site, run: Run) -> None:
    space = state.deps.models.instances(site.block)
    with budget():
        extra = run.raw.subtract(_inside(space.box, run))
    found = accesses(site.block)
    for access in found:
        home = state.home(site, access.buffer)
        if not is_affine(access, space) or _depends_on_data(access):
            _refuse(state, site, extra, access)
        reach = relation(access, space, state.deps.models, anywhere=True)
        with budget():
            where = as_map(run.bind).intersect_domain(extra).apply_range(reach)
            shape = elements(access.buffer, state.deps.models)
            outside, within = where.subtract_range(shape), where.intersect_range(shape)
            if home.alloc is None and not outside.is_empty():
                _refuse(state, site, outside.domain(), access)
            if access.is_write and not within.is_empty():
                _refuse(state, site, within.domain(), access)
        if home.alloc is not None and home.alloc.layout is not None and access.is_write:
            _refuse(state, site, extra, access)


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

"""Storage smaller than what it holds: nothing still needed is overwritten.

Two cases come to the same question. A layout may fold a buffer (``i % 3``); and a buffer that the
algorithm gives each step of a scan afresh may be allocated once for all steps. In both, different
elements share a place; a value must not lose it between its write and its last read.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.analysis.access import Access, elements, is_affine, relation
from tdsl.analysis.dependences import Dependence, Hazard
from tdsl.analysis.flow import moments
from tdsl.analysis.model import Site
from tdsl.analysis.order import concurrency, same_prefix, unless_before, unordered
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.analysis.witness import element_at, two_moments, value_at
from tdsl.errors import Witness
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Buffer, Expr
from tdsl.ir.frames import Frame, IslMap, NotAffine, Unknown, budget, isl
from tdsl.ir.stmt import Layout


def check_places(state: State, buffer: Buffer) -> None:
    """Check that places which elements of a buffer share are free when they are taken.

    Raises:
        Refused: a value would be overwritten before it is read, or that cannot be excluded.
    """
    if all(state.home(site, buffer).alloc is None for site in state.users(buffer)):
        return
    crowded = not _one_step_per_copy(state, buffer)
    folds = any(_folds(state, buffer, layout) for layout in _layouts(state, buffer))
    if crowded or folds:
        _check_reuse(state, buffer)


def _layouts(state: State, buffer: Buffer) -> list[Layout]:
    found: dict[int, Layout] = {}
    for site in state.users(buffer):
        alloc = state.home(site, buffer).alloc
        if alloc is not None and alloc.layout is not None:
            found[id(alloc)] = alloc.layout
    return list(found.values())


def _folds(state: State, buffer: Buffer, layout: Layout) -> bool:
    """Whether a layout puts different elements in one place."""
    placed = _layout_map(state, buffer, layout)
    with budget():
        return not placed.is_injective()


def _layout_map(state: State, buffer: Buffer, layout: Layout) -> IslMap:
    frame = Frame(state.deps.models.sizes, layout.inputs, layout.outputs, ghosts=False)
    result = isl().Map.from_domain(frame.universe())
    try:
        for output in layout.outputs:
            result = result.flat_range_product(frame.piecewise(output).as_map())
    except NotAffine as error:
        raise Refused(
            f"the layout of {buffer.name} is not affine, so nothing can be proven about it",
            hint="use concrete factors in index maps",
        ) from error
    return result


def _steps(state: State, buffer: Buffer, site: Site) -> Sequence[Expr]:
    """The bindings that tell apart the copies which the algorithm gives a buffer."""
    positions = state.deps.steps.get(buffer, {}).get(id(site.block), ())
    return [site.leaf.bindings[n] for n in positions]


def _one_step_per_copy(state: State, buffer: Buffer) -> bool:
    seen: dict[int, list[Affine]] = {}
    for site in state.users(buffer):
        home = state.home(site, buffer)
        outer = {level.var for level in site.levels[: home.depth]}
        forms = [linear(e) for e in _steps(state, buffer, site)]
        inner = {v for level in site.levels[home.depth :] for v in (level.var,)}
        if any(form.vars() & inner for form in forms):
            return False
        if seen.setdefault(id(home), forms) != forms:
            return False
        assert all(form.vars() - inner - set(state.program.sizes) <= outer for form in forms)
    return True


def _elements(state: State, access: Access, site: Site) -> IslMap:
    """Times to elements, each with the step whose copy the algorithm puts it in."""
    models = state.deps.models
    space = models.instances(site.block)
    if not is_affine(access, space):
        raise Refused(
            f"{site.block.name} reaches {access.buffer.name} through data, and the storage is "
            "smaller than the tensor",
            hint="keep the whole tensor",
        )
    element = relation(access, space, models)
    positions = state.deps.steps.get(access.buffer, {}).get(id(site.block), ())
    for n in reversed(positions):
        coordinate = space.frame.piecewise(site.block.vars[n]).as_map()
        element = coordinate.flat_range_product(element)
    return state.run(site).instances().apply_range(element)


def _rivals(state: State, buffer: Buffer, site: Site) -> IslMap:
    """Different elements that share a place, in the copy that a site uses."""
    kinds = isl().dim_type
    alloc = state.home(site, buffer).alloc
    if alloc is not None and alloc.layout is not None:
        placed = _layout_map(state, buffer, alloc.layout)
    else:
        whole = elements(buffer, state.deps.models, [])
        placed = isl().Map.identity(whole.get_space().map_from_set())
    steps = len(state.deps.steps.get(buffer, {}).get(id(site.block), ()))
    placed = placed.insert_dims(kinds.in_, 0, steps)
    together = placed.apply_range(placed.reverse())
    result = isl().Map.empty(together.get_space())
    for dim in range(together.dim(kinds.in_)):
        result = result.union(together.order_lt(kinds.in_, dim, kinds.out, dim))
        result = result.union(together.order_gt(kinds.in_, dim, kinds.out, dim))
        together = together.equate(kinds.in_, dim, kinds.out, dim)
    return result.coalesce()


def _check_reuse(state: State, buffer: Buffer) -> None:
    sites = state.users(buffer)
    writes = [
        (site, access)
        for site in sites
        for access in state.deps.accesses[id(site.block)]
        if access.buffer is buffer and access.is_write
    ]
    if len(writes) == 1 and _safe_in_turn(state, *writes[0]):
        return
    pairs = [
        (one, two)
        for one in writes
        for two in writes
        if state.home(one[0], buffer) is state.home(two[0], buffer)
    ]
    for kept, taker in pairs:
        _check_pair(state, kept, taker)
    for one, two in pairs:
        _check_turns(state, one, two)


def _safe_in_turn(state: State, p: Site, access: Access) -> bool:
    """Whether each place of the only copy is taken in the order of its elements, none too early.

    Then the next element to take a place is the first that could destroy a value, and no other
    need be looked at: a much smaller question, though not one that every schedule passes.
    """
    buffer = access.buffer
    readers = [d for d in state.deps.of_buffer(buffer) if Hazard.RAW in d.hazards]
    if state.home(p, buffer).depth or state.execution(p.block).twice is not None:
        return False
    try:
        with budget():
            written = _elements(state, access, p)
            rivals = _rivals(state, buffer, p).intersect_range(written.range())
            space = rivals.get_space().domain()
            following = rivals.intersect(isl().Map.lex_lt(space)).lexmin()
            turns = written.apply_range(following).apply_range(written.reverse())
            levels = concurrency(p, len(p.levels))
            if not unless_before(turns, levels, first=False).is_empty():
                return False
        for dep in readers:
            for c in state.places(dep.target):
                with budget():
                    met = state.met(c, p)
                    late = moments(dep, state.run(p), state.run(c)).reverse().apply_range(turns)
                    common = concurrency(c, met.common)
                    if not unless_before(late, common, first=met.first).is_empty():
                        return False
    except Unknown:
        return False
    return all(dep.source is p.block for dep in readers)


def _check_pair(state: State, kept: tuple[Site, Access], taker: tuple[Site, Access]) -> None:
    (p, access), (w, _) = kept, taker
    buffer = access.buffer
    depth = state.home(p, buffer).depth
    with budget():
        clash = _clash(state, kept, taker)
        if clash.is_empty():
            return
        clash = unless_before(
            clash.reverse(), concurrency(p, state.met(p, w).common), first=state.met(w, p).first
        ).reverse()
    for dep in state.deps.of_buffer(buffer):
        if Hazard.RAW not in dep.hazards or dep.source is not p.block:
            continue
        for c in state.places(dep.target):
            if state.home(c, buffer) is not state.home(p, buffer):
                continue
            with budget():
                flow = _last_writes(state, dep, p, c, depth)
                late = unless_before(
                    same_prefix(flow.reverse().apply_range(clash), depth),
                    concurrency(c, state.met(c, w).common),
                    first=c is w or state.met(c, w).first,  # an instance reads before it writes
                )
                lost = not late.is_empty()
            if lost:
                raise Refused(
                    f"{w.block.name} overwrites a value of {buffer.name} that {c.block.name} "
                    "still has to read",
                    _witness(state, late, dep, c, w),
                    hint="keep more of the tensor: a larger fold factor, or the whole of it",
                )


def _clash(state: State, one: tuple[Site, Access], two: tuple[Site, Access]) -> IslMap:
    """Times at which different elements are written to one place of one copy."""
    (p, access), (w, taking) = one, two
    written = _elements(state, access, p).apply_range(_rivals(state, access.buffer, p))
    clash = written.apply_range(_elements(state, taking, w).reverse())
    return same_prefix(clash, state.home(p, access.buffer).depth)


def _check_turns(state: State, one: tuple[Site, Access], two: tuple[Site, Access]) -> None:
    """Refuse a place that is written twice at once, even if neither value is ever read."""
    (p, access), (w, _) = one, two
    buffer = access.buffer
    common = concurrency(p, state.met(p, w).common)
    start = state.home(p, buffer).depth
    if not any(common[start:]):
        return
    with budget():
        clash = _clash(state, one, two)
        race = unordered(clash, common, first=True, start=start, races_only=True)
    if race is None:
        return
    witness = None
    found = two_moments(race, (p, w), state.deps.models.sizes)
    if found is not None:
        first, second, sizes = found
        witness = Witness(
            Hazard.WAW.value, buffer.name, element_at(access, first.env),
            first.loops, second.loops, p.block.name, w.block.name, sizes,
        )  # fmt: skip
    raise Refused(
        f"iterations that may run at once write different elements of {buffer.name} to one place",
        witness,
        hint="keep more of the tensor: a larger fold factor, or the whole of it",
    )


def _last_writes(state: State, dep: Dependence, p: Site, c: Site, depth: int) -> IslMap:
    """Times of a writer to those of a reader, but for writes that run again in between."""
    flow = same_prefix(moments(dep, state.run(p), state.run(c)), depth)
    if state.execution(p.block).twice is None:
        return flow
    moves = state.run(p).instances()
    again = same_prefix(moves.apply_range(moves.reverse()), depth)
    later = again.subtract(unless_before(again, concurrency(p, len(p.levels)), first=False))
    met = state.met(p, c)
    early = flow.subtract(unless_before(flow, concurrency(p, met.common), first=met.first))
    return flow.subtract(later.apply_range(early))


def _witness(
    state: State, late: IslMap, dep: Dependence, reader: Site, taker: Site
) -> Witness | None:
    """The read that comes too late, and the write that takes the place before it."""
    found = two_moments(late, (reader, taker), state.deps.models.sizes)
    if found is None:
        return None
    first, second, sizes = found
    alloc = state.home(reader, dep.buffer).alloc
    layout = None if alloc is None else alloc.layout
    written = {
        element_at(access, second.env)
        for access in state.deps.accesses[id(taker.block)]
        if access.buffer is dep.buffer and access.is_write
    }
    taken = {_place(layout, element) for element in written}
    read = [element_at(access, first.env) for _, access in dep.pairs]
    lost = [element for element in read if _place(layout, element) in taken]
    if not lost:
        return None
    # the reader may use the new value too; of copies for each step both are one element
    element = next((e for e in lost if e not in written), lost[0])
    return Witness(
        Hazard.WAR.value, dep.buffer.name, element, first.loops, second.loops,
        reader.block.name, taker.block.name, sizes,
    )  # fmt: skip


def _place(layout: Layout | None, element: tuple[int, ...]) -> tuple[int | None, ...]:
    if layout is None:
        return element
    env = dict(zip(layout.inputs, element, strict=True))
    return tuple(value_at(output, env) for output in layout.outputs)

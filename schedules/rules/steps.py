"""Steps that the rules share: parallel outer loops, packed operands, tiles in registers."""

from __future__ import annotations

from tdsl.scheduling import Loop, Schedule

_TURN = 16  # side of the squares that are transposed in registers


def spread(s: Schedule, loops: tuple[Loop, ...], enough: int) -> Loop:
    """Run directly nested loops in parallel: as many of them, fused, as give `enough` iterations.

    Loops of symbolic extent count as one iteration: a batch may be one.
    """
    outer, tasks = loops[0], least(loops[0])
    for inner in loops[1:]:
        if tasks >= enough:
            break
        tasks *= least(inner)
        outer = s.fuse(outer, inner)
    return s.parallel(outer)


def least(loop: Loop) -> int:
    """Iterations that a loop surely has, 1 where it is symbolic."""
    return loop.extent if isinstance(loop.extent, int) else 1


def own_loops(s: Schedule, block: str, rank: int) -> tuple[Loop, ...]:
    """The innermost `rank` loops of a block: those that a placement has just rebuilt."""
    return s.loops(block)[-rank:]


def hold_tile(
    s: Schedule, block: str, at: Loop, rank: int, row: int, column: int, lanes: int,
    *, by_row: bool = False,
) -> None:  # fmt: skip
    """Compute a reduction at a loop, in registers: its rows unrolled, its columns in vectors.

    `rank` counts its axes, data axes first; `row` (-1: none) and `column` are positions. A step of
    the reduction takes all rows, or (`by_row`) each row is finished before the next one.
    """
    s.compute_at(block, at=at)
    s.set_scope(block, "register")
    loops = own_loops(s, block, rank)
    rows = [loops[row]] if row >= 0 else []
    outer = [loop for n, loop in enumerate(loops) if n not in (row, column)]
    s.reorder(*((*rows, *outer) if by_row else (*outer, *rows)), loops[column])
    if row >= 0:
        s.unroll(loops[row])
    s.vectorize(loops[column], lanes)


def pack_operand(
    s: Schedule, block: str, tensor: str, at: Loop | None, column: int, width: int, lanes: int,
    order: tuple[int, ...] = (),
) -> None:  # fmt: skip
    """Let *block* read a packed operand: its `column` dimension is innermost, in panels of `width`.

    One panel is packed at a loop, or (at=None) all of them before the block. `order` is that of the
    other dimensions, if not their own.
    """
    copy = s.cache_read(block, tensor, at=at)
    rank = len(s.nest.block(copy).reads[0].indices)
    loops = own_loops(s, copy, rank)
    turned = column != rank - 1
    if at is None:
        s.transform_layout(copy, panel_layout(rank, column, width, order))
        panel, inner = s.split(loops[column], width, tail="mask")
        s.reorder(panel, *(loop for n, loop in enumerate(loops) if n != column), inner)
        s.parallel(panel)
    else:
        inner = loops[column]
        if turned or order:
            s.transform_layout(copy, panel_layout(rank, column, None, order))
    if not turned:
        s.vectorize(inner, lanes)
        return
    deep = loops[-1]
    for loop in reversed(loops[column + 1 : -1]):  # they follow each other without gaps
        deep = s.fuse(loop, deep)
    ko, ki = s.split(deep, _TURN, tail="guard")
    co, ci = s.split(inner, _TURN, tail="mask")
    s.reorder(*loops[:column], co, ko, ki, ci)
    s.unroll(ki)
    s.vectorize(ci, _TURN)


def turn_operand(s: Schedule, block: str, tensor: str, deep: int, tasks: int) -> None:
    """Let *block* read a copy of an operand in which the dimension `deep` is the dense one."""
    copy = s.cache_read(block, tensor)
    rank = len(s.nest.block(copy).reads[0].indices)
    loops = own_loops(s, copy, rank)
    s.transform_layout(copy, panel_layout(rank, deep, None))
    others = [loop for n, loop in enumerate(loops) if n not in (deep, rank - 1)]
    ko, ki = s.split(loops[deep], _TURN, tail="mask")
    io, ii = s.split(loops[-1], _TURN, tail="mask")
    s.reorder(*others, io, ko, ii, ki)
    s.unroll(ii)
    s.vectorize(ki, _TURN)
    spread(s, (*others, io), tasks)


def pass_packed(
    s: Schedule, tensor: str, column: int, width: int, order: tuple[int, ...] = ()
) -> None:
    """Let the caller pass an argument in panels of `width`, as `pack_operand` makes them."""
    (param,) = (p for p in s.func.program.params if p.buffer.name == tensor)
    layout = panel_layout(param.buffer.rank, column, width, order)
    s.transform_layout(tensor, layout, prepacked=True)


def panel_layout(rank: int, column: int, width: int | None, order: tuple[int, ...] = ()) -> str:
    """The index map that moves a dimension to the end, cut into panels of `width` if given.

    `order` is that of the other dimensions, if not their own.

    >>> panel_layout(3, 0, 16, (2, 1))
    'd0, d1, d2 -> d0 // 16, d2, d1, d0 % 16'
    """
    names = [f"d{n}" for n in range(rank)]
    others = [names[n] for n in order or range(rank) if n != column]
    last = names[column]
    outputs = [*others, last]
    if width is not None:
        outputs = [f"{last} // {width}", *others, f"{last} % {width}"]
    return f"{', '.join(names)} -> {', '.join(outputs)}"

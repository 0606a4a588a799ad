"""Permute loops of one path: the chosen loops trade places, all else stays where it is."""

from __future__ import annotations

from dataclasses import replace

from tdsl.errors import InternalError
from tdsl.ir.expr import Var
from tdsl.ir.stmt import Alloc, For, Seq, Stmt
from tdsl.ir.visit import free_vars, own_vars
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.tree import leaves_below, statements, swap


def reordered(edit: Edit, body: Stmt, order: tuple[Var, ...]) -> Stmt:
    """*body* with the loops of *order* permuted into that order, outermost first.

    Raises:
        ScheduleError: not on one path, another block stands between them, or an extent would
            use a variable of a loop further in.
    """
    chain = _chain(edit, body, order)
    chosen = [stmt for stmt in chain if isinstance(stmt, For) and stmt.var in order]
    by_var = {loop.var: loop for loop in chosen}
    queue = [by_var[var] for var in order]
    inner: Stmt = chain[-1].body if isinstance(chain[-1], For) else chain[-1]
    for stmt in reversed(chain):
        match stmt:
            case For():
                loop = queue.pop() if stmt.var in by_var else stmt
                inner = replace(loop, body=inner)
            case Alloc():
                inner = replace(stmt, body=inner)
            case _:
                raise InternalError(f"{type(stmt).__name__} between loops")
    _check_extents(edit, inner, by_var)
    return swap(body, chain[0], inner)


def _chain(edit: Edit, body: Stmt, order: tuple[Var, ...]) -> list[Stmt]:
    """The statements from the outermost to the innermost of the loops, perfectly nested."""
    wanted = set(order)
    path = common_path(edit, body, wanted)
    at = [n for n, stmt in enumerate(path) if isinstance(stmt, For) and stmt.var in wanted]
    chain = list(path[at[0] : at[-1] + 1])
    name = ""
    for stmt in chain:
        if isinstance(stmt, For):
            name = stmt.var.name
        if isinstance(stmt, Seq):
            inside = {id(leaf) for leaf in leaves_below(chain[-1])}
            others = [x.block.name for x in leaves_below(stmt) if id(x) not in inside]
            raise edit.error(
                f"block {others[0]!r} stands between these loops, inside {name!r}",
                f"fission first: s.fission({name!r}, after=...), or place {others[0]!r} elsewhere",
            )
    return chain


def common_path(edit: Edit, body: Stmt, wanted: set[Var]) -> tuple[Stmt, ...]:
    """The statements from the root of *body* down to the innermost of loops of the schedule.

    Raises:
        ScheduleError: they are not all around one block.
    """
    path = _deepest_path(body, wanted)
    if wanted - {stmt.var for stmt in path if isinstance(stmt, For)}:
        names = sorted(repr(edit.index.label(var)) for var in wanted)
        raise edit.error(
            f"loops {', '.join(names)} are not all around one block",
            "give loops of one block: s.loops(block)",
        )
    return path


def _deepest_path(body: Stmt, wanted: set[Var]) -> tuple[Stmt, ...]:
    """A path from the root that meets as many of the wanted loops as any does."""
    best: tuple[int, tuple[Stmt, ...]] = (-1, ())

    def visit(stmt: Stmt, path: tuple[Stmt, ...], met: int) -> None:
        nonlocal best
        path = (*path, stmt)
        if isinstance(stmt, For) and stmt.var in wanted:
            met += 1
            if met > best[0]:
                best = (met, path)
        children = stmt.body if isinstance(stmt, Seq) else (getattr(stmt, "body", None),)
        for child in children:
            if child is not None:
                visit(child, path, met)

    visit(body, (), 0)
    return best[1]


def _check_extents(edit: Edit, nest: Stmt, moved: dict[Var, For]) -> None:
    bound = {var for loop in moved.values() for var in own_vars(loop)}
    seen: set[Var] = set()
    for stmt in statements(nest):
        if not isinstance(stmt, For):
            continue
        late = (free_vars(stmt.extent) & bound) - seen
        if late:
            raise edit.error(
                f"the extent of {stmt.var.name!r} depends on {min(v.name for v in late)!r}, "
                "which would come inside it"
            )
        seen |= set(own_vars(stmt))

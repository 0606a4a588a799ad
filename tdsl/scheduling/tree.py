"""Surgery on loop trees: find, take out, put in, guard and rename. Pure functions on statements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import cast

from tdsl.errors import InternalError
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import Alloc, Block, For, Guard, Leaf, Program, Seq, Stmt
from tdsl.ir.visit import path_to, substitute


def statements(root: Stmt) -> Iterator[Stmt]:
    """*root* and the statements below it, in static order (expressions are not entered)."""
    stack = [root]
    while stack:
        top = stack.pop()
        yield top
        match top:
            case For(body=body) | Alloc(body=body):
                stack.append(body)
            case Seq(body=body):
                stack.extend(reversed(body))
            case _:
                pass


def leaves_below(root: Stmt) -> list[Leaf]:
    """The leaves below *root*, in static order."""
    return [stmt for stmt in statements(root) if isinstance(stmt, Leaf)]


def loop_vars(root: Stmt) -> set[Var]:
    """Variables that loops at or below *root* bind, the components of fused loops included."""
    found: set[Var] = set()
    for stmt in statements(root):
        if isinstance(stmt, For):
            found.add(stmt.var)
            found |= {part.var for part in stmt.parts}
    return found


def with_body(program: Program, body: Stmt) -> Program:
    """*program* with another body."""
    return replace(program, body=body)


def sequence(*stmts: Stmt) -> Stmt:
    """The statements one after another, without nested sequences."""
    flat: list[Stmt] = []
    for stmt in stmts:
        flat.extend(stmt.body if isinstance(stmt, Seq) else (stmt,))
    return flat[0] if len(flat) == 1 else Seq(tuple(flat))


def rebuild(root: Stmt, edit: Callable[[Stmt], Stmt | None]) -> Stmt | None:
    """Apply *edit* bottom-up; a statement for which it returns None disappears.

    Loops, sequences and allocations left without a body disappear with it.
    """
    match root:
        case For(body=body) | Alloc(body=body):
            inner = rebuild(body, edit)
            if inner is None:
                return None
            return edit(root if inner is body else replace(root, body=inner))
        case Seq(body=items):
            kept = [new for item in items if (new := rebuild(item, edit)) is not None]
            if not kept:
                return None
            if len(kept) == len(items) and all(
                new is old for new, old in zip(kept, items, strict=True)
            ):
                return edit(root)
            return edit(sequence(*kept))
        case _:
            return edit(root)


def swap(root: Stmt, old: Stmt, new: Stmt | None) -> Stmt:
    """Put *new* in the place of *old* (by identity), or take *old* out where *new* is None."""

    def visit(stmt: Stmt) -> Stmt | None:
        if stmt is old:
            return new
        match stmt:
            case For(body=body) | Alloc(body=body):
                inner = visit(body)
                if inner is body:
                    return stmt
                return None if inner is None else replace(stmt, body=inner)
            case Seq(body=items):
                news = [visit(item) for item in items]
                if all(a is b for a, b in zip(news, items, strict=True)):
                    return stmt
                kept = [item for item in news if item is not None]
                return sequence(*kept) if kept else None
            case _:
                return stmt

    result = visit(root)
    if result is None:
        msg = "a schedule step removed the whole program"
        raise InternalError(msg)
    return result


def put_before(root: Stmt, anchor: Stmt, new: Stmt) -> Stmt:
    """Insert *new* just before *anchor*."""
    return swap(root, anchor, sequence(new, anchor))


def put_after(root: Stmt, anchor: Stmt, new: Stmt) -> Stmt:
    """Insert *new* just after *anchor*."""
    return swap(root, anchor, sequence(anchor, new))


def drop_alloc(root: Stmt, alloc: Alloc) -> Stmt:
    """Take an allocation out and leave its body in place."""
    return swap(root, alloc, alloc.body)


def guarded(root: Stmt, guards: tuple[Guard, ...]) -> Stmt:
    """Add *guards* to every leaf below *root*."""
    if not guards:
        return root
    return map_leaves(root, lambda leaf: replace(leaf, guards=leaf.guards + guards))


def map_leaves(root: Stmt, f: Callable[[Leaf], Leaf]) -> Stmt:
    """Rebuild *root* with *f* applied to each leaf."""
    result = rebuild(root, lambda stmt: f(stmt) if isinstance(stmt, Leaf) else stmt)
    return cast("Stmt", result)


def renamed(root: Stmt) -> tuple[Stmt, dict[Var, Var]]:
    """A copy of *root* whose loops have fresh variables of the same names."""
    mapping = {var: Var(var.name, var.dtype) for var in loop_vars(root)}
    return substitute(root, cast("Mapping[Var, Expr]", mapping)), mapping


def replace_blocks(root: Stmt, mapping: Mapping[Block, Block]) -> Stmt:
    """Make leaves run other blocks with the same iteration variables."""

    def visit(leaf: Leaf) -> Leaf:
        block = mapping.get(leaf.block)
        return leaf if block is None else replace(leaf, block=block)

    return map_leaves(root, visit)


def nest_of(root: Stmt, leaf: Leaf) -> Stmt:
    """The outermost loop around *leaf* that holds no other leaf; *leaf* itself if there is none."""
    nest: Stmt = leaf
    for stmt in reversed(path_to(root, leaf)[:-1]):
        if len(leaves_below(stmt)) != 1:
            break
        if isinstance(stmt, For):
            nest = stmt
    return nest


def allocs_around(stmt: Stmt, body: Stmt) -> Stmt:
    """*body* inside the allocations that head *stmt*, in the same order."""
    if isinstance(stmt, Alloc):
        return replace(stmt, body=allocs_around(stmt.body, body))
    return body


def below_allocs(stmt: Stmt) -> Stmt:
    """What stands inside the allocations that head *stmt*."""
    while isinstance(stmt, Alloc):
        stmt = stmt.body
    return stmt


def parted(loop: For, count: int) -> tuple[Stmt, For]:
    """Two loops for one: of the first `count` statements of its body, and of the others.

    What the body allocates at its head is moved around both. The second loop is returned, too; it
    has a variable of its own, and loops inside keep theirs.
    """
    inner = below_allocs(loop.body)
    items = inner.body if isinstance(inner, Seq) else (inner,)
    first = replace(loop, body=sequence(*items[:count]))
    second, mapping = renamed(replace(loop, body=Seq(())))
    assert isinstance(second, For)
    second = replace(second, body=substitute(sequence(*items[count:]), mapping))
    return allocs_around(loop.body, sequence(first, second)), second

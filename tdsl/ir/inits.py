"""Put the derived inits in: ``for k: C[i] += x`` -> ``C[i] = 0; for k: C[i] += x``.

A reduction is one leaf in the loop tree. Its init runs just before the outermost reduction loop of
the block, in a copy of the data-parallel loops that lie inside that loop, so that K = 0,
predicates and any order of the loops are right by construction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from tdsl.ir.build import add, ge, index, lt
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Node, Var
from tdsl.ir.stmt import Block, For, Guard, IterKind, Leaf, LoopKind, Part, Seq, Stmt
from tdsl.ir.visit import free_vars, leaves, map_children, own_vars, path_to, substitute

_DIVIDES = (BinaryOp.FLOORDIV, BinaryOp.FLOORMOD, BinaryOp.MIN, BinaryOp.MAX)


def derive_inits(stmt: Stmt) -> Stmt:
    """Return *stmt* with a nest of init instances in front of each reduction.

    A block whose init already is a leaf of the tree (a frozen init) is left alone, so the
    function may be applied twice. The loops of an init nest have variables of their own.
    """
    placed = leaves(stmt)
    present = {id(leaf.block) for leaf in placed}
    before: dict[int, list[Stmt]] = {}
    for leaf in placed:
        init = leaf.block.init
        if init is None or id(init) in present:
            continue
        path = path_to(stmt, leaf)
        anchor = reduction_anchor(path)
        before.setdefault(id(anchor), []).append(_init_nest(leaf, init, path, anchor))
    return _insert(stmt, before) if before else stmt


def reduction_vars(leaf: Leaf) -> set[Var]:
    """The variables that bindings of REDUCE and ORDERED iteration variables mention.

    Where the block has an init, ORDERED ones (the time of a scan) name the element like DATA ones.
    """
    found: set[Var] = set()
    names_element = (IterKind.DATA, *([IterKind.ORDERED] if leaf.block.init else []))
    for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
        if it.kind not in names_element:
            found |= free_vars(binding)
    return found


def reduction_anchor(path: tuple[Stmt, ...]) -> Stmt:
    """The outermost reduction loop on the path to a leaf, or the leaf where there is none.

    What an instruction runs holds its updates and nothing else: its outermost loop stands for all
    of the reduction loops in it.
    """
    leaf = path[-1]
    assert isinstance(leaf, Leaf)
    reduced = reduction_vars(leaf)
    for s in path:
        if isinstance(s, For) and (
            s.kind is LoopKind.INSTRUCTION or reduced.intersection(own_vars(s))
        ):
            return s
    return leaf


@dataclass
class _Copy:
    """The init nest being built: loops outermost first, and what replaces old variables."""

    loops: list[For]
    renamed: dict[Var, Expr]
    guards: list[Guard]


def _init_nest(leaf: Leaf, init: Block, path: tuple[Stmt, ...], anchor: Stmt) -> Stmt:
    start = next(n for n, s in enumerate(path) if s is anchor)
    inside = [s for s in path[start:] if isinstance(s, For)]
    inner = {var for loop in inside for var in own_vars(loop)}
    reduced = reduction_vars(leaf) & inner
    data = [
        (it.extent, binding)
        for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True)
        if it.kind is not IterKind.REDUCE
    ]
    wanted = _wanted_vars(leaf, data, inner, reduced)
    copy = _copy_loops(inside, wanted - reduced)
    bindings = tuple(_data_binding(b, extent, copy, inner, reduced) for extent, b in data)
    for guard in leaf.guards:
        mentioned = free_vars(guard.cond) & inner
        if not mentioned or (mentioned & wanted and mentioned - reduced <= wanted):
            cond = substitute(guard.cond, copy.renamed)
            copy.guards.append(Guard(cond, guard.tail))
    nest: Stmt = Leaf(init, bindings, tuple(copy.guards))
    for loop in reversed(copy.loops):
        nest = For(loop.var, loop.extent, nest, loop.kind, loop.parts, loop.span)
    return nest


def _wanted_vars(
    leaf: Leaf, data: list[tuple[Expr, Expr]], inner: set[Var], reduced: set[Var]
) -> set[Var]:
    """The data-parallel variables inside the anchor that the init nest has to walk itself.

    A binding that mixes data and reduction loops without any loop outside is initialised over its
    whole extent, and needs none of them.
    """
    wanted: set[Var] = set()
    for _, binding in data:
        if not _spans_whole_extent(binding, inner, reduced):
            wanted |= free_vars(binding) & inner
    for guard in leaf.guards:
        mentioned = free_vars(guard.cond) & inner
        if mentioned & wanted and not mentioned & reduced:
            wanted |= mentioned
    return wanted - reduced


def _spans_whole_extent(binding: Expr, inner: set[Var], reduced: set[Var]) -> bool:
    mentioned = free_vars(binding)
    return bool(mentioned & reduced) and mentioned <= inner


def _copy_loops(inside: list[For], wanted: set[Var]) -> _Copy:
    copy = _Copy([], {}, [])
    kept = {var for loop in inside for var in own_vars(loop)} & wanted
    for var in {v for loop in inside for v in own_vars(loop)} - kept:
        copy.renamed[var] = index(0)
    mapped = [x for x in inside if x.kind is LoopKind.INSTRUCTION and kept & set(own_vars(x))]
    vector = mapped[-1] if mapped else None
    for loop in inside:
        own = [var for var in own_vars(loop) if var in wanted]
        if not own:
            continue
        if loop.parts and len(own) < len(loop.parts):
            for part in loop.parts:
                if part.var in wanted:
                    _add_loop(copy, part.var, part.extent, LoopKind.SERIAL, loop)
        elif loop.parts:
            parts = tuple(
                Part(_fresh(copy, part.var), substitute(part.extent, copy.renamed))
                for part in loop.parts
            )
            extent = substitute(loop.extent, copy.renamed)
            var = Var(loop.var.name, loop.var.type)
            copy.loops.append(For(var, extent, loop.body, _kind(loop, vector), parts, loop.span))
        else:
            _add_loop(copy, loop.var, loop.extent, _kind(loop, vector), loop)
    return copy


def _kind(loop: For, vector: For | None) -> LoopKind:
    """How a copy of *loop* runs; of the loops of an instruction, *vector* becomes one."""
    if loop.kind is LoopKind.INSTRUCTION and loop is not vector:
        return LoopKind.UNROLLED
    return loop.kind.of_copies


def _fresh(copy: _Copy, var: Var) -> Var:
    new = Var(var.name, var.type)
    copy.renamed[var] = new
    return new


def _add_loop(copy: _Copy, var: Var, extent: Expr, kind: LoopKind, origin: For) -> None:
    extent = substitute(extent, copy.renamed)
    copy.loops.append(For(_fresh(copy, var), extent, origin.body, kind, (), origin.span))


def _data_binding(
    binding: Expr, extent: Expr, copy: _Copy, inner: set[Var], reduced: set[Var]
) -> Expr:
    """What binds one data iteration variable of the init.

    Loops that walk data and reduction together (after skew, or after splitting a fused loop)
    cannot be copied: K = 0 would leave no init. Where such loops alone determine the binding, a
    loop of its own walks the whole extent. Where a loop outside takes part as well, a sum keeps
    its terms with the reduction at zero, and a term with a division walks the values it can take.
    """
    if _spans_whole_extent(binding, inner, reduced):
        var = Var("d")
        copy.loops.append(For(var, extent, Seq(()), LoopKind.SERIAL))
        return var
    divided = [
        term
        for term in _terms(binding)
        if free_vars(term) & reduced and _has_division(term) and free_vars(term) <= inner
    ]
    if not divided:
        return substitute(binding, copy.renamed)
    rest = _without(binding, divided)
    span = Var("d")
    copy.loops.append(For(span, extent, Seq(()), LoopKind.SERIAL))
    bound = add(substitute(rest, copy.renamed), span)
    copy.guards.append(Guard(lt(bound, extent)))
    copy.guards.append(Guard(ge(bound, 0)))
    return bound


def _terms(e: Expr) -> list[Expr]:
    if isinstance(e, Binary) and e.op is BinaryOp.ADD:
        return _terms(e.a) + _terms(e.b)
    return [e]


def _has_division(e: Expr) -> bool:
    if isinstance(e, Binary):
        return e.op in _DIVIDES or _has_division(e.a) or _has_division(e.b)
    return not isinstance(e, Var | Const)


def _without(e: Expr, dropped: Iterable[Expr]) -> Expr:
    rest: Expr = index(0)
    for term in _terms(e):
        if not any(term is d for d in dropped):
            rest = add(rest, term)
    return rest


def _insert(stmt: Stmt, before: Mapping[int, list[Stmt]]) -> Stmt:
    """Put statements in front of others, joining the sequences that arise."""

    def visit(n: Node) -> Node:
        if not isinstance(n, Stmt):
            return n
        new = map_children(n, visit)
        if isinstance(new, Seq) and isinstance(n, Seq) and new is not n:
            new = _joined(n, new)
        added = before.get(id(n))
        return Seq((*added, new)) if added else new

    return cast("Stmt", visit(stmt))


def _joined(old: Seq, new: Seq) -> Seq:
    body: list[Stmt] = []
    for was, now in zip(old.body, new.body, strict=True):
        if isinstance(now, Seq) and not isinstance(was, Seq):
            body += now.body
        else:
            body.append(now)
    return Seq(tuple(body))


__all__ = ["derive_inits", "reduction_anchor", "reduction_vars"]

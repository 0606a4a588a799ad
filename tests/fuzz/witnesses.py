"""What a refusal's witness claims, checked by evaluating the nest at it."""

from __future__ import annotations

from collections.abc import Iterator

import tdsl as td
from tdsl.errors import Witness
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.inits import derive_inits
from tdsl.ir.stmt import For, Leaf, Program
from tdsl.ir.visit import block_reads, leaves, path_to
from tdsl.lang.bounds import evaluate

Element = tuple[int | str, ...]


def false_claim(attempted: td.Schedule, witness: Witness, *, canonical: bool = False) -> str | None:
    """What is wrong with a witness of two iterations; `attempted` is the refused program.

    With `canonical`, the iterations may be those of its algorithm.
    """
    wrong = _false_in(attempted, attempted.program, witness)
    return wrong and (_false_in(attempted, attempted.algorithm, witness) if canonical else wrong)


def _false_in(attempted: td.Schedule, program: Program, witness: Witness) -> str | None:
    if witness.kind not in ("RAW", "WAR", "WAW"):
        return None
    body = derive_inits(program.body)
    placed = (a for b, a in attempted.index.allocs.items() if b.name == witness.buffer)
    if any(alloc.layout is not None for alloc in placed):
        return None  # two elements may share a place there
    sizes: dict[Var, int] = {
        v: witness.sizes[v.name] for v in attempted.func.sizes if v.name in witness.sizes
    }
    sides = (
        (witness.first_block, witness.first, "RAW WAW"),
        (witness.second_block, witness.second, "WAR WAW"),
    )
    if witness.first_block == witness.second_block and witness.first == witness.second:
        return "both iterations are the same"
    for name, loops, writing in sides:
        found = [leaf for leaf in leaves(body) if leaf.block.name == name]
        if not found:
            return f"there is no block {name}"
        path = [[s for s in path_to(body, leaf) if isinstance(s, For)] for leaf in found]
        wrong = [
            _wrong_at(leaf, around, loops, sizes, witness, writes=witness.kind in writing)
            for leaf, around in zip(found, path, strict=True)
        ]
        if all(wrong):
            return wrong[0]
    return None


def _wrong_at(
    leaf: Leaf, around: list[For], loops: dict[str, int], sizes: dict[Var, int],
    witness: Witness, *, writes: bool,
) -> str | None:  # fmt: skip
    env = dict(sizes)
    for v, extent in ((v, e) for loop in around for v, e in _variables(loop)):
        if v.name not in loops:
            return f"{leaf.block.name} has a loop {v.name} that the witness does not place"
        env[v] = loops[v.name]
        limit = evaluate(extent, env)
        if isinstance(limit, int) and not 0 <= env[v] < limit:
            return f"{v.name}={env[v]} lies outside range({limit})"
    for guard in leaf.guards:
        if evaluate(guard.cond, env) == 0:
            return f"{leaf.block.name} does not run at {loops}"
    at = {v: evaluate(b, env) for v, b in zip(leaf.block.vars, leaf.bindings, strict=True)}
    if any(isinstance(x, str) for x in at.values()):
        return None
    values = {**sizes, **at}
    touched = list(_touched(leaf, values, writes=writes))
    same_name = [element for buffer, element in touched if buffer.name == witness.buffer]
    if any(_agree(element, witness.element) for element in same_name):
        return None
    verb = "writes" if writes else "touches"
    return f"{leaf.block.name} {verb} {same_name}, not {witness.buffer}{list(witness.element)}"


def _variables(loop: For) -> list[tuple[Var, Expr]]:
    return [(p.var, p.extent) for p in loop.parts] or [(loop.var, loop.extent)]


def _touched(
    leaf: Leaf, values: dict[Var, int], *, writes: bool
) -> Iterator[tuple[Buffer, Element]]:
    places = [(w.buffer, w.indices) for w in leaf.block.writes]
    if not writes:
        places += [(r.buffer, r.indices) for r in block_reads(leaf.block)]
    for buffer, indices in places:
        yield buffer, tuple(evaluate(i, values) for i in indices)


def _agree(found: Element, claimed: tuple[int, ...]) -> bool:
    """Whether elements agree; an index that depends on data agrees with anything."""
    return all(a in ("?", b) for a, b in zip(found, claimed, strict=True))

"""Inlining: expressions that are evaluated once per use anyway, or cost next to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.errors import ScheduleError
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import BlockKind
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.scheduling import Schedule

_CHEAP = 2  # operations that may be done again in each of several readers
_AGAIN = 16  # operations that may be done again for one element of a stencil
_READS = 9  # of an element with a border around, which are inlined
_REPEATED = 500  # nodes of an expression that may be written again; borders have many
_NODES = 1500  # of an expression; more make code that nobody reads and compilers are slow on


def inline_cheap(s: Schedule, outputs: frozenset[Buffer]) -> list[tuple[str, str]]:
    """Inline what is worth it, consumers last; returns blocks with the reason."""
    done: list[tuple[str, str]] = []
    refused: set[str] = set()
    while True:
        facts = [BlockFacts(view.leaf.block) for view in s.nest.blocks]
        found = [
            (block, why)
            for block in facts
            if block.name not in refused and (why := _worth(block, facts, outputs))
        ]
        if not found:
            return done
        block, why = min(found, key=lambda one: one[0].work)  # it may leave no room for others
        try:
            s.inline(block.name)
        except ScheduleError:
            refused.add(block.name)
        else:
            done.append((block.name, why))


def _worth(
    block: BlockFacts, blocks: Sequence[BlockFacts], outputs: frozenset[Buffer]
) -> str | None:
    plain = block.block.kind in (BlockKind.COMPUTE, BlockKind.COPY) and not block.is_ordered
    if not plain or len(block.block.writes) != 1 or block.written & outputs:
        return None
    readers = [b for b in blocks if b is not block and _reads(block, b)]
    if not readers or any(block.size + b.size > _NODES for b in readers):
        return None
    if any(find_contraction(b) or _is_window(b, block) for b in readers):
        return None if not _is_view(block) else "it only renames elements"
    if block.is_border and _is_looked_around(block, readers):
        return None
    if block.is_move:
        return "it only moves elements"
    uses = [load for reader in readers for load in _reads(block, reader)]
    once = all(_is_once(reader, load) for reader in readers for load in _reads(block, reader))
    if len(uses) == 1 and once:
        return "each element is used once"
    if once and block.work <= _CHEAP and len(uses) <= 3:
        return "it is cheaper to compute again than to keep"
    apart = all(not b.reduces and _is_spread(b, load) for b in readers for load in _reads(block, b))
    again = len(uses) - 1
    if apart and block.work * again <= _AGAIN and block.size * again <= _REPEATED:
        return "its few operations are cheaper again than a tensor between stages"
    return None


def _reads(block: BlockFacts, reader: BlockFacts) -> list[Access]:
    return [load for load in reader.loads if load.buffer in block.written]


def _is_once(reader: BlockFacts, load: Access) -> bool:
    """Whether no axis of the reader uses an element again."""
    axes = [*reader.data, *reader.reduced]
    return all(v in load.vars or reader.extent(v) == 1 for v in axes) and not any(
        len(form.vars()) > 1 for form in load.forms
    )


def _is_spread(reader: BlockFacts, load: Access) -> bool:
    """Whether every axis of the reader takes another element, at a constant distance."""
    walked = [load.index_var(n, shifted=True) for n in range(len(load.forms))]
    return set(reader.data) <= set(walked)


def _is_window(reader: BlockFacts, block: BlockFacts) -> bool:
    """Whether the reader reduces over windows of the block that overlap."""
    return any(
        len(form.vars()) > 1 and form.vars() & set(reader.reduced)
        for load in _reads(block, reader)
        for form in load.forms
    )


def _is_looked_around(block: BlockFacts, readers: Sequence[BlockFacts]) -> bool:
    """Whether stencils read so much that a few rows of it are worth making.

    What it is made of is read as it lies anyway, except near its borders.
    """
    if any(reader.reduces or len(reader.data) < 2 for reader in readers):
        return False
    reads = [load for reader in readers for load in _reads(block, reader)]
    near = all(r.index_var(n, shifted=True) for r in reads for n in range(len(r.forms))[-2:])
    return near and len(reads) > _READS and len({load.forms[:-1] for load in reads}) > 1


def _is_view(block: BlockFacts) -> bool:
    """A permutation or a slice: one load at plain indices."""
    if not block.is_move or block.is_selective:
        return False
    (load,) = block.loads
    return all(len(form.terms) <= 1 and form.vars() <= set(form.terms) for form in load.forms)

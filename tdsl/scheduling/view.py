"""`s.nest`: a read-only view of the loop nest: loops, blocks, extents and accesses."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.ir.expr import Buffer, Const, Expr, Var
from tdsl.ir.inits import derive_inits
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import BlockKind, For, IterKind, Leaf, LoopKind, Program, Scope
from tdsl.ir.visit import block_reads, free_vars, own_vars, substitute
from tdsl.scheduling.naming import Index
from tdsl.scheduling.tree import with_body


@dataclass(frozen=True, slots=True)
class LoopView:
    """A loop: its name, the label that finds it, extent (an int if constant), and kind.

    `reduces` tells that it walks a reduction or ordered axis of some block below it.
    """

    name: str
    label: str
    extent: int | Expr
    kind: LoopKind
    reduces: bool
    blocks: tuple[str, ...]
    variables: tuple[Var, ...]


@dataclass(frozen=True, slots=True)
class AccessView:
    """An access of a block: the buffer, where it lives, and indices in terms of loop variables."""

    buffer: Buffer
    scope: Scope | None
    indices: tuple[Expr, ...]
    writes: bool

    @property
    def tensor(self) -> str:
        """The tensor's name."""
        return self.buffer.name


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block where it stands: loops around it (outermost first) and what it touches."""

    name: str
    kind: BlockKind
    loops: tuple[LoopView, ...]
    accesses: tuple[AccessView, ...]
    guarded: bool
    leaf: Leaf

    @property
    def reads(self) -> tuple[AccessView, ...]:
        """Its loads."""
        return tuple(access for access in self.accesses if not access.writes)

    @property
    def writes(self) -> tuple[AccessView, ...]:
        """Its stores."""
        return tuple(access for access in self.accesses if access.writes)


class NestView:
    """The nest of a scheduled program. `print` shows it as people read it."""

    __slots__ = ("_index", "_program")

    def __init__(self, program: Program, index: Index) -> None:
        self._program = program
        self._index = index

    @property
    def loops(self) -> tuple[LoopView, ...]:
        """Every loop in static order."""
        return tuple(self._loop(loop) for loop in self._index.loops.values())

    @property
    def blocks(self) -> tuple[BlockView, ...]:
        """Every block in static order."""
        return tuple(self.block(name) for name in self._index.leaves)

    def block(self, name: str) -> BlockView:
        """One block by its name in `s.blocks()`.

        Raises:
            KeyError: there is none.
        """
        leaf = self._index.leaves[name]
        block = leaf.block
        at = dict(zip(block.vars, leaf.bindings, strict=True))
        accesses = [
            AccessView(
                w.buffer,
                self._scope(w.buffer),
                tuple(substitute(i, at) for i in w.indices),
                writes=True,
            )
            for w in block.writes
        ]
        accesses += [
            AccessView(r.buffer, self._scope(r.buffer), substitute(r, at).indices, writes=False)
            for r in block_reads(block)
        ]
        loops = tuple(self._loop(loop) for loop in self._index.loop_path(name))
        return BlockView(name, block.kind, loops, tuple(accesses), bool(leaf.guards), leaf)

    def _scope(self, buffer: Buffer) -> Scope | None:
        alloc = self._index.allocs.get(buffer)
        return None if alloc is None else alloc.scope

    def _loop(self, loop: For) -> LoopView:
        below = tuple(
            name for name, path in self._index.paths.items() if any(stmt is loop for stmt in path)
        )
        own = own_vars(loop)
        reduces = any(
            it.kind is not IterKind.DATA and free_vars(binding) & set(own)
            for name in below
            for it, binding in zip(
                self._index.leaves[name].block.iters,
                self._index.leaves[name].bindings,
                strict=True,
            )
        )
        extent = int(loop.extent.value) if isinstance(loop.extent, Const) else loop.extent
        label = self._index.label(loop.var)
        return LoopView(loop.var.name, label, extent, loop.kind, reduces, below, own)

    def __str__(self) -> str:
        shown = derive_inits(self._program.body)
        return print_nest(with_body(self._program, shown))

"""What makes a block well formed, whatever loops it stands in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import Block, BlockKind, IterKind, Reducer, Write
from tdsl.ir.verify_exprs import ExprVerifier


class BlockVerifier:
    """Checks blocks once each; they see their iteration variables and the sizes, nothing else."""

    def __init__(
        self, declared: Callable[[Buffer], bool], sizes: frozenset[Var], *, lowering: bool
    ) -> None:
        self.declared = declared
        self.sizes = sizes
        self.lowering = lowering  # loads may have masks
        self.checked: set[Block] = set()

    def problems(self, block: Block) -> Iterator[str]:
        """What is wrong with *block* and its init."""
        if block in self.checked:
            return
        self.checked.add(block)
        for text in self._block(block):
            yield f"block {block.name!r}: {text}"
        if block.init is not None:
            yield from self.problems(block.init)

    def _exprs(self, *variables: Var) -> ExprVerifier:
        visible = self.sizes | set(variables)
        return ExprVerifier(visible.__contains__, self.declared, flat=False, vectors=self.lowering)

    def _block(self, block: Block) -> Iterator[str]:
        if len(set(block.vars)) != len(block.vars):
            yield "an iteration variable occurs twice"
        outside = self._exprs()
        for it in block.iters:
            yield from outside.index(it.extent, f"the extent of {it.var.name!r}")
        inside = self._exprs(*block.vars)
        if block.where is not None:
            yield from inside.condition(block.where, "`where`")
        for write in block.writes:
            yield from self._write(write, inside)
        yield from self._reduction(block, inside)

    def _write(self, w: Write, exprs: ExprVerifier) -> Iterator[str]:
        yield from exprs.problems(w.value)
        for i in w.indices:
            yield from exprs.index(i, f"an index of {w.buffer.name}")
        yield from exprs.access(w.buffer, w.indices, None, 1)
        if w.value.dtype is not w.buffer.dtype:
            yield f"a {w.value.dtype} is written to {w.buffer.name}, which is {w.buffer.dtype}"

    def _reduction(self, block: Block, exprs: ExprVerifier) -> Iterator[str]:
        for source in block.sources:
            yield from exprs.problems(source)
        if block.reducer is not None:
            yield from self._reducer(block.reducer)
            if len(block.sources) != len(block.writes):
                yield f"{len(block.sources)} sources for {len(block.writes)} writes"
        if block.init is None:
            return
        if block.kind is not BlockKind.REDUCE:
            yield f"an init in a block of kind {block.kind.value}"
        data = sum(it.kind is not IterKind.REDUCE for it in block.iters)
        if len(block.init.iters) != data:
            own = len(block.init.iters)
            yield f"{data} iteration variables that are not reduced and {own} in its init"
        if {w.buffer for w in block.init.writes} != {w.buffer for w in block.writes}:
            yield "its init writes other buffers"

    def _reducer(self, r: Reducer) -> Iterator[str]:
        lengths = {len(r.identity), len(r.left), len(r.right), len(r.combine)}
        if len(lengths) > 1:
            yield f"reducer {r.name!r} has operands, identity and result of several lengths"
        combine, identity = self._exprs(*r.left, *r.right), self._exprs()
        for e, v in zip(r.combine, r.left, strict=False):
            yield from combine.problems(e)
            if e.dtype is not v.type:
                yield f"reducer {r.name!r} makes a {e.dtype} of a {v.type}"
        for e in r.identity:
            yield from identity.problems(e)

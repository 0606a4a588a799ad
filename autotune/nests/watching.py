"""Follow a schedule step by step and keep a symbolic nest beside it.

A rule says what a step does to extents and bindings as terms. The concrete schedule says what there
is: after each step the two are laid side by side, and whatever a rule did not foresee is taken from
the schedule as it stands, with its numbers as constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tdsl.autotune.nests.model import (
    Binding,
    NestBlock,
    NestLoop,
    SymbolicNest,
    block_of,
    extent_term,
)
from tdsl.autotune.nests.rules import RULES, Taken
from tdsl.autotune.terms import Term, TermProgram, constant, product
from tdsl.ir.affine import linear
from tdsl.ir.expr import Buffer, Const, Var
from tdsl.ir.stmt import Alloc, For, Leaf, Scope
from tdsl.ir.visit import free_vars
from tdsl.scheduling import Step
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.naming import Index
from tdsl.scheduling.trace import LoopRef, Value


class NestWatcher:
    """Keeps the symbolic nest of a schedule.

    Args:
        sizes: numbers for symbolic sizes.
        knobs: the values handed out so far, in the order of their columns.

    Attributes:
        mismatches: loops whose extent is not what the rules say, and steps without a rule.
    """

    def __init__(self, sizes: Mapping[str, int], knobs: Sequence[int]) -> None:
        self.nest = SymbolicNest({}, {}, sizes)
        self.mismatches: list[str] = []
        self._knobs = knobs
        self._loops: dict[Var, NestLoop] = {}

    def start(self, schedule: ScheduleCore) -> None:
        """Take the nest of a schedule before its first step."""
        self._align(schedule, "start")
        self.mismatches.clear()

    def saw(
        self, schedule: ScheduleCore, before: Index, step: Step, arguments: dict[str, object]
    ) -> None:
        """Follow one step."""
        del before
        rule = RULES.get(step.primitive)
        if rule is not None:
            try:
                rule(Taken(self.nest, step, arguments, schedule, self._loop_of, self._value))
            except (KeyError, ValueError, StopIteration) as error:
                self.mismatches.append(f"{step}: {error!r}")
        self._align(schedule, str(step))

    def _loop_of(self, value: Value) -> NestLoop:
        assert isinstance(value, LoopRef)
        return self._loops[value.var]

    def _value(self, term: Term) -> float:
        return float(TermProgram([term]).run(np.array([self._knobs]))[0, 0])

    def _align(self, schedule: ScheduleCore, step: str) -> None:
        """Lay the symbolic nest beside the schedule; repair what differs."""
        index = schedule.index
        blocks: dict[str, NestBlock] = {}
        for name, leaf in index.leaves.items():
            loops = index.loop_path(name)
            block = self._align_block(name, leaf, loops, step)
            blocks[name] = block
            solid = [loop for loop in block.path if not loop.virtual]
            for loop, actual in zip(solid, loops, strict=True):
                self._loops[actual.var] = loop
                loop.mark(actual.kind)
        self.nest.blocks = blocks
        self.nest.scopes = self._scopes(index)

    def _align_block(self, name: str, leaf: Leaf, loops: tuple[For, ...], step: str) -> NestBlock:
        known = self.nest.blocks.get(name)
        if known is None or not self._fits(known, leaf, loops, f"{step}: {name}"):
            return self._rebuilt(known, leaf, loops)
        if known.block is not leaf.block:
            return block_of(leaf.block, self.nest.sizes, known.path, known.bindings)
        return known

    def _fits(self, block: NestBlock, leaf: Leaf, loops: tuple[For, ...], where: str) -> bool:
        """Whether a block has as many loops as the schedule says, and the extents agree."""
        solid = [loop for loop in block.path if not loop.virtual]
        if len(solid) != len(loops) or len(block.bindings) != len(leaf.block.iters):
            self.mismatches.append(f"{where}: {len(solid)} loops, not {len(loops)}")
            return False
        for loop, actual in zip(solid, loops, strict=True):
            if self._loops.get(actual.var, loop) is not loop:
                self.mismatches.append(f"{where}: {actual.var.name} stands for another loop")
                return False
            if isinstance(actual.extent, Const):
                here = self._value(product(each.extent for each in (loop, *loop.partners)))
                if here != int(actual.extent.value):
                    self.mismatches.append(
                        f"{where}: {actual.var.name} has {actual.extent.value}, not {here:g}"
                    )
        return True

    def _rebuilt(self, known: NestBlock | None, leaf: Leaf, loops: tuple[For, ...]) -> NestBlock:
        """A block as the schedule has it; loops that are known keep their terms."""
        path: list[NestLoop] = []
        variables: dict[Var, NestLoop] = {}
        for actual in loops:
            loop = self._loops.get(actual.var)
            if loop is None:
                loop = NestLoop(extent_term(actual.extent, self.nest.sizes), actual.kind)
                self._loops[actual.var] = loop
            path += [loop, *loop.partners]
            variables[actual.var] = loop
            for part in actual.parts:
                variables[part.var] = loop
        bindings = [_binding(leaf, number, variables) for number in range(len(leaf.bindings))]
        if known is not None and len(known.bindings) == len(bindings):
            bindings = [
                {loop: before.get(loop, factor) for loop, factor in binding.items()}
                for binding, before in zip(bindings, known.bindings, strict=True)
            ]
        return block_of(leaf.block, self.nest.sizes, path, bindings)

    def _scopes(self, index: Index) -> dict[Buffer, tuple[Scope, tuple[NestLoop, ...]]]:
        found: dict[Buffer, tuple[Scope, tuple[NestLoop, ...]]] = {}
        for path in index.paths.values():
            around: list[NestLoop] = []
            for stmt in path:
                if isinstance(stmt, For):
                    loop = self._loops[stmt.var]
                    around += [loop, *loop.partners]
                elif isinstance(stmt, Alloc):
                    found[stmt.buffer] = (stmt.scope, tuple(around))
        return found


def _binding(leaf: Leaf, number: int, variables: Mapping[Var, NestLoop]) -> Binding:
    """The factor of each loop in a binding, quotients and remainders as if they were linear."""
    found: Binding = {}
    form = linear(leaf.bindings[number])
    for atom, factor in form.terms.items():
        for var in [atom] if isinstance(atom, Var) else free_vars(atom):
            if var in variables:
                loop = variables[var]
                found[loop] = found.get(loop, constant(0)) + constant(abs(factor))
    return found

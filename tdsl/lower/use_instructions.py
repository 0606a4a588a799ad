"""Loops become machine instructions: ``for j, k: C[j] += a[k] * b[j, k]`` -> ``C[ramp] = f(...)``.

The nest was matched when it was scheduled. Here the addresses are known: each operand must be a
run of elements. Targets without the instruction get what it means, on vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.errors import LoweringError
from tdsl.ir.affine import stride_of, tidy
from tdsl.ir.build import index
from tdsl.ir.expr import Buffer, Const, Expr, Load, Ramp, Var
from tdsl.ir.instruction import Instruction, instruction_of, match_update
from tdsl.ir.stmt import For, If, LoopKind, Program, Stmt, Store
from tdsl.ir.visit import free_vars, substitute
from tdsl.lower.bodies import transform_statements, with_body
from tdsl.target import Target


def use_instructions(program: Program, target: Target) -> Program:
    """Replace each nest that an instruction runs.

    Raises:
        LoweringError: later steps have changed the nest, or an operand is no run of elements.
    """

    def visit(s: Stmt) -> Stmt:
        if isinstance(s, For) and s.instruction:
            found = instruction_of(s.instruction)
            return _Mapped(found, s, native=set(found.features) <= set(target.features)).stmt()
        return s

    return with_body(program, transform_statements(program.body, visit))


def serial_instructions(program: Program, target: Target) -> Program:
    """Run the loops of instructions one by one, on targets that have none of them."""
    del target

    def visit(s: Stmt) -> Stmt:
        if isinstance(s, For) and s.kind is LoopKind.INSTRUCTION:
            return For(s.var, s.extent, s.body, LoopKind.SERIAL, s.parts, s.span)
        return s

    return with_body(program, transform_statements(program.body, visit))


@dataclass
class _Mapped:
    """A nest that is being replaced."""

    found: Instruction
    nest: For
    native: bool

    def stmt(self) -> Stmt:
        """The instruction, under the conditions that the nest's body ran under."""
        loops: list[tuple[Var, int]] = []
        body: Stmt = self.nest
        conds: list[Expr] = []
        while isinstance(body, For | If):
            if isinstance(body, If):
                if body.otherwise is not None:
                    raise self._changed()
                conds.append(body.cond)
                body = body.then
            else:
                loops.append((body.var, self._extent(body)))
                body = body.body
        own = {var for var, _ in loops}
        if not isinstance(body, Store) or any(free_vars(c) & own for c in conds):
            raise self._changed()
        result: Stmt = self._store(body, loops)
        for cond in reversed(conds):
            result = If(cond, result)
        return result

    def _extent(self, loop: For) -> int:
        if not isinstance(loop.extent, Const) or loop.kind is not LoopKind.INSTRUCTION:
            raise self._changed()
        return int(loop.extent.value)

    def _changed(self) -> LoweringError:
        return LoweringError(
            f"the loops inside {self.nest.var.name!r} are no longer those of {self.found.name!r}",
            hint="tensorize after the steps that change them",
            span=self.nest.span,
        )

    def _store(self, s: Store, loops: Sequence[tuple[Var, int]]) -> Store:
        if s.mask is not None or s.atomic:
            raise self._changed()
        matched = match_update(self.found, s.value, Load(s.buffer, s.indices), loops)
        if isinstance(matched, str):
            raise self._changed()
        operands = self.found.operands()
        vectors: dict[Buffer, Load] = {}
        for buffer in (self.found.output, *self.found.inputs):
            load = matched.loads[buffer]
            axes = [matched.loops[v] for v in operands[buffer]]
            place = self._run(buffer, load, axes, [var for var, _ in loops])
            vectors[buffer] = Load(load.buffer, (place,))
        accumulator = vectors[self.found.output]
        inputs = [vectors[buffer] for buffer in self.found.inputs]
        make = self.found.call if self.native else self.found.expansion
        return Store(s.buffer, accumulator.indices, make(accumulator, inputs))

    def _run(self, operand: Buffer, load: Load, axes: Sequence[Var], loops: Sequence[Var]) -> Expr:
        """The index of all elements of an operand: they must follow one another."""
        (place,) = load.indices
        wanted: dict[Var, int] = {}  # of axes along which there is more than one element
        step = 1
        for var, extent in reversed(list(zip(axes, operand.shape, strict=True))):
            assert isinstance(extent, Const)
            if extent.value > 1:
                wanted[var] = step
            step *= int(extent.value)
        if step == 1:
            raise LoweringError(
                f"{self.found.name!r} takes {operand.name!r} as a vector of a single element",
                hint="declare it for more than one, or leave these loops to the compiler",
                span=self.nest.span,
            )
        strides = {var: stride_of(place, var) for var in wanted}
        if strides != wanted:
            raise LoweringError(
                f"{self.found.name!r} takes the elements of {operand.name!r} from memory in one "
                f"piece, with steps of {_shown(wanted)}; those of {load.buffer.name!r} have steps "
                f"of {_shown(strides)}",
                hint=f"transform_layout {load.buffer.name!r} so that these loops walk its last "
                "dimensions in order",
                span=self.nest.span,
            )
        base = tidy(substitute(place, {var: index(0) for var in loops}))
        return Ramp(base, index(1), step)


def _shown(steps: dict[Var, int] | dict[Var, int | None]) -> str:
    return ", ".join(f"{'?' if n is None else n} along {var.name}" for var, n in steps.items())


__all__ = ["serial_instructions", "use_instructions"]

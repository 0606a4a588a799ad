"""The state of a schedule: algorithm, program, proof, trace, and the handles into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tdsl.analysis import Numerics, Proof
from tdsl.errors import ScheduleError, Span, TypeMismatch, caller_span, close_names, explained
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import For, Program, Stmt
from tdsl.lang.func import Func
from tdsl.scheduling.arguments import encoded
from tdsl.scheduling.locations import Location
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.naming import Index, index_program
from tdsl.scheduling.proof import Attempt, prove_step
from tdsl.scheduling.remembered import RememberedProofs
from tdsl.scheduling.trace import Call, Step, Trace
from tdsl.scheduling.view import NestView
from tdsl.target import Target, target as parse_target


@dataclass(frozen=True)
class State:
    """One immutable state. `floor` is the numerics label of rewriting steps such as rfactor.

    `proof` is that of the last proven step; `unproven` tells that a later step skipped it.
    """

    algorithm: Program
    program: Program
    proof: Proof | None
    floor: Numerics = Numerics.EXACT
    unproven: bool = False

    @cached_property
    def index(self) -> Index:
        """The program by names."""
        return index_program(self.program)


class ScheduleCore:
    """What every primitive works on. Users see it as `Schedule`, which adds the primitives."""

    @partial(explained, name="td.Schedule")
    def __init__(self, func: Func, target: Target | str | None = None) -> None:
        if not isinstance(func, Func):
            raise TypeMismatch(
                f"td.Schedule takes an algorithm, got {type(func).__name__}",
                hint="td.func(name, inputs, outputs) makes one",
            )
        self.func = func
        self.target = parse_target(target)
        self.trace = Trace(func.name, str(self.target))
        self.file_span: Span | None = None
        self.step_span: Span | None = None
        self.location: Location | None = None
        self._ended: dict[Var, str] = {}
        self.deferred: frozenset[str] = frozenset()  # primitives whose steps `settle` proves
        self.remembered = RememberedProofs(func.program)
        attempt = Attempt("schedule", caller_span(), func.program, func.program, func.program)
        proof = prove_step(attempt, None, self.remembered)
        self._state = State(func.program, func.program, proof)

    @property
    def state(self) -> State:
        """The state that the next primitive starts from."""
        return self._state

    @property
    def algorithm(self) -> Program:
        """The unscheduled program, with the blocks that rewriting primitives have put in."""
        return self._state.algorithm

    @property
    def program(self) -> Program:
        """The scheduled program."""
        return self._state.program

    @property
    def proof(self) -> Proof | None:
        """The proof of the last proven step."""
        return self._state.proof

    @property
    def index(self) -> Index:
        """The scheduled program by names."""
        return self._state.index

    @property
    def nest(self) -> NestView:
        """The loop nest as it stands: loops, blocks, extents, accesses; `print` shows it."""
        return NestView(self.program, self.index)

    @property
    def numerics(self) -> Numerics:
        """What the steps so far do to the bits of the result: the weakest of their labels.

        `exact` (bit-equal to the unscheduled kernel), `reassociates` (sums of floats in another
        order), `approximates` or `unordered` (float atomics).
        """
        proof = self._state.proof
        return self._state.floor if proof is None else max(self._state.floor, proof.numerics)

    def settle(self) -> None:
        """Prove the program as it stands: what is owed where steps were deferred.

        Raises:
            ScheduleError: it is not legal; which of the deferred steps is to blame stays open.
        """
        state = self._state
        attempt = Attempt("schedule", self.span(), state.program, state.algorithm, state.program)
        self._state = replace(state, proof=prove_step(attempt, state.proof, self.remembered))

    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks in the order in which they stand in the program."""
        return tuple(self.index.leaves)

    @explained
    def loops(self, block: str) -> tuple[Loop, ...]:
        """Handles of the loops around a block, outermost first.

        >>> import tdsl as td
        >>> A = td.placeholder((64, 64), "float32", name="A")
        >>> B = td.compute((64, 64), lambda i, j: A[i, j] + 1.0, name="B")
        >>> td.Schedule(td.func("increment", [A], [B])).loops("B")
        (<Loop B.i>, <Loop B.j>)

        Raises:
            ScheduleError: there is no such block.
        """
        name = self.leaf_name(block, "find loops")
        return tuple(Loop(self, loop.var) for loop in self.index.loop_path(name))

    def span(self) -> Span | None:
        """Where the step being taken is written: in a schedule file, or in the caller's source."""
        return self.file_span or self.step_span or caller_span()

    def error(
        self, primitive: str, reason: str, hint: str | None = None, mark: Stmt | None = None
    ) -> ScheduleError:
        """A refusal that shows the loop nest as it stands, with the line of *mark* pointed out."""
        nest = print_nest(self.program, mark)
        return ScheduleError(primitive, reason, hint=hint, nest=nest, span=self.span())

    def leaf_name(self, block: object, primitive: str) -> str:
        """The displayed name of the one leaf that *block* (a name or a tensor) stands for.

        Raises:
            ScheduleError: unknown, or several pieces.
        """
        name = block if isinstance(block, str) else str(getattr(block, "name", block))
        found = self.index.leaves_of(name)
        if len(found) == 1:
            return found[0]
        if found:
            hint = "name one of " + ", ".join(repr(piece) for piece in found)
            raise self.error(primitive, f"block {name!r} stands in {len(found)} pieces", hint)
        for leaf in self.index.leaves.values():
            if leaf.block.init is not None and leaf.block.init.name == name:
                reason = f"{name!r} follows the loops of {leaf.block.name!r}"
                raise self.error(primitive, reason, "decompose_reduction first")
        hint = close_names(name, self.index.leaves)
        raise self.error(primitive, f"there is no block {name!r}", hint)

    def buffer(self, tensor: object, primitive: str) -> Buffer:
        """The buffer that a tensor (or its name) stands for.

        Raises:
            ScheduleError: there is none.
        """
        name = tensor if isinstance(tensor, str) else str(getattr(tensor, "name", tensor))
        known = {p.buffer.name: p.buffer for p in self.program.params}
        known |= {buffer.name: buffer for buffer in self.index.allocs}
        if name in known:
            return known[name]
        raise self.error(primitive, f"there is no tensor {name!r}", close_names(name, known))

    def loop(self, value: Loop | str, primitive: str) -> Loop:
        """The handle for a loop given by handle or by name (`C.i`, or `i` where that is unique).

        Raises:
            ScheduleError: unknown, ambiguous, ended, or of another schedule.
        """
        if isinstance(value, Loop):
            self.loop_node(value, primitive)
            return value
        block, dot, name = value.rpartition(".")
        if dot and self.index.leaves_of(block):
            return self._loop_of_block(block, name, primitive)
        if any(x.block.init and x.block.init.name == block for x in self.index.leaves.values()):
            self.leaf_name(block, primitive)
        found = [loop for loop in self.index.loops.values() if loop.var.name == value]
        if len(found) == 1:
            return Loop(self, found[0].var)
        known = [self.index.label(var) for var in self.index.loops]
        if found:
            labels = [self.index.label(loop.var) for loop in found]
            hint = "say which: " + ", ".join(repr(label) for label in labels)
            raise self.error(primitive, f"{len(found)} loops are called {value!r}", hint)
        bare = [] if dot else [loop.var.name for loop in self.index.loops.values()]
        hint = close_names(value, [*bare, *known])
        raise self.error(primitive, f"there is no loop {value!r}", hint)

    def _loop_of_block(self, block: str, name: str, primitive: str) -> Loop:
        loops: dict[Var, For] = {}
        for leaf in self.index.leaves_of(block):
            loops |= {loop.var: loop for loop in self.index.loop_path(leaf)}
        found = [var for var in loops if var.name == name]
        if len(found) == 1:
            return Loop(self, found[0])
        if found:
            hint = "name one of its pieces: " + ", ".join(self.index.leaves_of(block))
            raise self.error(primitive, f"block {block!r} has several loops {name!r}", hint)
        hint = close_names(f"{block}.{name}", [f"{block}.{var.name}" for var in loops])
        raise self.error(primitive, f"block {block!r} has no loop {name!r}", hint)

    def loop_node(self, loop: Loop, primitive: str) -> For:
        """The loop behind a handle.

        Raises:
            ScheduleError: it has ended, or belongs to another schedule.
        """
        if loop.schedule is not self:
            reason = (
                f"loop {loop.name!r} belongs to another schedule (of {loop.schedule.func.name!r})"
            )
            raise self.error(primitive, reason, "get handles from s.loops(block) of this schedule")
        found = self.index.loops.get(loop.var)
        if found is None:
            step = self._ended.get(loop.var, "an earlier step")
            hint = "use the handles which that step returned, or s.loops(block)"
            raise self.error(primitive, f"loop {loop.name!r} was ended by {step}", hint)
        return found

    def install(self, state: State, step: Step, result: object) -> None:
        """Make *state* the current one, record *step*, and note which loops it ended."""
        ended = [var for var in self.index.loops if var not in state.index.loops]
        self._state = state
        step = replace(step, result=encoded(self, result), numerics=self.numerics.value)
        number = self.trace.append(step)
        for var in ended:
            self._ended[var] = f"step {number}, {step}"

    @contextmanager
    def grouped(self, call: Call) -> Iterator[None]:
        """Record the steps inside as the expansion of *call*; undo them all if one fails."""
        state, ended, length = self._state, dict(self._ended), self.trace.open(call)
        try:
            yield
        except BaseException:
            self._state, self._ended = state, ended
            self.trace.rewind(length)
            raise
        self.trace.close(call)

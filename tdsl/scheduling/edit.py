"""What a primitive works with: the program before, refusals, and the commit that proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tdsl.analysis import Numerics, Proof
from tdsl.errors import InternalError, ScheduleError
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.stmt import Alloc, Block, For, Leaf, Program, Stmt
from tdsl.ir.visit import free_vars
from tdsl.scheduling.arguments import LoopArg
from tdsl.scheduling.core import ScheduleCore, State
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.mapped import mapped_nests, why_not
from tdsl.scheduling.naming import Index, names_around
from tdsl.scheduling.proof import Attempt, prove_step, refusal
from tdsl.scheduling.tree import leaves_below, nest_of, statements, with_body


class Edit:
    """One application of a primitive. Nothing reaches the schedule before the primitive returns."""

    def __init__(self, core: ScheduleCore, primitive: str) -> None:
        self.core = core
        self.primitive = primitive
        self.notes: list[str] = []
        self.focus: For | None = None
        self._outcome: State | None = None

    @property
    def program(self) -> Program:
        """The scheduled program before the step."""
        return self.core.program

    @property
    def body(self) -> Stmt:
        """Its body."""
        return self.core.program.body

    @property
    def algorithm(self) -> Program:
        """The algorithm before the step."""
        return self.core.algorithm

    @property
    def index(self) -> Index:
        """The scheduled program by names."""
        return self.core.index

    def facts_in(self, stmt: Stmt) -> tuple[Expr, ...]:
        """What is known of the sizes, and what all leaves below *stmt* run under (specialize)."""
        sizes = set(self.program.sizes)
        leaves = leaves_below(stmt)
        common = [
            guard.cond
            for guard in (leaves[0].guards if leaves else ())
            if free_vars(guard.cond) <= sizes
            and all(any(g.cond == guard.cond for g in leaf.guards) for leaf in leaves)
        ]
        return (*self.program.assume, *common)

    @property
    def outcome(self) -> State:
        """The state that the primitive made."""
        if self._outcome is None:
            raise InternalError(f"{self.primitive} returned without a commit")
        return self._outcome

    def error(self, reason: str, hint: str | None = None) -> ScheduleError:
        """A refusal, to be raised; the nest that it shows points at the loop that was given."""
        return self.core.error(self.primitive, reason, hint, self.focus)

    def loop(self, value: LoopArg) -> For:
        """The loop that a handle or a name stands for."""
        node = self.core.loop_node(self.core.loop(value, self.primitive), self.primitive)
        self.focus = self.focus or node
        return node

    def leaf(self, block: object) -> Leaf:
        """The one leaf of a block."""
        return self.index.leaves[self.core.leaf_name(block, self.primitive)]

    def stored(self, name: object) -> tuple[Buffer, ...]:
        """The tensors that a block writes, or the one of that name."""
        found = self.index.leaves_of(name) if isinstance(name, str) else []
        if found:
            writes = self.index.leaves[found[0]].block.writes
            return tuple(dict.fromkeys(write.buffer for write in writes))
        return (self.core.buffer(name, self.primitive),)

    def path(self, block: object) -> tuple[Stmt, ...]:
        """The statements from the root down to the one leaf of a block."""
        return self.index.paths[self.core.leaf_name(block, self.primitive)]

    def path_to_loop(self, loop: For) -> tuple[Stmt, ...]:
        """The statements from the root down to *loop*, itself included."""
        for path in self.index.paths.values():
            for depth, stmt in enumerate(path):
                if stmt is loop:
                    return path[: depth + 1]
        raise InternalError(f"loop {loop.var.name} is not in the index")

    def blocks_below(self, stmt: Stmt) -> list[str]:
        """Displayed names of the leaves below *stmt*."""
        return [
            name for name, path in self.index.paths.items() if any(stmt is node for node in path)
        ]

    def related_loops(self, loop: For) -> list[For]:
        """The loops around *loop* and inside it."""
        near = [*self.path_to_loop(loop)[:-1], *statements(loop.body)]
        return [stmt for stmt in near if isinstance(stmt, For)]

    @staticmethod
    def find(body: Stmt, var: Var) -> For:
        """The loop over *var* in a tree that the step is making."""
        for stmt in statements(body):
            if isinstance(stmt, For) and stmt.var is var:
                return stmt
        raise InternalError(f"loop {var.name} is not in the tree")

    @staticmethod
    def alloc_of(body: Stmt, buffer: Buffer) -> Alloc:
        """The allocation of *buffer* in a tree that the step is making."""
        for stmt in statements(body):
            if isinstance(stmt, Alloc) and stmt.buffer is buffer:
                return stmt
        raise InternalError(f"{buffer.name} is not allocated in the tree")

    def names_near(self, loop: For) -> set[str]:
        """Loop names that a loop made out of *loop* may not take."""
        return names_around(self.path_to_loop(loop), loop) - {loop.var.name}

    def handle(self, var: Var) -> Loop:
        """The handle of a loop that the step makes or keeps."""
        return Loop(self.core, var)

    def handles(self, *variables: Var) -> tuple[Loop, ...]:
        """Handles, in order."""
        return tuple(Loop(self.core, var) for var in variables)

    def nest_handles(self, body: Stmt, block: Block) -> tuple[Loop, ...]:
        """Handles of the loops that hold one block alone, outer first."""
        (leaf,) = [leaf for leaf in leaves_below(body) if leaf.block is block]
        nest = nest_of(body, leaf)
        return self.handles(*(s.var for s in statements(nest) if isinstance(s, For)))

    @staticmethod
    def first_accepted(attempts: list[Callable[[], None]]) -> None:
        """Run attempts until one is accepted; the refusal of the last is what counts.

        Raises:
            ScheduleError: all were refused.
        """
        refused: ScheduleError | None = None
        for attempt in attempts:
            try:
                attempt()
            except ScheduleError as error:
                refused = error
            else:
                return
        assert refused is not None
        raise refused

    def note(self, text: str) -> None:
        """Say what the step did beyond what was asked; shown in the trace."""
        self.notes.append(text)

    def commit(
        self,
        body: Stmt,
        *,
        unsafe: bool,
        program: Program | None = None,
        algorithm: Program | None = None,
        floor: Numerics = Numerics.EXACT,
    ) -> None:
        """Prove the program with *body* and make it the step's outcome.

        `program` is given by steps that change parameters, `algorithm` by those that rewrite
        blocks, `floor` by those that change numerics.

        Raises:
            ScheduleError: it is not proven, and `unsafe` is false.
        """
        state = self.core.state
        for nest in mapped_nests(body):
            misfit = why_not(nest)
            if misfit is not None:
                raise self.error(*misfit)
        new = replace(
            state,
            algorithm=algorithm or state.algorithm,
            program=with_body(program or state.program, body),
            floor=max(state.floor, floor),
            unproven=state.unproven or unsafe,
        )
        if not unsafe and self.primitive not in self.core.deferred:
            new = replace(new, proof=self._prove(new))
        self._outcome = new

    def prove_way(self, body: Stmt) -> None:
        """Prove another order of the same blocks, which the step's outcome builds upon.

        Raises:
            ScheduleError: it is not proven.
        """
        state = self.core.state
        self._prove(replace(state, program=with_body(state.program, body)))

    def _prove(self, new: State) -> Proof | None:
        core = self.core
        span = core.span()
        attempt = Attempt(
            self.primitive, span, core.program, new.algorithm, new.program, self.focus
        )
        try:
            return prove_step(attempt, core.proof, core.remembered)
        except ScheduleError:
            if not core.state.unproven or refusal(core.algorithm, core.program) is None:
                raise
        # The program was past proof before this step, because of an earlier unsafe one.
        self.note("not proven: an earlier step is unsafe")
        return core.proof

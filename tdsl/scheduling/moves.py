"""`s.moves(loop)`: the steps that could be taken at a loop, each tried without being taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tdsl.analysis import Numerics
from tdsl.errors import TdslError, Witness
from tdsl.ir.stmt import BlockKind, For, Stmt
from tdsl.ir.visit import accessed_buffers, block_reads
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.tree import statements
from tdsl.target import TargetKind

Arguments = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """One step: the primitive and its arguments, and what came of trying it.

    Attributes:
        numerics: the label that the schedule would have, None where the step is refused.
        reason, hint, witness: of the refusal; None where the step is legal.
    """

    primitive: str
    args: Arguments
    numerics: Numerics | None = None
    reason: str | None = None
    hint: str | None = None
    witness: Witness | None = None

    @property
    def is_legal(self) -> bool:
        """Whether the schedule would accept the step."""
        return self.numerics is not None

    @property
    def call(self) -> str:
        """The step as Python."""
        shown = [f'"{a}"' if isinstance(a, str) else repr(a) for a in self.args]
        return f"s.{self.primitive}({', '.join(shown)})"

    def __str__(self) -> str:
        if self.numerics is None:
            return f"no   {self.call}  # {self.reason}"
        note = "" if self.numerics is Numerics.EXACT else f"  # {self.numerics.value}"
        return f"yes  {self.call}{note}"


@dataclass(frozen=True, slots=True)
class Moves:
    """All steps that were tried; `print` shows the legal ones first."""

    items: tuple[Move, ...]

    @property
    def legal(self) -> tuple[Move, ...]:
        """Those that the schedule would accept."""
        return tuple(move for move in self.items if move.is_legal)

    @property
    def refused(self) -> tuple[Move, ...]:
        """Those that it would refuse, each with its reason."""
        return tuple(move for move in self.items if not move.is_legal)

    def __iter__(self) -> Iterator[Move]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __str__(self) -> str:
        return "\n".join(str(move) for move in (*self.legal, *self.refused))


def find_moves(core: ScheduleCore, loop: Loop) -> Moves:
    """Try every step that the table knows at a loop, with small factors where one is needed."""
    place = _Place(core, core.loop_node(loop, "list moves"), core.index.label(loop.var))
    found: list[Move] = []
    for name, arguments in _CANDIDATES.items():
        found += [_tried(core, name, args) for args in dict.fromkeys(arguments(place))]
    return Moves(tuple(found))


def _tried(core: ScheduleCore, name: str, args: Arguments) -> Move:
    try:
        state = PRIMITIVES[name].attempt(core, *args)
    except TdslError as error:
        reason = getattr(error, "reason", error.message)
        return Move(
            name, args, reason=reason, hint=error.hint, witness=getattr(error, "witness", None)
        )
    label = state.floor if state.proof is None else max(state.floor, state.proof.numerics)
    return Move(name, args, numerics=label)


@dataclass(frozen=True, slots=True)
class _Place:
    """A loop, by label, and the names of what is in and around it."""

    core: ScheduleCore
    node: For
    label: str

    def labels(self, among: list[For]) -> list[str]:
        """Labels of loops."""
        return [self.core.index.label(loop.var) for loop in among]

    def inner(self) -> list[str]:
        """The loops inside."""
        return self.labels([s for s in statements(self.node.body) if isinstance(s, For)])

    def outer(self) -> list[str]:
        """The loops around, outermost first."""
        path = next(path for path in self.core.index.paths.values() if self._holds(path))
        around = path[: next(n for n, s in enumerate(path) if s is self.node)]
        return self.labels([s for s in around if isinstance(s, For)])

    def inside(self) -> list[str]:
        """The blocks in the loop."""
        return [name for name, path in self.core.index.paths.items() if self._holds(path)]

    def outside(self) -> list[str]:
        """The blocks elsewhere."""
        inside = self.inside()
        return [name for name in self.core.index.leaves if name not in inside]

    def stored(self) -> list[str]:
        """The intermediate tensors that the loop touches."""
        touched = accessed_buffers(self.node)
        return [buffer.name for buffer in self.core.index.allocs if buffer in touched]

    def reads(self) -> list[tuple[str, str]]:
        """Blocks in the loop, and the tensors that they read."""
        leaves = self.core.index.leaves
        return [
            (name, buffer.name)
            for name in self.inside()
            for buffer in dict.fromkeys(load.buffer for load in block_reads(leaves[name].block))
        ]

    def successors(self) -> list[Arguments]:
        """Tensors that a block in the loop writes, each with those it reads of the same shape."""
        leaves, held = self.core.index.leaves, self.core.index.allocs
        return [
            (write.buffer.name, load.buffer.name)
            for name in self.inside()
            for write in leaves[name].block.writes
            for load in block_reads(leaves[name].block)
            if load.buffer in held
            and load.buffer is not write.buffer
            and (load.buffer.dtype, load.buffer.shape) == (write.buffer.dtype, write.buffer.shape)
        ]

    def reductions(self) -> list[str]:
        """The reductions in the loop."""
        leaves = self.core.index.leaves
        return [name for name in self.inside() if leaves[name].block.kind is BlockKind.REDUCE]

    def axes(self) -> list[str]:
        """The axes that the target has."""
        opencl = self.core.target.kind is TargetKind.OPENCL
        return ["group.x", "group.y", "local.x", "local.y"] if opencl else []

    def _holds(self, path: tuple[Stmt, ...]) -> bool:
        return any(stmt is self.node for stmt in path)


_CANDIDATES: dict[str, Callable[[_Place], list[Arguments]]] = {
    "split": lambda p: [(p.label, 4)],
    "parallel": lambda p: [(p.label,)],
    "vectorize": lambda p: [(p.label,)],
    "unroll": lambda p: [(p.label,)],
    "bind": lambda p: [(p.label, axis) for axis in p.axes()],
    "unroll_and_jam": lambda p: [(p.label, 2)],
    "reverse": lambda p: [(p.label,)],
    "reorder": lambda p: [(other, p.label) for other in p.inner()],
    "fuse": lambda p: [(p.label, other) for other in p.inner()[:1]],
    "tile": lambda p: [(p.label, other, 4, 4) for other in p.inner()],
    "skew": lambda p: [(p.label, other) for other in p.outer()],
    "compute_at": lambda p: [(block, p.label) for block in p.outside()],
    "reverse_compute_at": lambda p: [(block, p.label) for block in p.outside()],
    "compute_with": lambda p: [(block, p.label) for block in p.outside()],
    "store_at": lambda p: [(tensor, p.label) for tensor in p.stored()],
    "fission": lambda p: [(p.label, block) for block in p.inside()[:-1]],
    "decompose_reduction": lambda p: [(block, p.label) for block in p.reductions()],
    "rfactor": lambda p: [(p.label,) for _ in p.reductions()],
    "cache_read": lambda p: [(*read, "global", p.label) for read in p.reads()],
    "cache_write": lambda p: [(block, "stack", p.label) for block in p.inside()],
    "pad_einsum": lambda p: [(block, 8) for block in p.reductions()],
    "reuse": lambda p: p.successors(),
}

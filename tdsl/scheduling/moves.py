"""`s.moves(loop)`: the steps that could be taken at a loop, each tried without being taken.

What a legal one gains is the quotient of two forecasts, before and after. It is about this step
alone: a split gains nothing until its loops are reordered, marked or filled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tdsl.analysis import Numerics
from tdsl.analysis.forecast import forecast
from tdsl.errors import TdslError, TypeMismatch, Witness, close_names
from tdsl.ir.expr import Buffer, Const
from tdsl.ir.instruction import INSTRUCTIONS
from tdsl.ir.stmt import Alloc, BlockKind, For, IterKind, Program, Stmt
from tdsl.ir.visit import accessed_buffers, block_reads
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.shipped import declare_instructions
from tdsl.scheduling.tree import statements
from tdsl.target import TargetKind

Arguments = tuple[object, ...]

TYPICAL = 512  # what a size is taken for where none is given
_EVEN = 0.995, 1.005  # gains that print as none


@dataclass(frozen=True, slots=True)
class Move:
    """One step: the primitive and its arguments, and what came of trying it.

    Attributes:
        numerics: the label that the schedule would have, None where the step is refused.
        gain: how many times quicker the kernel is predicted to be after it; None where the step is
            refused, and for OpenCL devices, of which too little is known.
        reason, hint, witness: of the refusal; None where the step is legal.
    """

    primitive: str
    args: Arguments
    numerics: Numerics | None = None
    gain: float | None = None
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
            help_ = f"; {self.hint}" if self.hint else ""
            return f"no   {self.call}  # {self.reason}{help_}"
        notes = [] if self.gain is None else [_shown(self.gain)]
        if self.numerics is not Numerics.EXACT:
            notes.append(self.numerics.value)
        return f"yes  {self.call}" + (f"  # {', '.join(notes)}" if notes else "")


def _shown(gain: float) -> str:
    low, high = _EVEN
    if gain >= high:
        return f"{gain:.3g} x quicker"
    return f"{gain:.2g} x as quick" if gain <= low else "as quick"


@dataclass(frozen=True, slots=True)
class Moves:
    """All steps that were tried; `print` shows the legal ones first, the greatest gain on top."""

    items: tuple[Move, ...]

    @property
    def legal(self) -> tuple[Move, ...]:
        """Those that the schedule would accept, the greatest predicted gain first."""
        accepted = [move for move in self.items if move.is_legal]
        return tuple(sorted(accepted, key=lambda move: -(move.gain or 0.0)))

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


def find_moves(core: ScheduleCore, loop: Loop, sizes: Mapping[str, int] | None = None) -> Moves:
    """Try every step that the table knows at a loop, with small factors where one is needed.

    Args:
        core: the schedule.
        loop: where.
        sizes: numbers for symbolic sizes, which the predicted gains depend on; 512 for others.

    Raises:
        ScheduleError: the loop is gone.
        TypeMismatch: `sizes` names no size of the algorithm.
    """
    place = _Place(core, core.loop_node(loop, "list moves"), core.index.label(loop.var))
    gains = _Gains(core, sizes or {})
    found: list[Move] = []
    for name, arguments in _CANDIDATES.items():
        found += [_tried(core, gains, name, args) for args in dict.fromkeys(arguments(place))]
    return Moves(tuple(found))


class _Gains:
    """Forecasts of programs as quotients to the one that there is now."""

    def __init__(self, core: ScheduleCore, sizes: Mapping[str, int]) -> None:
        known = {size.name: size for size in core.program.sizes}
        for name in sizes:
            if name not in known:
                raise TypeMismatch(
                    f"{core.func.name} has no size {name!r}",
                    span=core.span(),
                    hint=close_names(name, known) or f"its sizes: {', '.join(known) or 'none'}",
                )
        self._target = core.target
        self._sizes = {size: sizes.get(name, TYPICAL) for name, size in known.items()}
        self._now = forecast(core.program, core.target, self._sizes)

    def of(self, program: Program) -> float | None:
        """How many times quicker a program is; None for devices."""
        if self._target.kind is TargetKind.OPENCL:
            return None
        after = forecast(program, self._target, self._sizes)
        return self._now / after if after else 1.0


def _tried(core: ScheduleCore, gains: _Gains, name: str, args: Arguments) -> Move:
    try:
        state = PRIMITIVES[name].attempt(core, *args)
    except TdslError as error:
        reason = getattr(error, "reason", error.message)
        return Move(
            name, args, reason=reason, hint=error.hint, witness=getattr(error, "witness", None)
        )
    label = state.floor if state.proof is None else max(state.floor, state.proof.numerics)
    return Move(name, args, numerics=label, gain=gains.of(state.program))


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
        """The loops inside, down to where there are several."""
        found: list[For] = []
        s = self.node.body
        while isinstance(s, For | Alloc):
            found += [s] if isinstance(s, For) else []
            s = s.body
        return self.labels(found)

    def exceeds(self, loop: str, factor: int) -> bool:
        """Whether a loop is known to be longer than a factor, or of unknown length."""
        extent = self.core.loop_node(self.core.loop(loop, "list moves"), "list moves").extent
        return not isinstance(extent, Const) or int(extent.value) > factor

    def outer(self) -> list[str]:
        """The loops around, outermost first."""
        path = next(path for path in self.core.index.paths.values() if self._holds(path))
        around = path[: next(n for n, s in enumerate(path) if s is self.node)]
        return self.labels([s for s in around if isinstance(s, For)])

    def inside(self) -> list[str]:
        """The blocks in the loop."""
        return [name for name, path in self.core.index.paths.items() if self._holds(path)]

    def producers(self) -> list[str]:
        """The blocks elsewhere whose results the loop reads."""
        return [
            name for name in self._outside() if self._written([name]) & self._read(self.inside())
        ]

    def consumers(self) -> list[str]:
        """The blocks elsewhere that read results of the loop."""
        return [
            name for name in self._outside() if self._written(self.inside()) & self._read([name])
        ]

    def siblings(self) -> list[str]:
        """The blocks elsewhere that read something that the loop reads, too."""
        related = {*self.producers(), *self.consumers()}
        shared = self._read(self.inside())
        return [x for x in self._outside() if x not in related and self._read([x]) & shared]

    def held(self) -> list[str]:
        """The tensors that are allocated in the loop."""
        return [s.buffer.name for s in statements(self.node.body) if isinstance(s, Alloc)]

    def scans(self) -> list[str]:
        """The loop itself, where it walks a scan in its order."""
        leaves = self.core.index.leaves
        kinds = {it.kind for name in self.inside() for it in leaves[name].block.iters}
        return [self.label] if IterKind.ORDERED in kinds else []

    def instructions(self) -> list[str]:
        """The instructions for which a reduction in the loop has operands of the right types."""
        leaves = self.core.index.leaves
        if self.reductions():
            declare_instructions()
        types = [
            {b.dtype for b in (*self._read_by(name), leaves[name].block.writes[0].buffer)}
            for name in self.reductions()
        ]
        return [
            x.name for x in INSTRUCTIONS.values()
            if not x.by_pointer and {b.dtype for b in (x.output, *x.inputs)} in types
        ]  # fmt: skip

    def stored(self) -> list[str]:
        """The intermediate tensors that the loop touches and that are allocated outside."""
        touched, held = accessed_buffers(self.node), self.held()
        found = [buffer.name for buffer in self.core.index.allocs if buffer in touched]
        return [name for name in found if name not in held]

    def reads(self) -> list[tuple[str, str]]:
        """Blocks in the loop, and the tensors that they read."""
        leaves = self.core.index.leaves
        return [
            (name, buffer.name)
            for name in self.inside()
            for buffer in self._read_by(name)
            if buffer.name not in self.held()
            and buffer not in {write.buffer for write in leaves[name].block.writes}
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

    def results(self) -> list[str]:
        """The blocks in the loop whose results leave it."""
        leaves, held = self.core.index.leaves, self.held()
        return [x for x in self.inside() if leaves[x].block.writes[0].buffer.name not in held]

    def reductions(self) -> list[str]:
        """The reductions in the loop."""
        leaves = self.core.index.leaves
        return [name for name in self.inside() if leaves[name].block.kind is BlockKind.REDUCE]

    def axes(self) -> list[str]:
        """The axes that the target has."""
        opencl = self.core.target.kind is TargetKind.OPENCL
        return ["group.x", "group.y", "local.x", "local.y"] if opencl else []

    def _outside(self) -> list[str]:
        inside = self.inside()
        return [name for name in self.core.index.leaves if name not in inside]

    def _read(self, blocks: Iterable[str]) -> set[Buffer]:
        return {buffer for name in blocks for buffer in self._read_by(name)}

    def _read_by(self, block: str) -> list[Buffer]:
        loads = block_reads(self.core.index.leaves[block].block)
        return list(dict.fromkeys(load.buffer for load in loads))

    def _written(self, blocks: Iterable[str]) -> set[Buffer]:
        leaves = self.core.index.leaves
        return {write.buffer for name in blocks for write in leaves[name].block.writes}

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
    "tile": lambda p: [(p.label, other, 4, 4) for other in p.inner() if p.exceeds(other, 4)],
    "skew": lambda p: [(p.label, other) for other in p.outer()],
    "split_scan": lambda p: [(label, 64) for label in p.scans()],
    "tensorize": lambda p: [(p.label, name) for name in p.instructions()],
    "compute_at": lambda p: [(block, p.label) for block in p.producers()],
    "inline": lambda p: [(block,) for block in p.producers()],
    "reverse_compute_at": lambda p: [(block, p.label) for block in p.consumers()],
    "compute_with": lambda p: [(block, p.label) for block in p.siblings()],
    "fold_storage": lambda p: [(tensor,) for tensor in p.held()],
    "store_at": lambda p: [(tensor, p.label) for tensor in p.stored()],
    "fission": lambda p: [(p.label, block) for block in p.inside()[:-1]],
    "decompose_reduction": lambda p: [(block, p.label) for block in p.reductions()],
    "rfactor": lambda p: [(p.label,) for _ in p.reductions()],
    "cache_read": lambda p: [(*read, "global", p.label) for read in p.reads()],
    "cache_write": lambda p: [(block, "stack", p.label) for block in p.results()],
    "pad_einsum": lambda p: [(block, 8) for block in p.reductions()],
    "reuse": lambda p: p.successors(),
}

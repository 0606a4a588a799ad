"""What a rule may ask of one block: its axes, and how each access moves along them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tdsl.analysis.cost import flops_of
from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Load, Math, Select, Var
from tdsl.ir.stmt import Block, BlockKind, IterKind
from tdsl.ir.visit import block_reads, walk

_LIMITS = (BinaryOp.MIN, BinaryOp.MAX)


def constant(extent: Expr | int) -> int | None:
    """An extent as a number, None where it depends on sizes."""
    if isinstance(extent, int):
        return extent
    return int(extent.value) if isinstance(extent, Const) else None


@dataclass(frozen=True)
class Access:
    """One load or store: a buffer and the linear form of each of its indices."""

    buffer: Buffer
    forms: tuple[Affine, ...]

    @staticmethod
    def of(buffer: Buffer, indices: tuple[Expr, ...]) -> Access:
        """An access by its indices."""
        return Access(buffer, tuple(linear(index) for index in indices))

    @cached_property
    def vars(self) -> frozenset[Var]:
        """Every variable that the indices mention."""
        return frozenset(v for form in self.forms for v in form.vars())

    def is_plain(self, var: Var) -> bool:
        """Whether *var* occurs as a term of its own in one dimension only, in no division."""
        places = [form for form in self.forms if var in form.vars()]
        return len(places) == 1 and places[0].coefficient(var) != 0

    def dimension(self, var: Var) -> int | None:
        """The one dimension that *var* walks, or None."""
        places = [n for n, form in enumerate(self.forms) if var in form.vars()]
        return places[0] if len(places) == 1 else None

    def is_dense(self, var: Var) -> bool:
        """Whether neighbours along *var* are neighbours in memory."""
        at = self.dimension(var)
        if at is None or self.forms[at].coefficient(var) != 1:
            return False
        return all(constant(extent) == 1 for extent in self.buffer.shape[at + 1 :])

    def index_var(self, dimension: int, *, shifted: bool = False) -> Var | None:
        """The variable that is the whole index of a dimension, plus a constant if `shifted`."""
        form = self.forms[dimension]
        if (shifted or form.const == 0) and len(form.terms) == 1:
            ((atom, factor),) = form.terms.items()
            if isinstance(atom, Var) and factor == 1:
                return atom
        return None


@dataclass(frozen=True)
class BlockFacts:
    """One block of the algorithm."""

    block: Block

    @property
    def name(self) -> str:
        """The block's name."""
        return self.block.name

    @property
    def reduces(self) -> bool:
        """Whether it combines values into each element."""
        return self.block.kind is BlockKind.REDUCE

    @cached_property
    def data(self) -> tuple[Var, ...]:
        """Variables of the data axes, in order."""
        return tuple(it.var for it in self.block.iters if it.kind is IterKind.DATA)

    @cached_property
    def reduced(self) -> tuple[Var, ...]:
        """Variables of the reduction axes, in order."""
        return tuple(it.var for it in self.block.iters if it.kind is IterKind.REDUCE)

    @property
    def is_ordered(self) -> bool:
        """Whether it is part of a recurrence, or an update whose order matters."""
        return self.block.kind is BlockKind.UPDATE or any(
            it.kind is IterKind.ORDERED for it in self.block.iters
        )

    @cached_property
    def extents(self) -> dict[Var, Expr]:
        """The extent of each axis."""
        return {it.var: it.extent for it in self.block.iters}

    def extent(self, var: Var) -> int | None:
        """The extent of an axis, None where it is symbolic."""
        return constant(self.extents[var])

    def count(self, axes: tuple[Var, ...]) -> int | None:
        """The number of points of some axes, None where one of them is symbolic."""
        total = 1
        for var in axes:
            extent = self.extent(var)
            if extent is None:
                return None
            total *= extent
        return total

    @cached_property
    def writes(self) -> tuple[Access, ...]:
        """What it stores."""
        return tuple(Access.of(w.buffer, w.indices) for w in self.block.writes)

    @cached_property
    def written(self) -> frozenset[Buffer]:
        """The buffers it stores to."""
        return frozenset(w.buffer for w in self.block.writes)

    @cached_property
    def loads(self) -> tuple[Access, ...]:
        """What it reads besides its own accumulators, each distinct access once."""
        found: dict[tuple[Buffer, tuple[Expr, ...]], Access] = {}
        for load in block_reads(self.block):
            if load.buffer not in self.written:
                found[load.buffer, load.indices] = Access.of(load.buffer, load.indices)
        return tuple(found.values())

    @property
    def bits(self) -> int:
        """Width of the widest element it computes with, which sets the number of lanes."""
        return max(w.buffer.dtype.bits for w in self.block.writes)

    @cached_property
    def is_selective(self) -> bool:
        """Whether it chooses between expressions: padding, masks."""
        return self.block.where is not None or any(
            isinstance(n, Select) for w in self.block.writes for n in walk(w.value)
        )

    @cached_property
    def work(self) -> int:
        """Arithmetic of one instance; a transcendental function counts as many."""
        functions = sum(1 for w in self.block.writes for n in walk(w.value) if isinstance(n, Math))
        return flops_of(self.block) + 15 * functions

    @cached_property
    def size(self) -> int:
        """Nodes of its expressions, which is what writing it out costs."""
        return sum(1 for w in self.block.writes for _ in walk(w.value))

    @cached_property
    def is_move(self) -> bool:
        """Whether it only moves one element."""
        return len(self.block.writes) == 1 and isinstance(self.block.writes[0].value, Load)

    @cached_property
    def is_padding(self) -> bool:
        """Whether it copies an element, or a number where there is none."""
        value = self.block.writes[0].value
        return isinstance(value, Select) and all(
            isinstance(v, Load | Const) for v in (value.a, value.b)
        )

    @cached_property
    def folds(self) -> bool:
        """Whether an index is clamped, or folded back into a tensor."""
        return any(
            isinstance(n, Select) or (isinstance(n, Binary) and n.op in _LIMITS)
            for load in self.loads
            for form in load.forms
            for atom in form.terms
            for n in walk(atom)
        )

    @cached_property
    def is_border(self) -> bool:
        """Whether it puts a border around a tensor: a number, or elements that are there."""
        return self.is_padding or (self.is_move and self.folds)

    def walk_order(self, access: Access, last: int) -> tuple[int, ...]:
        """Dimensions of a tensor in the order in which loops walk them, one of them moved last.

        Nothing where another one is not walked by an axis alone.
        """
        axes = [it.var for it in self.block.iters]
        found: list[tuple[int, int]] = []
        for dimension in range(len(access.forms)):
            var = access.index_var(dimension)
            if dimension == last:
                continue
            if var is None:
                return ()
            found.append((axes.index(var), dimension))
        return (*(dimension for _, dimension in sorted(found)), last)

    def dense_run(self, axes: tuple[Var, ...]) -> int:
        """How many of the last of `axes` every access walks as one run without gaps, at least 1.

        An access may also leave out all of them.
        """
        count = 1
        while count < len(axes) and self._continues(axes[-count - 1], axes[-count]):
            count += 1
        return count

    def _continues(self, outer: Var, inner: Var) -> bool:
        """Whether rows along *inner* follow each other along *outer* in every access."""
        if self.extent(inner) is None:
            return False
        for access in (*self.writes, *self.loads):
            if outer not in access.vars and inner not in access.vars:
                continue
            i, j = access.dimension(outer), access.dimension(inner)
            if i is None or j is None or j != i + 1:
                return False
            if access.index_var(i) is not outer or access.index_var(j) is not inner:
                return False
            if access.buffer.strided or access.buffer.shape[j] != self.extents[inner]:
                return False
        return True

"""The symbolic nest: loops whose extents are terms over knobs, and blocks bound to them.

It is a summary, made to predict times: tails count as full tiles, boxes as rectangles, quotients
of indices as if they were linear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tdsl.analysis.cost import flops_of
from tdsl.autotune.extents import number_of
from tdsl.autotune.terms import Term, constant, total
from tdsl.ir.affine import linear
from tdsl.ir.expr import Buffer, Expr, Math, Var
from tdsl.ir.stmt import Block, IterKind, LoopKind, Scope
from tdsl.ir.visit import block_reads, free_vars, walk

_FUNCTION_FLOPS = 12  # what a transcendental function counts as, beyond the one of `flops_of`


@dataclass(eq=False)
class NestLoop:
    """A loop. `partners` are inner loops that were fused into it; they follow its marks.

    `virtual` loops have no counterpart in the schedule as it stands: partners, and the outer part
    of a vectorized loop that is no longer than a vector for the knobs at hand.
    """

    extent: Term
    kind: LoopKind = LoopKind.SERIAL
    virtual: bool = False
    partners: list[NestLoop] = field(default_factory=list)

    def mark(self, kind: LoopKind) -> None:
        """Set how the loop runs."""
        for loop in (self, *self.partners):
            loop.kind = kind


@dataclass(frozen=True)
class NestAccess:
    """One load or store: for each dimension, the factor of each iteration variable."""

    buffer: Buffer
    writes: bool
    dims: tuple[Mapping[int, int], ...]
    offsets: tuple[int, ...]


Binding = dict[NestLoop, Term]


@dataclass(eq=False)
class NestBlock:
    """A block: the loops around it, outermost first, and the factor of each loop in each iter.

    Attributes:
        block: what it is a summary of.
        reduces: for each iter, whether it is reduced over.
        extents: of the iters.
        accesses: stores first, then loads.
        flops: of one instance.
    """

    block: Block
    path: list[NestLoop]
    bindings: list[Binding]
    reduces: tuple[bool, ...]
    extents: tuple[Term, ...]
    accesses: tuple[NestAccess, ...]
    flops: int

    def strides(self, access: NestAccess, dim: int) -> Binding:
        """The factor of each loop in one index of an access."""
        found: Binding = {}
        for number, factor in access.dims[dim].items():
            for loop, coefficient in self.bindings[number].items():
                known = found.get(loop, constant(0))
                found[loop] = known + coefficient * abs(factor)
        return found

    def span(self, access: NestAccess, dim: int, inner: Sequence[NestLoop]) -> Term:
        """How far one index of an access moves while the inner loops run."""
        strides = self.strides(access, dim)
        return total(
            strides[loop] * (loop.extent - constant(1)) for loop in inner if loop in strides
        )

    def inside(self, loop: NestLoop) -> list[NestLoop]:
        """The loops inside a loop of the path."""
        return self.path[self.path.index(loop) + 1 :]

    def outside(self, loop: NestLoop) -> list[NestLoop]:
        """The loops from the outermost one down to a loop of the path, itself included.

        Partners of that loop are part of it.
        """
        at = self.path.index(loop) + 1
        while at < len(self.path) and self.path[at] in loop.partners:
            at += 1
        return self.path[:at]

    def reduction_loops(self) -> list[NestLoop]:
        """The loops that an iter which is reduced over mentions."""
        mentioned = {
            loop
            for reduces, binding in zip(self.reduces, self.bindings, strict=True)
            if reduces
            for loop in binding
        }
        return [loop for loop in self.path if loop in mentioned]


def block_of(
    block: Block, sizes: Mapping[str, int], path: list[NestLoop], bindings: list[Binding]
) -> NestBlock:
    """The summary of a block, bound to loops."""
    variables = {it.var: number for number, it in enumerate(block.iters)}
    accesses = [_access(w.buffer, w.indices, variables, writes=True) for w in block.writes]
    accesses += [
        _access(load.buffer, load.indices, variables, writes=False) for load in block_reads(block)
    ]
    functions = sum(1 for w in block.writes for n in walk(w.value) if isinstance(n, Math))
    return NestBlock(
        block,
        path,
        bindings,
        tuple(it.kind is not IterKind.DATA for it in block.iters),
        tuple(extent_term(it.extent, sizes) for it in block.iters),
        tuple(_unique(accesses)),
        flops_of(block) + _FUNCTION_FLOPS * functions,
    )


def _unique(accesses: Sequence[NestAccess]) -> list[NestAccess]:
    """Accesses without repetition: an element that is loaded twice is in a register.

    So is one that is loaded and stored, such as the accumulator of a reduction.
    """
    found: list[NestAccess] = []
    for access in accesses:
        if access not in found and replace(access, writes=True) not in found:
            found.append(access)
    return found


def _access(
    buffer: Buffer, indices: Sequence[Expr], variables: Mapping[Var, int], *, writes: bool
) -> NestAccess:
    dims: list[dict[int, int]] = []
    offsets: list[int] = []
    for index in indices:
        form = linear(index)
        factors: dict[int, int] = {}
        for atom, factor in form.terms.items():
            for var in [atom] if isinstance(atom, Var) else free_vars(atom):
                if var in variables:
                    number = variables[var]
                    factors[number] = factors.get(number, 0) + factor
        dims.append(factors)
        offsets.append(form.const)
    return NestAccess(buffer, writes, tuple(dims), tuple(offsets))


def extent_term(extent: Expr, sizes: Mapping[str, int]) -> Term:
    """An extent under numbers for sizes; other variables count as 1."""
    return constant(number_of(extent, sizes))


@dataclass
class SymbolicNest:
    """The nest of one structure.

    Attributes:
        blocks: by name, in the order in which they stand.
        scopes: where each allocated buffer lives, and the loops around its allocation.
        sizes: numbers for symbolic sizes.
    """

    blocks: dict[str, NestBlock]
    scopes: dict[Buffer, tuple[Scope, tuple[NestLoop, ...]]]
    sizes: Mapping[str, int]

    def users(self, loop: NestLoop) -> list[NestBlock]:
        """The blocks below a loop."""
        return [block for block in self.blocks.values() if loop in block.path]

    def replace_loop(
        self, loop: NestLoop, parts: Sequence[NestLoop], weights: Sequence[Term]
    ) -> None:
        """Put parts in the place of a loop: it is the sum of weights times parts."""
        for block in self.users(loop):
            at = block.path.index(loop)
            block.path[at : at + 1] = parts
            for binding in block.bindings:
                factor = binding.pop(loop, None)
                if factor is not None:
                    for part, weight in zip(parts, weights, strict=True):
                        binding[part] = factor * weight

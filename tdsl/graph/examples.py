"""One algorithm of symbolic sizes from two examples of it, and whether it is a third one's too.

Two programs are compared node by node. Where they differ in numbers of indices alone, such as
extents, these become sizes and multiples of sizes. What comes out is more than a guess: before a
kernel serves further sizes, the program for them is compared as well, number by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, is_dataclass, replace

from tdsl import dtypes
from tdsl.errors import DeclarationError
from tdsl.ir.build import add, index, mul
from tdsl.ir.expr import Buffer, Const, Expr, Var, field_names
from tdsl.ir.stmt import Block, IterVar, Program
from tdsl.ir.visit import leaves
from tdsl.lang.bounds import check_function
from tdsl.lang.value import SizeVar

_FIRST = index(0)
_PASSED_OVER = frozenset({"span", "origin"})


class Unlike(Exception):  # noqa: N818 - an answer, not a fault; it never leaves the package
    """Two programs differ in more than numbers of indices."""


@dataclass(frozen=True, slots=True)
class Multiple:
    """The number `factor * size + rest`, the size given by its place among the sizes."""

    size: int
    factor: int
    rest: int

    def at(self, sizes: Sequence[int]) -> int:
        """The number for these sizes."""
        return self.factor * sizes[self.size] + self.rest


@dataclass(frozen=True, slots=True)
class Template:
    """A program of symbolic sizes.

    Attributes: `program`; `example`, the program that it was made from; `numbers`, what stands for
    the example's numbers of indices, by their place in the walk; `fixed_by`, where each size is
    found as it is.
    """

    program: Program
    example: Program
    numbers: dict[int, Multiple]
    fixed_by: tuple[int, ...]

    def sizes_of(self, program: Program) -> tuple[int, ...] | None:
        """The sizes at which the template is this very program; None: it is another one."""
        try:
            pairs, single = _paired(self.example, program)
        except Unlike:
            return None
        sizes = tuple(pairs[place][1] for place in self.fixed_by)
        same = all(
            new == (self.numbers[n].at(sizes) if n in self.numbers else old)
            for n, (old, new) in enumerate(pairs)
        )
        return sizes if same and all(pairs[place][1] == 1 for place in single) else None


def generalise(one: Program, two: Program) -> Template:
    """The program of which both are examples.

    Raises:
        Unlike: they differ in more than numbers of indices, or for some sizes an index would
            leave its tensor.
    """
    pairs, single = _paired(one, two)
    if single:
        raise Unlike("a Var and a Const")
    rank = sum(len(param.buffer.shape) for param in one.params)
    fixed_by = _choose_sizes(pairs, rank)
    if not fixed_by:
        raise Unlike("no shape of its operands differs")
    known = [pairs[place] for place in fixed_by]
    numbers = {n: _multiple(pair, known) for n, pair in enumerate(pairs) if pair[0] != pair[1]}
    sizes = tuple(SizeVar(f"n{n}") for n in range(len(fixed_by)))

    def put(place: int, old: Const, _: Const) -> Expr:
        found = numbers.get(place)
        return old if found is None else add(mul(sizes[found.size], found.factor), found.rest)

    made = _Comparison(put).compare(one, two)
    assert isinstance(made, Program)
    program = replace(made, sizes=sizes)
    _check(program)
    return Template(program, one, numbers, fixed_by)


def _check(program: Program) -> None:
    try:
        for leaf in leaves(program.body):
            check_function(leaf.block, ())
            if leaf.block.init is not None:
                check_function(leaf.block.init, ())
    except DeclarationError as error:
        raise Unlike(error.message) from error


def _paired(one: Program, two: Program) -> tuple[list[tuple[int, int]], set[int]]:
    """The numbers of indices of both, in the order of the walk: extents of parameters first.

    Also the places of extents that are to be 1 in the second: there it reads element 0 where the
    first one reads that of an iteration variable.
    """
    pairs: list[tuple[int, int]] = []

    def note(_: int, a: Const, b: Const) -> Expr:
        pairs.append((int(a.value), int(b.value)))
        return a

    comparison = _Comparison(note)
    comparison.compare(one, two)
    return pairs, comparison.single


def _choose_sizes(pairs: Sequence[tuple[int, int]], rank: int) -> tuple[int, ...]:
    """Extents of parameters that the other ones are multiples of, those that grow least first."""
    chosen: list[int] = []
    varied = [n for n, (a, b) in enumerate(pairs[:rank]) if a != b]
    for place in sorted(varied, key=lambda n: (abs(pairs[n][1] - pairs[n][0]), pairs[n][0], n)):
        known = [pairs[n] for n in chosen]
        try:
            found = _multiple(pairs[place], known)
        except Unlike:
            chosen.append(place)
        else:
            if found.rest and found.factor != 1:
                chosen.append(place)
    return tuple(chosen)


def _multiple(pair: tuple[int, int], known: Sequence[tuple[int, int]]) -> Multiple:
    """Two numbers as a multiple of one size; the one with the least rest."""
    found = []
    for n, (a, b) in enumerate(known):
        factor, left = divmod(pair[1] - pair[0], b - a)
        if left == 0:
            found.append(Multiple(n, factor, pair[0] - factor * a))
    if not found:
        raise Unlike(f"{pair[0]} and {pair[1]} are no multiples of one size")
    return min(found, key=lambda m: (abs(m.rest), abs(m.factor), m.size))


class _Comparison:
    """Walks two trees at once and rebuilds the first; `put` says what stands for each number.

    Attributes: `single`, the places of extents that have to be 1 in the second tree.
    """

    def __init__(self, put: Callable[[int, Const, Const], Expr]) -> None:
        self._put = put
        self._count = 0
        self.single: set[int] = set()
        self._extents: dict[Var, int] = {}
        self._vars: dict[Var, Var] = {}
        self._made: dict[int, tuple[object, object]] = {}

    def compare(self, a: object, b: object) -> object:
        """The first, rebuilt; the same object where nothing of it changes.

        Raises:
            Unlike: they differ in more than numbers of indices.
        """
        if isinstance(a, Var) and b == _FIRST and a in self._extents:
            self.single.add(self._extents[a])
            return a
        if type(a) is not type(b):
            raise Unlike(f"a {type(a).__name__} and a {type(b).__name__}")
        match a, b:
            case Var(), Var():
                return self._variable(a, b)
            case Const(), Const():
                return self._number(a, b)
            case tuple(), tuple():
                return self._each(a, b)
            case _ if is_dataclass(a):
                return self._fields(a, b)
            case _ if a == b:
                return a
            case _:
                raise Unlike(f"{a!r} and {b!r}")

    def _variable(self, a: Var, b: Var) -> Var:
        if self._vars.setdefault(a, b) is not b or a.type is not b.type:
            raise Unlike(f"the variables {a.name} and {b.name}")
        return a

    def _number(self, a: Const, b: Const) -> Expr:
        if a.type is dtypes.INDEX and b.type is dtypes.INDEX:
            self._count += 1
            return self._put(self._count - 1, a, b)
        if a != b:
            raise Unlike(f"the values {a.value} and {b.value}")
        return a

    def _each(self, a: tuple[object, ...], b: tuple[object, ...]) -> object:
        if len(a) != len(b):
            raise Unlike(f"{len(a)} and {len(b)} parts")
        made = tuple(self.compare(x, y) for x, y in zip(a, b, strict=True))
        return a if all(x is y for x, y in zip(a, made, strict=True)) else made

    def _fields(self, a: object, b: object) -> object:
        met = self._made.get(id(a))
        if met is not None:
            if met[0] is not b:
                raise Unlike("one block or buffer in the place of two")
            return met[1]
        if isinstance(a, IterVar) and isinstance(a.extent, Const):
            self._extents[a.var] = self._count
        changed: dict[str, object] = {}
        for name in field_names(type(a)):
            if name not in _PASSED_OVER:
                old = getattr(a, name)
                new = self.compare(old, getattr(b, name))
                if new is not old:
                    changed[name] = new
        made = replace(a, **changed) if changed else a  # type: ignore[type-var]  # a node
        if isinstance(a, (Buffer, Block)):  # told apart by identity
            self._made[id(a)] = b, made
        return made

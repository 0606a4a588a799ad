"""A user's algorithm with sizes and arguments to try it at, and what it should compute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from tdsl.api import build
from tdsl.fuzzing.differences import Array, Disagreement, difference
from tdsl.fuzzing.draw import Draw
from tdsl.ir.expr import Buffer, Checked, Expr, Math, Node, Var
from tdsl.ir.interp import interpret
from tdsl.ir.visit import leaves, loads, walk
from tdsl.lang.bounds import evaluate
from tdsl.lang.func import Func
from tdsl.lang.reference import reference
from tdsl.lang.tensor import Tensor
from tdsl.lang.value import SizeVar
from tdsl.scheduling import Schedule

Sizes = dict[str, int]
Arrays = dict[str, Array]

_SMALL = (1, 2, 3, 4, 5, 6, 7, 9)
_LARGE = (8, 12, 16, 24, 32, 48, 64, 96, 128)
_TRIES = 200
_SAMPLES = 3
_INTERPRETED = 3000  # instances of blocks that the interpreter gets through in a moment
_REMEMBERED = 16  # sizes and data whose results are kept
_MEMORY = 1 << 28  # elements of all arguments together: larger ones are not made


class Subject:
    """An algorithm under test. Arguments and expected results are made once for each size."""

    def __init__(self, func: Func) -> None:
        self.func = func
        self.limits = _index_limits(func)
        self.has_maths = has_maths(func)
        self._canonical = build(Schedule(func, "llvm"))
        self._known: dict[tuple[object, ...], tuple[Arrays, Arrays]] = {}
        self._checked: dict[tuple[object, ...], Disagreement | None] = {}
        self._interpreted: dict[tuple[object, ...], Arrays] = {}

    def sizes(self, draw: Draw) -> Iterator[Sizes]:
        """A few values of the symbolic sizes that the assumptions admit; small ones first."""
        names = [v.name for v in self.func.sizes]
        if not names:
            yield {}
            return
        found: list[Sizes] = []
        for attempt in range(_TRIES):
            pool = _SMALL if attempt < _TRIES // 2 else (*_SMALL, *_LARGE)
            sizes = {name: draw.choice(pool) for name in names}
            if sizes not in found and self.admits(sizes):
                found.append(sizes)
                yield sizes
            if len(found) == _SAMPLES:
                return

    def admits(self, sizes: Sizes) -> bool:
        """Whether the assumptions hold and no extent is negative."""
        at = self._environment(sizes)
        facts = (evaluate(fact, at) for fact in self.func.assume)
        shapes = [self.shape(t, sizes) for t in (*self.func.inputs, *self.func.outputs)]
        if not all(fact in ("?", True, 1) for fact in facts):
            return False
        return all(n >= 0 for s in shapes for n in s) and sum(map(prod, shapes)) <= _MEMORY

    def shape(self, tensor: Tensor, sizes: Sizes) -> tuple[int, ...]:
        """The shape of an argument or a result."""
        at = self._environment(sizes)
        return tuple(int(evaluate(extent, at)) for extent in tensor.buffer.shape)

    def _environment(self, sizes: Mapping[str, int]) -> dict[Var, int]:
        return {v: sizes[v.name] for v in self.func.sizes}

    def is_small(self, sizes: Sizes) -> bool:
        """Whether interpreting it takes no time to speak of."""
        at = self._environment(sizes)
        total = 0
        for leaf in leaves(self.func.program.body):
            extents = [evaluate(it.extent, at) for it in leaf.block.iters]
            numbers = [n if isinstance(n, int) else _INTERPRETED for n in extents]
            total += prod(numbers)
        return total <= _INTERPRETED

    def free_sizes(self, sizes: Sizes) -> Sizes:
        """Those that no argument's shape fixes: the kernel takes them as keywords."""
        fixed = {e.name for t in self.func.inputs for e in t.buffer.shape if isinstance(e, SizeVar)}
        return {name: n for name, n in sizes.items() if name not in fixed}

    def case(self, sizes: Sizes, data: int) -> tuple[Arrays, Arrays]:
        """Arguments of a data seed, and what the unscheduled kernel makes of them."""
        key = (*sizes.items(), data)
        if key not in self._known:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            self._known[key] = self._made(sizes, data)
        return self._known[key]

    def _made(self, sizes: Sizes, data: int) -> tuple[Arrays, Arrays]:
        """Arguments for which indices that are computed from them stay inside, if any are found."""
        for most in (None, 8, 2):
            with contextlib.suppress(IndexError):
                arrays = self._arguments(sizes, data, most)
                return arrays, self.run(self._canonical, arrays, sizes)
        arrays = self._arguments(sizes, data, 1)
        return arrays, self.run(self._canonical, arrays, sizes)

    def run(self, kernel: object, arrays: Arrays, sizes: Sizes) -> Arrays:
        """The results of a kernel by name; arguments that it changes are copied first."""
        assert callable(kernel)
        given = {name: array.copy() for name, array in arrays.items()}
        results = kernel(*given.values(), **self.free_sizes(sizes))
        together = results if isinstance(results, tuple) else (results,)
        made = [t.name for t in self.func.outputs if t.name not in given]
        if made:
            given |= {n: np.asarray(x) for n, x in zip(made, together, strict=True)}
        return {t.name: given[t.name] for t in self.func.outputs}

    def _arguments(self, sizes: Sizes, data: int, most: int | None) -> Arrays:
        """Random arguments; indices lie inside what they index, and all integers below `most`."""
        rng = np.random.default_rng(data + 1)
        at = self._environment(sizes)
        made: Arrays = {}
        for tensor in self.func.inputs:
            limit = [evaluate(e, at) for e in self.limits.get(tensor.buffer, ())]
            limit += [] if most is None else [most]
            below = min((n for n in limit if isinstance(n, int)), default=None)
            made[tensor.name] = _array(rng, tensor, self.shape(tensor, sizes), below)
        return made

    def check_canonical(self, sizes: Sizes) -> Disagreement | None:
        """The unscheduled kernel, and where it is small its program, against numpy."""
        key = tuple(sizes.items())
        if key not in self._checked:
            self._checked[key] = self._canonical_fault(sizes)
        return self._checked[key]

    def _canonical_fault(self, sizes: Sizes) -> Disagreement | None:
        arrays, results = self.case(sizes, 0)
        given = (a.copy() for a in arrays.values())
        expected = reference(self.func)(*given, **sizes)
        together = expected if isinstance(expected, tuple) else (expected,)
        named = {t.name: r for t, r in zip(self.func.outputs, together, strict=True)}
        wrong = difference(named, results, exact=False)
        if wrong is None and self.is_small(sizes):
            wrong = difference(named, self.interpreted(sizes), exact=False)
        return Disagreement("canonical", wrong) if wrong else None

    def interpreted(self, sizes: Sizes) -> Arrays:
        """What the interpreter makes of the unscheduled program for the first data."""
        key = tuple(sizes.items())
        if key not in self._interpreted:
            if len(self._interpreted) > _REMEMBERED:
                self._interpreted.clear()
            arrays, _ = self.case(sizes, 0)
            self._interpreted[key] = interpret(self.func.program, arrays, sizes)
        return self._interpreted[key]


def _index_limits(func: Func) -> dict[Buffer, list[Expr]]:
    """Extents that the values of each argument are used as indices into."""
    limits: dict[Buffer, list[Expr]] = {}
    for node in expressions(func):
        if isinstance(node, Checked):
            for load in loads(node.index):
                limits.setdefault(load.buffer, []).append(node.extent)
    return limits


def has_maths(func: Func) -> bool:
    """Whether kernels compute polynomials in place of functions of the reference."""
    return any(isinstance(n, Math) for n in expressions(func))


def expressions(func: Func) -> Iterator[Node]:
    """Every node of every expression that the blocks hold."""
    for leaf in leaves(func.program.body):
        for write in leaf.block.writes:
            for e in (*write.indices, write.value):
                yield from walk(e)
        if leaf.block.where is not None:
            yield from walk(leaf.block.where)


def _array(
    rng: np.random.Generator, tensor: Tensor, shape: tuple[int, ...], below: int | None
) -> Array:
    dtype = tensor.dtype
    if below is not None and not dtype.is_float:
        return np.asarray(rng.integers(0, max(1, below), shape)).astype(dtype.numpy)
    if dtype.is_bool:
        return np.asarray(rng.integers(0, 2, shape)).astype(np.bool_)
    if dtype.is_float:
        return np.asarray(rng.normal(size=shape)).astype(dtype.numpy)
    low, high = (0, 200) if dtype.min == 0 else (-100, 100)
    return np.asarray(rng.integers(low, high, shape)).astype(dtype.numpy)

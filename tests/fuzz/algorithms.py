"""A fuzzed algorithm as data: it can be built, run, made smaller, and written as a script."""

from __future__ import annotations

import linecache
import re
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

import tdsl as td
from tdsl.dtypes import as_dtype

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Extent:
    """`scale * dim + offset`, or the number `offset`."""

    dim: str | None
    scale: int = 1
    offset: int = 0

    def __str__(self) -> str:
        if self.dim is None or self.scale == 0:
            return str(self.offset)
        text = self.dim if self.scale == 1 else f"{self.scale} * {self.dim}"
        if self.offset:
            text += f" {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
        return text

    def value(self, dims: dict[str, int]) -> int:
        return self.offset + (0 if self.dim is None else self.scale * dims[self.dim])

    def plus(self, n: int) -> Extent:
        return replace(self, offset=self.offset + n)

    def times(self, n: int) -> Extent:
        return Extent(self.dim, self.scale * n, self.offset * n)


@dataclass(frozen=True)
class Dim:
    """A named extent: a symbolic size with the value that tests give it, or a plain number."""

    name: str
    value: int
    symbolic: bool


@dataclass(frozen=True)
class Input:
    """An argument. Where `below` is given, its numbers lie in [0, below): it holds indices.

    `strided`: it is declared with any strides, and passed with gaps or backwards.
    """

    name: str
    shape: tuple[Extent, ...]
    dtype: str
    below: Extent | None = None
    inout: bool = False
    strided: bool = False

    def source(self) -> str:
        shape = ", ".join(map(str, self.shape)) + ("," if len(self.shape) == 1 else "")
        strides = ', strides="any"' if self.strided else ""
        made = f'td.placeholder(({shape}), "{self.dtype}", name="{self.name}"{strides})'
        return f"{self.name} = td.inout({made})" if self.inout else f"{self.name} = {made}"


@dataclass(frozen=True)
class Stage:
    """One declaration: the tensors it makes, the lines that do it, and the names it reads."""

    makes: tuple[Input, ...]
    lines: tuple[str, ...]
    reads: frozenset[str]

    @property
    def defines(self) -> tuple[str, ...]:
        """The Python names of its tensors."""
        return tuple(x.name for x in self.makes)


@dataclass(frozen=True)
class Algorithm:
    """Dims, arguments, declarations and results. `smooth`: rounding stays small everywhere."""

    dims: tuple[Dim, ...]
    inputs: tuple[Input, ...]
    stages: tuple[Stage, ...]
    outputs: tuple[str, ...]
    assume: tuple[str, ...] = ()
    kinds: tuple[str, ...] = field(default=(), compare=False)

    def __reduce__(self) -> tuple[object, ...]:
        """Sent between processes without the function made of it."""
        values = (self.dims, self.inputs, self.stages, self.outputs, self.assume, self.kinds)
        return Algorithm, values

    @property
    def is_symbolic(self) -> bool:
        return any(d.symbolic for d in self.dims)

    @property
    def narrowest(self) -> int:
        """Bytes of the narrowest floating-point type of a tensor; 8 where there is none."""
        tensors = [*self.inputs, *(x for stage in self.stages for x in stage.makes)]
        dtypes = [as_dtype(x.dtype) for x in tensors]
        return min((d.bytes for d in dtypes if d.is_float), default=8)

    def source(self) -> str:
        """Python that declares the algorithm as `f`."""
        lines = [
            f'{d.name} = td.sizes("{d.name}")' if d.symbolic else f"{d.name} = {d.value}"
            for d in self.dims
        ]
        lines += [x.source() for x in self.inputs]
        for stage in self.stages:
            lines += stage.lines
        inputs = ", ".join(x.name for x in self.inputs)
        facts = self._facts("\n".join(lines[len(self.dims) :]))
        assume = f", assume={facts!r}" if facts else ""
        lines.append(f'f = td.func("f", [{inputs}], [{", ".join(self.outputs)}]{assume})')
        return "\n".join(lines)

    def _facts(self, text: str) -> list[str]:
        """Facts about sizes that occur in the text: td.func knows no others."""
        known = {d.name for d in self.dims if d.symbolic and re.search(rf"\b{d.name}\b", text)}
        return [fact for fact in self.assume if set(re.findall(r"[A-Z]\w*", fact)) <= known]

    @cached_property
    def func(self) -> td.Func:
        """The declared function."""
        text = self.source()
        name = f"<fuzzed algorithm {abs(hash(text)):x}>"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        scope: dict[str, object] = {"td": td}
        exec(compile(text, name, "exec"), scope)
        return scope["f"]

    def sizes(self) -> dict[str, int]:
        """The values of the symbolic sizes."""
        return {d.name: d.value for d in self.dims if d.symbolic}

    def with_sizes(self, sizes: dict[str, int]) -> Algorithm:
        """The same algorithm, to be run at other sizes (`func` is shared)."""
        dims = tuple(replace(d, value=sizes.get(d.name, d.value)) for d in self.dims)
        other = replace(self, dims=dims)
        if all(d.symbolic or d.value == e.value for d, e in zip(self.dims, dims, strict=True)):
            other.__dict__["func"] = self.func
        return other

    def admits(self, sizes: dict[str, int]) -> bool:
        """Whether the facts assumed hold at these sizes and nothing is of negative extent."""
        values = {d.name: d.value for d in self.dims} | sizes
        return all(eval(fact, {}, values) for fact in self.assume) and all(
            e.value(values) >= 0 for x in self.inputs for e in x.shape
        )

    def arrays(self, seed: int = 0) -> Arrays:
        """Random arguments.

        Odd seeds give many equal indices, half of them nothing but zeros, many integers at the ends
        of their range, and a few floats that are zeros of either sign, infinite, or no numbers.
        """
        rng = np.random.default_rng(seed + 1)
        values = {d.name: d.value for d in self.dims}
        return {x.name: _array(rng, x, values, seed) for x in self.inputs}


_AT_AN_END = 0.4  # share of the integers of odd seeds
_SPECIAL = 0.08  # share of the floats: many would make most results of reductions no number
_SPECIALS = (0.0, -0.0, np.inf, -np.inf, np.nan)


def _array(rng: np.random.Generator, x: Input, dims: dict[str, int], seed: int) -> np.ndarray:
    shape = tuple(e.value(dims) for e in x.shape)
    dtype = as_dtype(x.dtype)
    if x.below is not None:
        high = max(1, x.below.value(dims))
        most = (high, min(high, 2), high, 1)[seed % 4]
        data = rng.integers(0, most, shape)
        return data.astype(dtype.numpy)
    if dtype.is_bool:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_float:
        data = rng.normal(size=shape)
        if seed % 2:
            data = np.where(rng.random(shape) < _SPECIAL, rng.choice(_SPECIALS, shape), data)
        return data.astype(dtype.numpy)
    low, high = (0, 200) if dtype.min == 0 else (-100, 100)
    data = rng.integers(low, high, shape).astype(dtype.numpy)
    if seed % 2 == 0:
        return data
    ends = np.array([dtype.min, dtype.max, dtype.max - 1, 0], dtype.numpy)
    return np.where(rng.random(shape) < _AT_AN_END, rng.choice(ends, shape), data)

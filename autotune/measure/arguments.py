"""Arguments to measure with: random, reproducible, and in range where they index something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tdsl.dtypes import DType
from tdsl.ir.affine import linear
from tdsl.ir.expr import Checked, Const, Expr, Var
from tdsl.ir.stmt import Param, Program, Role
from tdsl.ir.visit import walk
from tdsl.runtime.signature import Signature

Array: TypeAlias = NDArray[Any]

_MOST_INTEGER = 64  # small enough that sums of products stay exact in any accumulator


def make_inputs(program: Program, sizes: Mapping[str, int], seed: int) -> list[Array]:
    """One array for each input of a program."""
    rng = np.random.default_rng(seed)
    most = _least_checked_extent(program, sizes)
    inputs = [param for param in program.params if param.role is not Role.OUT]
    return [_make(param, sizes, rng, most) for param in inputs]


def _make(param: Param, sizes: Mapping[str, int], rng: np.random.Generator, most: int) -> Array:
    shape = tuple(_extent(extent, sizes) for extent in param.buffer.shape)
    dtype: DType = param.buffer.dtype
    if dtype.is_bool:
        return rng.integers(0, 2, shape).astype(np.bool_)
    if dtype.is_integer:
        limit = min(most, _MOST_INTEGER, int(dtype.max) + 1)
        return rng.integers(0, limit, shape).astype(dtype.numpy)
    return rng.uniform(-1.0, 1.0, shape).astype(dtype.numpy)


def spoiled_outputs(signature: Signature, sizes: Mapping[str, int]) -> tuple[Array, ...]:
    """Output arrays full of a value that no kernel leaves by accident."""
    outputs = []
    for param in signature.outputs:
        shape = tuple(dim.evaluate(sizes) for dim in param.shape)
        array = np.empty(shape, param.element.numpy)
        array.view(np.uint8).reshape(-1)[...] = 0xA5
        outputs.append(array)
    return tuple(outputs)


def free_sizes(signature: Signature, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes that no array fixes."""
    return {name: sizes[name] for name in signature.free_sizes}


def _extent(extent: Expr, sizes: Mapping[str, int]) -> int:
    form = linear(extent)
    value = form.const
    for atom, factor in form.terms.items():
        assert isinstance(atom, Var)
        value += factor * sizes[atom.name]
    return value


def _least_checked_extent(program: Program, sizes: Mapping[str, int]) -> int:
    """The smallest dimension that integers of the arguments index."""
    extents = [_MOST_INTEGER]
    for found in walk(program.body):
        if isinstance(found, Checked):
            if isinstance(found.extent, Const):
                extents.append(int(found.extent.value))
            else:
                extents.append(_extent(found.extent, sizes))
    return max(1, min(extents))

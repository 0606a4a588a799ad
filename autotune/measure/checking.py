"""Are the numbers right? A kernel is compared with the canonical, unscheduled one.

Exact schedules are bit-equal to it. Where a schedule reassociates, sums may differ in the last
bits: the bound grows with the square root of the number of terms, relative to the largest result.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np

from tdsl.autotune.measure.arguments import Array
from tdsl.dtypes import DType
from tdsl.ir.affine import linear
from tdsl.ir.stmt import IterKind, IterVar, Program, Role
from tdsl.ir.visit import leaves

_SAFETY = 64.0


@dataclass(frozen=True)
class Expected:
    """Results of the canonical kernel.

    Attributes:
        arrays: what it wrote, in ABI order, names alongside.
        terms: how many terms its longest reduction adds up.
    """

    names: tuple[str, ...]
    dtypes: tuple[DType, ...]
    arrays: tuple[Array, ...]
    terms: int

    def problem(self, results: tuple[Array, ...], *, exact: bool) -> str | None:
        """What is wrong with results; None if nothing is."""
        for name, dtype, expected, got in zip(
            self.names, self.dtypes, self.arrays, results, strict=True
        ):
            where = _differences(expected, got, dtype, 0.0 if exact else self._bound(dtype))
            if where is not None and bool(where.any()):
                return _describe(name, where, expected, got)
        return None

    def _bound(self, dtype: DType) -> float:
        """How far a reassociated result may be off, relative to the largest one."""
        if not dtype.is_float:
            return 0.0
        accumulated = 2.0**-23 if dtype.bits <= 32 else 2.0**-52
        own = {16: 2.0**-7 if dtype.name == "bfloat16" else 2.0**-10}.get(dtype.bits, 0.0)
        return _SAFETY * sqrt(self.terms) * accumulated + 2 * own


def _differences(expected: Array, got: Array, dtype: DType, bound: float) -> Array | None:
    """Where results are too far off; None where none is."""
    with np.errstate(all="ignore"):
        if not dtype.is_float:
            return np.asarray(expected != got)
        same = (expected == got) | (np.isnan(expected) & np.isnan(got))
        if same.all():
            return None
        if not bound:
            return np.asarray(~same)
        wanted, found = expected.astype(np.float64), got.astype(np.float64)
        finite = np.isfinite(wanted)
        scale = float(np.abs(wanted[finite]).max()) if finite.any() else 0.0
        near = np.abs(wanted - found) <= bound * scale
        return np.asarray(~(same | near))


def _describe(name: str, where: Array, expected: Array, got: Array) -> str:
    at = tuple(int(n) for n in np.argwhere(where)[0]) if where.ndim else ()
    place = f"{name}[{', '.join(map(str, at))}]"
    count = int(np.count_nonzero(where))
    return (
        f"{place} is {got[at]!s} and should be {expected[at]!s} "
        f"({count} of {where.size} elements are wrong)"
    )


def save_expected(path: Path, program: Program, arrays: tuple[Array, ...]) -> Expected:
    """Keep results in a file, written at once or not at all."""
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    flat = {f"a{n}": np.ascontiguousarray(a).view(np.uint8) for n, a in enumerate(arrays)}
    with temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **flat)
    temporary.replace(path)
    return _expected(program, arrays)


def load_expected(path: Path, program: Program) -> Expected:
    """Results that an earlier runner kept."""
    written = [param for param in program.params if param.role is not Role.IN]
    with np.load(path, allow_pickle=False) as file:
        arrays = tuple(
            file[f"a{n}"].view(param.buffer.dtype.numpy) for n, param in enumerate(written)
        )
    return _expected(program, arrays)


def _expected(program: Program, arrays: tuple[Array, ...]) -> Expected:
    written = [param.buffer for param in program.params if param.role is not Role.IN]
    return Expected(
        tuple(buffer.name for buffer in written),
        tuple(buffer.dtype for buffer in written),
        arrays,
        max((_terms(leaf.block.iters) for leaf in leaves(program.body)), default=1),
    )


def _terms(iters: tuple[IterVar, ...]) -> int:
    count = 1
    for it in iters:
        if it.kind is not IterKind.DATA:
            form = linear(it.extent)
            count *= form.const if form.is_constant else 1024
    return max(1, count)

"""How two sets of results differ: bit for bit, or past what rounding explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_SOON = 2  # bytes of types that overflow soon
_LOOSE = {2: 6e-2, 4: 2e-4, 8: 1e-9}


@dataclass(frozen=True)
class Disagreement:
    """Two ways to compute one thing differ, or one of them failed."""

    oracle: str
    detail: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.detail}"


def difference(
    expected: Mapping[str, Array], found: Mapping[str, Array], *, exact: bool, narrowest: int = 8
) -> str | None:
    """How two sets of results differ: bit for bit, or past what rounding explains.

    `narrowest`: bytes of the narrowest floating-point type that results were rounded to on the
    way.
    """
    for name, wanted in expected.items():
        got = found[name]
        if got.dtype != wanted.dtype or got.shape != wanted.shape:
            return f"{name}: {got.dtype}{got.shape}, expected {wanted.dtype}{wanted.shape}"
        is_wrong = _wrong_bits(wanted, got) if exact or wanted.dtype.kind in "iub" else None
        if is_wrong is None:
            is_wrong = _wrong_values(wanted, got, min(narrowest, wanted.dtype.itemsize))
        if is_wrong.any():
            at = tuple(int(n) for n in np.argwhere(is_wrong)[0])
            count = int(is_wrong.sum())
            place = f"{name}[{', '.join(map(str, at))}]"
            return f"{place} is {got[at]!r}, expected {wanted[at]!r} ({count} of {got.size} wrong)"
    return None


def _wrong_bits(wanted: Array, got: Array) -> Array:
    """Elements whose bits differ; all NaNs count as one."""
    if wanted.dtype.kind in "iub":
        return np.asarray(wanted != got)
    bits = f"u{wanted.dtype.itemsize}"
    same = np.ascontiguousarray(wanted).view(bits) == np.ascontiguousarray(got).view(bits)
    return np.asarray(~(same.reshape(wanted.shape) | (np.isnan(wanted) & np.isnan(got))))


def _wrong_values(wanted: Array, got: Array, size: int) -> Array:
    """Elements further apart than rounding explains.

    Overflow counts as rounding, and in types that overflow soon so does what is no number then.
    """
    a, b = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = max(1.0, float(np.max(np.abs(a), where=finite, initial=0.0)))
    with np.errstate(invalid="ignore"):
        far = finite & (np.abs(a - b) > _LOOSE[size] * scale)
    return far if size == _SOON else far | (np.isnan(a) != np.isnan(b))

"""Who is right: numpy's reference, the interpreter in hostile orders, and compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

import tdsl as td
from tdsl.ir.interp import CANONICAL, HOSTILE, Order, interpret
from tdsl.ir.stmt import Program
from tests.fuzz.algorithms import Algorithm, Arrays

_LOOSE = {2: 6e-2, 4: 2e-4, 8: 1e-9}


@dataclass(frozen=True)
class Disagreement:
    """Two ways to compute one thing differ, or one of them failed."""

    oracle: str
    detail: str

    def __str__(self) -> str:
        return f"{self.oracle}: {self.detail}"


def run(
    program: Program, algorithm: Algorithm, arrays: Arrays, order: Order = CANONICAL, *,
    detect: bool = False,
) -> Arrays:  # fmt: skip
    """Interpret a program of this algorithm."""
    return interpret(program, arrays, known_sizes(algorithm), order, detect)


def known_sizes(algorithm: Algorithm) -> dict[str, int]:
    """The sizes that the function has, with their values."""
    values = algorithm.sizes()
    return {v.name: values[v.name] for v in algorithm.func.sizes}


def difference(
    expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray], *, exact: bool
) -> str | None:
    """How two sets of results differ: bit for bit, or past what rounding explains."""
    for name, wanted in expected.items():
        got = found[name]
        if got.dtype != wanted.dtype or got.shape != wanted.shape:
            return f"{name}: {got.dtype}{got.shape}, expected {wanted.dtype}{wanted.shape}"
        is_wrong = _wrong_bits(wanted, got) if exact or wanted.dtype.kind in "iub" else None
        if is_wrong is None:
            is_wrong = _wrong_values(wanted, got)
        if is_wrong.any():
            at = tuple(int(n) for n in np.argwhere(is_wrong)[0])
            count = int(is_wrong.sum())
            place = f"{name}[{', '.join(map(str, at))}]"
            return f"{place} is {got[at]!r}, expected {wanted[at]!r} ({count} of {got.size} wrong)"
    return None


def _wrong_bits(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Elements whose bits differ; all NaNs count as one."""
    if wanted.dtype.kind in "iub":
        return np.asarray(wanted != got)
    bits = f"u{wanted.dtype.itemsize}"
    same = np.ascontiguousarray(wanted).view(bits) == np.ascontiguousarray(got).view(bits)
    return ~(same.reshape(wanted.shape) | (np.isnan(wanted) & np.isnan(got)))


def _wrong_values(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Elements further apart than rounding explains; overflow counts as rounding."""
    a, b = wanted.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    scale = max(1.0, float(np.max(np.abs(a), where=finite, initial=0.0)))
    with np.errstate(invalid="ignore"):
        return finite & (np.abs(a - b) > _LOOSE[wanted.dtype.itemsize] * scale)


def canonical_against_reference(algorithm: Algorithm, seed: int) -> Disagreement | None:
    """The unscheduled program in the interpreter against numpy."""
    arrays = algorithm.arrays(seed)
    expected = reference(algorithm, arrays)
    try:
        found = run(algorithm.func.program, algorithm, arrays, detect=True)
    except td.TdslError as error:
        return Disagreement("canonical", error.message)
    wrong = difference(expected, found, exact=False)
    return Disagreement("canonical", wrong) if wrong else None


def canonical_results(algorithm: Algorithm, seed: int) -> tuple[Arrays, Arrays]:
    """The arguments of a data seed, and what the unscheduled program makes of them."""
    known = algorithm.__dict__.setdefault("_results", {})
    if seed not in known:
        arrays = algorithm.arrays(seed)
        known[seed] = arrays, run(algorithm.func.program, algorithm, arrays)
    return known[seed]


def reference(algorithm: Algorithm, arrays: Arrays) -> Arrays:
    """What numpy says, by output name."""
    func = algorithm.func
    results = td.reference(func)(*arrays.values(), **known_sizes(algorithm))
    together = results if isinstance(results, tuple) else (results,)
    return {t.name: r for t, r in zip(func.outputs, together, strict=True)}


def program_against_canonical(
    program: Program, algorithm: Algorithm, seed: int, *, exact: bool,
    orders: Sequence[Order] = HOSTILE,
) -> Disagreement | None:  # fmt: skip
    """A scheduled or lowered program in every order against the unscheduled one."""
    arrays, expected = canonical_results(algorithm, seed)
    for order in (CANONICAL, *orders):
        try:
            found = run(program, algorithm, arrays, order, detect=True)
        except td.TdslError as error:
            return Disagreement("scheduled", f"{order.kind.value} order: {error.message}")
        except (KeyError, TypeError, IndexError) as error:  # no program that it can run
            return Disagreement("scheduled", f"the interpreter raised {error!r}"[:200])
        wrong = difference(expected, found, exact=exact)
        if wrong:
            return Disagreement("scheduled", f"{order.kind.value} order: {wrong}")
    return None

"""Questions about integer points: whether a condition always holds, and where it fails.

Built on `frames`; whoever needs isl's sets themselves (the prover) uses that module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tdsl.ir import build
from tdsl.ir.expr import Expr, Var
from tdsl.ir.frames import (
    LOCK,
    Frame,
    IslPwAff,
    IslSet,
    NotAffine,
    Sizes,
    Unknown,
    budget,
    named_point,
    operands,
    smallest,
)

__all__ = ["Domain", "Escape", "NotAffine", "Unknown", "leaves_bounds"]


class Domain:
    """Integer points `0 <= var < extent` under conditions, to ask questions of.

    Conditions that are not affine are left out, which only makes the domain larger: "always"
    answers stay right.

    >>> i, N = Var("i"), Var("N")
    >>> d = Domain({i: N}, sizes=[N])
    >>> d.proves(build.lt(i, build.add(N, 1))), d.counterexample(build.lt(i, 3))
    (True, {'N': 4, 'i': 3})
    """

    def __init__(
        self,
        ranges: Mapping[Var, Expr | int],
        conditions: Iterable[Expr] = (),
        *,
        sizes: Iterable[Var] = (),
        assume: Iterable[Expr] = (),
    ) -> None:
        self.sizes = Sizes(sizes, assume)
        self._ranges = {var: build.as_index(extent) for var, extent in ranges.items()}
        self._conditions = tuple(conditions)

    def counterexample(self, cond: Expr) -> dict[str, int] | None:
        """A small point of the domain (names to values) at which `cond` fails, None if none.

        Raises:
            Unknown: `cond` is not affine, or the budget is spent.
        """
        frame, points = self._points([cond])
        with budget():
            bad = points.intersect(frame.condition(cond).complement())
        point = smallest(bad)
        return None if point is None else named_point(frame, point)

    def proves(self, cond: Expr) -> bool:
        """Whether `cond` surely holds everywhere (False: it fails somewhere, or unknown)."""
        try:
            return all(self._always(part) for part in build.conjuncts(cond))
        except Unknown:
            return False

    def always_fails(self, cond: Expr) -> bool:
        """Whether `cond` fails somewhere for every choice of sizes that admits a point at all.

        Raises:
            Unknown: `cond` is not affine, or the budget is spent.
        """
        frame, points = self._points([cond])
        with budget():
            bad = points.intersect(frame.condition(cond).complement())
            return not points.is_empty() and bool(points.params().is_subset(bad.params()))

    def is_empty(self) -> bool:
        """Whether the domain surely has no point (False: it has one, or unknown)."""
        try:
            _, points = self._points([])
            with budget():
                return bool(points.is_empty())
        except Unknown:
            return False

    def maximum(self, e: Expr) -> int | None:
        """The greatest value of *e* over the domain and all sizes, None if unbounded or unknown."""
        return self._extreme(e, lambda value: value.max_val())

    def minimum(self, e: Expr) -> int | None:
        """The least value of *e* over the domain and all sizes, None if unbounded or unknown."""
        return self._extreme(e, lambda value: value.min_val())

    def _extreme(self, e: Expr, ask: Callable[[IslPwAff], Any]) -> int | None:
        try:
            frame, points = self._points([e])
            with budget():
                found = ask(frame.piecewise(e).intersect_domain(points))
                return int(found.to_python()) if found.is_int() else None
        except Unknown:
            return None

    def _always(self, cond: Expr) -> bool:
        frame, points = self._points([cond])
        with budget():
            return bool(points.intersect(frame.condition(cond).complement()).is_empty())

    def _points(self, exprs: Iterable[Expr]) -> tuple[Frame, IslSet]:
        everything = [*exprs, *self._ranges.values(), *self._conditions]
        with LOCK:
            frame = Frame(self.sizes, tuple(self._ranges), operands(everything))
            points = frame.universe()
            for var, extent in self._ranges.items():
                points = frame.bounded(points, var, extent)
            for cond in self._conditions:
                for part in frame.conditions(cond, strict=False):
                    points = points.intersect(part)
            return frame, points.intersect_params(self.sizes.context)


@dataclass(frozen=True, slots=True)
class Escape:
    """An index that leaves its buffer.

    `always`: it does so for all sizes under which the access happens at all; `values`: sizes and
    variables at which it does, None where that could not be decided.
    """

    always: bool
    values: dict[Var, int] | None


def leaves_bounds(
    variables: Sequence[Var],
    sizes: Sequence[Var],
    domain: Iterable[Expr],
    conditions: Iterable[Expr],
    outside: Expr,
) -> Escape | None:
    """Whether `outside` can hold where `domain` and `conditions` do; None: it cannot.

    Conditions that are not affine are left out.
    """
    facts = [*domain, *conditions]
    system = Sizes(sizes)
    try:
        with LOCK:
            frame = Frame(system, variables, operands([*facts, outside]))
            points = frame.universe().intersect_params(system.context)
            for fact in facts:
                for part in frame.conditions(fact, strict=False):
                    points = points.intersect(part)
            bad = points.intersect(frame.condition(outside))
        point = smallest(bad)
        if point is None:
            return None
        with budget():
            always = bool(points.params().is_subset(bad.params()))
    except Unknown:
        return Escape(always=False, values=None)
    params, dims = point
    values = system.values(params) | dict(zip(frame.dims, dims, strict=False))
    return Escape(always, values)

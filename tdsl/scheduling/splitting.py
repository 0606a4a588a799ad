"""Split one loop: `for i in N: s` -> `for io, ii: s[i := io * f + ii] where that is < N`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tdsl.ir.build import add, ceildiv, floordiv, floormod, index, lt, maximum, minimum, mul, sub
from tdsl.ir.expr import Const, Expr, Var
from tdsl.ir.stmt import For, Guard, LoopKind, Stmt, Tail
from tdsl.ir.visit import substitute
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.facts import divides
from tdsl.scheduling.naming import split_names, unique_name
from tdsl.scheduling.tree import guarded

Factors = tuple[int | None, ...]

_GUARDS = {
    "guard": Tail.GUARD,
    "mask": Tail.MASK,
    "peel": Tail.PEEL,
    "shift": Tail.SHIFT,
    "balance": Tail.BALANCE,
}


@dataclass(frozen=True, slots=True)
class Digits:
    """How the parts of a split count the old loop.

    Attributes: `extents` of the parts, outer first; `value` of the old variable; `guards` under
    which it stays in range.
    """

    variables: tuple[Var, ...]
    extents: tuple[Expr, ...]
    value: Expr
    guards: tuple[Guard, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A split loop: the nest that replaces it, and the new variables, outer first."""

    nest: Stmt
    variables: tuple[Var, ...]


def split_loop(edit: Edit, loop: For, factors: Factors, tail: str, names: set[str]) -> Parts:
    """Split *loop* so that its parts have *factors* iterations; the None takes what is left.

    `names` are those that the new loops may not take; theirs are added.

    Raises:
        ScheduleError: `exact` leaves a remainder, or the tail needs a constant extent.
    """
    fresh = split_names(loop.var.name, len(factors))
    variables = tuple(Var(unique_name(name, names), loop.var.dtype) for name in fresh)
    digits = _count(edit, loop, variables, factors, tail)
    body = guarded(substitute(loop.body, component_values(edit, loop, digits.value)), digits.guards)
    kinds = _kinds(edit, loop, variables, digits.extents)
    for var, extent, kind in reversed(
        list(zip(digits.variables, digits.extents, kinds, strict=True))
    ):
        body = For(var, extent, body, kind, span=edit.core.span())
    return Parts(body, variables)


def _count(
    edit: Edit, loop: For, variables: tuple[Var, ...], factors: Factors, tail: str
) -> Digits:
    at = factors.index(None)
    inner = prod(f for f in factors[at + 1 :] if f is not None)
    outer = prod(f for f in factors[:at] if f is not None)
    if at == 0:
        return _inner_known(edit, loop, variables, factors, inner, tail)
    if not isinstance(loop.extent, Const):
        raise edit.error(
            f"the extent of {loop.var.name!r} is symbolic, so the None must come first",
            f"split it as (None, {', '.join(str(f) for f in factors if f is not None)})",
        )
    extent = int(loop.extent.value)
    middle = max(1, -(-extent // (inner * outer)))
    exact = extent == middle * inner * outer
    if not exact and tail in ("shift", "balance"):
        raise edit.error(
            f"tail={tail!r} sizes the outermost part, so the None must come first",
            "use tail='guard', or put the None first",
        )
    _refuse_remainder(edit, loop, inner * outer, tail)
    extents = tuple(index(middle if f is None else f) for f in factors)
    value = _mixed_radix(variables, extents)
    guards = () if exact or tail == "pad" else (Guard(lt(value, extent), _GUARDS[tail]),)
    return Digits(variables, extents, value, guards)


def _inner_known(
    edit: Edit, loop: For, variables: tuple[Var, ...], factors: Factors, inner: int, tail: str
) -> Digits:
    """The usual case: the outermost part counts as many blocks of *inner* as there are."""
    extent = loop.extent
    rest = tuple(index(f) for f in factors[1:] if f is not None)
    outer, within = variables[0], _mixed_radix(variables[1:], rest)
    if divides(inner, extent, edit.facts_in(loop)):
        value = add(mul(outer, inner), within)
        return Digits(variables, (floordiv(extent, inner), *rest), value, ())
    _refuse_remainder(edit, loop, inner, tail)
    if tail == "balance":
        return _balanced(edit, loop, variables, factors, inner)
    blocks = ceildiv(extent, inner)
    start = mul(outer, inner)
    if tail == "shift":
        start = minimum(start, maximum(sub(extent, inner), 0))
    value = add(start, within)
    fits = tail == "shift" and isinstance(extent, Const) and int(extent.value) >= inner
    guards = (
        () if tail == "pad" or fits else (Guard(lt(value, extent), _GUARDS.get(tail, Tail.GUARD)),)
    )
    return Digits(variables, (blocks, *rest), value, guards)


def _balanced(
    edit: Edit, loop: For, variables: tuple[Var, ...], factors: Factors, inner: int
) -> Digits:
    """Blocks of ceil and floor size: the first N % P of P blocks have one iteration more."""
    if not isinstance(loop.extent, Const):
        raise edit.error(
            f"tail='balance' needs a constant extent, and that of {loop.var.name!r} is symbolic",
            "use tail='guard' or tail='shift'",
        )
    if len(factors) != 2:
        raise edit.error("tail='balance' splits in two", "split the inner loop in a second step")
    extent = int(loop.extent.value)
    blocks = max(1, -(-extent // inner))
    size, longer = divmod(extent, blocks)
    outer, within = variables

    def start(block: Expr) -> Expr:
        return add(mul(block, size), minimum(block, longer))

    value = add(start(outer), within)
    if not longer:
        return Digits(variables, (index(blocks), index(size)), add(mul(outer, size), within), ())
    guard = Guard(lt(value, start(add(outer, 1))), Tail.BALANCE)
    return Digits(variables, (index(blocks), index(size + 1)), value, (guard,))


def _refuse_remainder(edit: Edit, loop: For, factor: int, tail: str) -> None:
    if tail != "exact" or divides(factor, loop.extent, edit.facts_in(loop)):
        return
    name = loop.var.name
    hint = "pass tail='guard' or a factor that divides the extent"
    if isinstance(loop.extent, Const):
        extent = int(loop.extent.value)
        reason = f"the extent of {name!r} is {extent}, and {extent} % {factor} = {extent % factor}"
        raise edit.error(reason, hint)
    reason = f"the extent of {name!r} is symbolic and not known to be a multiple of {factor}"
    raise edit.error(reason, "state it in td.func(assume=[...]), or pass tail='guard'")


def _mixed_radix(variables: tuple[Var, ...], extents: tuple[Expr, ...]) -> Expr:
    value: Expr = index(0)
    for var, extent in zip(variables, extents, strict=True):
        value = add(mul(value, extent), var)
    return value


def component_values(edit: Edit, loop: For, value: Expr) -> dict[Var, Expr]:
    """What the body of *loop* sees at iteration *value*: for a fused loop, its parts by // and %.

    Raises:
        ScheduleError: a part other than the outermost has a symbolic extent.
    """
    if not loop.parts:
        return {loop.var: value}
    values: dict[Var, Expr] = {}
    rest = value
    for part in reversed(loop.parts[1:]):
        if not isinstance(part.extent, Const):
            raise edit.error(
                f"fused loop {loop.var.name!r} has a component {part.var.name!r} of symbolic "
                "extent that is not its outermost one",
                "split before fusing",
            )
        values[part.var] = floormod(rest, part.extent)
        rest = floordiv(rest, part.extent)
    values[loop.parts[0].var] = rest
    return values


def _kinds(
    edit: Edit, loop: For, variables: tuple[Var, ...], extents: tuple[Expr, ...]
) -> list[LoopKind]:
    """Where the mark of the old loop goes: concurrency stays outermost, lanes innermost."""
    count = len(variables)
    serial = LoopKind.SERIAL
    if loop.kind is serial:
        return [serial] * count
    constant = all(isinstance(extent, Const) for extent in extents)
    unrolled = LoopKind.UNROLLED if constant else serial
    if loop.kind is LoopKind.UNROLLED:
        kinds = [unrolled] * count
    elif loop.kind is LoopKind.VECTORIZED:
        kinds = [unrolled] * (count - 1) + [loop.kind]
    else:
        kinds = [loop.kind] + [serial] * (count - 1)
    marked = [v.name for v, k in zip(variables, kinds, strict=True) if k is loop.kind]
    edit.note(f"{loop.var.name!r} was {loop.kind.value}; now {', '.join(marked) or 'no loop'} is")
    return kinds

"""Which expressions of a loop's body are one expression, moved: ``x[i + 1]`` is ``x[i]``, shifted.

An expression moves along lanes where all its vectors do (`x[ramp(8*i + 1)]`, of a loop that goes on
by whole vectors), or with the iterations (`x[i + 1, j]`). What is left once the shift is taken off
is its *key*: two expressions of one key have equal values at places that differ by their shifts.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from enum import Enum

from tdsl.ir.affine import Affine, linear
from tdsl.ir.build import add, index
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Buffer,
    Cast,
    Const,
    Expr,
    Fma,
    Load,
    Math,
    Node,
    Ramp,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.visit import children, map_children, walk

# What values cost to compute, in instructions of a vector.
_LOAD = 2.0
_OPERATION = 1.0
_DIVISION = 8.0
_FUNCTION = 16.0
_SLOW = (BinaryOp.TRUEDIV, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD)
_FAR = 8  # vectors that one iteration goes on by, at most, to be a walk along lanes


class Motion(Enum):
    """How the value of an expression changes from one iteration, or lane, to the next."""

    SAME = "same everywhere"
    FIXED = "differs between lanes alone"
    LANES = "moves along the lanes"
    TURNS = "moves with the iterations"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an expression stands: its key, and how far it is from where the key stands.

    `shift` counts elements for LANES and iterations for TURNS; `step` is by how many elements one
    iteration moves (LANES); `weight` is the cost of computing the value.
    """

    motion: Motion
    key: Hashable
    shift: int = 0
    step: int = 0
    weight: float = 0.0


class Shifts:
    """Places of the expressions in the body of a loop over `var`.

    `unknown` holds the variables bound in the body, `stored` the buffers that it changes.
    """

    def __init__(self, var: Var, unknown: set[Var], stored: set[Buffer]) -> None:
        self._var = var
        self._unknown = unknown
        self._stored = stored
        self._places: dict[int, tuple[Expr, Place | None]] = {}
        self._numbers: dict[Hashable, int] = {}

    def place(self, e: Expr) -> Place | None:
        """The place of *e*, or None where it is not known how it moves."""
        known = self._places.get(id(e))
        if known is None:
            known = self._places[id(e)] = (e, self._find(e))
        return known[1]

    def _find(self, e: Expr) -> Place | None:
        match e:
            case Const():
                return Place(Motion.SAME, e)
            case Var():
                if e is self._var or e in self._unknown:
                    return None
                return Place(Motion.SAME if e.lanes == 1 else Motion.FIXED, e)
            case Broadcast(a=a):
                return self._composed(e, (a,))
            case Load():
                return self._load(e)
            case Binary() | Unary() | Fma() | Cast() | Bitcast() | Math():
                operands = tuple(n for n in children(e) if isinstance(n, Expr))
                return self._composed(e, operands)
            case _:
                return None

    def _composed(self, e: Expr, operands: tuple[Expr, ...]) -> Place | None:
        places = [self.place(operand) for operand in operands]
        found = [p for p in places if p is not None]
        if len(found) < len(places):
            return None
        motions = {p.motion for p in found}
        moving = [p for p in found if p.motion in (Motion.LANES, Motion.TURNS)]
        weight = sum(p.weight for p in found) + _cost(e)
        if not moving:
            fixed = Motion.FIXED in motions
            return Place(Motion.FIXED if fixed else Motion.SAME, e, weight=weight)
        first = moving[0]
        mixed = {first.motion, Motion.SAME}
        if first.motion is Motion.TURNS:
            mixed.add(Motion.FIXED)
        if not motions <= mixed or any(p.step != first.step for p in moving):
            return None
        parts = (
            (p.key, p.shift - first.shift if p.motion is first.motion else None) for p in found
        )
        key = (_head(e), *parts)
        return Place(first.motion, self._number(key), first.shift, first.step, weight)

    def _load(self, e: Load) -> Place | None:
        if e.mask is not None or e.buffer in self._stored:
            return None
        forms = [linear(i.base if isinstance(i, Ramp) else i) for i in e.indices]
        if any(not self._plain(i, form) for i, form in zip(e.indices, forms, strict=True)):
            return None
        steps = [form.coefficient(self._var) for form in forms]
        weight = _LOAD if e.lanes > 1 else _OPERATION
        if not any(steps):
            fixed = e.lanes > 1
            return Place(Motion.FIXED if fixed else Motion.SAME, e, weight=weight)
        lanes, step = e.lanes, steps[-1]
        wide = [d for d, i in enumerate(e.indices) if i.lanes > 1]  # two of them are a diagonal
        along = wide == [len(steps) - 1] and not any(steps[:-1])
        if along and step % lanes == 0 and 0 < step <= _FAR * lanes:
            shift = forms[-1].const
            key = (e.buffer, lanes, Motion.LANES, *forms[:-1], forms[-1] - shift)
            return Place(Motion.LANES, self._number(key), shift, step, weight)
        dim = next(d for d, step in enumerate(steps) if step)
        shift = forms[dim].const // steps[dim]
        rest = (form - shift * step for form, step in zip(forms, steps, strict=True))
        key = (e.buffer, tuple(i.lanes for i in e.indices), Motion.TURNS, *rest)
        return Place(Motion.TURNS, self._number(key), shift, weight=weight)

    def _plain(self, i: Expr, form: Affine) -> bool:
        """Whether an index is a run of elements, or one, that the loop moves evenly."""
        if i.lanes > 1 and not (isinstance(i, Ramp) and i.stride == index(1)):
            return False
        if any(v in self._unknown for v in form.vars()):
            return False
        for atom in form.terms:
            below = list(walk(atom))
            if any(isinstance(n, Load) for n in below):
                return False
            if atom is not self._var and self._var in below:
                return False
        return True

    def _number(self, key: Hashable) -> int:
        """A small number for a key, so that keys of keys stay small."""
        return self._numbers.setdefault(key, len(self._numbers))


def along_lanes(e: Expr, distance: int) -> Expr:
    """*e*, which moves along lanes, that many elements further."""

    def visit(n: Node) -> Node:
        match n:
            case Load(indices=(*outer, Ramp() as last)):
                moved = linear(add(last.base, distance)).expr()
                return replace(n, indices=(*outer, replace(last, base=moved)))
            case _:
                return map_children(n, visit)

    moved = visit(e)
    assert isinstance(moved, Expr)
    return moved


def _cost(e: Expr) -> float:
    match e:
        case Math():
            return _FUNCTION
        case Binary(op=op, b=b) if op in _SLOW and not isinstance(b, Const | Broadcast):
            return _DIVISION
        case Unary(op=UnaryOp.SQRT):
            return _DIVISION
        case Broadcast() | Bitcast():
            return 0.0
        case _:
            return _OPERATION


def _head(e: Expr) -> Hashable:
    """What an operation is, beside its operands."""
    match e:
        case Binary(op=op) | Unary(op=op):
            return op
        case Math(fn=fn):
            return fn
        case Cast(type=to) | Bitcast(type=to):
            return (type(e).__name__, to.code)
        case Broadcast(count=lanes):
            return (type(e).__name__, lanes)
        case _:
            return type(e).__name__

"""How long a loop will take, roughly: what the pool needs to decide whether waking workers pays.

Counts instructions at the throughput of a current core. Index arithmetic is left out: most of it is
done once outside of the loops.
"""

from __future__ import annotations

from tdsl.ir.build import add, floordiv, index, maximum, mul
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Ramp,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.ir.instruction import PREFIX
from tdsl.ir.stmt import Alloc, For, If, Let, Scope, Seq, Stmt, Store
from tdsl.ir.visit import allocated, children, substitute

_UNITS = 16  # units of a nanosecond; an instruction takes two
_INSTRUCTION = 2
_LOOP = 4  # one iteration's bookkeeping
_DIVISION = 32
_CALL = 400
_ALLOC = 1600
_WIDEST = 512  # bits of one instruction; a wrong guess for smaller vectors matters little
_SLOW = {BinaryOp.TRUEDIV, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD}


def nanoseconds(s: For) -> Expr:
    """The estimated time of all iterations of a loop as an index expression of its surroundings."""
    registers = {alloc.buffer for alloc in allocated(s).values() if alloc.scope is Scope.REGISTER}
    return floordiv(add(_Costs(registers).stmt(s), _UNITS - 1), _UNITS)


class _Costs:
    """Costs in units; accesses of `registers` are free."""

    def __init__(self, registers: set[Buffer]) -> None:
        self._registers = registers

    def stmt(self, s: Stmt) -> Expr:
        """The cost of a statement, with loop variables at the middle of their ranges."""
        match s:
            case For(var=var, extent=extent, body=body):
                # an extent below 0 is a loop that does not run, in the middle of a skewed one too
                turns = extent if isinstance(extent, Const) else maximum(extent, 0)
                middle: dict[Var, Expr] = {var: floordiv(extent, 2)}
                return mul(turns, substitute(add(self.stmt(body), _LOOP), middle))
            case Seq(body=body):
                total: Expr = index(0)
                for child in body:
                    total = add(total, self.stmt(child))
                return total
            case Store(buffer=buffer, indices=indices, value=value):
                stored = 0 if buffer in self._registers else 2 * self._access(indices[0], value)
                return index(self.expr(value) + stored)
            case If(cond=cond, then=then, otherwise=otherwise):
                total = add(self.stmt(then), self.expr(cond))
                return total if otherwise is None else add(total, self.stmt(otherwise))
            case Let(var=var, value=value, body=body):
                return add(substitute(self.stmt(body), {var: value}), self.expr(value))
            case Alloc(scope=scope, body=body):
                heap = scope is Scope.GLOBAL
                return add(self.stmt(body), _ALLOC if heap else 0)
            case _:
                return index(_INSTRUCTION)

    def expr(self, e: Expr) -> int:
        """The cost of an expression."""
        total = 0
        stack = [e]
        while stack:
            n = stack.pop()
            if isinstance(n, Load):
                total += 0 if n.buffer in self._registers else self._access(n.indices[0], n)
                continue
            total += self._operation(n)
            stack += [child for child in children(n) if isinstance(child, Expr)]
        return total

    def _operation(self, e: Expr) -> int:
        match e:
            case Binary(op=op, b=b):
                slow = op in _SLOW and not isinstance(b, Const)
                return (_DIVISION if slow else _INSTRUCTION) * _registers_of(e)
            case Unary(op=op):
                return (_DIVISION if op is UnaryOp.SQRT else _INSTRUCTION) * _registers_of(e)
            case Fma():
                return _INSTRUCTION * _registers_of(e)
            case Extern(symbol=symbol):
                whole = symbol.startswith(PREFIX)
                return _INSTRUCTION * _registers_of(e) if whole else _CALL
            case _:
                return 0

    def _access(self, position: Expr, value: Expr) -> int:
        dense = position.lanes == 1 or (isinstance(position, Ramp) and position.stride == Const(1))
        return _INSTRUCTION * (_registers_of(value) if dense else position.lanes)


def _registers_of(e: Expr) -> int:
    return max(1, -(-e.lanes * e.dtype.bits // _WIDEST))

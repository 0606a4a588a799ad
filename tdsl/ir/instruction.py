"""Machine instructions as data: what one means, said in IR, and how LLVM calls it.

An instruction combines vectors into an accumulator. Its meaning is a reduction block over constant
extents: `acc[j] += a[k] * b[j, k]`, say. From the meaning follow what the interpreter does, the
code for targets that lack the instruction, and what a loop nest must look like to be mapped to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import cast

from tdsl.errors import TdslError
from tdsl.ir.affine import linear
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Broadcast,
    Buffer,
    Const,
    Expr,
    Extern,
    Fma,
    Load,
    Node,
    Shuffle,
    Var,
    field_names,
)
from tdsl.ir.stmt import Block, IterKind, IterVar
from tdsl.ir.visit import children, substitute

PREFIX = "instruction "  # of the symbol by which expressions call one


@dataclass(frozen=True, slots=True, eq=False)
class Instruction:
    """An instruction.

    Attributes:
        name: what schedules call it; `key` also tells apart definitions of one name.
        block: the reduction that it does; the accumulator is the tensor that it writes.
        inputs: the tensors that it reads, in the order of its operands.
        symbol: the LLVM intrinsic: the accumulator, then the inputs.
        types: LLVM types of these operands; an input of fewer elements is repeated.
        features: what a target must have; others run the meaning as vector code.
        label: how far the instruction's rounding may differ from the meaning's.
        by_pointer: whether it is a C function, `void symbol(T *out, const A *a, ...)`.
    """

    name: str
    key: str
    block: Block
    inputs: tuple[Buffer, ...]
    symbol: str
    types: tuple[str, ...]
    features: tuple[str, ...]
    label: str
    by_pointer: bool = False

    @property
    def output(self) -> Buffer:
        """The accumulator."""
        return self.block.writes[0].buffer

    @property
    def data(self) -> tuple[IterVar, ...]:
        """The iteration variables that name elements of the accumulator."""
        return tuple(it for it in self.block.iters if it.kind is not IterKind.REDUCE)

    @property
    def reduced(self) -> tuple[IterVar, ...]:
        """The iteration variables that are summed over."""
        return tuple(it for it in self.block.iters if it.kind is IterKind.REDUCE)

    def operands(self) -> dict[Buffer, tuple[Var, ...]]:
        """The iteration variables that index each tensor, one for each of its dimensions."""
        found = {self.output: tuple(cast("Var", i) for i in self.block.writes[0].indices)}
        for node in _nodes(self.block.writes[0].value):
            if isinstance(node, Load) and node.buffer is not self.output:
                found[node.buffer] = tuple(cast("Var", i) for i in node.indices)
        return found

    def call(self, accumulator: Expr, inputs: Sequence[Expr]) -> Expr:
        """The instruction on whole vectors."""
        args = (accumulator, *inputs)
        return Extern(PREFIX + self.key, args, self.output.dtype)

    def expansion(self, accumulator: Expr, inputs: Sequence[Expr]) -> Expr:
        """What the instruction computes, as an expression on vectors of any machine."""
        given = dict(zip(self.inputs, inputs, strict=True))
        data, reduced = self.data, self.reduced
        lanes = list(itertools.product(*(range(size_of(it)) for it in data)))
        at = self.operands()
        for point in itertools.product(*(range(size_of(it)) for it in reduced)):
            fixed = dict(zip((it.var for it in reduced), point, strict=True))
            values: dict[Buffer, Expr] = {self.output: accumulator}
            for buffer, vector in given.items():
                picks = [
                    _position(buffer, at[buffer], fixed | dict(zip((d.var for d in data), lane,
                                                                    strict=True)))
                    for lane in lanes
                ]  # fmt: skip
                values[buffer] = Shuffle((vector,), tuple(picks))
            accumulator = _on_vectors(self.block.writes[0].value, values, len(lanes))
        return accumulator


def size_of(it: IterVar) -> int:
    """The constant extent of an iteration variable."""
    assert isinstance(it.extent, Const)
    return int(it.extent.value)


def _nodes(e: Node) -> list[Node]:
    return [e, *(n for child in children(e) for n in _nodes(child))]


def _position(buffer: Buffer, variables: tuple[Var, ...], at: Mapping[Var, int]) -> int:
    """The row-major number of an element."""
    place = 0
    for extent, var in zip(buffer.shape, variables, strict=True):
        assert isinstance(extent, Const)
        place = place * int(extent.value) + at[var]
    return place


def _on_vectors(e: Expr, values: Mapping[Buffer, Expr], lanes: int) -> Expr:
    """*e* with vectors in the place of its loads."""
    match e:
        case Load(buffer=buffer):
            return values[buffer]
        case Const():
            return Broadcast(e, lanes)
        case _:
            made = (
                _on_vectors(value, values, lanes) if isinstance(value, Expr) else value
                for value in _parts(e)
            )
            return type(e)(*made)


INSTRUCTIONS: dict[str, Instruction] = {}


class UnknownInstructionError(TdslError, ValueError):
    """A schedule or a program names an instruction that nothing has declared."""


def instruction_of(key: str) -> Instruction:
    """The instruction of a key, or of a name.

    Raises:
        UnknownInstructionError: none is declared, or one with another meaning.
    """
    found = INSTRUCTIONS.get(key.partition(".v")[0])
    if found is None or ("." in key and found.key != key):
        known = ", ".join(sorted(INSTRUCTIONS)) or "none"
        raise UnknownInstructionError(
            f"there is no instruction {key!r}",
            hint=f"import the module that declares it where the algorithm is; there are: {known}",
        )
    return found


@dataclass(frozen=True, slots=True)
class Matched:
    """How an update maps to an instruction.

    Attributes: `loops`: the loop variable of each iteration variable; `loads`: what stands for the
    accumulator and for each input.
    """

    loops: Mapping[Var, Var]
    loads: Mapping[Buffer, Load]


def match_update(
    found: Instruction, value: Expr, target: Load, loops: Sequence[tuple[Var, int]]
) -> Matched | str:
    """Map `target = value`, run in *loops* (outer first), to an instruction; or why it is not one.

    Both are the same expression, operand for operand, and the loops are the instruction's own.
    That an operand's elements are the right ones is seen from which loops move its index.
    """
    loads: dict[Buffer, Load] = {}
    if not _unify(found.block.writes[0].value, value, loads, found.output, target):
        return "its update is another expression"
    refused = "its loops have other extents"
    for order in _orders(found, loops):
        reason = _moved_alike(found, loads | {found.output: target}, order)
        if reason is None:
            return Matched(order, loads | {found.output: target})
        refused = reason
    return refused


def _orders(found: Instruction, loops: Sequence[tuple[Var, int]]) -> list[dict[Var, Var]]:
    """Ways to give each iteration variable a loop of its extent; reductions keep their order."""
    ways = []
    variables = [var for var, _ in loops]
    extents = dict(loops)
    for chosen in itertools.permutations(variables, len(found.block.iters)):
        order = dict(zip(found.block.vars, chosen, strict=True))
        if len(chosen) != len(variables):
            continue
        if any(extents[order[it.var]] != size_of(it) for it in found.block.iters):
            continue
        reduced = [variables.index(order[it.var]) for it in found.reduced]
        if reduced == sorted(reduced):
            ways.append(order)
    return ways


def _moved_alike(
    found: Instruction, loads: Mapping[Buffer, Load], order: Mapping[Var, Var]
) -> str | None:
    """Whether each operand's index is moved by the loops of the instruction's operand alone."""
    names = {var: it for it, var in order.items()}
    for buffer, variables in found.operands().items():
        wanted = {order[v] for v in variables}
        forms = [linear(i) for i in loads[buffer].indices]
        for var in order.values():
            moved = any(var in form.vars() for form in forms)
            if moved != (var in wanted):
                verb = "moves" if moved else "does not move"
                return (
                    f"loop {var.name!r} {verb} {loads[buffer].buffer.name!r}, the operand "
                    f"{buffer.name!r}, unlike {names[var].name!r} of the instruction"
                )
    return None


def _unify(pattern: Expr, e: Expr, loads: dict[Buffer, Load], output: Buffer, target: Load) -> bool:
    """Whether *e* is *pattern* with other tensors; `loads` tells which."""
    if isinstance(pattern, Load):
        if not isinstance(e, Load) or e.dtype is not pattern.dtype or e.mask is not None:
            return False
        if pattern.buffer is output:
            return (e.buffer, e.indices) == (target.buffer, target.indices)
        if e.buffer is target.buffer:
            return False
        return loads.setdefault(pattern.buffer, e) == e
    if type(pattern) is not type(e) or pattern.dtype is not e.dtype:
        return False
    for left, right in _arrangements(pattern, e):
        trial = dict(loads)
        if all(
            _unify(a, b, trial, output, target)
            if isinstance(a, Expr) and isinstance(b, Expr)
            else a == b
            for a, b in zip(left, right, strict=True)
        ):
            loads.update(trial)
            return True
    return False


def _arrangements(pattern: Expr, e: Expr) -> list[tuple[list[object], list[object]]]:
    """The parts of two nodes side by side; the factors of a product also crossed."""
    left, right = _parts(pattern), _parts(e)
    ways = [(left, right)]
    match e:
        case Binary(op=BinaryOp.ADD | BinaryOp.MUL, a=a, b=b):
            ways.append((left, [e.op, b, a]))
        case Fma(a=a, b=b, c=c):
            ways.append((left, [b, a, c]))
        case _:
            pass
    return ways


def _parts(e: Expr) -> list[object]:
    """The fields of a node."""
    return [getattr(e, name) for name in field_names(type(e))]


def elements(buffer: Buffer) -> int:
    """How many elements a tensor of constant shape has."""
    return prod(int(n.value) for n in buffer.shape if isinstance(n, Const))


def with_bindings(block: Block, bindings: Sequence[Expr]) -> tuple[Load, Expr]:
    """The element that a block's only write updates, and its new value, in terms of loops."""
    (write,) = block.writes
    at = dict(zip(block.vars, bindings, strict=True))
    value = substitute(write.value, at)
    return Load(write.buffer, tuple(substitute(i, at) for i in write.indices)), value

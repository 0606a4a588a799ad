"""tensorize: run a loop nest as machine instructions that are declared outside of the compiler."""

from __future__ import annotations

from dataclasses import replace

from tdsl.analysis import Numerics
from tdsl.ir.expr import Const
from tdsl.ir.instruction import (
    INSTRUCTIONS,
    Instruction,
    UnknownInstructionError,
    instruction_of,
)
from tdsl.ir.stmt import For, Leaf, LoopKind, Stmt
from tdsl.scheduling.arguments import InstructionArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.mapped import unfit
from tdsl.scheduling.primitive import primitive
from tdsl.scheduling.shipped import declare_instructions
from tdsl.scheduling.tree import swap


@primitive
def tensorize(edit: Edit, loop: LoopArg, instruction: InstructionArg, unsafe: bool = False) -> None:
    """Run a loop and all loops inside it as one machine instruction.

    The nest must hold one reduction and nothing else, and its loops must be the instruction's: it
    is proven that both compute the same, operand for operand. The elements of each operand must
    lie side by side in memory when the kernel is built (transform_layout); building refuses
    otherwise, and names the strides. Targets without the instruction run what it means.

    Args:
        loop: the outermost loop of the nest.
        instruction: the name of one declared by td.instruction; tdsl ships `vpdpbusd` and
            `vdpbf16ps`.
        unsafe: skip the proof of the program; that the nest matches is checked all the same.

    >>> import tdsl as td
    >>> A = td.placeholder((8, 64), "uint8", name="A")
    >>> B = td.placeholder((64, 16), "int8", name="B")
    >>> k = td.reduce_axis(64, name="k")
    >>> C = td.compute(
    ...     (8, 16),
    ...     lambda i, j: td.sum(td.cast(A[i, k], "int32") * td.cast(B[k, j], "int32"), axis=k),
    ...     name="C",
    ... )
    >>> s = td.Schedule(td.func("matmul_u8s8", [A, B], [C]))
    >>> ko, ki = s.split("k", 4)
    >>> _ = s.reorder(ko, "j", ki)
    >>> s.transform_layout("B", "k, j -> k // 4, j, k % 4", prepacked=True)
    >>> s.tensorize("j", "vpdpbusd")
    >>> print(s.nest)
    for i in 8:
      for j in vectorized(16):
        C[i, j] = 0
      for ko in 16:  # reduction
        for j in instruction(16):  # vpdpbusd
          for ki in instruction(4):  # reduction
            C[i, j] += i32(A[i, ko * 4 + ki]) * i32(B[ko * 4 + ki, j])

    Raises:
        ScheduleError: the nest is not what the instruction does; the reason names the operand or
            the loop.
    """
    found = _known(edit, instruction)
    if found.by_pointer:
        raise edit.error(f"{found.name!r} is a C function", "call_extern maps loops to it")
    _map(edit, loop, found, unsafe=unsafe)


@primitive
def call_extern(edit: Edit, loop: LoopArg, function: InstructionArg, unsafe: bool = False) -> None:
    """Run a loop and all loops inside it as one call of a C function.

    The nest must hold one reduction and nothing else, and its loops must be the function's: it is
    proven that the nest computes what td.extern_kernel says the function means, operand for
    operand. The elements of each operand must lie side by side in memory when the kernel is built
    (transform_layout); building refuses otherwise, and names the strides. Devices other than the
    processor run what the function means.

    A product in tiles, each a call of a micro-kernel of 4 x 8 x 5 written in C::

        io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8)
        ko, ki = s.split("C.k", 5)
        s.reorder(io, jo, ko, ii, ji, ki)
        s.call_extern(ii, "tile")

    Args:
        loop: the outermost loop of the nest.
        function: the name of one declared by td.extern_kernel.
        unsafe: skip the proof of the program; that the nest matches is checked all the same.

    Raises:
        ScheduleError: the nest is not what the function does; the reason names the operand or
            the loop.
    """
    found = _known(edit, function)
    if not found.by_pointer:
        raise edit.error(f"{found.name!r} is an instruction", "tensorize maps loops to it")
    _map(edit, loop, found, unsafe=unsafe)


def _map(edit: Edit, loop: LoopArg, found: Instruction, *, unsafe: bool) -> None:
    target = edit.loop(loop)
    loops, leaf = _perfect_nest(edit, target, found)
    reason = unfit(found, leaf, loops)
    if reason is not None:
        raise edit.error(reason, _help(found))
    body: Stmt = leaf
    for inner in reversed(loops):
        name = found.key if inner is target else ""
        body = replace(inner, body=body, kind=LoopKind.INSTRUCTION, instruction=name)
    edit.commit(swap(edit.body, target, body), floor=Numerics(found.label), unsafe=unsafe)


def _known(edit: Edit, name: str) -> Instruction:
    if name not in INSTRUCTIONS:
        declare_instructions()
    try:
        return instruction_of(name)
    except UnknownInstructionError as error:
        raise edit.error(error.message, error.hint) from None


def _help(found: Instruction) -> str:
    extents = ", ".join(f"{it.var.name} in {it.extent.value}" for it in found.block.iters
                        if isinstance(it.extent, Const))  # fmt: skip
    return f"its loops are {extents}, whole; it does {_text(found)}"


def _text(found: Instruction) -> str:
    operands = found.operands()
    output = found.output
    shown = [f"{b.name}[{', '.join(v.name for v in operands[b])}]" for b in (output, *found.inputs)]
    kinds = [str(b.dtype) for b in (output, *found.inputs)]
    named = [f"{kind} {text}" for kind, text in zip(kinds, shown, strict=True)]
    return f"{named[0]} from {' and '.join(named[1:])}"


def _perfect_nest(edit: Edit, target: For, found: Instruction) -> tuple[list[For], Leaf]:
    loops: list[For] = []
    stmt: Stmt = target
    while isinstance(stmt, For):
        loops.append(stmt)
        stmt = stmt.body
    if not isinstance(stmt, Leaf):
        names = ", ".join(edit.blocks_below(target))
        raise edit.error(
            f"loop {target.var.name!r} holds more than one block: {names}",
            "fission first, or compute_at the others further out",
        )
    for loop in loops:
        if loop.kind not in (LoopKind.SERIAL, LoopKind.UNROLLED) or loop.parts:
            what = "fused" if loop.parts else loop.kind.value
            raise edit.error(
                f"loop {loop.var.name!r} is {what}; {found.name!r} runs it whole",
                f"{edit.primitive} before marking or fusing the loop",
            )
    return loops, stmt

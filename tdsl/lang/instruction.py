"""`td.instruction`: declare a machine instruction by what it means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from tdsl.errors import DeclarationError
from tdsl.ir.equal import fingerprint
from tdsl.ir.expr import Buffer, Const, Load, Node, Var
from tdsl.ir.instruction import INSTRUCTIONS, Instruction, elements
from tdsl.ir.stmt import Block, BlockKind
from tdsl.ir.visit import children, leaves
from tdsl.lang.func import Func

LABELS = ("exact", "reassociates", "approximates")
_TYPE = re.compile(r"<(\d+) x (i8|i16|i32|i64|half|bfloat|float|double)>")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}


def instruction(
    name: str,
    meaning: Func,
    llvm: str,
    types: Sequence[str],
    features: Sequence[str] = (),
    numerics: str = "exact",
) -> Instruction:
    """Declare a machine instruction that combines vectors into an accumulator.

    `s.tensorize(loop, name)` maps a loop nest to it once it is proven that the nest does what the
    instruction means. Targets without the features run the meaning as plain vector code.

    Args:
        name: what schedules call it.
        meaning: a function of one reduction with constant extents: `td.compute((16,), lambda j:
            td.sum(a[k] * b[j, k], axis=k))`. The instruction adds to what its output holds. Every
            index is an axis.
        llvm: the intrinsic; its operands are the output, then the inputs of `meaning` in order.
        types: their LLVM types, such as `<16 x i32>`. An input with fewer elements is repeated.
        features: LLVM features that a target must have.
        numerics: how far its rounding may differ from that of the meaning, element by element:
            "exact", "reassociates" or "approximates".

    >>> import tdsl as td
    >>> a = td.placeholder((4,), "uint8", name="a")
    >>> b = td.placeholder((16, 4), "int8", name="b")
    >>> k = td.reduce_axis(4, name="k")
    >>> dot = td.compute(
    ...     (16,),
    ...     lambda j: td.sum(td.cast(a[k], "int32") * td.cast(b[j, k], "int32"), axis=k),
    ...     name="dot",
    ... )
    >>> td.instruction(
    ...     "dot4_of_u8_and_s8", td.func("dot4", [a, b], [dot]),
    ...     "llvm.x86.avx512.vpdpbusd.512", ["<16 x i32>", "<64 x i8>", "<64 x i8>"],
    ...     features=["avx512vnni"],
    ... ).name
    'dot4_of_u8_and_s8'

    Raises:
        DeclarationError: the meaning is more than one reduction, or the types do not fit it;
            another instruction has the name.
    """
    block, inputs = meaning_of(name, meaning, numerics)
    _check_types(name, [block.writes[0].buffer, *inputs], types)
    text = "\n".join((fingerprint(meaning.program), llvm, *types, *features, numerics))
    key = f"{name}.v{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return declared(
        Instruction(name, key, block, inputs, llvm, tuple(types), tuple(features), numerics)
    )


def meaning_of(name: str, meaning: Func, numerics: str) -> tuple[Block, tuple[Buffer, ...]]:
    """The reduction that a function means, and its inputs.

    Raises:
        DeclarationError: it is something else, or the name or the label is none.
    """
    block = _reduction(name, meaning)
    inputs = tuple(t.buffer for t in meaning.inputs)
    _check_indices(name, block, inputs)
    if numerics not in LABELS:
        raise DeclarationError(f"numerics of {name} is one of {', '.join(LABELS)}")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise DeclarationError(f"{name!r} is no name for an instruction")
    return block, inputs


def declared(made: Instruction) -> Instruction:
    """Make an instruction known by its name.

    Raises:
        DeclarationError: another one has it.
    """
    known = INSTRUCTIONS.setdefault(made.name, made)
    if known.key != made.key:
        raise DeclarationError(
            f"another instruction is called {made.name!r}", hint="give one of them another name"
        )
    return known


def _reduction(name: str, meaning: Func) -> Block:
    blocks = [leaf.block for leaf in leaves(meaning.program.body)]
    if len(blocks) != 1 or blocks[0].kind is not BlockKind.REDUCE or len(blocks[0].writes) != 1:
        raise DeclarationError(
            f"the meaning of {name} is one reduction of one value",
            hint="write td.compute(shape, lambda j: td.sum(...)), with casts inside the sum",
        )
    (block,) = blocks
    if block.where is not None or not all(isinstance(it.extent, Const) for it in block.iters):
        raise DeclarationError(f"the extents of {name} are numbers, and it has no where=")
    return block


def _check_indices(name: str, block: Block, inputs: tuple[Buffer, ...]) -> None:
    """Each tensor is read once, at plain axes, one for each dimension."""
    seen: dict[Buffer, Load] = {}
    (write,) = block.writes
    if not _loads_once(write.value, seen):
        raise DeclarationError(f"{name} reads an input at two places")
    for buffer in inputs:
        if buffer not in seen:
            raise DeclarationError(f"{name} does not read its input {buffer.name}")
    extents = {it.var: it.extent for it in block.iters}
    for buffer, load in [*seen.items(), (write.buffer, Load(write.buffer, write.indices))]:
        axes = [i for i in load.indices if isinstance(i, Var)]
        if len(set(axes)) != buffer.rank:
            raise DeclarationError(f"an index of {buffer.name} in {name} is no axis of its own")
        if any(extents[i] != n for i, n in zip(axes, buffer.shape, strict=True)):
            raise DeclarationError(f"{name} reads only a part of {buffer.name}")


def _loads_once(e: Node, seen: dict[Buffer, Load]) -> bool:
    if isinstance(e, Load):
        return seen.setdefault(e.buffer, e) == e
    if isinstance(e, Var):
        raise DeclarationError("an axis of an instruction stands only in indices")
    return all(_loads_once(child, seen) for child in children(e))


def _check_types(name: str, buffers: Sequence[Buffer], types: Sequence[str]) -> None:
    if len(types) != len(buffers):
        raise DeclarationError(
            f"{name} has {len(buffers)} operands (the output first), got {len(types)} types"
        )
    for number, (buffer, text) in enumerate(zip(buffers, types, strict=True)):
        found = _TYPE.fullmatch(text)
        if found is None:
            raise DeclarationError(f"{text!r} is no vector type", hint="such as <16 x i32>")
        lanes, scalar = int(found[1]), found[2]
        bits = _BITS.get(scalar) or int(scalar[1:])
        count = elements(buffer)
        fits = lanes == count if number == 0 else lanes % count == 0
        if bits != buffer.dtype.bits or not fits:
            raise DeclarationError(
                f"{buffer.name} of {name} has {count} elements of {buffer.dtype}, "
                f"its type is {text}"
            )

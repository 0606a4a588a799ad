"""Random steps that map loops to C functions."""

from __future__ import annotations

from tdsl.fuzzing.step import Step, View
from tdsl.ir.instruction import INSTRUCTIONS, size_of


def call_extern(v: View) -> Step | None:
    """Loops of the extents of a C function that is declared, if any is."""
    found: list[tuple[str, str]] = []
    known = {name: x for name, x in INSTRUCTIONS.items() if x.by_pointer}
    for block in v.blocks if known else ():
        for depth in range(1, len(block.loops) + 1):
            nest = block.loops[-depth:]
            extents = sorted(str(loop.extent) for loop in nest)
            found += [
                (nest[0].label, name)
                for name, function in known.items()
                if sorted(str(size_of(it)) for it in function.block.iters) == extents
            ]
    return Step("call_extern", v.draw.choice(found)) if found else None

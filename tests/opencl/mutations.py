"""Kernels made wrong on purpose: without one of their barriers."""

from __future__ import annotations

import numpy as np

from tdsl.errors import TdslError
from tdsl.ir.expr import Node
from tdsl.ir.interp import HOSTILE, interpret
from tdsl.ir.stmt import Barrier, Program, Seq
from tdsl.ir.visit import map_children


def without_barrier(program, number):
    """The program without one of its barriers."""
    seen = -1

    def visit(n: Node) -> Node:
        nonlocal seen
        if isinstance(n, Barrier):
            seen += 1
            return Seq(()) if seen == number else n
        return map_children(n, visit)

    body = visit(program.body)
    return Program(program.name, program.params, program.sizes, program.assume, body)


def is_caught(program, arrays, sizes, expected):
    """Whether some hostile order shows a conflict, or another result."""
    for order in HOSTILE:
        try:
            found = interpret(program, arrays, sizes, order=order, detect_conflicts=True)
        except TdslError:
            return True
        if any(not np.array_equal(found[name], array) for name, array in expected.items()):
            return True
    return False

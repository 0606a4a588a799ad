"""Where storage lives: on the stack while there is room, once per thread, outside of loops."""

import pytest

from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Alloc, Scope
from tdsl.ir.visit import walk
from tdsl.lower.hoist_allocs import hoist_allocs
from tdsl.lower.warn import LoweringWarning
from tests.lower.nests import TARGET

KIB = 1024


def scopes(sizes, scope):
    """Where buffers of so many bytes live, one beside the other, each used in a serial loop."""
    lines = ["tdsl-ir 1", "func f(x: f32[4]) -> y: f32[4]:", "  for i in 4:"]
    for n, size in enumerate(sizes):
        lines.append(f"    alloc t{n}: i8[{size}] in {scope}")
    lines += [f"    t{n}[0] = 1" for n in range(len(sizes))]
    lines.append("    y[i] = x[i]")
    lowered = hoist_allocs(parse_program("\n".join(lines) + "\n"), TARGET)
    found = {n.buffer.name: n.scope for n in walk(lowered.body) if isinstance(n, Alloc)}
    return [found[f"t{n}"] for n in range(len(sizes))]


def test_small_storage_lives_on_the_stack_until_that_is_full():
    kept = [Scope.STACK] * 8
    assert scopes([16 * KIB] * 9, "global") == [*kept, Scope.GLOBAL]
    assert scopes([16 * KIB + 1, 16 * KIB], "global") == [Scope.GLOBAL, Scope.STACK]


def test_what_was_to_live_on_the_stack_takes_of_it_too():
    assert scopes([128 * KIB], "stack") == [Scope.STACK]
    with pytest.warns(LoweringWarning, match="'t2' takes 61440 bytes: it lives on the heap"):
        found = scopes([60 * KIB] * 3, "stack")
    assert found == [Scope.STACK, Scope.STACK, Scope.GLOBAL]

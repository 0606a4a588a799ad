"""Drop the conditions that always hold: ``for i in 8: if i < N + 8: s`` -> ``for i in 8: s``."""

from __future__ import annotations

from tdsl.ir.stmt import Program
from tdsl.lower.bodies import with_body
from tdsl.lower.conditions import settle
from tdsl.lower.facts import decide, program_facts
from tdsl.target import Target


def settle_conditions(program: Program, target: Target) -> Program:
    """Fold conditions, minima and maxima that the loops and conditions around decide."""
    del target
    body = settle(program.body, program_facts(program), lambda cond, facts: decide(facts, cond))
    return with_body(program, body)

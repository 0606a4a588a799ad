"""Drop the conditions that always hold: ``for i in 8: if i < N + 8: s`` -> ``for i in 8: s``."""

from __future__ import annotations

from tdsl.ir.stmt import Program
from tdsl.lower.bodies import with_body
from tdsl.lower.conditions import settle
from tdsl.lower.facts import decide, program_facts
from tdsl.target import Target


def settle_guards(program: Program, target: Target) -> Program:
    """Fold conditions, minima and maxima that the loops and conditions around decide.

    What a select knows in an arm is used for the loads there, which get masks of it afterwards.
    """
    return _settled(program, target, eager=False)


def settle_conditions(program: Program, target: Target) -> Program:
    """The same where loads have their masks: what only an arm knows takes no clamp off them."""
    return _settled(program, target, eager=True)


def _settled(program: Program, target: Target, *, eager: bool) -> Program:
    del target
    facts = program_facts(program)
    body = settle(program.body, facts, lambda cond, known: decide(known, cond), eager=eager)
    return with_body(program, body)

"""The one door to the prover: prove a program, or turn the refusal into a `ScheduleError`."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.analysis import Proof, Refused, prove
from tdsl.errors import ScheduleError, Span
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import Program, Stmt
from tdsl.scheduling.remembered import RememberedProofs


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a step wants to make of a schedule, and on whose behalf."""

    primitive: str
    span: Span | None
    before: Program
    algorithm: Program
    program: Program
    focus: Stmt | None = None


def prove_step(attempt: Attempt, previous: Proof | None, remembered: RememberedProofs) -> Proof:
    """Prove that the new program keeps the algorithm's meaning, or recall that it was proven.

    Raises:
        ScheduleError: it does not, or the prover cannot tell; with a witness where there is one.
    """
    name, label = remembered.recall(attempt.algorithm, attempt.program)
    if label is not None:
        return Proof.recalled(attempt.algorithm, attempt.program, label)
    try:
        proof = prove(attempt.algorithm, attempt.program, previous=previous)
    except Refused as refused:
        raise ScheduleError(
            attempt.primitive,
            refused.reason,
            witness=refused.witness,
            hint=refused.hint,
            nest=print_nest(attempt.before, attempt.focus),
            span=attempt.span,
        ) from None
    remembered.learn(name, proof.numerics)
    return proof


def refusal(algorithm: Program, program: Program) -> Refused | None:
    """Why a program is not proven, or None if it is."""
    try:
        prove(algorithm, program)
    except Refused as refused:
        return refused
    return None

"""The prover: one function that shows a scheduled program to compute what its algorithm means.

It knows nothing of primitives. Instances of blocks are fixed by the algorithm; the loop tree
says when each runs. Shown, in this order: every instance lies in its block's domain; what must
run does; dependences are kept (order), also by loops whose iterations run in any order
(exclusivity); reads find their value in the same copy (coverage); reductions that run again do
so as a whole. What cannot be decided is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tdsl.analysis.coverage import check_reads
from tdsl.analysis.dependences import Hazard, Storage, dependences
from tdsl.analysis.flow import check_order
from tdsl.analysis.inside import check_inside
from tdsl.analysis.numerics import Numerics
from tdsl.analysis.recompute import check_episodes
from tdsl.analysis.refusal import Refused
from tdsl.analysis.repeat import check_repeats
from tdsl.analysis.state import Memo, State
from tdsl.analysis.storage import check_places
from tdsl.analysis.witness import never_run
from tdsl.ir.expr import Buffer
from tdsl.ir.frames import LOCK, Unknown
from tdsl.ir.stmt import Block, BlockKind, Program


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """That `program` computes what `algorithm` means; `numerics` says to the bit or not."""

    algorithm: Program
    program: Program
    numerics: Numerics
    memo: Memo

    @staticmethod
    def recalled(algorithm: Program, program: Program, numerics: Numerics) -> Proof:
        """A proof known from an earlier process; what follows it is checked from the ground up."""
        return Proof(algorithm, program, numerics, Memo())


def prove(algorithm: Program, program: Program, *, previous: Proof | None = None) -> Proof:
    """Show that a scheduled program keeps its algorithm's meaning.

    Args:
        algorithm: the canonical program; its blocks are those of `program`, by identity.
        program: the loop tree to check; the inits of reductions are derived here.
        previous: an earlier proof of a similar program. Answers are keyed by structure, so only
            what changed since is checked again.

    Raises:
        Refused: something could not be shown; with a witness where there is a conflict.
    """
    memo = previous.memo if previous is not None else Memo()
    with LOCK:
        deps = dependences(algorithm)
        try:
            numerics = _check(State.of(deps, program, memo))
        except Unknown as error:
            raise Refused(f"the schedule could not be decided: {error}") from error
    return Proof(algorithm, program, numerics, memo)


def _check(state: State) -> Numerics:
    check_inside(state)
    numerics = Numerics.EXACT
    for buffer in state.deps.buffers:
        key = state.signature(buffer)
        found = state.memo.recall(key, partial(_check_buffer, state, buffer))
        numerics = max(numerics, found)
    return numerics


def _check_buffer(state: State, buffer: Buffer) -> Numerics:
    writers = state.deps.writers[buffer]
    if state.is_result(buffer):
        for block in writers:
            _check_complete(state, buffer, block)
    check_places(state, buffer)
    match state.deps.storage[buffer]:
        case Storage.SINGLE:
            return _check_single(state, buffer)
        case Storage.SHARED:
            return _check_shared(state, buffer, writers)
        case Storage.REDUCED:
            update = state.deps.reducers[buffer]
            assert update.init is not None
            all_run = state.execution(update.init).missing is None
            if all_run and state.execution(update).exactly_once:
                return _check_all_orders(state, buffer)
            return check_episodes(state, buffer, update)


def _check_single(state: State, buffer: Buffer) -> Numerics:
    """Storage written once an element: what runs again is harmless, what is missing is not."""
    for dep in state.deps.of_buffer(buffer):
        if Hazard.RAW not in dep.hazards or state.execution(dep.source).exactly_once:
            check_order(state, dep)
        else:
            check_reads(state, dep)
    return Numerics.EXACT


def _check_shared(state: State, buffer: Buffer, writers: tuple[Block, ...]) -> Numerics:
    """Storage written over and over: every update once, none missing that a read waits for."""
    for block in writers:
        updates = block.kind in (BlockKind.UPDATE, BlockKind.REDUCE)
        if updates and state.execution(block).twice is not None:
            check_repeats(state, block, state.places(block))
    for dep in state.deps.of_buffer(buffer):
        if Hazard.RAW in dep.hazards and state.execution(dep.source).missing is not None:
            check_reads(state, dep)
    return _check_all_orders(state, buffer)


def _check_all_orders(state: State, buffer: Buffer) -> Numerics:
    found = [check_order(state, dep) for dep in state.deps.of_buffer(buffer)]
    return max(found, default=Numerics.EXACT)


def _check_complete(state: State, buffer: Buffer, block: Block) -> None:
    missing = state.execution(block).missing
    if missing is None:
        return
    write = next(a for a in state.deps.accesses[id(block)] if a.is_write and a.buffer is buffer)
    raise Refused(
        f"{block.name} does not run for every element of {buffer.name}",
        never_run(missing, block, write, state.deps.models.sizes),
        hint="cover the whole extent: loops that count beyond it take a guard",
    )

"""A pass and how a table of them is run: timed, dumped, verified."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tdsl import options
from tdsl.ir.inits import derive_inits
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Leaf, Program, Stmt
from tdsl.ir.verify import Stage, verify
from tdsl.lower.bodies import transform_statements, with_body
from tdsl.target import Target


@dataclass(frozen=True, slots=True)
class Pass:
    """One step of lowering: what runs, why it runs here, and what its result is verified as."""

    run: Callable[[Program, Target], Program]
    why: str
    stage: Stage = Stage.LOWERING

    @property
    def name(self) -> str:
        """The name of the function, as dumps and timings show it."""
        return self.run.__name__


@dataclass(frozen=True, slots=True)
class Lowered:
    """A program in flat loops over vectors; `dumps` holds (pass, program after it) where asked."""

    program: Program
    dumps: tuple[tuple[str, Program], ...] = ()


def inits(program: Program, target: Target) -> Program:
    """Put the nests that set reduced elements to their identity in front of the reductions."""
    del target
    body = derive_inits(program.body)

    def settled(n: Stmt) -> Stmt:
        # passes rebuild blocks: an init that is in the tree must not be derived again
        if isinstance(n, Leaf) and n.block.init is not None:
            return replace(n, block=replace(n.block, init=None))
        return n

    return with_body(program, transform_statements(body, settled))


def run_passes(
    table: Sequence[Pass], program: Program, target: Target, *, keep: bool = False
) -> Lowered:
    """Run the passes of a table in order.

    `keep` collects the program after each pass. `TDSL_DUMP=dir` writes them to files,
    `TDSL_DEBUG=1` prints the time of each pass (2: and what it made), `TDSL_VERIFY=1` verifies
    after each.
    """
    dumps: list[tuple[str, Program]] = []
    directory = options.dump_dir()
    for number, step in enumerate(table):
        start = time.perf_counter()
        after = step.run(program, target)
        elapsed = time.perf_counter() - start
        _report(step, elapsed, after, changed=after is not program)
        if directory is not None:
            _dump(directory, number, step, program, after)
        if keep:
            dumps.append((step.name, after))
        if options.verify():
            verify(after, step.stage)
        program = after
    return Lowered(program, tuple(dumps))


def _report(step: Pass, seconds: float, after: Program, *, changed: bool) -> None:
    if options.debug_level() >= 1:
        note = "" if changed else "  (unchanged)"
        print(f"lower {step.name:18} {seconds * 1e3:8.2f} ms{note}")  # noqa: T201 - asked for
    if options.debug_level() >= 2 and changed:
        print(print_program(after))  # noqa: T201 - asked for


def _dump(directory: Path, number: int, step: Pass, before: Program, after: Program) -> None:
    folder = directory / after.name
    folder.mkdir(parents=True, exist_ok=True)
    if number == 0:
        (folder / "00-scheduled.tdsl").write_text(print_program(before), encoding="utf-8")
    text = print_program(after) if after is not before else "(unchanged)\n"
    (folder / f"{number + 1:02}-{step.name}.tdsl").write_text(text, encoding="utf-8")

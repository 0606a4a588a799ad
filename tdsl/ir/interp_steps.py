"""Statements as generators that pause after each block instance, store or barrier.

Iterations of a concurrent loop become generators with frames of their own, so that a hostile
order can switch between them anywhere. Work-items that reach a barrier wait for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import TypeAlias

from tdsl.errors import InternalError
from tdsl.ir.interp_memory import PATH, TEAM, Code, Frame
from tdsl.ir.interp_stmts import WORK_ITEMS, Run, StmtCompiler
from tdsl.ir.stmt import Alloc, Barrier, For, If, Let, Seq, Stmt


class Pause(Enum):
    """Why a generator pauses."""

    STEP = "step"
    BARRIER = "barrier"


Steps: TypeAlias = Callable[[Frame], Iterator[Pause]]


class StepCompiler:
    """Compiles statements to generators, on top of a `StmtCompiler`."""

    def __init__(self, plain: StmtCompiler) -> None:
        self.plain = plain
        self.teams = 0  # loops over work-items around the statement at hand

    def steps(self, s: Stmt) -> Steps:
        """The generator function that runs *s*."""
        match s:
            case For():
                return self._for(s)
            case Seq(body):
                parts = [self.steps(part) for part in body]
                return lambda f: _all(parts, f)
            case Alloc():
                slot, make = self.plain.alloc(s)
                inner = self.steps(s.body)
                del self.plain.memory.slots[s.buffer]
                return lambda f: _with(f, slot, make, inner)
            case Let(var, value, body):
                code = self.plain.exprs.code(value)
                slot = self.plain.bind(var)
                inner = self.steps(body)
                return lambda f: _with(f, slot, code, inner)
            case If():
                return self._if(s)
            case Barrier():
                return lambda _: iter((Pause.BARRIER,))
            case _:
                run = self.plain.run(s)
                return lambda f: _once(run, f)

    def _if(self, s: If) -> Steps:
        cond, then = self.plain.exprs.code(s.cond), self.steps(s.then)
        otherwise = self.steps(s.otherwise) if s.otherwise is not None else None

        def branch(f: Frame) -> Iterator[Pause]:
            if cond(f):
                yield from then(f)
            elif otherwise is not None:
                yield from otherwise(f)

        return branch

    def _for(self, loop: For) -> Steps:
        enter = self.plain.loop(loop)
        in_team = loop.kind in WORK_ITEMS
        outermost = in_team and self.teams == 0
        self.teams += in_team
        body = self.steps(loop.body)
        self.teams -= in_team
        if not loop.kind.concurrent:

            def serial(f: Frame) -> Iterator[Pause]:
                trips, at = enter(f)
                for n in range(trips):
                    at(f, n)
                    yield from body(f)

            return serial

        def concurrent(f: Frame) -> Iterator[Pause]:
            trips, at = enter(f)
            step = self.plain.step(loop)
            team = [0] if outermost else f[TEAM]
            waiting = []
            for n in self.plain.picker.iterations(trips):
                own = list(f)
                at(own, n)
                own[PATH] = step(f[PATH], n)
                own[TEAM] = team
                waiting.append(body(own))
            yield from self._together(waiting, team, in_team, outermost)

        return concurrent

    def _together(
        self, running: list[Iterator[Pause]], team: list[int], in_team: bool, outermost: bool
    ) -> Iterator[Pause]:
        """Run iterations until all have ended; barriers let them meet."""
        while running:
            arrived: list[Iterator[Pause]] = []
            ended = False
            while running:
                chosen = self.plain.picker.next(len(running))
                pause = next(running[chosen], None)
                if pause is Pause.STEP:
                    yield pause
                    continue
                one = running.pop(chosen)
                if pause is Pause.BARRIER:
                    arrived.append(one)
                else:
                    ended = True
            if arrived and (ended or not in_team):
                raise InternalError("a barrier that not all work-items of the group reach")
            if arrived and outermost:
                team[0] += 1
            elif arrived:
                yield Pause.BARRIER
            running = arrived


def _all(parts: Sequence[Steps], f: Frame) -> Iterator[Pause]:
    for part in parts:
        yield from part(f)


def _with(f: Frame, slot: int, code: Code, body: Steps) -> Iterator[Pause]:
    f[slot] = code(f)
    yield from body(f)


def _once(run: Run, f: Frame) -> Iterator[Pause]:
    run(f)
    yield Pause.STEP

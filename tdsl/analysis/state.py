"""What one proof works on: the sites of a scheduled program, their runs, and a memo of answers.

Answers are keyed by the structure of what they depend on, so a proof that follows another only
asks about what a step changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from tdsl.analysis.dependences import Dependences
from tdsl.analysis.execution import Execution, execution
from tdsl.analysis.model import Home, Meeting, Run, Site, meeting, sites_of
from tdsl.analysis.refusal import Refused
from tdsl.analysis.witness import conflict
from tdsl.errors import Witness
from tdsl.ir.expr import Buffer
from tdsl.ir.frames import IslMap, NotAffine
from tdsl.ir.inits import derive_inits
from tdsl.ir.printer import print_expr
from tdsl.ir.stmt import Block, Program, Role

T = TypeVar("T")

MOST_ANSWERS = 50_000


class Memo:
    """Answers by key; emptied when it grows too large."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, object] = {}

    def recall(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The known answer, or the computed one. What raises is not remembered."""
        if key in self._answers:
            return cast("T", self._answers[key])
        answer = compute()
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        self._answers[key] = answer
        return answer


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The scheduled program, indexed: sites by block, runs by site."""

    deps: Dependences
    program: Program
    sites: tuple[Site, ...]
    by_block: dict[int, tuple[Site, ...]]
    memo: Memo
    _users: dict[Buffer, list[Site]]
    _runs: dict[int, Run] = field(default_factory=dict)
    _met: dict[tuple[int, int], Meeting] = field(default_factory=dict)

    @staticmethod
    def of(deps: Dependences, program: Program, memo: Memo) -> State:
        """Index a program.

        Raises:
            Refused: it runs a block that the algorithm does not have.
        """
        sites = tuple(sites_of(program, derive_inits(program.body)))
        known = deps.blocks
        by_block: dict[int, tuple[Site, ...]] = {}
        users: dict[Buffer, list[Site]] = {}
        for site in sites:
            if id(site.block) not in known:
                raise Refused(f"block {site.block.name} is not part of the algorithm")
            by_block[id(site.block)] = (*by_block.get(id(site.block), ()), site)
            for buffer in {a.buffer for a in deps.accesses[id(site.block)]}:
                users.setdefault(buffer, []).append(site)
        return State(deps, program, sites, by_block, memo, users)

    def places(self, block: Block) -> tuple[Site, ...]:
        """The leaves that run a block."""
        return self.by_block.get(id(block), ())

    def run(self, site: Site) -> Run:
        """When and what a site runs.

        Raises:
            Refused: a loop extent, binding or guard is not affine.
        """
        known = self._runs.get(id(site))
        if known is None:
            try:
                known = self._runs[id(site)] = self.deps.models.run(site)
            except NotAffine as error:
                raise Refused(
                    f"{site.block.name}: {print_expr(error.expr)} is no affine expression of "
                    "loops and sizes, so nothing can be proven about it",
                    hint="split by concrete factors, and fuse loops of concrete extents only",
                ) from error
        return known

    def met(self, a: Site, b: Site) -> Meeting:
        """How two sites lie to each other."""
        key = (id(a), id(b))
        known = self._met.get(key)
        if known is None:
            known = self._met[key] = meeting(a, b)
        return known

    def home(self, site: Site, buffer: Buffer) -> Home:
        """The copy of a buffer that a site accesses.

        Raises:
            Refused: it lies outside every allocation of the buffer.
        """
        found = site.home(buffer)
        if found is None:
            raise Refused(
                f"{site.block.name} uses {buffer.name} outside its allocation",
                hint=f"store_at or hoist_storage moves the allocation of {buffer.name} outward",
            )
        return found

    def execution(self, block: Block) -> Execution:
        """How often the instances of a block run."""
        sites = self.places(block)
        runs = [self.run(site) for site in sites]
        key = ("execution", block, tuple(run.key for run in runs))
        return self.memo.recall(key, lambda: execution(block, runs, self.deps.models))

    def users(self, buffer: Buffer) -> list[Site]:
        """The leaves that access a buffer."""
        return self._users.get(buffer, [])

    def signature(self, buffer: Buffer) -> Hashable:
        """All that an answer about a buffer can depend on."""
        homes: dict[int, int] = {}
        turns: dict[int, int] = {}
        found = []
        for site in self.users(buffer):
            home = self.home(site, buffer)
            found.append(
                (
                    self.run(site).key,
                    tuple(level.kind for level in site.levels),
                    homes.setdefault(id(home), len(homes)),
                    home.depth,
                    None if home.alloc is None else home.alloc.layout,
                    tuple((turns.setdefault(s, len(turns)), n, d) for s, n, d in site.turns),
                    site.leaf.atomic,
                )
            )
        rules = tuple(dep.number for dep in self.deps.of_buffer(buffer))
        return buffer, self.is_result(buffer), rules, tuple(found)

    def is_result(self, buffer: Buffer) -> bool:
        """Whether the caller sees what a buffer holds at the end."""
        return any(p.buffer is buffer and p.role is not Role.IN for p in self.program.params)

    def repetition(self, a: Site, b: Site, times: IslMap) -> Witness | None:
        """Two times at which one instance runs, with the element that it writes."""
        write = next(x for x in self.deps.accesses[id(a.block)] if x.is_write)
        return conflict("WAW", times, (a, b), [(write, write)], self.deps.models.sizes)

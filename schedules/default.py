"""`td.default_schedule`: a good schedule for any algorithm, found by rules on its structure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tdsl.errors import ScheduleError
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import Role
from tdsl.lang.func import Func
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.groups import Group, form_groups
from tdsl.schedules.rules.inlining import inline_cheap
from tdsl.schedules.rules.table import RULES
from tdsl.schedules.rules.winograd import transformed_products
from tdsl.scheduling import Schedule
from tdsl.target import Target


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for some blocks: the rule, why it matched, and rules that were refused."""

    blocks: tuple[str, ...]
    rule: str
    reason: str
    refused: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        lines = [f"{', '.join(self.blocks)}: {self.rule}: {self.reason}"]
        lines += [f"  {rule} was refused: {why}" for rule, why in self.refused]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Why:
    """Every decision of a default schedule, in order. `print` shows one a line."""

    decisions: tuple[Decision, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.decisions))

    def rule_of(self, block: str) -> str:
        """The rule that scheduled a block.

        Raises:
            KeyError: there is no such block.
        """
        for decision in self.decisions:
            if block in decision.blocks:
                return decision.rule
        raise KeyError(block)


class DefaultSchedule(Schedule):
    """A schedule made by rules. `why` tells which rule matched each block, and why."""

    def __init__(
        self, func: Func, target: Target | str | None = None, constants: Iterable[str] = ()
    ) -> None:
        super().__init__(func, target)
        self.why = Why(tuple(_decide(self, frozenset(constants))))

    @property
    def packed(self) -> tuple[str, ...]:
        """Arguments that the caller passes packed, as `kernel.pack` makes them."""
        return tuple(p.buffer.name for p in self.program.params if p.layout is not None)


def default_schedule(
    func: Func, target: Target | str | None = None, constants: Iterable[str] = ()
) -> DefaultSchedule:
    """The schedule that the library's rules find for an algorithm.

    Args:
        func: the algorithm.
        target: what it is scheduled for; None: this machine's processor.
        constants: names of arguments that stay the same from call to call, such as weights. Rules
            may ask for them packed ahead: `kernel.pack(name, array)` makes what is then passed.

    >>> import tdsl as td
    >>> A = td.placeholder((256,), "float32", name="A")
    >>> B = td.compute((256,), lambda i: A[i] * 2.0, name="B")
    >>> s = td.default_schedule(td.func("double", [A], [B]))
    >>> s.why.rule_of("B")
    'elementwise'

    Raises:
        TargetError: a target that names nothing known.
    """
    return DefaultSchedule(func, target, constants)


def _decide(s: Schedule, constants: frozenset[str]) -> list[Decision]:
    outputs = frozenset(p.buffer for p in s.func.program.params if p.role is not Role.IN)
    inlined = inline_cheap(s, outputs)
    decisions = [Decision((block,), "inline", reason) for block, reason in inlined]
    blocks = [BlockFacts(view.leaf.block) for view in s.nest.blocks]
    for group in library_groups(s, blocks, outputs, constants):
        decisions += _schedule(s, group)
    return decisions


def library_groups(
    s: Schedule,
    blocks: Sequence[BlockFacts],
    outputs: frozenset[Buffer],
    constants: frozenset[str],
    *,
    transforms: bool = True,
) -> list[Group]:
    """The groups that blocks are scheduled in, in program order of their sinks.

    Products of transformed tiles are one group with their transforms, or (`transforms=False`) are
    grouped as other products are. `constants` names arguments that may be packed ahead.
    """
    packable = _packable(s, blocks, constants)
    whole = transformed_products(blocks, outputs, packable) if transforms else []
    taken = {name for group in whole for name in group.names}
    rest = [block for block in blocks if block.name not in taken]
    order = {block.name: n for n, block in enumerate(blocks)}
    groups = [*form_groups(rest, outputs, packable), *whole]
    return sorted(groups, key=lambda group: order[group.sink.name])


def _packable(
    s: Schedule, blocks: Sequence[BlockFacts], names: frozenset[str]
) -> frozenset[Buffer]:
    """The buffers of constant arguments that one block alone reads, at one place."""
    reads = [load.buffer for block in blocks for load in block.loads]
    params = (p.buffer for p in s.func.program.params if p.role is Role.IN)
    return frozenset(b for b in params if b.name in names and reads.count(b) == 1)


def _schedule(s: Schedule, group: Group) -> list[Decision]:
    """Apply the first rule that matches and is not refused; a group that none fits is parted."""
    refused: list[tuple[str, str]] = []
    for rule in RULES[:-1]:
        plan = rule.match(group, s.target)
        if plan is None:
            continue
        try:
            plan.apply(s)
        except ScheduleError as error:
            refused.append((rule.name, error.reason))
        else:
            return [Decision(group.names, rule.name, plan.reason, tuple(refused))]
    if group.members:
        return _part(s, group, refused)
    plan = RULES[-1].match(group, s.target)
    assert plan is not None
    plan.apply(s)
    return [Decision(group.names, RULES[-1].name, plan.reason, tuple(refused))]


def _part(s: Schedule, group: Group, refused: list[tuple[str, str]]) -> list[Decision]:
    """Schedule a group in smaller ones: a chain as its links, otherwise each block by itself."""
    decisions: list[Decision] = []
    outputs = frozenset(p.buffer for p in s.func.program.params if p.role is not Role.IN)
    links = form_groups(group.blocks, outputs, group.constants, chain=False)
    if not (group.chained or group.windowed or group.transformed):
        links = [Group.alone(block, group.constants) for block in group.blocks]
    for link in links:
        decisions += _schedule(s, link)
    first = decisions[0]
    known = (*refused, *first.refused)
    decisions[0] = Decision(first.blocks, first.rule, first.reason, known)
    return decisions

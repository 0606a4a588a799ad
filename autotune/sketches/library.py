"""What the library would do with a group, as it is or with other values of its plan's numbers."""

from __future__ import annotations

from dataclasses import replace

from tdsl.autotune.sketches.naming import Named
from tdsl.errors import ScheduleError
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan
from tdsl.schedules.rules.table import RULES
from tdsl.scheduling import Schedule

_MOST_CHOICES = 6  # values of one field


def schedule(s: Schedule, group: Group) -> None:
    """Schedule a group by the first rule that matches and is not refused, else block by block."""
    for plan in _plans(s, group):
        try:
            plan.apply(s)
        except ScheduleError:
            continue
        return
    for block in group.blocks:
        schedule(s, Group.alone(block, group.constants))


def sketch(s: Schedule, knob: Named, group: Group) -> bool:
    """Schedule a group by the library's rule, the numbers of its plan being choices."""
    plans = _plans(s, group)
    if not plans:
        schedule(s, group)
        return True
    plan = plans[0]
    changed = {
        field: knob.choice(field, _few(values, getattr(plan, field)))
        for field, values in plan.knobs().items()
    }
    replace(plan, **changed).apply(s)
    return True


def _plans(s: Schedule, group: Group) -> list[Plan]:
    """The plans of all rules that match, in order; several blocks have no plan of last resort."""
    rules = RULES[:-1] if group.members else RULES
    plans = (rule.match(group, s.target) for rule in rules)
    return [plan for plan in plans if plan is not None]


def _few(values: tuple[int, ...], chosen: int) -> list[int]:
    """The library's own choice first, then others spread over the values."""
    step = max(1, -(-len(values) // _MOST_CHOICES))
    return [chosen, *(value for value in values[::step] if value != chosen)]

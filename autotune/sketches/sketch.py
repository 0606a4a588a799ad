"""The sketch of an algorithm: its groups, and the rule that spans the space of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdsl.autotune.knobs import Knobs
from tdsl.autotune.sketches import (
    contraction,
    elements,
    library,
    rows,
    stencil,
    windows,
    work_groups,
)
from tdsl.autotune.sketches.naming import Named
from tdsl.ir.stmt import Role
from tdsl.schedules.default import library_groups
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.inlining import inline_cheap
from tdsl.scheduling import Schedule
from tdsl.target import TargetKind


@dataclass(frozen=True)
class SketchRule:
    """Whether a group can be scheduled in some way, and that way, with knobs."""

    fits: Callable[[Schedule, Group], bool]
    apply: Callable[[Schedule, Named, Group], None]


DEVICE_RULES = (SketchRule(work_groups.fits, work_groups.sketch),)
RULES: tuple[SketchRule, ...] = (
    SketchRule(contraction.fits, contraction.sketch),
    SketchRule(windows.fits, windows.sketch),
    SketchRule(rows.fits, rows.sketch),
    SketchRule(elements.fits, elements.sketch),
)

_MOST_GROUPS = 2  # that get knobs
_LEAST_SHARE = 0.08  # of the work


def sketch(s: Schedule, knob: Knobs) -> None:
    """Span the search space of any algorithm; registered nowhere, used where no template is."""
    outputs = frozenset(p.buffer for p in s.func.program.params if p.role is not Role.IN)
    if not stencil.is_pipeline(s, outputs) or knob.choice("inline", [True, False]):
        inline_cheap(s, outputs)
    blocks = [BlockFacts(view.leaf.block) for view in s.nest.blocks]
    if stencil.sketch(s, Named(knob, ""), blocks, outputs):
        return
    groups = library_groups(s, blocks, outputs, knob.constants)
    transforms = any(group.transformed for group in groups)
    if transforms and not knob.choice("transforms", [True, False]):
        groups = library_groups(s, blocks, outputs, knob.constants, transforms=False)
    heavy = _heavy(groups)
    for number, group in enumerate(groups):
        prefix = "" if len(heavy) == 1 else f"{number}."
        if number not in heavy or not _with_knobs(s, Named(knob, prefix), group):
            library.schedule(s, group)


def _with_knobs(s: Schedule, knob: Named, group: Group) -> bool:
    """Schedule a group by the first rule that fits, or as the library does with other numbers."""
    rules = DEVICE_RULES if s.target.kind is TargetKind.OPENCL else RULES
    fitting = None
    if not group.transformed:
        fitting = next((rule for rule in rules if rule.fits(s, group)), None)
    if fitting is None:
        return library.sketch(s, knob, group)
    if knob.choice("rule", ["sketch", "library"]) == "library":
        return False
    fitting.apply(s, knob, group)
    return True


def _heavy(groups: list[Group]) -> set[int]:
    """Which groups do so much of the work that knobs are worth it."""
    work = [_work(group) for group in groups]
    ranked = sorted(range(len(groups)), key=lambda n: (-work[n], n))[:_MOST_GROUPS]
    return {n for n in ranked if work[n] >= _LEAST_SHARE * sum(work)}


def _work(group: Group) -> float:
    total = 0.0
    for block in group.blocks:
        instances = 1.0
        for var in block.extents:
            instances *= block.extent(var) or 1024
        total += instances * (block.work + 1)
    return total

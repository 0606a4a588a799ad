"""The passes in order, and what each one did."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Model
from tdsl.graph.passes.algebra import simplify_algebra
from tdsl.graph.passes.batch_norm import fold_scales_into_weights
from tdsl.graph.passes.common_subexpressions import merge_common_subexpressions
from tdsl.graph.passes.constants import fold_constants
from tdsl.graph.passes.dead_code import remove_dead_code
from tdsl.graph.passes.layout import assign_layouts
from tdsl.graph.passes.moves import simplify_moves
from tdsl.graph.passes.winograd import filter_minimally


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite with its name and the reason for its place."""

    name: str
    run: Callable[[Model], Model]
    why: str


PASSES: tuple[Pass, ...] = (
    Pass("moves", simplify_moves, "a constant that is read as it is stored needs no copy"),
    Pass("dead code", remove_dead_code, "nothing else looks at nodes that nobody needs"),
    Pass("constants", fold_constants, "batch normalisation becomes one factor and one shift"),
    Pass("scales", fold_scales_into_weights, "the factors are constants by now"),
    Pass("algebra", simplify_algebra, "folding leaves factors of one and views of views"),
    Pass("common subexpressions", merge_common_subexpressions, "equal nodes look equal by now"),
    Pass("layout", assign_layouts, "scales and shifts are where they stay by now"),
    Pass("winograd", filter_minimally, "channels are last by now, and weights final"),
    Pass("algebra again", simplify_algebra, "layouts turn images back and forth"),
    Pass("dead code again", remove_dead_code, "constants that were folded away"),
)


@dataclass(frozen=True, slots=True)
class PassReport:
    """What a pass did: nodes before and after, constants' bytes after, and seconds."""

    name: str
    before: int
    after: int
    constant_bytes: int
    seconds: float

    def __str__(self) -> str:
        change = f"{self.before} -> {self.after} nodes" if self.before != self.after else "-"
        return f"{self.name:24} {change:22} {self.seconds * 1e3:8.1f} ms"


def run_passes(
    model: Model, disabled: Collection[str] = ()
) -> tuple[Model, tuple[PassReport, ...]]:
    """Apply all passes but those disabled by name.

    Raises:
        GraphError: a name in `disabled` that no pass has.
    """
    names = [p.name for p in PASSES]
    for name in disabled:
        if name not in names:
            raise GraphError(f"there is no pass {name!r}", hint=f"one of {', '.join(names)}")
    reports = []
    for one in PASSES:
        if one.name in disabled:
            continue
        start = time.perf_counter()
        before, model = len(model.nodes), one.run(model)
        size = sum(array.nbytes for array in model.constants.values())
        seconds = time.perf_counter() - start
        reports.append(PassReport(one.name, before, len(model.nodes), size, seconds))
    return model, tuple(reports)

"""A step of a fuzzed schedule, and what a random one chooses from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tdsl.errors import ScheduleError
from tdsl.fuzzing.draw import Draw
from tdsl.ir.stmt import BlockKind
from tdsl.schedules import combinators
from tdsl.scheduling import Schedule
from tdsl.scheduling.arguments import TAILS
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.view import BlockView

Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Step:
    """One call of a primitive or a combinator, in literals: loops and blocks by name."""

    primitive: str
    args: tuple[object, ...]
    options: Options = ()

    @property
    def is_combined(self) -> bool:
        """Whether it is a combinator of the library, made of primitives."""
        return self.primitive not in PRIMITIVES

    def source(self) -> str:
        """The call as Python."""
        shown = [_literal(a) for a in self.args]
        shown += [f"{key}={_literal(value)}" for key, value in self.options]
        if self.is_combined:
            return f"combinators.{self.primitive}({', '.join(['s', *shown])})"
        return f"s.{self.primitive}({', '.join(shown)})"

    def apply(self, s: Schedule, *, unsafe: bool = False) -> object:
        """Do the step on a schedule.

        Raises:
            ScheduleError: it is refused, or it is a combinator, whose steps are always proven.
        """
        options = dict(self.options)
        if self.is_combined:
            if unsafe:
                raise ScheduleError(self.primitive, "its steps are always proven")
            return getattr(combinators, self.primitive)(s, *self.args, **options)
        if unsafe:
            options["unsafe"] = True
        return getattr(s, self.primitive)(*self.args, **options)


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@dataclass
class View:
    """What a random step chooses from."""

    draw: Draw
    schedule: Schedule
    blocks: tuple[BlockView, ...]

    def block(self, *kinds: BlockKind) -> BlockView | None:
        """Any block, of these kinds if there is one."""
        found = [b for b in self.blocks if b.kind in kinds]
        return self.draw.choice(found or self.blocks) if self.blocks else None

    def labels(self) -> list[str]:
        """Labels of all loops."""
        return list(dict.fromkeys(loop.label for b in self.blocks for loop in b.loops))

    def loop(self) -> str | None:
        """Any loop."""
        labels = self.labels()
        return self.draw.choice(labels) if labels else None

    def path(self, least: int) -> list[str] | None:
        """The labels of the loops around a random block that has enough of them."""
        found = [b for b in self.blocks if len(b.loops) >= least]
        return [loop.label for loop in self.draw.choice(found).loops] if found else None

    def tail(self) -> str:
        """A tail, mostly the plain one."""
        return self.draw.choice(TAILS) if self.draw.chance(0.6) else "guard"


def view(draw: Draw, s: Schedule) -> View:
    """The schedule as it stands, to draw a step from."""
    return View(draw, s, s.nest.blocks)


def tail_option(v: View) -> Options:
    """A tail as an option; the plain one is left out."""
    tail = v.tail()
    return () if tail == "guard" else (("tail", tail),)


def on_a_loop(name: str) -> Callable[[View], Step | None]:
    """A maker of a primitive that takes one loop."""

    def made(v: View) -> Step | None:
        loop = v.loop()
        return None if loop is None else Step(name, (loop,))

    return made


def written_by(b: BlockView) -> set[str]:
    """Tensors that a block writes."""
    return {access.tensor for access in b.writes}


def read_by(b: BlockView) -> set[str]:
    """Tensors that a block reads."""
    return {access.tensor for access in b.reads}

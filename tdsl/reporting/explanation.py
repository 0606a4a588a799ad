"""Why a schedule is as it is, and what it costs: rules, steps, predicted traffic of each loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.analysis.traffic import LoopTraffic, Traffic
from tdsl.api import build
from tdsl.autotune.extents import total_flops
from tdsl.autotune.measure.arguments import make_inputs
from tdsl.autotune.report import duration
from tdsl.errors import TypeMismatch
from tdsl.ir.nest import nest_lines
from tdsl.schedules.default import DefaultSchedule
from tdsl.scheduling import Schedule
from tdsl.target import Target, TargetKind

_SEED = 0


@dataclass(frozen=True, slots=True)
class LoopLine:
    """A line of the loop nest; `traffic` where it is a loop."""

    text: str
    traffic: LoopTraffic | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A schedule and its predicted cost. `print` shows all of it.

    Attributes:
        title: the function, its sizes, and the target.
        why: the rules that chose the schedule, one a line; empty where nobody chose.
        steps: the schedule as Python.
        numerics: what it did to the bits of the result.
        caches: names and capacities in bytes of the target's caches.
        lines: the loop nest.
        flops: floating-point operations of one call.
        touched: bytes that have to move at least.
        moved: bytes brought into each cache.
        seconds: of one call, one figure per measurement; empty where none was made.
    """

    title: str
    why: tuple[str, ...]
    steps: str
    numerics: str
    caches: tuple[tuple[str, int], ...]
    lines: tuple[LoopLine, ...]
    flops: int
    touched: int
    moved: tuple[int, ...]
    seconds: tuple[float, ...] = ()

    def __str__(self) -> str:
        parts = [self.title]
        if self.why:
            parts += ["", "why", *_indented("\n".join(self.why))]
        parts += ["", "steps", *_indented(self.steps)]
        parts += ["", *self.table(), "", *self.totals()]
        return "\n".join(parts)

    def table(self) -> list[str]:
        """The loop nest with its figures, as lines of text."""
        heads = ["runs", "flop", "data", *(f"into {name}" for name, _ in self.caches)]
        rows = [(cells(line.traffic, len(self.caches)), line.text) for line in self.lines]
        widths = [max(len(head), *(len(row[n]) for row, _ in rows)) for n, head in enumerate(heads)]
        shown = [(heads, "loops"), *rows]
        return [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            + f"  {text}"
            for row, text in shown
        ]

    def totals(self) -> list[str]:
        """What all loops do together, and how quick it was."""
        intensity = f", {self.flops / self.touched:.3g} flop a byte" if self.touched else ""
        lines = [f"{quantity(self.flops)}flop on {size(self.touched)} of data{intensity}"]
        for (name, capacity), moved in zip(self.caches, self.moved, strict=True):
            times = f", {moved / self.touched:.3g} times the data" if self.touched else ""
            lines.append(f"into {name} ({size(capacity)}): {size(moved)}{times}")
        if self.seconds:
            best = min(self.seconds)
            rates = [f"{self.flops / best / 1e9:.4g} GFLOP/s"] if self.flops else []
            rates.append(f"{self.touched / best / 1e9:.4g} GB/s of data")
            lines.append(f"measured {duration(best)}: {', '.join(rates)}")
        return [*lines, f"numerics: {self.numerics}"]

    def json(self) -> dict[str, object]:
        """The explanation as JSON data."""
        loops = [(line.text.strip(), line.traffic) for line in self.lines if line.traffic]
        names = [name for name, _ in self.caches]
        return {
            "title": self.title,
            "why": list(self.why),
            "steps": self.steps.splitlines(),
            "numerics": self.numerics,
            "caches": dict(self.caches),
            "flops": self.flops,
            "bytes": self.touched,
            "moved": dict(zip(names, self.moved, strict=True)),
            "loops": [
                {
                    "loop": text,
                    "runs": traffic.runs,
                    "flops": traffic.flops,
                    "bytes": traffic.touched,
                    "moved": dict(zip(names, traffic.moved, strict=True)),
                }
                for text, traffic in loops
            ],
            "seconds": list(self.seconds),
        }


def explain(
    schedule: Schedule, sizes: Mapping[str, int] | None = None, *, timed: bool = False
) -> Explanation:
    """Tell why a schedule is as it is, and what its loops cost.

    Args:
        schedule: what to explain; one of `td.default_schedule` tells which rules made it.
        sizes: a number for each symbolic size.
        timed: build and run it as well, on random arguments.

    Raises:
        TypeMismatch: a symbolic size has no number.
        LoweringError: it is to be timed, and this machine cannot run it.
    """
    numbers = dict(sizes or {})
    missing = [size.name for size in schedule.program.sizes if size.name not in numbers]
    if missing:
        raise TypeMismatch(
            f"what {schedule.func.name} costs depends on {', '.join(missing)}",
            hint="pass sizes={" + ", ".join(f"{name!r}: 512" for name in missing) + "}",
        )
    levels = caches_of(schedule.target)
    at = {size: numbers[size.name] for size in schedule.program.sizes}
    traffic = Traffic(schedule.program, at, [capacity for _, capacity in levels])
    by_loop = {id(one.loop): one for one in traffic.loops()}
    why = schedule.why.decisions if isinstance(schedule, DefaultSchedule) else ()
    return Explanation(
        title=_title(schedule, numbers),
        why=tuple(map(str, why)),
        steps=str(schedule.trace),
        numerics=schedule.numerics.value,
        caches=levels,
        lines=tuple(LoopLine(text, by_loop.get(id(s))) for s, text in nest_lines(schedule.program)),
        flops=int(total_flops(schedule.func, numbers)),
        touched=traffic.touched,
        moved=traffic.moved,
        seconds=measure(schedule, numbers) if timed else (),
    )


def measure(schedule: Schedule, sizes: Mapping[str, int]) -> tuple[float, ...]:
    """Build a schedule and time it on random arguments: seconds of one call."""
    kernel = build(schedule)
    inputs = make_inputs(schedule.program, sizes, _SEED)
    free = {name: sizes[name] for name in kernel.signature.free_sizes}
    return tuple(kernel.time(*inputs, **free))


def caches_of(target: Target) -> tuple[tuple[str, int], ...]:
    """The caches of a processor by name; nothing is known of those of an OpenCL device."""
    if target.kind is TargetKind.OPENCL:
        return ()
    found = (("L1", target.l1), ("L2", target.l2), ("L3", target.l3))
    return tuple((name, capacity) for name, capacity in found if capacity)


def size(count: float) -> str:
    """Bytes with a unit that suits them.

    >>> size(100), size(65536), size(3 << 20)
    ('100 B', '64 KiB', '3 MiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}" if count < 1000 else f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.4g} TiB"


def quantity(count: float) -> str:
    """A number with a prefix that suits it.

    >>> quantity(12), quantity(2.5e9)
    ('12 ', '2.5 G')
    """
    for prefix in ("", "k", "M", "G", "T"):
        if count < 1000:
            return f"{count:.3g} {prefix}"
        count /= 1000
    return f"{count:.4g} P"


def cells(traffic: LoopTraffic | None, caches: int) -> list[str]:
    """The figures of a line of the nest, as text; empty where it is no loop."""
    if traffic is None:
        return [""] * (3 + caches)
    moved = ["" if one is None else size(one) for one in traffic.moved]
    return [str(traffic.runs), quantity(traffic.flops).strip(), size(traffic.touched), *moved]


def _title(schedule: Schedule, sizes: Mapping[str, int]) -> str:
    at = ", ".join(f"{name}={number}" for name, number in sizes.items())
    target = schedule.target
    place = "this machine's processor" if target.is_native else target.text
    return f"{schedule.func.name}{f' with {at}' if at else ''} for {place}"


def _indented(text: str) -> list[str]:
    return ["  " + line for line in text.splitlines()]

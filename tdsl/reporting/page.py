"""A report as one HTML page that needs nothing beside it: a kernel, and how it was tuned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tdsl.api import build
from tdsl.autotune.report import duration, shown_candidate
from tdsl.codegen.llvm.host import cpu_of
from tdsl.errors import TdslError
from tdsl.records import Outcome, Record, Verdict
from tdsl.reporting.charts import course, roofline
from tdsl.reporting.explanation import Explanation, cells, explain
from tdsl.reporting.history import history, nest_change
from tdsl.reporting.machine import Roof, measured_roof
from tdsl.scheduling import Schedule
from tdsl.target import TargetKind, host

_SHOWN = 10  # of the best candidates
_TITLES = {"asm": "assembly", "opencl": "OpenCL C", "lowered": "lowered IR"}


class ReportError(TdslError, ImportError):
    """A package that reports are made with is missing."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.span = None


@dataclass(frozen=True, slots=True)
class Run:
    """What the database knows of the tuning of a kernel."""

    records: Sequence[Record]
    verdict: Verdict | None


def check_packages() -> None:
    """See that reports can be made, before anything long is done for one.

    Raises:
        ReportError: a package is missing.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise ReportError(
            f"reports are made with jinja2 and matplotlib; not installed: {', '.join(missing)}",
            hint="pip install 'tdsl[report]'",
        )


def report_page(
    schedule: Schedule,
    sizes: Mapping[str, int],
    *,
    run: Run | None = None,
    timed: bool = True,
    command: str = "",
) -> str:
    """The page of a schedule.

    Args:
        schedule: what it is about.
        sizes: a number for each symbolic size.
        run: how it was tuned.
        timed: build and measure it, and the machine's peak as well.
        command: what makes the page anew.

    Raises:
        ReportError: jinja2 or matplotlib is missing.
        TypeMismatch: a symbolic size has no number.
        LoweringError: this machine cannot run the schedule.
    """
    check_packages()
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    explained = explain(schedule, sizes, timed=timed)
    roof = measured_roof() if timed and schedule.target.kind is TargetKind.LLVM else None
    chart = _roofline(explained, roof, schedule.func.name)
    loader = PackageLoader("tdsl.reporting", ".")
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return page.get_template("page.html.j2").render(
        kernel=explained,
        version=metadata.version("tdsl"),
        processor=cpu_of(host())[0],
        made=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
        command=command,
        roof=roof,
        roofline=Markup(chart) if chart else "",  # noqa: S704 - matplotlib escapes its texts
        tuning=_tuning(run, Markup) if run is not None and run.records else None,
        cells=lambda line: cells(line.traffic, len(explained.caches)),
        stages=list(_stages(schedule)),
        sources=_sources(schedule),
    )


def _roofline(explained: Explanation, roof: Roof | None, name: str) -> str:
    if roof is None or not explained.flops or not explained.touched:
        return ""
    rate = explained.flops / min(explained.seconds)
    return roofline(roof, explained.flops / explained.touched, rate, name)


def _stages(schedule: Schedule) -> Iterator[dict[str, object]]:
    before = ""
    for stage in history(schedule):
        change = nest_change(before, stage.nest) if before else stage.nest
        yield {
            "source": stage.source,
            "label": f"proven, {stage.numerics}" if stage.source else "",
            "unsafe": stage.unsafe,
            "notes": stage.notes,
            "change": [(_kind(line), line) for line in change.splitlines()],
            "nest": stage.nest,
        }
        before = stage.nest


def _kind(line: str) -> str:
    return {"-": "gone", "+": "came"}.get(line[:1], "kept")


def _sources(schedule: Schedule) -> list[tuple[str, str]]:
    """The kernel's stages as text."""
    kernel = build(schedule)
    native = schedule.target.kind is TargetKind.LLVM
    kinds = ("lowered", "asm") if native else ("lowered", "opencl")
    return [(_TITLES[kind], kernel.source(kind)) for kind in kinds]


def _tuning(run: Run, markup: type[str]) -> dict[str, object]:
    """How the search went, as the template shows it."""
    good = sorted((r for r in run.records if r.time is not None), key=lambda r: r.time or 0.0)
    verdict = run.verdict
    lines = [f"{sum(r.outcome.is_trial for r in run.records)} trials, {len(good)} of them timed"]
    if verdict is not None and verdict.candidate is None:
        lines.append("no candidate beats the default by more than the noise")
    elif verdict is not None:
        lines.append(
            f"tuned {duration(verdict.seconds)}, default {duration(verdict.default_seconds)}: "
            f"{verdict.default_seconds / verdict.seconds:.2f} times as quick, noise "
            f"{verdict.noise:.1%}, {verdict.numerics}"
        )
    if verdict is not None:
        lines += [f"dropped, since it did not matter: {step}" for step in verdict.dropped]
    least = good[0].time or 1.0 if good else 1.0
    return {
        "lines": lines,
        "course": markup(course(run.records, verdict.default_seconds if verdict else None)),
        "best": [
            {
                "time": duration(record.time or 0.0),
                "ratio": f"{(record.time or 0.0) / least:.2f}",
                "source": record.source,
                "candidate": shown_candidate(record.candidate),
            }
            for record in good[:_SHOWN]
        ],
        "failures": _failures(run.records),
    }


def _failures(records: Sequence[Record]) -> list[dict[str, object]]:
    counts = Counter(r.outcome for r in records if r.outcome is not Outcome.OK)
    first = {r.outcome: r.error for r in reversed(records)}
    return [
        {"count": count, "outcome": outcome.value, "error": first[outcome]}
        for outcome, count in counts.most_common()
    ]


def write_page(path: Path, text: str) -> None:
    """Write a page at once or not at all.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

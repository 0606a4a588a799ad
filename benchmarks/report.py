"""A run as JSON for programs and as Markdown for people."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.results import Bounds, Result, RowResult, Status, limit_rate
from benchmarks.workloads import Workload

SCHEMA = 1
NOISY = 1.15  # a median this far above the best sample is marked


@dataclass(slots=True)
class Run:
    """Everything one command measured."""

    command: Sequence[str]
    commit: str
    started: str
    machine: dict[str, Any]
    settings: dict[str, Any]
    baseline: str
    rows: list[RowResult] = field(default_factory=list)
    limits: list[RowResult] = field(default_factory=list)
    bounds: dict[int, Bounds] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    skipped_rows: dict[str, str] = field(default_factory=dict)

    def bound_s(self, result: RowResult) -> float | None:
        """The least time the machine needs for this row, by the limits of this run."""
        known = self.bounds.get(result.threads)
        return known.seconds(result.row) if known is not None else None


def to_json(run: Run) -> dict[str, Any]:
    """The run as a document that ``json.dump(..., allow_nan=False)`` takes."""
    return {
        "schema": SCHEMA,
        "command": shlex.join(run.command),
        "commit": run.commit,
        "started": run.started,
        "machine": run.machine,
        "settings": run.settings,
        "baseline": run.baseline,
        "peers": run.versions,
        "missing_peers": run.missing,
        "skipped_rows": run.skipped_rows,
        "limits": [_limit_json(result) for result in run.limits],
        "rows": [_row_json(run, result) for result in run.rows],
    }


def _limit_json(result: RowResult) -> dict[str, Any]:
    rate = limit_rate(result)
    unit = "gflops" if result.row.flops else "gbs"
    figure = None if rate is None else rate / 1e9
    return {"limit": result.row.name, "threads": result.threads, unit: figure}


def _row_json(run: Run, result: RowResult) -> dict[str, Any]:
    bound = run.bound_s(result)
    rival = result.best_other(run.baseline)
    return {
        "row": result.row.name,
        "group": result.row.group,
        "threads": result.threads,
        "flops": result.row.flops,
        "bytes": result.row.bytes,
        "bound_ms": None if bound is None else bound * 1e3,
        "best_other": None if rival is None else rival.peer,
        "ratio": result.ratio(run.baseline),
        "results": [r.to_json() for r in result.results],
    }


def to_markdown(run: Run) -> str:
    """The run as tables: the limits, then for each thread count a row a workload."""
    machine = run.machine
    lines = [
        "# Benchmarks",
        "",
        f"`{shlex.join(run.command)}`",
        "",
        f"Commit {run.commit}, {run.started}. {machine['cpu']}, {machine['cpus']} CPUs, "
        f"{machine['last_level_cache_mib']} MiB last-level cache, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Python {machine['python']}.",
        "",
        f"Cells: **median ms** (best) and % of the bound; median of {run.settings['rounds']} "
        f"interleaved rounds of {run.settings['burst']:g} s. Bound: the larger of flops / measured "
        "FMA peak and bytes / measured bandwidth (memory's best if the row exceeds the last-level "
        "cache, else L3's). `~`: the median is over 1.15 x the best. Every time shown is of a "
        "checked result.",
    ]
    if run.limits:
        lines += ["", "## Limits", "", *_limit_table(run.limits)]
    for threads in dict.fromkeys(result.threads for result in run.rows):
        rows = [result for result in run.rows if result.threads == threads]
        title = "1 thread" if threads == 1 else f"{threads} threads"
        lines += ["", f"## {title}", "", *_row_table(run, rows)]
    lines += _notes(run)
    return "\n".join(lines) + "\n"


def _limit_table(limits: list[RowResult]) -> list[str]:
    counts = list(dict.fromkeys(result.threads for result in limits))
    rates = {(result.row.name, result.threads): limit_rate(result) for result in limits}
    lines = _header(["limit", *(f"{n} thread{'s' * (n > 1)}" for n in counts)])
    for row in dict.fromkeys(_Named(result.row) for result in limits):
        cells = []
        for count in counts:
            rate = rates.get((row.name, count))
            cells.append("" if rate is None else f"{rate / 1e9:.0f} {row.unit}")
        if any(cells):
            lines.append(_line([row.label, *cells]))
    return lines


class _Named:
    """A limit row's name and unit, hashable by name (a Workload's shape is not)."""

    def __init__(self, row: Workload) -> None:
        self.name = row.name
        self.label = row.name.removeprefix("limit_").replace("_", " ")
        self.unit = "GFLOP/s" if row.flops else "GB/s"

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other.name == self.name


def _row_table(run: Run, rows: list[RowResult]) -> list[str]:
    peers = list(
        dict.fromkeys(
            r.peer for row in rows for r in row.results if r.status is not Status.UNSUPPORTED
        )
    )
    lines = _header(["workload", "bound ms", *peers, f"best other / {run.baseline}"])
    for row in rows:
        bound = run.bound_s(row)
        cells = [_cell(row.of(peer), bound, row.timed()) for peer in peers]
        shown = "" if bound is None else _ms(bound)
        lines.append(_line([row.row.name, shown, *cells, _ratio_cell(run, row)]))
    return lines


def _cell(result: Result | None, bound: float | None, timed: list[Result]) -> str:
    if result is None or result.status is Status.UNSUPPORTED:
        return ""
    if not result.is_timed:
        return str(result.status)
    text = f"{_ms(result.median_s)} ({_ms(result.best_s)})"
    if bound is not None:
        text += f" {100 * bound / result.median_s:.0f} %"
    if result.median_s > NOISY * result.best_s:
        text += " ~"
    return f"**{text}**" if timed and timed[0] is result else text


def _ratio_cell(run: Run, row: RowResult) -> str:
    ratio, rival = row.ratio(run.baseline), row.best_other(run.baseline)
    return "" if ratio is None or rival is None else f"{ratio:.3g} ({rival.peer})"


def _notes(run: Run) -> list[str]:
    problems = [
        f"- {row.row.name}, {row.threads} threads, {result.peer}: {result.status}: {result.message}"
        for row in run.rows
        for result in row.results
        if result.status in (Status.WRONG, Status.FAILED)
    ]
    problems += [f"- {name}: not measured: {why}" for name, why in run.skipped_rows.items()]
    problems += [f"- {name}: not installed: {why}" for name, why in run.missing.items()]
    return ["", "## Not counted", "", *problems] if problems else []


def _ms(seconds: float) -> str:
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _header(cells: Iterable[str]) -> list[str]:
    names = list(cells)
    return [_line(names), _line(["---"] * len(names))]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""The command line: which rows, which peers, how many threads, where the figures go."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, peers, report
from benchmarks.materials import MaterialsMissingError
from benchmarks.results import RowResult, Status, bounds, merge
from benchmarks.rounds import Roster, Settings, measure_row, roster
from benchmarks.workloads import LIMITS, WORKLOADS, UnknownRowError, Workload, select

INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run the benchmarks; 0 unless tdsl itself was wrong or failed somewhere."""
    options = _parser().parse_args(arguments)
    if options.list:
        for row in WORKLOADS:
            print(f"{row.group:14s}{row.name:30s}{' '.join(row.aliases)}")
        print("peers:", ", ".join(peers.known()))
        return 0
    try:
        rows = select(options.rows)
    except UnknownRowError as problem:
        print(f"benchmarks: {problem}", file=sys.stderr)
        return 2
    run = _new_run(options, arguments)
    interrupted = False
    try:
        for threads in options.threads:
            _measure(run, rows, threads, options)
    except KeyboardInterrupt:
        interrupted = True
        _say("interrupted: writing what was measured")
    _write(run, options)
    if interrupted:
        return INTERRUPTED
    return 1 if _own_failures(run) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="tdsl, its peers and the machine's limits, side by side in one run.",
        epilog="example: python -m benchmarks --rows gemm_1024 blur3x3 --peers numpy halide tdsl "
        "--threads 1 2 --json out.json --md out.md",
    )
    add = parser.add_argument
    add("--rows", nargs="+", default=["quick"], metavar="ROW", help="rows, groups, quick, all")
    add("--peers", nargs="+", default=list(peers.DEFAULT), metavar="PEER",
        help="peers by name, or NAME=PLUGIN.py")  # fmt: skip
    add("--threads", nargs="+", type=_positive, default=[1, 2], metavar="N")
    add("--rounds", type=_positive, default=7, help="interleaved rounds (7)")
    add("--burst", type=float, default=0.1, metavar="S", help="seconds a round and peer (0.1)")
    add("--timeout", type=float, default=300.0, metavar="S", help="for one answer of a peer (300)")
    add("--baseline", help="whose ratio to the best other is shown (tdsl, else the first peer)")
    add("--no-limits", action="store_true", help="don't measure the machine's limits")
    add("--json", type=Path, metavar="FILE")
    add("--md", type=Path, metavar="FILE", help="Markdown; without it, it is printed")
    add("--list", action="store_true", help="the rows and peers there are")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def _new_run(options: argparse.Namespace, arguments: Sequence[str]) -> report.Run:
    own = [name for name in options.peers if name in peers.OWN]
    return report.Run(
        command=["python", "-m", "benchmarks", *arguments],
        commit=machine.commit(),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine.describe(),
        settings={"rounds": options.rounds, "burst": options.burst},
        baseline=options.baseline or (own or options.peers)[0].partition("=")[0],
    )


def _measure(
    run: report.Run, rows: Sequence[Workload], threads: int, options: argparse.Namespace
) -> None:
    """All rows at one thread count; the limits before and after them."""
    settings = Settings(options.rounds, options.burst, timeout=options.timeout)
    with roster(peers.find_all(options.peers), threads, settings, _say) as workers:
        limits = [] if options.no_limits else _measure_limits(threads, settings)
        try:
            for row in rows:
                _measure_one(run, row, workers)
        finally:
            run.missing |= workers.missing
            run.versions |= workers.versions
            if limits:
                again = _measure_limits(threads, settings)
                run.limits += [merge(*pair) for pair in zip(limits, again, strict=True)]
            run.bounds[threads] = bounds(run.limits, threads, machine.last_level_cache())


def _measure_limits(threads: int, settings: Settings) -> list[RowResult]:
    few = Settings(3, settings.burst, settings.pause, settings.timeout)
    with roster([peers.find(peers.LIMITS_PEER)], threads, few, _say) as workers:
        return [measure_row(row, workers) for row in LIMITS]


def _measure_one(run: report.Run, row: Workload, workers: Roster) -> None:
    try:
        result = measure_row(row, workers)
    except MaterialsMissingError as problem:
        run.skipped_rows[row.name] = str(problem)
        _say(str(problem))
        return
    run.rows.append(result)
    times = [f"{r.peer} {r.median_s * 1e3:.4g}" for r in result.timed()]
    times += [
        f"{r.peer} {r.status} ({r.message})"
        for r in result.results
        if r.status in (Status.WRONG, Status.FAILED)
    ]
    _say(f"{row.name} x{workers.threads} ms: " + (", ".join(times) or "no peer does this row"))


def _own_failures(run: report.Run) -> bool:
    return any(
        result.peer in peers.OWN and result.status in (Status.WRONG, Status.FAILED)
        for row in run.rows
        for result in row.results
    )


def _write(run: report.Run, options: argparse.Namespace) -> None:
    if options.json is not None:
        text = json.dumps(report.to_json(run), indent=1, allow_nan=False)
        options.json.write_text(text + "\n")
    markdown = report.to_markdown(run)
    if options.md is not None:
        options.md.write_text(markdown)
    else:
        print(markdown, end="")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)

"""``python -m benchmarks.prover``: what a proof costs, primitive by primitive, over real schedules.

The corpus is the algorithms of ``kernels/`` under the schedule by hand and the library's default.
Their steps are taken once more by a schedule that knows nothing, and the processor time of each
step's proof is kept: the least of the rounds, so that a busy machine counts little.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import ceil
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

from benchmarks.workloads import UnknownRowError, Workload, select

GOAL_MEDIAN, GOAL_P99 = 5.0, 50.0  # milliseconds

Timed = tuple[str, float]  # a primitive, and the milliseconds of one proof


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0 if the goals are met, 1 if not, 2 for a row that there is not."""
    options = _parser().parse_args(arguments)
    os.environ["TDSL_CACHE_DIR"] = ""  # proofs remembered on disk cost nothing
    try:
        rows = select(options.rows)
    except UnknownRowError as problem:
        print(f"benchmarks.prover: {problem}", file=sys.stderr)
        return 2
    found: list[Timed] = []
    for row in rows:
        for name, schedule in _schedules(row):
            steps = proofs(schedule, options.rounds)
            found += steps
            slowest = max((ms for _, ms in steps), default=0.0)
            total = sum(ms for _, ms in steps)
            print(f"{name:34s}{len(steps):4d} proofs {total:8.1f} ms, slowest {slowest:7.1f} ms")
    if not found:
        print("benchmarks.prover: no kernel in these rows", file=sys.stderr)
        return 2
    print("\n".join(table(found)))
    times = [ms for _, ms in found]
    return 0 if median(times) <= GOAL_MEDIAN and percentile(times, 99) <= GOAL_P99 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.prover",
        description="Processor time of the proof of each step, by primitive. "
        f"Goals: median {GOAL_MEDIAN:g} ms, 99th percentile {GOAL_P99:g} ms.",
    )
    parser.add_argument("--rows", nargs="+", default=["all"], metavar="ROW")
    parser.add_argument("--rounds", type=int, default=3, help="the least of so many is kept (3)")
    return parser


def _schedules(row: Workload) -> Iterator[tuple[str, Any]]:
    """The schedules of a row's algorithm, by name; none where there is no kernel."""
    name = f"benchmarks.kernels.{row.family}"
    if importlib.util.find_spec(name) is None:
        return
    family = importlib.import_module(name)
    func = family.workload(dict(row.shape))
    if func is not None:
        tdsl = importlib.import_module("tdsl")
        yield f"{row.name} by hand", family.schedule(func, 2)
        yield f"{row.name} default", tdsl.default_schedule(func)


def proofs(schedule: Any, rounds: int) -> list[Timed]:
    """The primitive and the cost of every proof of a schedule's steps, in order."""
    runs = [_replayed(schedule) for _ in range(max(rounds, 1))]
    return [(steps[0][0], min(ms for _, ms in steps)) for steps in zip(*runs, strict=True)]


def _replayed(schedule: Any) -> list[Timed]:
    edit = importlib.import_module("tdsl.scheduling.edit")
    scheduling = importlib.import_module("tdsl.scheduling")
    prove = edit.prove_step
    found: list[Timed] = []

    def timed(attempt: Any, *known: Any) -> Any:
        start = process_time()
        proof = prove(attempt, *known)
        found.append((attempt.primitive, (process_time() - start) * 1e3))
        return proof

    again = scheduling.Schedule(schedule.func, schedule.target)
    with patch.object(edit, "prove_step", timed):
        scheduling.replay(schedule.trace.json(), again)
    return found


def table(found: Sequence[Timed]) -> list[str]:
    """A line for each primitive, the most used first, and one for all of them."""
    by_name: dict[str, list[float]] = {}
    for name, ms in found:
        by_name.setdefault(name, []).append(ms)
    used = sorted(by_name.items(), key=lambda item: -len(item[1]))
    everything: Mapping[str, list[float]] = {"all": [ms for _, ms in found]}
    lines = [f"{'primitive':22s}{'proofs':>7s}{'median ms':>11s}{'p99 ms':>9s}{'most ms':>9s}"]
    for name, times in chain(used, everything.items()):
        figures = f"{median(times):11.2f}{percentile(times, 99):9.1f}{max(times):9.1f}"
        lines.append(f"{name:22s}{len(times):7d}{figures}")
    return lines


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that so many percent do not exceed.

    >>> percentile([3.0, 1.0, 2.0, 4.0], 50)
    2.0
    """
    ordered = sorted(values)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

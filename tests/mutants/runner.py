"""Run mutants: each must be found by a test or by a fuzzed schedule that reaches its line.

One pytest process imports and collects everything. For each mutant it forks: the child changes the
one function that the mutant is in, and asks the tests and the schedules that run its line.
"""

from __future__ import annotations

import importlib
import multiprocessing
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, mutants
from tests.mutants.probes import NOT_LIVE, Probes
from tests.mutants.reach import FUZZED, Reach, hashes

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("analysis", "scheduling", "lower")
SEEDS = "7"
_TESTS = (
    "tests/analysis", "tests/lower", "tests/scheduling", "tests/e2e", "tests/codegen",
    "tests/errors", "tests/expected", "tests/opencl", "tests/fuzz/test_found.py",
    "tests/prior_art", "tests/schedules", "tests/cli", "tests/fuzzing",
    "tdsl/analysis", "tdsl/lower", "tdsl/scheduling",
)  # fmt: skip
_PYTEST = (
    "-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov",
    "-W", "ignore:Module already imported",
)  # fmt: skip
_FORK = multiprocessing.get_context("fork")
_PATIENCE = 60.0  # times the budget on the clock: then nothing is said, the machine may be busy
_OUT_OF_TIME = -signal.SIGXCPU


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        picked: the mutants.
        jobs: processes at a time.
        budget: seconds of processor time for the probes of one mutant.
        schedules: how many fuzzed schedules there are to choose probes from.
        reach: where the record of what runs what is kept from run to run, if anywhere.
    """

    picked: list[Mutant]
    jobs: int = 2
    budget: float = 20.0
    schedules: int = 200
    reach: Path | None = None


@dataclass(frozen=True)
class Verdict:
    """The probe that found a mutant, "hang", "crash", or "" if it survived."""

    mutant: Mutant
    found_by: str
    seconds: float

    @property
    def kind(self) -> str:
        """Who found it: "fuzz", "tests", "hang", "crash" or "nobody"."""
        if self.found_by in ("hang", "crash"):
            return self.found_by
        return (self.found_by and "tests") if not self.found_by.startswith(FUZZED) else "fuzz"


@dataclass
class Report:
    """What a run came to."""

    verdicts: list[Verdict] = field(default_factory=list)
    not_live: list[Mutant] = field(default_factory=list)
    undecided: list[Mutant] = field(default_factory=list)

    @property
    def survivors(self) -> list[Mutant]:
        """Mutants that nobody found."""
        return [v.mutant for v in self.verdicts if not v.found_by]

    def json(self) -> dict[str, object]:
        """All verdicts."""
        seconds = sorted(v.seconds for v in self.verdicts) or [0.0]
        return {
            "mutants": len(self.verdicts),
            "killed": len(self.verdicts) - len(self.survivors),
            "found_by": dict(Counter(v.kind or "nobody" for v in self.verdicts)),
            "median_seconds": seconds[len(seconds) // 2],
            "not_live": [m.key for m in self.not_live],
            "undecided": [m.key for m in self.undecided],
            "survivors": [f"{m.file}:{m.line}: {m.operator}: {m.before} -> {m.after}"
                          for m in self.survivors],
        }  # fmt: skip

    def table(self) -> str:
        """The verdicts for people, by operator and by package."""
        lines: list[str] = []
        for title, key in (("operator", _operator), ("package", _package)):
            total = Counter(key(v.mutant) for v in self.verdicts)
            killed = Counter(key(v.mutant) for v in self.verdicts if v.found_by)
            lines.append(f"{title:<24}{'killed':>8}{'of':>6}")
            lines += [f"{name:<24}{killed[name]:>8}{n:>6}" for name, n in sorted(total.items())]
            lines.append(f"{'all':<24}{sum(killed.values()):>8}{sum(total.values()):>6}\n")
        for m in self.survivors:
            lines += [
                f"survived  {m.file}:{m.line}  {m.operator}",
                f"  - {m.before}",
                f"  + {m.after}",
            ]
        return "\n".join(lines)


class Hunt:
    """A pytest plugin that hunts mutants in place of running the tests."""

    def __init__(self, plan: Plan, report: Callable[[str], None]) -> None:
        self.plan = plan
        self.report = report
        self.found = Report()
        self.probes = Probes(ROOT)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Record what reaches what, then judge the mutants."""
        session.config.pluginmanager.register(self.probes)
        self.probes.items = {item.nodeid: item for item in session.items}
        for path in (p for name in PACKAGES for p in (ROOT / "tdsl" / name).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            importlib.import_module(".".join(p for p in parts if p != "__init__"))
        with tempfile.TemporaryDirectory(prefix="tdsl-mutants-") as folder:
            reach = self._reach(Path(folder))
            self._judge(reach, Path(folder))
        return True

    def _reach(self, folder: Path) -> Reach:
        """The record of a run without any mutant; probes that fail there are no witnesses."""
        kept = self.plan.reach
        reach = Reach.load(kept) if kept is not None and kept.exists() else Reach()
        reach.keep(hashes(ROOT))
        names = [*self.probes.items, *(f"{FUZZED}{SEEDS}.{n}" for n in range(self.plan.schedules))]
        missing = [n for n in names if n not in reach.seconds and n not in reach.failed]
        if missing:
            self._record(missing, reach, folder)
        if kept is not None:
            reach.save(kept)
        self.report(f"{len(reach.seconds)} probes take {sum(reach.seconds.values()):.0f} s")
        return reach

    def _record(self, names: list[str], reach: Reach, folder: Path) -> None:
        shares = [names[n :: self.plan.jobs] for n in range(self.plan.jobs)]
        files = [folder / f"reach-{n}.json" for n in range(self.plan.jobs)]
        tasks = [(self.probes.record, (s, PACKAGES, f)) for s, f in zip(shares, files, strict=True)]
        for number, code in _forked(tasks, self.plan.jobs, None):
            if code != 0:
                raise SystemExit(f"part {number} of the tests ended with code {code}")
        for file in files:
            reach.add(Reach.load(file))
        for name in reach.failed:
            self.report(f"fails without any mutant, not asked: {name}")
        reach.drop(reach.failed)

    def _judge(self, reach: Reach, folder: Path) -> None:
        plan = self.plan
        files = [folder / f"verdict-{n}" for n in range(len(plan.picked))]
        tasks = [
            (self.probes.hunt, (mutant, reach, plan.budget, file))
            for mutant, file in zip(plan.picked, files, strict=True)
        ]
        started: dict[int, float] = {}
        for number, code in _forked(tasks, plan.jobs, _PATIENCE * plan.budget, started):
            seconds = time.monotonic() - started[number]
            self._note(plan.picked[number], files[number], code, seconds)

    def _note(self, mutant: Mutant, file: Path, code: int | None, seconds: float) -> None:
        by = "hang" if code == _OUT_OF_TIME else "crash"
        by = file.read_text() if file.exists() else by
        word = f"killed by {by[-50:]}" if by else "SURVIVED"
        if by == NOT_LIVE:
            self.found.not_live.append(mutant)
        elif code is None and not file.exists():
            self.found.undecided.append(mutant)
            word = "undecided"
        else:
            self.found.verdicts.append(Verdict(mutant, by, seconds))
        m = mutant
        self.report(
            f"{seconds:4.0f} s  {word:<62} {m.file}:{m.line} {m.operator}: {m.before} -> {m.after}"
        )


Task = tuple[Callable[..., None], tuple[object, ...]]


def _forked(
    tasks: list[Task], jobs: int, limit: float | None, started: dict[int, float] | None = None
) -> Iterator[tuple[int, int | None]]:
    """Run tasks in forks of this process; number and exit code of each, None after the limit."""
    started = {} if started is None else started
    waiting = list(enumerate(tasks))[::-1]
    running: dict[int, BaseProcess] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            number, (function, args) = waiting.pop()
            running[number] = _FORK.Process(target=function, args=args)
            started[number] = time.monotonic()
            running[number].start()
        wait([p.sentinel for p in running.values()], timeout=5.0)
        for number, process in list(running.items()):
            late = limit is not None and time.monotonic() - started[number] > limit
            if late and process.is_alive():
                process.kill()
            if not process.is_alive() or late:
                process.join()
                yield number, None if late else process.exitcode
                del running[number]


def chosen(
    count: int, seed: int, packages: tuple[str, ...] = PACKAGES, match: str = ""
) -> list[Mutant]:
    """Mutants drawn at random, as evenly over the operators as their numbers allow."""
    rng = random.Random(seed)
    by_operator: dict[str, list[Mutant]] = {}
    for mutant in every(packages):
        if mutant.key not in EQUIVALENT and match in mutant.key:
            by_operator.setdefault(mutant.operator, []).append(mutant)
    for found in by_operator.values():
        rng.shuffle(found)
    picked: list[Mutant] = []
    while len(picked) < count and any(by_operator.values()):
        for found in by_operator.values():
            if found and len(picked) < count:
                picked.append(found.pop())
    return picked


def every(packages: tuple[str, ...] = PACKAGES) -> Iterator[Mutant]:
    """All mutants of the packages."""
    for package in packages:
        for path in sorted((ROOT / "tdsl" / package).rglob("*.py")):
            yield from mutants(str(path.relative_to(ROOT)), path.read_text())


def run(plan: Plan, report: Callable[[str], None]) -> Report:
    """Judge mutants."""
    hunt = Hunt(plan, report)
    pytest.main([*_PYTEST, *_TESTS], plugins=[hunt])
    return hunt.found


def _package(mutant: Mutant) -> str:
    return mutant.file.split("/")[1]


def _operator(mutant: Mutant) -> str:
    return mutant.operator

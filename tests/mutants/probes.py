"""Run tests and fuzzed schedules in a forked process, where everything is imported already."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import process_time

import pytest

from tests.fuzz.case import Options, run_case
from tests.mutants.operators import Mutant
from tests.mutants.patch import NotLiveError, put
from tests.mutants.reach import FUZZED, Reach, Recording

NOT_LIVE = "not live"
_MOST_SECONDS = 30.0  # of processor time for a fuzzed schedule: a mutant's budget is of that order


class Probes:
    """The tests that were collected, by name; a pytest plugin that hears how they end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.items: dict[str, pytest.Item] = {}
        self.failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that a test failed."""
        self.failed = self.failed or report.failed

    def passes(self, name: str, following: str | None) -> bool:
        """Run a test; fixtures stay for the `following` one."""
        item = self.items[name]
        after = None if following is None else self.items.get(following)
        self.failed = False
        item.ihook.pytest_runtest_protocol(item=item, nextitem=after)
        return not self.failed

    def record(self, names: list[str], packages: tuple[str, ...], into: Path) -> None:
        """Run probes of the unmutated packages, and write what they reach."""
        with _apart():
            recording = Recording(self.root, packages)
            for name, following in _pairs(names):
                with recording.probe(name):
                    good = self._recorded(name, following, recording.reach)
                if not good:
                    recording.reach.failed.append(name)
            recording.stop().save(into)

    def _recorded(self, name: str, following: str | None, reach: Reach) -> bool:
        if not name.startswith(FUZZED):
            return self.passes(name, following)
        try:
            with _within(_MOST_SECONDS):
                result = run_case(name.removeprefix(FUZZED), Options(compiled=True, judged=1.0))
        except _TooLongError:
            return False
        reach.legal[name] = sum(bool(r.legal) for r in result.refused)
        return result.failure is None

    def hunt(self, mutant: Mutant, reach: Reach, budget: float, into: Path) -> None:
        """Put the mutant in place and write the name of the first probe that fails, if any does.

        Ends after `budget` seconds of processor time.
        """
        with _apart():
            most = int(4 * budget) + 20
            resource.setrlimit(resource.RLIMIT_CPU, (most, most + 10))  # SIGXCPU, then SIGKILL
            try:
                put(mutant, self.root)
            except NotLiveError:
                into.write_text(NOT_LIVE)
                return
            started = process_time()
            for name, following in _pairs(reach.probes(mutant)):
                if not self._survived(name, following, mutant, reach):
                    into.write_text(name)
                    return
                if process_time() - started > budget:
                    break
            into.write_text("")

    def _survived(self, name: str, following: str | None, mutant: Mutant, reach: Reach) -> bool:
        if not name.startswith(FUZZED):
            return name not in self.items or self.passes(name, following)
        # refusals are the prover's work, and kernels that of lowering
        lowers = mutant.file.startswith("tdsl/lower")
        options = Options(compiled=lowers, judged=0.0 if lowers else 1.0)
        result = run_case(name.removeprefix(FUZZED), options)
        refused = sum(bool(r.legal) for r in result.refused)
        return result.failure is None and refused <= reach.legal[name]


class _TooLongError(BaseException):
    """Passes through whatever catches exceptions."""


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise `_TooLongError` where what is inside takes more processor time."""

    def end(number: int, frame: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _pairs(names: list[str]) -> Iterator[tuple[str, str | None]]:
    return zip(names, [*names[1:], None], strict=True)


@contextmanager
def _apart() -> Iterator[None]:
    """No output, and a cache of kernels and proofs of its own."""
    cache = tempfile.mkdtemp(prefix="tdsl-mutant-")
    os.environ["TDSL_CACHE_DIR"] = cache
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    try:
        yield
    finally:
        shutil.rmtree(cache, ignore_errors=True)

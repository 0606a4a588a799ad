"""Run mutants in copies of the repository: each must be found by a test or by the fuzzer."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import Mutant, mutants, mutated

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("analysis", "lower")
_COPIED = ("tdsl", "schedules", "autotune", "tests", "benchmarks", "pyproject.toml")
_PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
_FUZZ = ("-m", "tests.fuzz", "--fail-fast", "--json", "--jobs", "1", "--seed", "7")
_SLACK = 4.0  # times the unmutated run, plus 20 s: then a mutant hangs, which is found


@dataclass(frozen=True)
class Suite:
    """What looks for mutants of one package: test folders, then fuzzing."""

    tests: tuple[str, ...]
    fuzz: tuple[str, ...]


SUITES = {
    "analysis": Suite(("tests/analysis",), ("--schedules", "50", "--judged", "1", "--no-kernels")),
    "lower": Suite(("tests/lower",), ("--schedules", "40", "--judged", "0")),
}


@dataclass(frozen=True)
class Verdict:
    """Who found a mutant: "tests", "fuzz", "hang", or "" if it survived."""

    mutant: Mutant
    found_by: str
    seconds: float


@dataclass
class Report:
    """What a run came to."""

    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def survivors(self) -> list[Mutant]:
        return [v.mutant for v in self.verdicts if not v.found_by]

    def json(self) -> dict[str, object]:
        """All verdicts."""
        return {
            "mutants": len(self.verdicts),
            "killed": len(self.verdicts) - len(self.survivors),
            "found_by": dict(Counter(v.found_by or "nobody" for v in self.verdicts)),
            "survivors": [f"{m.file}:{m.line}: {m.operator}: {m.before} -> {m.after}"
                          for m in self.survivors],
        }  # fmt: skip

    def table(self) -> str:
        """The verdicts for people."""
        total = Counter(v.mutant.operator for v in self.verdicts)
        killed = Counter(v.mutant.operator for v in self.verdicts if v.found_by)
        lines = [f"{'operator':<24}{'killed':>8}{'of':>6}"]
        lines += [f"{name:<24}{killed[name]:>8}{n:>6}" for name, n in sorted(total.items())]
        lines += [f"{'all':<24}{sum(killed.values()):>8}{sum(total.values()):>6}", ""]
        for m in self.survivors:
            lines += [
                f"survived  {m.file}:{m.line}  {m.operator}",
                f"  - {m.before}",
                f"  + {m.after}",
            ]
        return "\n".join(lines)


class Workspace:
    """A copy of the repository that one mutant at a time lives in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
        for name in _COPIED:
            source, target = ROOT / name, folder / name
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=ignored)
            elif source.exists():
                shutil.copy(source, target)

    def put(self, file: str, text: str) -> None:
        """Change a file, and forget its compiled form."""
        path = self.folder / file
        path.write_text(text)
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            stale.unlink()

    def run(self, arguments: tuple[str, ...], limit: float | None) -> tuple[int | None, str]:
        """Exit code and output of Python on the copy; None after the time limit."""
        cache = tempfile.mkdtemp(dir=self.folder)
        env = {**os.environ, "PYTHONPATH": str(self.folder), "TDSL_CACHE_DIR": cache}
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=self.folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return None, ""
        finally:
            shutil.rmtree(cache, ignore_errors=True)
        return process.returncode, output


@dataclass(frozen=True)
class Baseline:
    """How the unmutated package does: durations, and the share of legal steps refused."""

    tests: float
    fuzz: float
    refused: float


def baseline(space: Workspace, suite: Suite) -> Baseline:
    """Run a suite on the unmutated package.

    Raises:
        SystemExit: it fails already.
    """
    started = time.monotonic()
    code, output = space.run((*_PYTEST, *suite.tests), None)
    if code != 0:
        raise SystemExit(f"{suite.tests} fail without any mutant:\n{output[-2000:]}")
    tests = time.monotonic() - started
    code, output = space.run((*_FUZZ, *suite.fuzz), None)
    summary = _summary(output)
    if summary is None or summary["failures"]:
        raise SystemExit(f"the fuzzer fails without any mutant:\n{output[-2000:]}")
    fuzz = time.monotonic() - started - tests
    return Baseline(tests, fuzz, float(str(summary["refused_but_legal"])))


def _summary(output: str) -> dict[str, object] | None:
    try:
        return json.loads(output)
    except ValueError:
        return None


def judge(space: Workspace, mutant: Mutant, suite: Suite, plain: Baseline) -> str:
    """Who finds the mutant, if anybody."""
    original = (ROOT / mutant.file).read_text()
    space.put(mutant.file, mutated(mutant, original))
    try:
        code, _ = space.run((*_PYTEST, *suite.tests), _SLACK * plain.tests + 20)
        if code != 0:
            return "hang" if code is None else "tests"
        code, output = space.run((*_FUZZ, *suite.fuzz), _SLACK * plain.fuzz + 20)
        summary = _summary(output)
        if code is None:
            return "hang"
        if summary is None or summary["failures"]:
            return "fuzz"
        return "fuzz" if float(str(summary["refused_but_legal"])) > plain.refused + 0.005 else ""
    finally:
        space.put(mutant.file, original)


def chosen(count: int, seed: int, packages: tuple[str, ...] = PACKAGES) -> list[Mutant]:
    """Mutants drawn at random, as evenly over the operators as their numbers allow."""
    rng = random.Random(seed)
    by_operator: dict[str, list[Mutant]] = {}
    for mutant in every(packages):
        if mutant.key not in EQUIVALENT:
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


def run(picked: list[Mutant], jobs: int, report: Callable[[str], None]) -> Report:
    """Judge mutants, `jobs` at a time."""
    done = Report()
    packages = sorted({_package(m) for m in picked})
    with tempfile.TemporaryDirectory(prefix="tdsl-mutants-") as folder:
        spaces: Queue[Workspace] = Queue()
        for n in range(jobs):
            spaces.put(Workspace(_made(Path(folder) / str(n))))
        plain = {p: baseline(spaces.queue[0], SUITES[p]) for p in packages}

        def one(mutant: Mutant) -> Verdict:
            space, started = spaces.get(), time.monotonic()
            try:
                package = _package(mutant)
                found_by = judge(space, mutant, SUITES[package], plain[package])
            finally:
                spaces.put(space)
            return Verdict(mutant, found_by, time.monotonic() - started)

        with ThreadPoolExecutor(jobs) as pool:
            for verdict in pool.map(one, picked):
                done.verdicts.append(verdict)
                m = verdict.mutant
                word = f"killed by {verdict.found_by}" if verdict.found_by else "SURVIVED"
                report(f"{word:<16} {m.file}:{m.line} {m.operator}: {m.before} -> {m.after}"[:150])
    return done


def _package(mutant: Mutant) -> str:
    return mutant.file.split("/")[1]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder

"""Which test, and which fuzzed schedule, runs which lines: what is asked about a mutant there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

from coverage import Coverage

from tests.mutants.operators import Mutant

FUZZED = "fuzz "
_HOMES = {"analysis": "tests/analysis", "lower": "tests/lower", "scheduling": "tests/scheduling"}


@dataclass
class Reach:
    """Seconds of each probe (processor time), and the probes of each line of each file.

    `legal`: of a fuzzed schedule, the steps that are refused although they are legal.
    `files`: what the record was made of: a hash of each file.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    legal: dict[str, int] = field(default_factory=dict)
    lines: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def keep(self, files: dict[str, str]) -> None:
        """Forget what is no longer so: all if the package changed, else tests that did."""
        changed = {name for name in files | self.files if files.get(name) != self.files.get(name)}
        others = any(not name.startswith("tests/") for name in changed)
        fuzzer = any(name.startswith("tests/fuzz/") for name in changed)
        stale = [
            name
            for name in self.seconds
            if others or name.partition("::")[0] in changed or (fuzzer and name.startswith(FUZZED))
        ]
        self.drop(stale)
        self.failed = []
        self.files = files

    def add(self, other: Reach) -> None:
        """Take in what another process recorded."""
        self.seconds |= other.seconds
        self.legal |= other.legal
        self.failed += other.failed
        for file, lines in other.lines.items():
            mine = self.lines.setdefault(file, {})
            for line, names in lines.items():
                mine.setdefault(line, []).extend(names)

    def drop(self, names: list[str]) -> None:
        """Forget probes."""
        gone = set(names)
        self.seconds = {name: s for name, s in self.seconds.items() if name not in gone}
        for lines in self.lines.values():
            for line, known in lines.items():
                lines[line] = [name for name in known if name not in gone]

    def probes(self, mutant: Mutant) -> list[str]:
        """All that run a mutant's line, in the order in which they are worth asking.

        Quick tests of its own package come first, then other quick tests, then fuzzed schedules,
        then the rest. A line that runs on import alone counts as every line of its file, and a
        file of nothing else, which holds data, as all files beside it.
        """
        lines = self.lines.get(mutant.file, {})
        names = set(lines.get(str(mutant.line), ()))
        if not names:
            folder = mutant.file.rpartition("/")[0]
            beside = [
                known for file, known in self.lines.items() if file.rpartition("/")[0] == folder
            ]
            asked = [lines] if lines else beside
            names = {name for known in asked for found in known.values() for name in found}
        home = _HOMES[mutant.file.split("/")[1]]
        return sorted(names, key=lambda name: self._rank(name, home))

    def _rank(self, name: str, home: str) -> tuple[int, float]:
        seconds = self.seconds[name]
        if name.startswith(FUZZED):
            return 2, seconds
        if seconds > _QUICK:
            return 3, seconds
        return (0 if name.startswith(home) else 1), seconds

    def save(self, path: Path) -> None:
        """Write it, to be read again by `load`; lines name probes by number."""
        number = {name: n for n, name in enumerate(self.seconds)}
        lines = {
            file: {line: [number[name] for name in names] for line, names in found.items()}
            for file, found in self.lines.items()
        }
        path.write_text(json.dumps({**vars(self), "lines": lines}))

    @staticmethod
    def load(path: Path) -> Reach:
        """What `save` wrote."""
        reach = Reach(**json.loads(path.read_text()))
        names = list(reach.seconds)
        for found in reach.lines.values():
            for line, numbers in found.items():
                found[line] = [names[int(n)] for n in numbers]
        return reach


_QUICK = 0.5  # seconds


class Recording:
    """Records which lines of some packages each probe runs."""

    def __init__(self, root: Path, packages: tuple[str, ...]) -> None:
        self.root = root
        self.reach = Reach()
        folders = [f"{root}/tdsl/{package}/*" for package in packages]
        self.coverage = Coverage(data_file=None, config_file=False, include=folders)
        self.coverage.start()

    @contextmanager
    def probe(self, name: str) -> Iterator[None]:
        """What runs inside counts for this probe."""
        self.coverage.switch_context(name)
        started = process_time()
        yield
        self.reach.seconds[name] = process_time() - started

    def stop(self) -> Reach:
        """What was recorded."""
        self.coverage.stop()
        data = self.coverage.get_data()
        for file in data.measured_files():
            by_line = {
                str(line): [name for name in names if name in self.reach.seconds]
                for line, names in data.contexts_by_lineno(file).items()
            }
            self.reach.lines[str(Path(file).relative_to(self.root))] = by_line
        return self.reach


def hashes(root: Path) -> dict[str, str]:
    """A hash of each source file of the package and of the tests."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for folder in ("tdsl", "tests")
        for path in sorted((root / folder).rglob("*.py"))
    }

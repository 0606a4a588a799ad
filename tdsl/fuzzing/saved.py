"""A failing schedule as a test that people can read, run and keep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tdsl.fuzzing.step import Step
from tdsl.lang.func import Func
from tdsl.scheduling.locations import Location, find_algorithm, parse_location

_TEST = '''"""Found by the fuzzer at seed {seed}: {oracle}: {detail}"""

import contextlib

import tdsl as td
from tdsl.fuzzing.checks import disagreement
from tdsl.fuzzing.saved import algorithm_beside
{imports}

def test_{name}():
    func = algorithm_beside(__file__, "{place}")
    s = td.Schedule(func, "{target}")
    with contextlib.suppress(td.ScheduleError):  # refusing the step mends the fault, too
{steps}
    assert disagreement(s, "{seed}") is None
'''


class _Job(Protocol):
    @property
    def location(self) -> Location: ...
    @property
    def target(self) -> str: ...
    @property
    def seed(self) -> str: ...


class _Failure(Protocol):
    @property
    def job(self) -> _Job: ...
    @property
    def oracle(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def steps(self) -> Sequence[Step]: ...


def algorithm_beside(test: str, place: str) -> Func:
    """The algorithm at a place such as `../blur.py:blur(N=64)`, relative to the test's folder."""
    return find_algorithm(parse_location(place, Path(test).resolve().parent))


def saved_test(failure: _Failure, folder: Path) -> Path:
    """Write a failure as a test; the name tells algorithm, check and seed."""
    job = failure.job
    folder.mkdir(parents=True, exist_ok=True)
    seed = re.sub(r"\W", "_", job.seed)
    name = f"{job.location.name}_{failure.oracle}_{seed}"
    detail = " ".join(failure.detail.split()).replace("\\", "/").replace('"', "'")
    is_combined = any(step.is_combined for step in failure.steps)
    imports = "from tdsl.schedules import combinators\n" if is_combined else ""
    text = _TEST.format(
        name=name,
        imports=imports,
        seed=job.seed,
        oracle=failure.oracle,
        detail=detail[:300],
        place=job.location.text(folder.resolve()),
        target=job.target,
        steps="\n".join(f"        {step.source()}" for step in failure.steps) or "        pass",
    )
    path = folder / f"test_{name}.py"
    path.write_text(text, encoding="utf-8")
    return path

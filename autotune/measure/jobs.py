"""What is measured, what comes back, and what may take how long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from tdsl.records import Outcome


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled program to build and time.

    Attributes:
        name: what the session calls it.
        program: IR text.
        exact: whether its results are bit-equal to those of the canonical kernel.
        briefly: whether one measurement will do, because it is timed in turn with others later.
    """

    name: str
    program: str
    exact: bool = True
    briefly: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """How a job went.

    Attributes:
        seconds: of one call, one figure per measurement, if it went well.
        code: a hash of the machine code; jobs with the same one are the same kernel.
    """

    outcome: Outcome
    seconds: tuple[float, ...] = ()
    error: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a job may take, and how long it is timed.

    Attributes:
        build_seconds, run_seconds: deadlines; a worker that passes one is killed.
        prepare_seconds: for the canonical kernel, which nobody has scheduled.
        repeat: measurements of one candidate.
        min_repeat_ms: the least that one of them takes, milliseconds.
        memory_bytes: address space of a worker; None: most of what the machine has left.
    """

    build_seconds: float = 15.0
    run_seconds: float = 10.0
    prepare_seconds: float = 300.0
    repeat: int = 3
    min_repeat_ms: float = 20.0
    memory_bytes: int | None = None


class Measurer(Protocol):
    """What a session measures with."""

    def measure(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Build and time jobs; each result as soon as it is known."""
        ...

    def compare(self, jobs: Sequence[Job], rounds: int) -> list[Result]:
        """Time jobs alternately, `rounds` times each."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...

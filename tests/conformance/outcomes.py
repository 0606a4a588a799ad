"""What became of a case: passed, wrong, refused with an error, or unsupported, and why."""

import re
import unittest
from dataclasses import asdict, dataclass
from enum import Enum


class Outcome(Enum):
    PASSED = "passed"
    WRONG = "wrong"  # other numbers, shapes or types than expected
    ERROR = "error"  # anything raised that does not say: unsupported
    UNSUPPORTED = "unsupported"
    CRASHED = "crashed"  # the process ended
    SKIPPED = "skipped"  # by the suite itself


FAILURES = (Outcome.WRONG, Outcome.ERROR, Outcome.CRASHED)


@dataclass(frozen=True)
class Result:
    name: str
    outcome: Outcome
    reasons: tuple = ()
    seconds: float = 0.0

    def to_json(self):
        return asdict(self) | {"outcome": self.outcome.value}

    @staticmethod
    def from_json(given):
        return Result(
            given["name"], Outcome(given["outcome"]), tuple(given["reasons"]), given["seconds"]
        )


def outcome_of(error):
    """How an exception that a case ended with counts, and for which reasons."""
    from tdsl.graph.errors import GraphError, UnsupportedModelError

    if isinstance(error, unittest.SkipTest):
        return Outcome.SKIPPED, (str(error),)
    if isinstance(error, UnsupportedModelError):
        return Outcome.UNSUPPORTED, tuple(_kind(problem) for problem in error.problems)
    if isinstance(error, AssertionError):
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Outcome.WRONG, (" ".join(lines[:3])[:120],)
    text = str(getattr(error, "message", error)).splitlines()
    unsupported = isinstance(error, GraphError) and "not supported" in text[0]
    return Outcome.UNSUPPORTED if unsupported else Outcome.ERROR, (
        f"{type(error).__name__}: {_plain(text[0] if text else '')}"[:160],
    )


def _kind(problem):
    kind = problem.partition(" (")[0].partition(",")[0]
    return kind if kind.startswith("an input") else f"operator {kind}"


def _plain(text):
    """Without the names of nodes, so that equal reasons look equal."""
    return re.sub(r"^\S+ (?=\(\w+\):)", "", text)

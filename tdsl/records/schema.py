"""What the database holds: tables, and records as JSON. No pickle, nothing that runs when read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from tdsl.errors import TdslError

VERSION = 1

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS workloads (
    key TEXT PRIMARY KEY,
    anchor TEXT NOT NULL,
    payload TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    workload TEXT NOT NULL,
    candidate TEXT NOT NULL,
    outcome TEXT NOT NULL,
    seconds REAL,
    payload TEXT NOT NULL,
    UNIQUE (workload, candidate)
);
CREATE TABLE IF NOT EXISTS verdicts (workload TEXT PRIMARY KEY, payload TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS workloads_by_anchor ON workloads (anchor);
CREATE INDEX IF NOT EXISTS records_by_time ON records (workload, outcome, seconds);
"""


class RecordError(TdslError, ValueError):
    """A database, or a record in it, that cannot be used."""


class Outcome(Enum):
    """How a trial ended. Only `OK` has a time that counts."""

    OK = "ok"
    REFUSED = "refused"  # the prover, or lowering, does not admit the candidate: not a trial
    BUILD_ERROR = "build error"
    BUILD_TIMEOUT = "build time-out"
    BUILD_CRASH = "build crash"
    RUN_ERROR = "run error"
    RUN_TIMEOUT = "run time-out"
    RUN_CRASH = "run crash"
    MEMORY = "out of memory"
    WRONG = "wrong result"

    @property
    def is_trial(self) -> bool:
        """Whether it counts against the number of trials."""
        return self is not Outcome.REFUSED


@dataclass(frozen=True, slots=True)
class Record:
    """One candidate schedule of a workload and how it did.

    Attributes:
        candidate: choices and knob values, by name, as the space wrote them.
        outcome: how it ended.
        seconds: of one call, one figure per measurement; empty unless `OK`.
        steps: the schedule, steps addressed by position (see `positions`).
        numerics: the schedule's label.
        error: what went wrong.
        source: what proposed it: "random", "evolution", ...
        seed: of the session that measured it.
        round: of that session, counted from 0.
    """

    candidate: Mapping[str, object]
    outcome: Outcome
    seconds: tuple[float, ...] = ()
    steps: tuple[object, ...] = ()
    numerics: str = "exact"
    error: str = ""
    source: str = ""
    seed: int = 0
    round: int = 0
    id: int = field(default=0, compare=False)

    @property
    def key(self) -> str:
        """A hash of the candidate: one workload has one record of it."""
        return candidate_key(self.candidate)

    @property
    def time(self) -> float | None:
        """The least of the measurements, seconds: what disturbs one only ever adds to it."""
        return None if self.outcome is not Outcome.OK else min(self.seconds)

    def json(self) -> dict[str, object]:
        """The record as JSON data."""
        return {
            "candidate": dict(self.candidate),
            "outcome": self.outcome.value,
            "seconds": list(self.seconds),
            "steps": list(self.steps),
            "numerics": self.numerics,
            "error": self.error,
            "source": self.source,
            "seed": self.seed,
            "round": self.round,
        }

    @staticmethod
    def parse(data: object, number: int = 0) -> Record:
        """A record from its JSON data.

        Raises:
            RecordError: the data have another form.
        """
        match data:
            case {
                "candidate": dict(candidate),
                "outcome": str(outcome),
                "seconds": list(seconds),
                "steps": list(steps),
                "numerics": str(numerics),
                "error": str(error),
                "source": str(source),
                "seed": int(seed),
                "round": int(round_number),
            } if outcome in _OUTCOMES and _are_times(seconds, outcome):
                return Record(
                    candidate,
                    _OUTCOMES[outcome],
                    tuple(float(s) for s in seconds),
                    tuple(steps),
                    numerics,
                    error,
                    source,
                    seed,
                    round_number,
                    number,
                )
            case _:
                raise RecordError(f"record {number} is damaged")


_OUTCOMES = {outcome.value: outcome for outcome in Outcome}


def _are_times(seconds: list[object], outcome: str) -> bool:
    """Whether these are finite positive numbers, at least one where the trial went well."""
    fine = all(isinstance(s, float | int) and 0.0 < s < 1e9 for s in seconds)
    return fine and (bool(seconds) or outcome != Outcome.OK.value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a finished session found, after the interleaved comparison and the ablation.

    Attributes:
        trials: how many the workload had then.
        exhausted: whether the space had no candidate left.
        candidate: of the winner; None: the default schedule stays.
        steps: of the winner, pruned.
        numerics: its label.
        seconds, default_seconds: medians of the winner and of the default, measured alternately.
        noise: half-width of the spread of their ratio within which a difference says nothing.
        dropped: steps that the ablation found to matter nothing.
        seed: of the session.
    """

    trials: int
    exhausted: bool
    candidate: Mapping[str, object] | None
    steps: tuple[object, ...]
    numerics: str
    seconds: float
    default_seconds: float
    noise: float
    dropped: tuple[str, ...]
    seed: int

    def json(self) -> dict[str, object]:
        """The verdict as JSON data."""
        return {
            "trials": self.trials,
            "exhausted": self.exhausted,
            "candidate": None if self.candidate is None else dict(self.candidate),
            "steps": list(self.steps),
            "numerics": self.numerics,
            "seconds": self.seconds,
            "default_seconds": self.default_seconds,
            "noise": self.noise,
            "dropped": list(self.dropped),
            "seed": self.seed,
        }

    @staticmethod
    def parse(data: object) -> Verdict:
        """A verdict from its JSON data.

        Raises:
            RecordError: the data have another form.
        """
        match data:
            case {
                "trials": int(trials),
                "exhausted": bool(exhausted),
                "candidate": dict() | None as candidate,
                "steps": list(steps),
                "numerics": str(numerics),
                "seconds": float(seconds),
                "default_seconds": float(default_seconds),
                "noise": float(noise),
                "dropped": list(dropped),
                "seed": int(seed),
            }:
                return Verdict(
                    trials,
                    exhausted,
                    candidate,
                    tuple(steps),
                    numerics,
                    seconds,
                    default_seconds,
                    noise,
                    tuple(map(str, dropped)),
                    seed,
                )
            case _:
                raise RecordError("a verdict is damaged")


def candidate_key(candidate: Mapping[str, object]) -> str:
    """A hash of choices and knob values; labels, which are for people, are no part of it."""
    told = {key: value for key, value in candidate.items() if key != "labels"}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def median(values: tuple[float, ...] | list[float]) -> float:
    """The middle value; of an even number of them, the lower one of the middle two."""
    return sorted(values)[(len(values) - 1) // 2]

"""What a run found: per row and peer the times of each round, and the figures made of them."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from benchmarks.workloads import Workload


class Status(StrEnum):
    """How a peer fared with a row; only ``OK`` times are compared."""

    OK = "ok"
    WRONG = "wrong"  # its result differs from the reference by more than the row allows
    FAILED = "failed"  # it raised, died or took too long
    UNSUPPORTED = "unsupported"  # it doesn't do this row


@dataclass(slots=True)
class Result:
    """One peer's part of a row; times are seconds per call, one list for each round."""

    peer: str
    status: Status = Status.OK
    message: str = ""
    error: float | None = None
    first_s: float | None = None
    rounds: list[list[float]] = field(default_factory=list)
    foreign_cpu: list[float] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_timed(self) -> bool:
        """Whether its times count."""
        return self.status is Status.OK and bool(self.rounds)

    @property
    def round_medians(self) -> list[float]:
        """The median of each round."""
        return [statistics.median(times) for times in self.rounds]

    @property
    def median_s(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(self.round_medians)

    @property
    def best_s(self) -> float:
        """The quickest sample of all rounds."""
        return min(min(times) for times in self.rounds)

    def fail(self, status: Status, message: str) -> None:
        """Record that this peer's times don't count."""
        self.status, self.message = status, message

    def check(self, error: float | None, tolerance: float) -> None:
        """Record how far the result is from the reference; too far makes it WRONG."""
        if error is None:
            return
        self.error = error if self.error is None else max(error, self.error)
        if not error <= tolerance:
            self.fail(Status.WRONG, f"relative error {error:.2g}, the row allows {tolerance:.2g}")

    def to_json(self) -> dict[str, Any]:
        """Figures and raw rounds; an infinite error becomes None beside its message."""
        answer: dict[str, Any] = {"peer": self.peer, "status": str(self.status)}
        if self.message:
            answer["message"] = self.message
        answer["error"] = self.error if self.error is None or math.isfinite(self.error) else None
        answer["first_s"] = self.first_s
        if self.is_timed:
            answer["median_ms"] = self.median_s * 1e3
            answer["best_ms"] = self.best_s * 1e3
            answer["samples"] = sum(len(times) for times in self.rounds)
            answer["round_medians_ms"] = [median * 1e3 for median in self.round_medians]
            answer["foreign_cpu"] = statistics.fmean(self.foreign_cpu)
        return answer | self.extra


def time_ratio(slower: Result, quicker: Result) -> float:
    """How many times *slower*'s time is *quicker*'s: the median of the ratios round by round.

    Rounds are interleaved, so a disturbance that lasts longer than a round cancels.
    """
    pairs = zip(slower.round_medians, quicker.round_medians, strict=False)
    return statistics.median(a / b for a, b in pairs)


@dataclass(slots=True)
class RowResult:
    """All peers' parts of one row at one thread count."""

    row: Workload
    threads: int
    results: list[Result]

    def of(self, peer: str) -> Result | None:
        """The part of *peer*, None if it took no part."""
        return next((result for result in self.results if result.peer == peer), None)

    def timed(self) -> list[Result]:
        """The parts whose times count, quickest first."""
        return sorted((r for r in self.results if r.is_timed), key=lambda r: r.median_s)

    def best_other(self, peer: str) -> Result | None:
        """The quickest rival that *peer* is fairly compared with.

        Not a variant of itself (``tdsl``, ``tdsl-const``); and a peer that packs a constant
        operand ahead of time (``ort-constB``) is a rival only of one that does so too.
        """
        family = peer.split("-", maxsplit=1)[0]
        for result in self.timed():
            same = result.peer.split("-", maxsplit=1)[0] == family
            packs_ahead = "const" in result.peer and "const" not in peer
            if not same and not packs_ahead:
                return result
        return None

    def ratio(self, baseline: str) -> float | None:
        """Time of the best other peer over that of *baseline*: above 1, *baseline* is quicker."""
        own, other = self.of(baseline), self.best_other(baseline)
        if own is None or other is None or not own.is_timed:
            return None
        return time_ratio(other, own)


def merge(earlier: RowResult, later: RowResult) -> RowResult:
    """The same row measured twice in one run, as one result."""
    merged = []
    for first in earlier.results:
        second = later.of(first.peer)
        if second is not None and first.is_timed and second.is_timed:
            first.rounds += second.rounds
            first.foreign_cpu += second.foreign_cpu
        merged.append(first)
    return RowResult(earlier.row, earlier.threads, merged)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The machine's limits at one thread count, in operations and bytes per second."""

    peaks: dict[str, float]
    cache: float
    memory: float
    cache_bytes: int

    def seconds(self, row: Workload) -> float | None:
        """The least time that *row* can take: arithmetic or compulsory traffic.

        Rows that fit the last-level cache are bounded by its bandwidth, the others by memory's.
        None for rows that measure overhead, and where the limit that matters was not measured.
        """
        if row.group == "overhead":
            return None
        peak = self.peaks.get(row.arithmetic)
        bandwidth = self.memory if row.bytes > self.cache_bytes else self.cache
        if not peak or not bandwidth:
            return None
        return max(row.flops / peak, row.bytes / bandwidth)


def limit_rate(result: RowResult) -> float | None:
    """Operations or bytes per second of a ``limit_*`` row: the median of its best round."""
    timed = result.timed()
    if not timed:
        return None
    per_thread = result.row.flops or result.row.bytes
    return per_thread * result.threads / min(timed[0].round_medians)


def bounds(limits: Iterable[RowResult], threads: int, cache_bytes: int) -> Bounds:
    """The bounds that the ``limit_*`` rows of a run add up to."""
    rates = {r.row.name: limit_rate(r) or 0.0 for r in limits if r.threads == threads}
    peaks = {
        name.removeprefix("limit_fma_"): rate
        for name, rate in rates.items()
        if name.startswith("limit_fma_")
    }
    memory = max((rate for name, rate in rates.items() if name.endswith("_dram")), default=0.0)
    return Bounds(peaks, rates.get("limit_read_l3", 0.0), memory, cache_bytes)

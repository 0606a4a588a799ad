"""Measure rows: every peer in a process of its own, taking turns in interleaved rounds."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.child import Child, ChildError, Json, PeerMissingError
from benchmarks.materials import lay_out
from benchmarks.peers import Peer
from benchmarks.results import Result, RowResult, Status
from benchmarks.workloads import Workload

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long to measure, in seconds: ``rounds`` bursts of ``burst`` for each peer and row."""

    rounds: int = 7
    burst: float = 0.1
    pause: float = 0.02  # between bursts: spinning threads of the previous peer go to sleep
    timeout: float = 300.0  # for one answer of a peer, building included


class Roster:
    """The workers of one thread count: started when first asked, and again after they die."""

    def __init__(
        self, peers: Sequence[Peer], threads: int, settings: Settings, say: Report
    ) -> None:
        """No worker runs yet."""
        self.peers = peers
        self.threads = threads
        self.settings = settings
        self.missing: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self._say = say
        self._children: dict[str, Child] = {}

    def child(self, peer: Peer) -> Child | None:
        """The worker of *peer*, None if the peer is not installed; raises ChildError."""
        if peer.name in self.missing:
            return None
        if peer.name not in self._children:
            try:
                child = Child(peer, self.threads, self.settings.timeout)
            except PeerMissingError as problem:
                self.missing[peer.name] = str(problem)
                self._say(f"skipping {peer.name}: {problem}")
                return None
            self._children[peer.name] = child
            self.versions[peer.name] = child.version
        return self._children[peer.name]

    def is_running(self, peer: Peer) -> bool:
        """Whether *peer* has a worker that was alive when last heard of."""
        return peer.name in self._children

    def forget(self, peer: Peer) -> None:
        """The worker of *peer* has ended."""
        self._children.pop(peer.name, None)

    def close(self) -> None:
        """End every worker."""
        for child in self._children.values():
            child.close()
        self._children.clear()


@contextmanager
def roster(
    peers: Sequence[Peer], threads: int, settings: Settings, say: Report
) -> Iterator[Roster]:
    """A Roster whose workers end with the block."""
    workers = Roster(peers, threads, settings, say)
    try:
        yield workers
    finally:
        workers.close()


def measure_row(row: Workload, workers: Roster) -> RowResult:
    """Build, check and time *row* with every peer; raises MaterialsMissingError.

    A result counts only if it is right both before its first burst and after its last.
    """
    entries = [(peer, Result(peer.name)) for peer in workers.peers]
    with tempfile.TemporaryDirectory(prefix="tdsl-bench-") as folder:
        request = lay_out(row, Path(folder)).request()
        for peer, result in entries:
            _prepare(workers, peer, result, row, request)
    for number in range(workers.settings.rounds):
        for peer, result in _turns(entries, number):
            _time(workers, peer, result)
    for peer, result in entries:
        _conclude(workers, peer, result, row)
    present = [result for peer, result in entries if peer.name not in workers.missing]
    return RowResult(row, workers.threads, present)


def _turns(entries: list[tuple[Peer, Result]], number: int) -> list[tuple[Peer, Result]]:
    """Another order each round, so that no peer always follows the same one."""
    start = number % max(1, len(entries))
    return entries[start:] + entries[:start]


def _prepare(workers: Roster, peer: Peer, result: Result, row: Workload, request: Json) -> None:
    answer = _ask(workers, peer, result, "prepare", request)
    if answer is None:
        return
    if answer.get("unsupported"):
        result.fail(Status.UNSUPPORTED, "")
        return
    result.first_s, result.extra = answer["first_s"], answer["extra"]
    result.check(answer["error"], row.tolerance)


def _time(workers: Roster, peer: Peer, result: Result) -> None:
    if result.status is not Status.OK or peer.name in workers.missing:
        return
    time.sleep(workers.settings.pause)
    answer = _ask(workers, peer, result, "burst", {"seconds": workers.settings.burst})
    if answer is not None:
        result.rounds.append(answer["times"])
        result.foreign_cpu.append(answer["foreign_cpu"])


def _conclude(workers: Roster, peer: Peer, result: Result, row: Workload) -> None:
    if not workers.is_running(peer):
        return
    if result.status is Status.OK:
        answer = _ask(workers, peer, result, "check", {})
        if answer is not None:
            result.check(answer["error"], row.tolerance)
    if workers.is_running(peer):
        _ask(workers, peer, result, "drop", {})


def _ask(workers: Roster, peer: Peer, result: Result, do: str, arguments: Json) -> Json | None:
    """The worker's answer; None if there is none to be had, which *result* then records."""
    try:
        child = workers.child(peer)
        if child is None:
            return None
        answer = child.ask(do, **arguments)
    except ChildError as problem:
        workers.forget(peer)
        result.fail(Status.FAILED, str(problem))
        return None
    if "failed" in answer:
        result.fail(Status.FAILED, answer["failed"])
        return None
    return answer

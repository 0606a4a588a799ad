"""Work in processes of its own: one that crashes or hangs is a finding, not the end.

Limits are seconds of processor time, so that a busy machine makes nothing hang. What waits and
takes none is given up after many times as long on the clock.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_CONTEXT = multiprocessing.get_context("spawn")
_RECYCLE = 400  # islpy leaks a little with each operation
_PATIENCE = 20.0  # times the limit: seconds on the clock after which work that waits is given up
_LEAST_PATIENCE = 120.0  # but not sooner: a process takes long to start on a busy machine
_POLL = 1.0  # seconds between two looks for workers that wait


@dataclass(frozen=True)
class Died:
    """What became of a piece of work that gave no result: `end` is "crash" or "hang"."""

    end: str
    detail: str


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process by SIGPROF where what is inside takes more processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes that are started inside leave Ctrl-C to this one, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ended(code: int | None, limit: float) -> Died:
    """What an exit code says."""
    if code == -signal.SIGPROF:
        return Died("hang", f"no end within {limit:g} s of processor time")
    if code is not None and code < 0:
        return Died("crash", f"the process was ended by {signal.Signals(-code).name}")
    return Died("crash", f"the process ended with code {code}")


def _patience(limit: float) -> float:
    return max(_PATIENCE * limit, _LEAST_PATIENCE)


def _asleep(limit: float) -> Died:
    return Died("hang", f"no end after {_patience(limit):g} s of waiting")


def _serve(pipe: Connection, work: Callable[[object], object], limit: float) -> None:
    """Do what arrives, until the process is killed."""
    gc.freeze()  # what was imported stays: looking through it again and again takes time
    while True:
        item = pipe.recv()
        with _limited(limit):
            result = work(item)
        pipe.send(result)


@dataclass
class _Worker(Generic[A, R]):
    work: Callable[[A], R]
    limit: float
    item: A | None = None
    started: float = 0.0
    done: int = 0
    pipe: Connection = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.pipe, other = _CONTEXT.Pipe()
        served = (other, self.work, self.limit)
        self.process = _CONTEXT.Process(target=_serve, args=served, daemon=True)
        with _deaf_to_interrupts():
            self.process.start()
        other.close()
        self.done = 0

    def give(self, item: A) -> None:
        if self.done >= _RECYCLE:
            self.stop()
            self.start()
        self.item, self.started = item, time.monotonic()
        self.pipe.send(item)

    def take(self) -> R | Died:
        """The result of the work at hand, or what became of the worker instead."""
        self.item = None
        self.done += 1
        try:
            received: R = self.pipe.recv()
        except EOFError:
            self.process.join()
            died = _ended(self.process.exitcode, self.limit)
            self.start()
            return died
        return received

    def is_stuck(self) -> bool:
        waited = time.monotonic() - self.started
        return self.item is not None and waited > _patience(self.limit)

    def abandon(self) -> Died:
        """End a worker that waits for ever."""
        self.item = None
        self.stop()
        self.start()
        return _asleep(self.limit)

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def results(
    items: Sequence[A], work: Callable[[A], R], jobs: int, limit: float
) -> Iterator[tuple[A, R | Died]]:
    """Each item with what *work* makes of it, in the order in which they finish.

    Args:
        items: what to work on; neither they nor *work* may hold what cannot be pickled.
        work: a function of a module.
        jobs: processes.
        limit: seconds of processor time after which one item's work is given up.
    """
    waiting = list(reversed(items))
    workers = [_Worker(work, limit) for _ in range(max(1, min(jobs, len(items))))]
    try:
        for worker in workers[: len(items)]:
            worker.give(waiting.pop())
        while busy := [w for w in workers if w.item is not None]:
            ready = wait([w.pipe for w in busy], timeout=_POLL)
            for worker in busy:
                item = worker.item
                assert item is not None
                if worker.pipe in ready:
                    result = worker.take()
                elif worker.is_stuck():
                    result = worker.abandon()
                else:
                    continue
                if waiting:
                    worker.give(waiting.pop())
                yield item, result
    finally:
        for worker in workers:
            worker.stop()


def apart(function: Callable[..., R], *args: object, limit: float) -> R | Died:
    """What a function returns in a process of its own; `limit`: see `results`."""
    pipe, other = _CONTEXT.Pipe()
    sent = (other, function, args, limit)
    process = _CONTEXT.Process(target=_send, args=sent, daemon=True)
    with _deaf_to_interrupts():
        process.start()
    other.close()
    try:
        if not pipe.poll(_patience(limit)):
            return _asleep(limit)
        received: R = pipe.recv()
    except EOFError:
        process.join()
        return _ended(process.exitcode, limit)
    finally:
        process.kill()
        process.join()
    return received


def _send(
    pipe: Connection, function: Callable[..., object], args: tuple[object, ...], limit: float
) -> None:
    with _limited(limit):
        result = function(*args)
    pipe.send(result)

"""Work in processes of its own: one that crashes or hangs is a finding, not the end."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

_CONTEXT = multiprocessing.get_context("spawn")
_RECYCLE = 400  # islpy leaks a little with each operation
_POLL = 1.0  # seconds between two looks for workers that hang


@dataclass(frozen=True)
class Died:
    """What became of a piece of work that gave no result: `end` is "crash" or "hang"."""

    end: str
    detail: str


def _serve(pipe: Connection, work: Callable[[object], object]) -> None:
    """Do what arrives, until the process is killed."""
    while True:
        pipe.send(work(pipe.recv()))


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
        self.process = _CONTEXT.Process(target=_serve, args=(other, self.work), daemon=True)
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
            code = self.process.exitcode
            self.start()
            return Died("crash", f"the process ended with code {code}")
        return received

    def is_stuck(self) -> bool:
        return self.item is not None and time.monotonic() - self.started > self.limit

    def abandon(self) -> Died:
        """End a worker that hangs."""
        self.item = None
        self.stop()
        self.start()
        return Died("hang", f"no end after {self.limit:.0f} s")

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
        limit: seconds after which one item's work is given up.
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
    """What a function returns in a process of its own."""
    pipe, other = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_send, args=(other, function, args), daemon=True)
    process.start()
    other.close()
    try:
        if not pipe.poll(limit):
            return Died("hang", f"no end after {limit:.0f} s")
        received: R = pipe.recv()
    except EOFError:
        process.join()
        return Died("crash", f"the process ended with code {process.exitcode}")
    finally:
        process.kill()
        process.join()
    return received


def _send(pipe: Connection, function: Callable[..., object], args: tuple[object, ...]) -> None:
    pipe.send(function(*args))

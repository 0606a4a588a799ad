"""Run many cases in worker processes: one that crashes or hangs is a finding, not the end."""

from __future__ import annotations

import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tdsl.fuzzing.step import Step
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.case import (
    Options,
    Result,
    last_is_legal_but_refused,
    replay,
    run_case,
    script,
)
from tests.fuzz.shrink import Case, shrink
from tests.fuzz.tally import Tally

_LIMIT = 120.0  # seconds of processor time for one case: a busy machine makes nothing hang
_ASLEEP = 20.0  # times that: seconds on the clock after which a case that waits is given up
_CONTEXT = multiprocessing.get_context("spawn")
_ENDS = ("crash", "hang")
_TRIALS_APART = 40
_TRIALS_LEGAL = 120
_RECYCLE = 400  # islpy leaks a little with each operation


def _serve(pipe: Connection, options: Options) -> None:
    """Run the cases whose seeds arrive, until the process is killed."""
    while True:
        seed = pipe.recv()
        with _limited(_LIMIT):
            result = run_case(seed, options)
        pipe.send(result)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process by SIGPROF where what is inside takes more processor time."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)


def _end(code: int | None) -> tuple[str, str]:
    """What an exit code says."""
    if code == -signal.SIGPROF:
        return "hang", "no end within its processor time"
    return "crash", f"the process ended with code {code}"


@dataclass
class _Worker:
    options: Options
    seed: str | None = None
    started: float = 0.0
    done: int = 0

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.pipe, other = _CONTEXT.Pipe()
        self.process = _CONTEXT.Process(target=_serve, args=(other, self.options), daemon=True)
        self.process.start()
        other.close()
        self.done = 0

    def give(self, seed: str) -> None:
        if self.done >= _RECYCLE:
            self.stop()
            self.start()
        self.seed, self.started = seed, time.monotonic()
        self.pipe.send(seed)

    def take(self) -> Result:
        """The result of the case at hand, or what became of the worker instead."""
        assert self.seed is not None
        seed, self.seed = self.seed, None
        self.done += 1
        try:
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            end = _end(self.process.exitcode)
            self.start()
            return Result(seed, failure=end)

    def is_stuck(self) -> bool:
        return self.seed is not None and time.monotonic() - self.started > _ASLEEP * _LIMIT

    def abandon(self) -> Result:
        """End a worker that hangs."""
        assert self.seed is not None
        seed, self.seed = self.seed, None
        self.process.kill()
        self.process.join()
        self.start()
        return Result(seed, failure=("hang", f"no end after {_ASLEEP * _LIMIT:.0f} s"))

    def stop(self) -> None:
        self.process.kill()
        self.process.join()


def results(seeds: list[str], options: Options, jobs: int) -> Iterator[Result]:
    """The results of all cases, in the order in which they finish."""
    waiting = list(reversed(seeds))
    workers = [_Worker(options) for _ in range(max(1, min(jobs, len(seeds))))]
    try:
        for worker in workers:
            worker.give(waiting.pop())
        while busy := [w for w in workers if w.seed is not None]:
            ready = wait([w.pipe for w in busy], timeout=1.0)
            for worker in busy:
                if worker.pipe in ready:
                    result = worker.take()
                elif worker.is_stuck():
                    result = worker.abandon()
                else:
                    continue
                if waiting:
                    worker.give(waiting.pop())
                yield result
    finally:
        for worker in workers:
            worker.stop()


def fuzz(
    count: int, seed: int, jobs: int, options: Options, folder: Path,
    report: Callable[[str], None], *, fail_fast: bool = False,
) -> Tally:  # fmt: skip
    """Run `count` cases; failures are shrunk and saved as scripts in `folder`.

    With `fail_fast`, the first failure ends the run, and nothing is shrunk.
    """
    tally = Tally()
    seeds = [f"{seed}.{n}" for n in range(count)]
    every = max(1, count // 20)
    for result in results(seeds, options, jobs):
        tally.add(result)
        if fail_fast:
            if result.failure is not None:
                report(f"FAILED at seed {result.seed}: {': '.join(result.failure)}")
                break
            continue
        if result.failure is not None:
            save_failure(result, options, folder, report)
        save_legal(result, folder)
        if tally.cases % every == 0:
            report(f"{tally.cases} cases, {sum(tally.failures.values())} failures")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(tally.json(), indent=1) + "\n")
    return tally


def save_legal(result: Result, folder: Path) -> None:
    """Keep the steps that were refused although brute force found them legal."""
    for number, refusal in enumerate(r for r in result.refused if r.case is not None):
        assert refusal.case is not None
        case = shrink(refusal.case, last_is_legal_but_refused, budget=_TRIALS_LEGAL)
        path = folder / "refused_but_legal" / f"{refusal.primitive}_{result.seed}_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# refused: {refusal.reason}\n{script(*case)}")


def save_failure(
    result: Result, options: Options, folder: Path, report: Callable[[str], None]
) -> Path:
    """Shrink a failing case, print it and save it."""
    assert result.failure is not None
    oracle, detail = result.failure
    text = f"# seed {result.seed}: {oracle}: " + detail.replace("\n", "\n# ") + "\n"
    if oracle in _ENDS:
        case = shrunk_apart(result, options)
    else:
        case = result.case and shrunk_here(result.case, options, oracle)
    if case is not None:
        text += script(*case)
    path = folder / f"{oracle}_{result.seed}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    report(f"FAILED {oracle} at seed {result.seed}: {path}\n{text}")
    return path


def shrunk_here(case: Case, options: Options, oracle: str) -> Case:
    """A smaller case that fails in the same way."""
    compiled = options.compiled and oracle in ("kernel", "lowered", "exception")
    wanted = replay(*case, compiled=compiled)
    if wanted is None:
        return case
    return shrink(case, lambda a, s: replay(a, s, compiled=compiled) == wanted)


def shrunk_apart(result: Result, options: Options) -> Case | None:
    """The same for a case that ends its process: each trial gets one of its own."""
    assert result.failure is not None
    wanted = result.failure[0]
    plain = replace(options, compiled=False, judged=0.0)
    found = apart(run_case, result.seed, plain)
    if not isinstance(found, Result) or found.case is None:
        return None
    limit = _LIMIT if wanted == "crash" else 20.0

    def fails(algorithm: Algorithm, steps: tuple[Step, ...]) -> bool:
        return apart(replay, algorithm, steps, limit=limit) == wanted

    return shrink(found.case, fails, budget=_TRIALS_APART)


def apart(function: Callable[..., object], *args: object, limit: float = _LIMIT) -> object:
    """What a function returns in a process of its own, or "crash" or "hang"."""
    pipe, other = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_send, args=(other, function, args, limit), daemon=True)
    process.start()
    other.close()
    try:
        return pipe.recv() if pipe.poll(_ASLEEP * limit) else "hang"
    except EOFError:
        process.join()
        return _end(process.exitcode)[0]
    finally:
        process.kill()
        process.join()


def _send(
    pipe: Connection, function: Callable[..., object], args: tuple[object, ...], limit: float
) -> None:
    with _limited(limit):
        result = function(*args)
    pipe.send(result)

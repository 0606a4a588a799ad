"""Measure on this machine: builders first, all cores; then the runner, alone."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from tdsl.autotune.measure.folders import make_folder
from tdsl.autotune.measure.jobs import Job, Limits, Result
from tdsl.autotune.measure.process import Worker, WorkerDied, WorkerTimeout, wait_for_any
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Program
from tdsl.records import Outcome, RecordError
from tdsl.target import Target

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_AGAIN = (Outcome.RUN_CRASH, Outcome.WRONG)  # may be the fault of the job before: ask once more
_LEAST_MEMORY = 2 << 30


class LocalMeasurer:
    """Builders and one runner on this machine, for one workload.

    Builds and runs don't overlap: a compiler next to a measurement disturbs it. Objects go to a
    private cache of the session, so that candidates don't crowd out what the user has built.

    Args:
        program: the canonical program.
        target: what to build for.
        threads: of the kernels.
        sizes: numbers for symbolic sizes.
        seed: of the arguments.
        limits: deadlines and lengths.
        builders: how many; None: one for each core.
        command: what starts a worker; tests start faulty ones.
    """

    def __init__(
        self,
        program: Program,
        target: Target,
        *,
        threads: int,
        sizes: Mapping[str, int] | None = None,
        seed: int = 0,
        limits: Limits | None = None,
        builders: int | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.best = 0.0
        self._program = print_program(program)
        self._target = target.text
        self._sizes = dict(sizes or {})
        self._seed = seed
        self._folder, self._lock = make_folder()
        environment = self._environment()
        count = builders or max(1, target.cores)
        self._builders = [Worker("build", environment, command) for _ in range(count)]
        runner = {**environment, "TDSL_NUM_THREADS": str(threads)}
        self._runner = Worker("run", runner, command)
        self._prepared = self._preparing = False
        for worker in self._builders:
            worker.start()  # they load what they need while the space is explored
        with contextlib.suppress(WorkerTimeout, WorkerDied):  # said when it is first needed
            self._send_workload()

    def _environment(self) -> dict[str, str]:
        memory = self.limits.memory_bytes
        return {
            "TDSL_CACHE_DIR": str(self._folder / "objects"),
            "TDSL_TUNE_MEMORY": str(_free_memory() if memory is None else memory),
            "TDSL_DUMP": "",
            "OMP_NUM_THREADS": "1",
        }

    def close(self) -> None:
        """End all workers and remove what they built."""
        for worker in (*self._builders, self._runner):
            worker.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()

    def measure(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Build all jobs, then time those that were built, one after the other."""
        built: list[tuple[Job, str]] = []
        for job, result in self._build(jobs):
            if result.outcome is Outcome.OK:
                built.append((job, result.code))
            else:
                yield job, result
        for job, code in built:
            result = self._run(job)
            if result.outcome in _AGAIN:
                self._runner.kill()
                result = self._run(job)
            if result.seconds:
                self.best = min(self.best or result.seconds[0], *result.seconds)
            yield job, replace(result, code=code)

    def compare(self, jobs: Sequence[Job], rounds: int) -> list[Result]:
        """Time jobs alternately. If one of them fails, all have failed in the same way."""
        message = {
            "do": "compare",
            "programs": [job.program for job in jobs],
            "exact": [job.exact for job in jobs],
            "rounds": rounds,
            "min_repeat_ms": self.limits.min_repeat_ms,
        }
        seconds = self.limits.run_seconds * (len(jobs) + 1)
        answer = self._ask_runner(message, seconds)
        if isinstance(answer, Result):
            return [answer for _ in jobs]
        times = answer["seconds"]
        assert isinstance(times, list)
        return [Result(Outcome.OK, tuple(times[n])) for n in range(len(jobs))]

    def _build(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Result]]:
        """Build jobs as builders become free; jobs are drawn (and so proven) meanwhile."""
        for job in jobs:
            while all(worker.busy_with is not None for worker in self._builders):
                wait_for_any(self._busy())
                yield from self._collect()
            idle = next(worker for worker in self._builders if worker.busy_with is None)
            message = {"program": job.program, "target": self._target, "sizes": self._sizes}
            try:
                idle.send(message, self.limits.build_seconds)
            except (WorkerTimeout, WorkerDied) as failure:
                yield job, _failed(failure, Outcome.BUILD_TIMEOUT, Outcome.BUILD_CRASH)
            else:
                idle.busy_with = job
            yield from self._collect()
        while busy := self._busy():
            wait_for_any(busy)
            yield from self._collect()

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._builders if worker.busy_with is not None]

    def _collect(self) -> Iterator[tuple[Job, Result]]:
        """The results that builders have by now."""
        for worker in self._busy():
            job = worker.busy_with
            assert isinstance(job, Job)
            try:
                answer = worker.poll()
                if answer is None:
                    worker.check_deadline()
                    continue
                result = _result(answer)
            except (WorkerTimeout, WorkerDied) as failure:
                result = _failed(failure, Outcome.BUILD_TIMEOUT, Outcome.BUILD_CRASH)
            worker.busy_with = None
            yield job, result

    def _run(self, job: Job) -> Result:
        message = {
            "do": "measure",
            "program": job.program,
            "exact": job.exact,
            "best": self.best,
            "repeat": 1 if job.briefly else self.limits.repeat,
            "min_repeat_ms": self.limits.min_repeat_ms,
        }
        answer = self._ask_runner(message, self.limits.run_seconds)
        return answer if isinstance(answer, Result) else _result(answer)

    def _ask_runner(
        self, message: Mapping[str, object], seconds: float
    ) -> dict[str, object] | Result:
        """The runner's answer, or how it failed."""
        self._prepare()
        try:
            answer = self._runner.ask(message, seconds)
        except (WorkerTimeout, WorkerDied) as failure:
            return _failed(failure, Outcome.RUN_TIMEOUT, Outcome.RUN_CRASH)
        return answer if answer.get("outcome") == "ok" else _result(answer)

    def _prepare(self) -> None:
        """See that the runner runs and knows the workload.

        Raises:
            RecordError: not even the canonical kernel can be measured.
        """
        if self._prepared and self._runner.is_running:
            return
        try:
            if not self._preparing:
                self._send_workload()
            self._preparing = False
            answer = self._runner.receive()
        except (WorkerTimeout, WorkerDied) as failure:
            result = _failed(failure, Outcome.RUN_TIMEOUT, Outcome.RUN_CRASH)
        else:
            result = _result(answer)
        if result.outcome is not Outcome.OK:
            raise RecordError(
                f"the unscheduled kernel cannot be measured: {result.outcome.value}: {result.error}"
            )
        self._prepared = True

    def _send_workload(self) -> None:
        """Let the runner make the arguments and the expected results; it answers in time."""
        message = {
            "do": "prepare",
            "program": self._program,
            "target": self._target,
            "sizes": self._sizes,
            "seed": self._seed,
            "store": str(self._folder / "expected.npz"),
        }
        self._runner.send(message, self.limits.prepare_seconds)
        self._preparing = True


def _result(answer: Mapping[str, object]) -> Result:
    outcome = _OUTCOMES.get(str(answer.get("outcome")), Outcome.RUN_ERROR)
    seconds = answer.get("seconds")
    times = tuple(float(s) for s in seconds) if isinstance(seconds, list) else ()
    return Result(outcome, times, str(answer.get("error", "")), str(answer.get("code", "")))


def _failed(failure: Exception, timeout: Outcome, crash: Outcome) -> Result:
    if isinstance(failure, WorkerTimeout):
        return Result(timeout, error="no answer in time")
    return Result(crash, error=str(failure))


def _free_memory() -> int:
    """Three quarters of the memory that the machine has, in bytes."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_LEAST_MEMORY, pages * 3 // 4)

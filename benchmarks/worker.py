"""One peer in a process of its own: ``worker.py PLUGIN.py ARGUMENT THREADS``.

Run by path in the peer's own interpreter, so it knows nothing but numpy and the standard library.
It reads one JSON request a line from stdin and answers with one JSON object a line on what was
stdout; anything that libraries print goes to stderr. A plug-in file defines

    start(argument, threads) -> str            # import what is slow, return the version
    make(argument, row, inputs, threads)       # -> a function of no arguments that computes the
                                               #    row, or None: this peer doesn't do that row
"""

import gc
import importlib.util
import json
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

WARM_SECONDS = 0.15  # after building
REWARM_SECONDS = 0.01  # before each burst: the others have used the caches meanwhile
SAMPLE_SECONDS = 2e-5  # calls shorter than this are timed several at a time
TICKS = os.sysconf("SC_CLK_TCK")

Json = dict[str, Any]


class Worker:
    """Holds at most one prepared row and answers requests about it."""

    def __init__(self, plugin: Path, argument: str, threads: int) -> None:
        """Load *plugin*; ImportError means that the peer is not installed here."""
        self.plugin = _load(plugin)
        self.argument = argument
        self.threads = threads
        self.version = str(self.plugin.start(argument, threads))
        self.call: Callable[[], Any] | None = None
        self.reference: Any = None
        self.number = 1

    def prepare(self, row: Json, inputs: list[str], reference: str | None) -> Json:
        """Build *row*, run it once and compare its result with the stored *reference*."""
        self.drop()
        arrays = [np.load(path) for path in inputs]
        started = time.perf_counter()
        call = self.plugin.make(self.argument, row, arrays, self.threads)
        if call is None:
            return {"unsupported": True}
        call()
        first = time.perf_counter() - started
        self.call = call
        self.reference = None if reference is None else np.load(reference, mmap_mode="r")
        answer = {"first_s": first, "error": self.error(), "extra": getattr(call, "extra", {})}
        once = _time(call, 1)
        _call_for(call, min(WARM_SECONDS, 50 * once))
        once = min(once, _time(call, 1))
        self.number = max(1, math.ceil(SAMPLE_SECONDS / max(once, 1e-9)))
        return answer

    def burst(self, seconds: float) -> Json:
        """Time calls for about *seconds*: the seconds of each call, and how many CPUs others used.

        At least three calls, or one of a call that takes over a second.
        """
        call = self._prepared()
        once = _time(call, 1)
        _call_for(call, min(REWARM_SECONDS, 3 * once))
        least = 3 if once < 1 else 1
        times: list[float] = []
        with _collector_off():
            others, started = _foreign_seconds(), time.perf_counter()
            while len(times) < least or time.perf_counter() - started < seconds:
                times.append(_time(call, self.number))
            wall = time.perf_counter() - started
            others = max(0.0, _foreign_seconds() - others)
        return {"times": times, "foreign_cpu": others / wall}

    def error(self) -> float | None:
        """How far the result of a fresh call is from the reference; None without a reference."""
        call = self._prepared()
        if self.reference is None:
            return None
        return relative_error(_as_numpy(call()), self.reference)

    def drop(self) -> Json:
        """Forget the prepared row."""
        self.call = self.reference = None
        gc.collect()
        return {}

    def answer(self, request: Json) -> Json:
        """One request's answer; what goes wrong in a peer becomes ``failed``."""
        actions: dict[str, Callable[..., Json]] = {
            "prepare": self.prepare,
            "burst": self.burst,
            "check": lambda: {"error": self.error()},
            "drop": self.drop,
        }
        try:
            return actions[request.pop("do")](**request)
        except Exception as problem:  # noqa: BLE001 - whatever a peer raises is that row's result
            traceback.print_exc()
            return {"failed": f"{type(problem).__name__}: {problem}"[:400]}

    def _prepared(self) -> Callable[[], Any]:
        if self.call is None:
            raise RuntimeError("no row is prepared")
        return self.call


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"plugin_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _time(call: Callable[[], Any], number: int) -> float:
    clock = time.perf_counter
    if number == 1:
        started = clock()
        call()
        return clock() - started
    repeats = range(number)
    started = clock()
    for _ in repeats:
        call()
    return (clock() - started) / number


def _call_for(call: Callable[[], Any], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        call()


@contextmanager
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _foreign_seconds() -> float:
    """CPU seconds that processes other than this one have used on this machine."""
    busy = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _wait, interrupts, soft, steal = busy
    own = os.times()
    return (user + nice + system + interrupts + soft + steal) / TICKS - own.user - own.system


def _as_numpy(result: Any) -> Any:
    """What a peer returned, as an array: its first output if there are several."""
    if isinstance(result, tuple | list):
        result = result[0]
    if hasattr(result, "detach"):
        result = result.detach()
        return (result.float() if "bfloat16" in str(result.dtype) else result).numpy()
    if hasattr(result, "numpy") and not isinstance(result, np.ndarray):
        result = result.numpy()
    return np.asarray(result)


def relative_error(result: Any, reference: Any) -> float:
    """max|result - reference| / max|reference|; infinite for another size, or NaN where none is.

    >>> relative_error(np.array([1.0, 2.5]), np.array([1.0, 2.0]))
    0.25
    """
    if result.size != reference.size:
        return math.inf
    expected = reference.reshape(-1).astype(np.float64)
    difference = np.abs(result.reshape(-1).astype(np.float64) - expected)
    largest = float(np.max(difference, initial=0.0))
    if math.isnan(largest):
        return math.inf
    return largest / (float(np.max(np.abs(expected), initial=0.0)) or 1.0)


def _pin(threads: int) -> None:
    """Keep the process on as many CPUs as it has threads: one-thread rows are one-CPU rows."""
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[:threads])


def _go_first() -> None:
    """Where the system allows it, keep other users' processes from interrupting a burst."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        Path("/proc/self/autogroup").write_text("-20")
    except OSError:
        return


def _reserve_stdout() -> TextIO:
    """Give the answers a descriptor of their own and send all other output to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def main(plugin: str, argument: str, threads: int) -> None:
    """Answer requests until stdin ends."""
    answers = _reserve_stdout()
    sys.path.pop(0)  # this directory: its modules must not shadow the peer's
    _pin(threads)
    _go_first()

    def send(message: Json) -> None:
        answers.write(json.dumps(message) + "\n")

    try:
        worker = Worker(Path(plugin), argument, threads)
    except ImportError as problem:
        send({"missing": str(problem)})
        return
    send({"ready": worker.version})
    for line in sys.stdin:
        send(worker.answer(json.loads(line)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

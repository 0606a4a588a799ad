"""A worker process at the other end of two pipes, with deadlines on everything.

Messages are lines of JSON. A worker that misses a deadline is killed; one that dies says so by
closing its pipe. Either way the next request starts a new one: workers keep nothing of value.

Deadlines are meant for a machine that has nothing else to do. A worker that is late because it
hardly got to run has its deadline put off, a few times; one that waits or spins has not.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tdsl.errors import InternalError

Message = Mapping[str, object]

_MODULE = "tdsl.autotune.measure.worker"
_ERROR_BYTES = 2000  # of a worker's last words
_START_SECONDS = 60.0
_EXTENSIONS = 5
_STARVED = 0.5  # share of the time below which a worker that wants to run hardly did


class WorkerTimeout(Exception):  # noqa: N818 - it is a time-out, not an error of ours
    """The worker did not answer in time, and was killed."""


class WorkerDied(Exception):  # noqa: N818 - likewise
    """The worker ended without an answer; the text says how."""


class Worker:
    """One worker process, started when it is first needed."""

    def __init__(
        self, role: str, environment: Mapping[str, str], command: Sequence[str] | None = None
    ) -> None:
        # -P: the current directory may hold modules of any name
        self._command = [*(command or (sys.executable, "-P", "-m", _MODULE)), role]
        self._environment = {**os.environ, **environment, "PYTHONPATH": _python_path()}
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._received = b""
        self._ready = False
        self._granted = 0.0
        self._allowed = 0.0
        self._deadline = 0.0
        self._extensions = 0
        self._used = 0.0
        self.busy_with: object = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def deadline(self) -> float:
        """When the request that is under way has to be answered (`time.monotonic`)."""
        return self._deadline

    def fileno(self) -> int:
        """The pipe that answers come through, for `select`."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, message: Message, seconds: float) -> None:
        """Send a request that has to be answered in `seconds`, starting when the worker is ready.

        Raises:
            WorkerTimeout, WorkerDied: it does not even take the request.
        """
        self.start()
        self._granted = seconds
        self._allow(seconds if self._ready else _START_SECONDS + seconds)
        assert self._process is not None
        assert self._process.stdin is not None
        data = memoryview(json.dumps(message).encode() + b"\n")
        descriptor = self._process.stdin.fileno()
        while data:
            self._wait(selectors.EVENT_WRITE, descriptor)
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:
                continue
            except OSError:
                raise WorkerDied(self._last_words()) from None

    def receive(self) -> dict[str, object]:
        """Wait for the answer.

        Raises:
            WorkerTimeout, WorkerDied: there is none.
        """
        while (answer := self.poll()) is None:
            self._wait(selectors.EVENT_READ, self.fileno())
        return answer

    def poll(self) -> dict[str, object] | None:
        """The answer, if it is there.

        Raises:
            WorkerDied: there will be none.
        """
        while (line := self._line()) is not None and not self._ready:
            self._ready = True  # the first line says no more than that
            self._allow(self._granted)
        if line is None:
            return None
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            self.kill()
            raise WorkerDied(f"it answered {line[:80]!r}")
        return answer

    def _line(self) -> bytes | None:
        """The next line, if it is there.

        Raises:
            WorkerDied: there will be none.
        """
        while b"\n" not in self._received:
            try:
                data = os.read(self.fileno(), 1 << 16)
            except BlockingIOError:
                return None
            if not data:
                raise WorkerDied(self._last_words())
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line

    def ask(self, message: Message, seconds: float) -> dict[str, object]:
        """Send a request and wait for the answer.

        Raises:
            WorkerTimeout, WorkerDied: there is none.
        """
        self.send(message, seconds)
        return self.receive()

    def check_deadline(self) -> None:
        """Kill the worker if the request that is under way is overdue, and that is its own fault.

        Raises:
            WorkerTimeout: it was.
        """
        if time.monotonic() < self._deadline:
            return
        if self._extensions < _EXTENSIONS and self._is_starved():
            self._extensions += 1
            self._deadline = time.monotonic() + self._allowed
            return
        self.kill()
        raise WorkerTimeout

    def _allow(self, seconds: float) -> None:
        self._allowed = seconds
        self._deadline = time.monotonic() + seconds
        self._extensions = 0
        self._used = self._activity()[1]

    def _is_starved(self) -> bool:
        """Whether the worker wants to run, but hardly did since the deadline was set."""
        wants, used = self._activity()
        starved = wants and used - self._used < _STARVED * self._allowed
        self._used = used
        return starved

    def _activity(self) -> tuple[bool, float]:
        """Whether the process is runnable, and the processor time it has used, in seconds."""
        assert self._process is not None
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return False, 0.0
        fields = text.rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return fields[0] in "RD", ticks / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """End the process, however it is stuck."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self._process = None
        self._received = b""
        self.busy_with = None

    def start(self) -> None:
        """Start the process if there is none, without waiting until it is ready."""
        if self._process is not None:
            return
        self._ready = False
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self._environment,
            start_new_session=True,  # Ctrl-C is for the session, which then ends its workers
        )
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is None:
                raise InternalError("a worker without pipes")
            os.set_blocking(pipe.fileno(), False)

    def _wait(self, event: int, descriptor: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            while True:
                if selector.select(max(0.0, self._deadline - time.monotonic())):
                    return
                self.check_deadline()

    def _last_words(self) -> str:
        """How the process ended; it is cleared away."""
        assert self._process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5.0)
        code = self._process.poll()
        words = ""
        if self._errors is not None:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - _ERROR_BYTES))
            words = self._errors.read().decode(errors="replace").strip()
        self.kill()
        lines = words.splitlines()
        return _cause(code) + (f": {lines[-1]}" if lines else "")


def wait_for_any(workers: Iterable[Worker]) -> None:
    """Wait until one of the workers has said something, died, or passed its deadline."""
    busy = list(workers)
    first = min(worker.deadline for worker in busy)
    with selectors.DefaultSelector() as selector:
        for worker in busy:
            selector.register(worker, selectors.EVENT_READ)
        selector.select(max(0.0, first - time.monotonic()))


def _cause(code: int | None) -> str:
    if code is None:
        return "closed its pipe"
    if code < 0:
        name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
        return f"ended by {name}"
    return f"ended with status {code}"


def _python_path() -> str:
    """Where a worker finds this very tdsl."""
    home = str(Path(__file__).absolute().parents[3])
    return os.pathsep.join(filter(None, (home, os.environ.get("PYTHONPATH", ""))))

"""The parent's end of one worker process: requests out, answers in, within a deadline."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from typing import IO, Any

from benchmarks.peers import HERE, Peer

Json = dict[str, Any]


class ChildError(RuntimeError):
    """The worker died or gave no answer in time; it has been ended."""


class PeerMissingError(RuntimeError):
    """The peer is not installed here."""


class Child:
    """A running worker of *peer* on *threads* threads."""

    def __init__(self, peer: Peer, threads: int, timeout: float) -> None:
        """Start it and wait until the peer is imported.

        Raises PeerMissingError if the peer can't be imported, ChildError if the worker dies.
        """
        if peer.missing is not None:
            raise PeerMissingError(peer.missing)
        self.peer = peer
        self.threads = threads
        self.timeout = timeout
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._received = b""
        worker = str(HERE / "worker.py")
        self._process = subprocess.Popen(
            [str(peer.python), worker, str(peer.plugin), peer.argument, str(threads)],
            env=peer.environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
        )
        hello = self._receive()
        if "missing" in hello:
            self.close()
            raise PeerMissingError(hello["missing"])
        self.version = str(hello["ready"])

    def ask(self, do: str, **arguments: object) -> Json:
        """Send one request and return its answer; raises ChildError."""
        assert self._process.stdin is not None
        line = json.dumps({"do": do, **arguments}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildError(self._obituary()) from None
        return self._receive()

    def close(self) -> None:
        """End the worker and wait for it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # a request it never read
            self._process.stdin.close()
        self._log.close()

    def _receive(self) -> Json:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                self.close()
                raise ChildError(f"no answer within {self.timeout:g} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise ChildError(self._obituary())
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        answer: Json = json.loads(line)
        return answer

    def _obituary(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self.close()
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        return f"{how}: {lines[-1][:300]}" if lines else how

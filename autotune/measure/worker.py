"""The program of a worker process: `python -m tdsl.autotune.measure.worker build|run`.

It reads requests as lines of JSON and answers each with one line. No user code runs here: programs
come as IR text. The process ends when its pipe does, or when the session that started it dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

from tdsl.autotune.measure.building import Builder
from tdsl.autotune.measure.running import Runner
from tdsl.autotune.measure.verdicts import Failure
from tdsl.errors import TdslError
from tdsl.records import Outcome

Handler = Callable[[Mapping[str, Any]], dict[str, object]]

HANDLERS: dict[str, Callable[[], Handler]] = {
    "build": lambda: Builder().handle,
    "run": lambda: Runner().handle,
}

_PR_SET_PDEATHSIG = 1
_ERRORS = {"build": Outcome.BUILD_ERROR, "run": Outcome.RUN_ERROR}


def serve(role: str, handler: Handler) -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints, prints to where errors go
    answers.write(b'{"ready": true}\n')
    while line := sys.stdin.buffer.readline():
        answers.write(json.dumps(_answer(role, handler, json.loads(line))).encode() + b"\n")


def _answer(role: str, handler: Handler, request: Mapping[str, Any]) -> dict[str, object]:
    try:
        return handler(request)
    except Failure as failure:
        return {"outcome": failure.outcome.value, "error": failure.reason}
    except MemoryError as error:
        return {"outcome": Outcome.MEMORY.value, "error": str(error) or "out of memory"}
    except TdslError as error:
        return {"outcome": _ERRORS[role].value, "error": _first_line(error)}
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs one trial, not the worker
        return {"outcome": _ERRORS[role].value, "error": f"{type(error).__name__}: {error}"}


def _first_line(error: TdslError) -> str:
    return error.message.splitlines()[0] if error.message else type(error).__name__


def limit_memory(limit: int) -> None:
    """Bound the address space, so that a greedy program gets an error and not the machine."""
    if limit > 0:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        bound = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(resource.RLIMIT_AS, (bound, most))


def die_with_parent() -> None:
    """Be killed when the session is, even inside a kernel that never returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main(role: str) -> None:
    """Run a worker."""
    die_with_parent()
    gc.set_threshold(100_000, 50, 50)  # trees have no cycles; looking for some costs a tenth
    limit_memory(int(os.environ.get("TDSL_TUNE_MEMORY", "0")))
    with contextlib.suppress(KeyboardInterrupt):
        serve(role, HANDLERS[role]())


if __name__ == "__main__":
    main(sys.argv[1])

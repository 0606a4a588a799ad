"""A worker that misbehaves on programs called `faulty`; the environment says how.

FAULT is one of hang, spin, segfault, abort, memory, quit (in a builder: build-...), and, in
the runner, wrong and nan.
"""

import ctypes
import os
import sys
import time

import numpy as np

from tdsl.autotune.measure import running, worker

ROLE, _, FAULT = os.environ["FAULT"].rpartition("-")
ROLE = ROLE or "run"


def misbehave():
    match FAULT:
        case "hang":
            time.sleep(1000)
        case "spin":
            while True:
                pass
        case "segfault":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "memory":
            np.ones(1 << 40, np.uint8)
        case "quit":
            raise SystemExit(3)


def faulty(handler):
    def handle(request):
        texts = [request.get("program", ""), *request.get("programs", [])]
        if request.get("do") != "prepare" and any("func faulty(" in text for text in texts):
            misbehave()
        return handler(request)

    return handle


class Corrupted:
    """A kernel whose results are spoiled."""

    def __init__(self, kernel):
        self.kernel = kernel

    def __getattr__(self, name):
        return getattr(self.kernel, name)

    def __call__(self, *args, **options):
        out = self.kernel(*args, **options)
        array = out[0] if isinstance(out, tuple) else out
        array.reshape(-1)[-1] = np.nan if FAULT == "nan" else array.reshape(-1)[-1] + 1
        return out


if FAULT in ("wrong", "nan"):
    plain = running.Runner._kernel

    def corrupted(self, program):
        kernel = plain(self, program)
        return Corrupted(kernel) if "func faulty(" in program else kernel

    running.Runner._kernel = corrupted

make = worker.HANDLERS[sys.argv[1]]
if sys.argv[1] == ROLE:
    worker.HANDLERS[ROLE] = lambda: faulty(make())
worker.main(sys.argv[1])

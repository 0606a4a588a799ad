"""A worker that misbehaves on programs whose name says how: `build_hang`, `run_segfault`, ...

Faults are hang, spin, segfault, abort, memory and quit, of builder or runner; and `run_wrong` and
`run_nan`, whose results are spoiled.
"""

import ctypes
import os
import re
import sys
import time

import numpy as np

from tdsl.autotune.measure import running, worker


def fault_of(text, role):
    found = re.search(rf"func {role}_(\w+)\(", text)
    return found.group(1) if found else None


def misbehave(fault):
    match fault:
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


def faulty(handler, role):
    def handle(request):
        if request.get("do") != "prepare":
            for text in [request.get("program", ""), *request.get("programs", [])]:
                misbehave(fault_of(text, role))
        return handler(request)

    return handle


class Spoiled:
    """A kernel whose last result is wrong."""

    def __init__(self, kernel, fault):
        self.kernel = kernel
        self.fault = fault

    def __getattr__(self, name):
        return getattr(self.kernel, name)

    def __call__(self, *args, **options):
        out = self.kernel(*args, **options)
        last = (out[0] if isinstance(out, tuple) else out).reshape(-1)[-1:]
        last[...] = np.nan if self.fault == "nan" else last + 1
        return out


def main(role):
    """Serve as `worker.main` does, with the faults of this role."""
    plain = running.Runner._kernel

    def spoiled(self, program):
        fault = fault_of(program, "run")
        kernel = plain(self, program)
        return Spoiled(kernel, fault) if fault in ("wrong", "nan") else kernel

    running.Runner._kernel = spoiled
    make = worker.HANDLERS[role]
    worker.HANDLERS[role] = lambda: faulty(make(), role)
    worker.main(role)


if __name__ == "__main__":
    main(sys.argv[1])

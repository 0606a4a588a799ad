"""Processes that compile a model's kernels beside this one.

Each (`python -m tdsl.graph.parallel_compile`) goes through the kernels from the other end and puts
them into the cache, where this process finds them; what both compile at once is stored once.
Nothing waits for a helper, and one that dies costs nothing but its help.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tdsl.cache import cache_directory
from tdsl.errors import TdslError
from tdsl.graph.symbolic import SymbolicKernels
from tdsl.target import target as parse_target

_MOST = 7  # helpers; a model has few tens of different kernels
_LEAST = 2  # kernels not found in the cache before a helper is worth its start


@dataclass(frozen=True, slots=True)
class Task:
    """What to compile.

    Attributes:
        path: the model's file.
        shapes: of its inputs.
        others: other shapes that kernels of symbolic sizes are to serve too, or None.
        target: its text, None for this machine's processor.
        disabled: passes that are left out.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    others: Mapping[str, tuple[int, ...]] | None
    target: str | None
    disabled: Sequence[str]


@dataclass(slots=True)
class Helpers:
    """Helpers for one compilation. A context manager; leaving it ends them."""

    task: Task
    _missed: int = 0
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def missed(self) -> None:
        """Note that a kernel was not in the cache; with some of them, helpers start."""
        self._missed += 1
        if self._missed == _LEAST and cache_directory() is not None:
            count = min(len(os.sched_getaffinity(0)) - 1, _MOST)
            with contextlib.suppress(OSError):
                self._running += [self._start(n, count) for n in range(count)]

    def _start(self, number: int, count: int) -> subprocess.Popen[bytes]:
        own = self.task
        task = {
            "path": str(own.path), "shapes": dict(own.shapes), "target": own.target,
            "others": None if own.others is None else dict(own.others),
            "disabled": list(own.disabled), "number": number, "count": count,
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, json.dumps(task)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()


def main(argument: str) -> None:
    """Compile a model's kernels, the last ones first, each helper from a place of its own."""
    from tdsl.graph.compile import AnySize, fill_cache
    from tdsl.graph.onnx_import.importer import OnnxModel

    task = json.loads(argument)
    model = OnnxModel(task["path"])
    others = task["others"]
    sizes = None
    if others is not None:
        sizes = AnySize(SymbolicKernels(), lambda: model.graph(_shapes(others)))
    first = 1.0 - task["number"] / task["count"]
    target = None if task["target"] is None else parse_target(task["target"])
    fill_cache(model.graph(_shapes(task["shapes"])), target, task["disabled"], first, sizes)


def _shapes(given: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in given.items()}


if __name__ == "__main__":
    with contextlib.suppress(TdslError, KeyboardInterrupt, BrokenPipeError):
        main(sys.argv[1])

"""Where a run's time goes: a table by kernel, and a trace for chrome://tracing or Perfetto."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tdsl.graph.kernels import GroupKernel


@dataclass(frozen=True, slots=True)
class Entry:
    """A kernel call: its operators, the model's nodes that it stands for, and seconds.

    `start` counts from the start of the run; both are those of the median run for this kernel.
    """

    name: str
    sources: tuple[str, ...]
    shape: str
    nbytes: int
    start: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Profile:
    """Kernel calls in order. `print` shows the slowest first."""

    entries: tuple[Entry, ...]

    @property
    def seconds(self) -> float:
        """All kernels together."""
        return sum(entry.seconds for entry in self.entries)

    def __str__(self) -> str:
        total = self.seconds or 1.0
        lines = [f"{'us':>10} {'%':>6} {'GB/s':>7}  kernel"]
        for entry in sorted(self.entries, key=lambda e: -e.seconds):
            rate = entry.nbytes / entry.seconds / 1e9 if entry.seconds else 0.0
            share = 100 * entry.seconds / total
            lines.append(
                f"{entry.seconds * 1e6:10.1f} {share:6.1f} {rate:7.1f}  {entry.name} {entry.shape}"
            )
        lines.append(f"{self.seconds * 1e6:10.1f}  100.0          {len(self.entries)} kernels")
        return "\n".join(lines)

    def chrome_trace(self) -> str:
        """JSON of trace events, times in microseconds."""
        events = [
            {
                "name": entry.name, "cat": "Kernel", "ph": "X", "pid": 0, "tid": 0,
                "ts": entry.start * 1e6, "dur": entry.seconds * 1e6,
                "args": {
                    "nodes": list(entry.sources), "shape": entry.shape, "bytes": entry.nbytes,
                },
            }
            for entry in self.entries
        ]  # fmt: skip
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def stamps_for(steps: int) -> Any:
    """Room for the times of a run."""
    return (ctypes.c_int64 * (2 * (steps + 1)))()


def profile_of(steps: Sequence[GroupKernel], measured: Sequence[Any]) -> Profile:
    """The median time of each kernel."""
    times = [
        [row[2 * n] + row[2 * n + 1] * 1e-9 for n in range(len(steps) + 1)] for row in measured
    ]
    entries: list[Entry] = []
    start = 0.0
    for n, step in enumerate(steps):
        spent = sorted(row[n + 1] - row[n] for row in times)
        seconds = spent[len(spent) // 2]
        sources = tuple(dict.fromkeys(s for node in step.group.nodes for s in node.sources))
        values = (*step.inputs, *step.outputs)
        shape = "x".join(map(str, step.outputs[0].shape))
        nbytes = sum(v.nbytes for v in values)
        entries.append(Entry(step.group.name, sources, shape, nbytes, start, seconds))
        start += seconds
    return Profile(tuple(entries))

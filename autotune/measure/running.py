"""What the runner does: check a kernel's numbers, then time it."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from tdsl import driver
from tdsl.autotune.measure.arguments import Array, free_sizes, make_inputs, spoiled_outputs
from tdsl.autotune.measure.checking import Expected, load_expected, save_expected
from tdsl.autotune.measure.verdicts import Failure
from tdsl.errors import InternalError
from tdsl.ir.parser import parse_program
from tdsl.records import Outcome
from tdsl.runtime.kernel import Kernel
from tdsl.runtime.packed import PackedArray
from tdsl.target import TargetKind, host, target

_SLOW = 4.0  # times the best: a long kernel that is so slow is timed by a single call
_SLOWER = 1.15  # times the best: what is slower in its first measurement gets no other
_MOST_CALLS = 1_000_000


class Runner:
    """Holds the arguments of one workload and what the canonical kernel makes of them."""

    def __init__(self) -> None:
        self._inputs: list[Array] = []
        self._sizes: dict[str, int] = {}
        self._expected: Expected | None = None
        self._target = ""
        self._comparing: list[Kernel] = []

    def handle(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Answer one request: prepare, measure, or compare."""
        match request["do"]:
            case "prepare":
                return self.prepare(request)
            case "measure":
                return self.measure(request)
            case "compare":
                return self.compare(request)
            case other:
                raise InternalError(f"a runner cannot {other!r}")

    def prepare(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Make the arguments and the expected results; these are kept in a file for successors."""
        self._target = request["target"]
        self._sizes = dict(request["sizes"])
        program = parse_program(request["program"])
        self._inputs = make_inputs(program, self._sizes, request["seed"])
        store = Path(request["store"])
        if store.exists():
            self._expected = load_expected(store, program)
        else:
            outputs = self._run(driver.build(program, host()))  # what nobody has scheduled
            self._expected = save_expected(store, program, outputs)
        return {"outcome": "ok"}

    def measure(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Check a kernel's results, then time it."""
        kernel = self._kernel(request["program"])
        self._check(kernel, exact=request["exact"])
        seconds, best = request["min_repeat_ms"] / 1e3, request["best"]
        first = self._times(kernel, 1, 1)
        if best and first[0] > max(seconds, _SLOW * best):
            return {"outcome": "ok", "seconds": first}
        times = self._times(kernel, 1, _calls(first[0], seconds))
        if (best and times[0] > _SLOWER * best) or request["repeat"] == 1:
            return {"outcome": "ok", "seconds": times}
        times += self._times(kernel, request["repeat"] - 1, _calls(times[0], seconds))
        return {"outcome": "ok", "seconds": times}

    def compare(self, request: Mapping[str, Any]) -> dict[str, object]:
        """Check kernels, then time them in turn: what disturbs one disturbs the others."""
        kernels = [self._kernel(text) for text in request["programs"]]
        for kernel, exact in zip(kernels, request["exact"], strict=True):
            self._check(kernel, exact=exact)
        least = request["min_repeat_ms"] / 1e3
        counts = [_calls(self._times(kernel, 1, 1)[0], least) for kernel in kernels]
        seconds: list[list[float]] = [[] for _ in kernels]
        for turn in range(request["rounds"]):
            order = range(len(kernels)) if turn % 2 == 0 else reversed(range(len(kernels)))
            for number in order:
                seconds[number] += self._times(kernels[number], 1, counts[number])
                counts[number] = _calls(seconds[number][-1], least)
        return {"outcome": "ok", "seconds": seconds}

    def _kernel(self, program: str) -> Kernel:
        return driver.build(parse_program(program), target(self._target))

    def _run(self, kernel: Kernel) -> tuple[Array, ...]:
        """Results on fresh copies of the arguments, in memory that held something else."""
        signature = kernel.signature
        inputs = [
            array.copy() if param.role.is_written else array
            for param, array in zip(signature.inputs, self._inputs, strict=True)
        ]
        outputs = spoiled_outputs(signature, self._sizes)
        sizes = free_sizes(signature, self._sizes)
        if outputs:
            kernel(*inputs, out=outputs if len(outputs) > 1 else outputs[0], **sizes)
        else:
            kernel(*inputs, **sizes)
        written = [
            array
            for param, array in zip(signature.inputs, inputs, strict=True)
            if param.role.is_written
        ]
        return (*written, *outputs)

    def _check(self, kernel: Kernel, *, exact: bool) -> None:
        if self._expected is None:
            raise InternalError("measure before prepare")
        # functions of devices may round otherwise than those of the processor
        exact = exact and target(self._target).kind is TargetKind.LLVM
        problem = self._expected.problem(self._run(kernel), exact=exact)
        if problem is not None:
            raise Failure(Outcome.WRONG, problem)

    def _times(self, kernel: Kernel, repeat: int, number: int) -> list[float]:
        """Seconds of a call, `repeat` times, each over `number` calls; one call before them."""
        inputs = [
            array.copy() if param.role.is_written else _packed(kernel, param.name, array)
            for param, array in zip(kernel.signature.inputs, self._inputs, strict=True)
        ]
        times = kernel.time(
            *inputs,
            number=number,
            repeat=repeat,
            **free_sizes(kernel.signature, self._sizes),
        )
        if not np.all(np.isfinite(times)):
            raise Failure(Outcome.RUN_ERROR, f"no times: {times}")
        return [max(time, 1e-9) for time in times]


def _packed(kernel: Kernel, name: str, array: Array) -> Array | PackedArray:
    """An argument as callers pass it who know that it stays the same."""
    return kernel.pack(name, array) if name in kernel.packed else array


def _calls(seconds: float, least: float) -> int:
    """How many calls take `least` seconds."""
    return max(1, min(_MOST_CALLS, ceil(least / seconds)))

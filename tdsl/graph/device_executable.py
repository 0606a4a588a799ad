"""A model for fixed shapes on an OpenCL device: its kernels, one launched after the other.

All arguments are checked and bound once, when the model is loaded. A run copies the inputs to the
device, enqueues every kernel, and copies the outputs back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdsl.graph.ir import Array, Model, Value
from tdsl.graph.kernels import GroupKernel
from tdsl.graph.lifetimes import lifetimes
from tdsl.runtime.devices import Device, DeviceArray, find_device
from tdsl.target import Target

_NANOSECONDS = 10**9


class DeviceExecutable:
    """Runs a model on a device, one run at a time; others wait.

    `views` are values that lie in another one's memory, so many bytes from its start.

    Attributes: `steps`, `memory`.
    """

    def __init__(
        self, model: Model, steps: Sequence[GroupKernel],
        views: Mapping[Value, tuple[Value, int]], target: Target,
    ) -> None:  # fmt: skip
        self.steps = tuple(steps)
        self._model = model
        self._device = find_device(target.cpu)
        self._lock = threading.Lock()
        places = _Places(model, self.steps, views)
        memory = _Memory(self._device, places)
        self._inputs = {value: memory.array(value) for value in model.inputs}
        self._outputs = {name: memory.array(value) for name, value in model.outputs}
        for value, array in model.constants.items():
            if memory.holds(value):
                memory.array(value).fill(array)
        self._copies: list[list[_Copy]] = [[] for _ in range(len(steps) + 1)]
        for value, source, start, place in places.copies:
            copy = _Copy(memory.array(value), memory.array(source), start)
            if places.root(source) in model.constants:
                copy.enqueue()
            else:
                self._copies[place].append(copy)
        self._calls = [self._bound(step, memory) for step in self.steps]
        self.memory = str(memory)

    def run(self, feeds: Mapping[Value, Array], stamps: Any = None) -> dict[str, Array]:
        """The outputs, for inputs of the right type and shape.

        Raises:
            IndexError: an index in the data leaves its tensor.
            DeviceError: the device refuses a launch, or memory ran out.
        """
        with self._lock:
            for value, array in feeds.items():
                self._inputs[value].fill(array)
            for n, call in enumerate((*self._calls, None)):
                for copy in self._copies[n]:
                    copy.enqueue()
                if stamps is not None:
                    self._stamp(stamps, n)
                if call is not None:
                    call.run(0)
            for call in self._calls:
                call.fetch()
            return {name: array.numpy() for name, array in self._outputs.items()}

    def _bound(self, step: GroupKernel, memory: _Memory) -> Any:
        outputs = tuple(memory.array(value) for value in step.outputs)
        call, _ = step.kernel._caller.bind(  # noqa: SLF001 - as its own call path
            [memory.array(value) for value in step.inputs],
            {"out": outputs[0] if len(outputs) == 1 else outputs},
        )
        return call

    def _stamp(self, stamps: Any, n: int) -> None:
        """Note when everything enqueued so far has run."""
        self._device.queue.finish()
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        stamps[2 * n], stamps[2 * n + 1] = divmod(now, _NANOSECONDS)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A value that begins inside another one, in memory of its own as devices align it."""

    to: DeviceArray
    source: DeviceArray
    start: int

    def enqueue(self) -> None:
        """Copy it, after everything enqueued so far."""
        self.to.copy_from(self.source, self.start)


class _Places:
    """Which values share memory, and when each is needed.

    Attributes: `copies`, values that begin inside another one: the value, the other, the bytes
    between their starts, and the step before which it is copied.
    """

    def __init__(
        self, model: Model, steps: Sequence[GroupKernel], views: Mapping[Value, tuple[Value, int]]
    ) -> None:
        self._same = {value: source for value, (source, start) in views.items() if not start}
        made = {self.root(v): n + 1 for n, step in enumerate(steps) for v in step.outputs}
        made_from = {self.root(source) for source, start in views.values() if start}
        self.copies: list[tuple[Value, Value, int, int]] = []
        for value, (source, start) in views.items():
            if start:
                made[self.root(value)] = made.get(self.root(source), 0)
                self.copies.append((value, source, start, made[self.root(value)]))
        self.first, self.last = lifetimes(steps, self.root)
        read = {v for v in model.constants if v in self.last or v in made_from}
        self.kept = {self.root(v) for v in (*model.inputs, *model.results, *read)}
        for value, source, _, place in self.copies:
            root, other = self.root(value), self.root(source)
            self.first[root] = place
            self.last[root] = max(place, self.last.get(root, place))
            self.last[other] = max(place, self.last.get(other, place))

    def root(self, value: Value) -> Value:
        """The value in whose memory this one lies from its start."""
        while value in self._same:
            value = self._same[value]
        return value


class _Memory:
    """A buffer for each value; those that are never needed together share one."""

    def __init__(self, device: Device, places: _Places) -> None:
        self._device = device
        self._root = places.root
        self._arrays: dict[Value, DeviceArray] = {}
        self._own = 0
        self._unshared = 0
        self._share(places)
        for value in places.kept:
            self._arrays[value] = DeviceArray.empty(value.shape, value.dtype.numpy, device)

    def array(self, value: Value) -> DeviceArray:
        """The memory of a value, under its shape."""
        return self._arrays[self._root(value)].viewed(value.shape, value.dtype.numpy)

    def holds(self, value: Value) -> bool:
        """Whether the value has memory of its own."""
        return value in self._arrays

    def _share(self, places: _Places) -> None:
        free: list[DeviceArray] = []
        ending: list[tuple[int, DeviceArray]] = []
        wanted = [value for value in places.first if value not in places.kept]
        for value in sorted(wanted, key=places.first.__getitem__):
            over = [pair for pair in ending if pair[0] < places.first[value]]
            free += [array for _, array in over]
            ending = [pair for pair in ending if pair not in over]
            array = self._taken(free, value)
            ending.append((places.last[value], array))
            self._arrays[value] = array.viewed(value.shape, value.dtype.numpy)

    def _taken(self, free: list[DeviceArray], value: Value) -> DeviceArray:
        """The smallest free buffer that is large enough, or a new one."""
        self._unshared += value.nbytes
        fitting = [array for array in free if array.nbytes >= value.nbytes]
        if fitting:
            best = min(fitting, key=lambda array: array.nbytes)
            free.remove(best)
            return best
        self._own += value.nbytes
        return DeviceArray.empty((value.nbytes,), np.uint8, self._device)

    def __str__(self) -> str:
        mib = 1 / (1 << 20)
        name = self._device.facts.name
        return (
            f"{name}: {self._own * mib:.2f} MiB between kernels, "
            f"without sharing {self._unshared * mib:.2f} MiB"
        )

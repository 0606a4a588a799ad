"""Kernels that run on an OpenCL device, called like those of the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tdsl.dtypes import BY_NAME
from tdsl.runtime.abi import ErrorCode
from tdsl.runtime.call import Caller
from tdsl.runtime.devices.arrays import DeviceArray, allocate, copy_in, copy_out, nbytes
from tdsl.runtime.devices.device import Device, find_device, has_devices, pyopencl
from tdsl.runtime.devices.errors import DeviceError
from tdsl.runtime.devices.plan import Plan, Runner, evaluate
from tdsl.runtime.devices.programs import build_program
from tdsl.runtime.errors import ArgumentValueError
from tdsl.runtime.kernel import Kernel, Source
from tdsl.runtime.signature import Param, Role, Signature

Array = np.ndarray[Any, Any]
_STATUS_WORDS = 5


@dataclass(frozen=True, slots=True)
class Event:
    """One launch of a kernel function."""

    kernel: str
    handle: Any

    @property
    def seconds(self) -> float:
        """How long the device ran it; waits for it to end."""
        self.handle.wait()
        return float(self.handle.profile.end - self.handle.profile.start) * 1e-9


class DeviceKernel(Kernel):
    """A function of arrays that runs on an OpenCL device.

    Called like a `Kernel`. Numpy arrays are copied to the device and back (devices that share the
    host's memory work on it directly); where an argument is a `DeviceArray`, outputs are too, and
    the call returns when everything is enqueued and no numpy array is needed any more.
    """

    __slots__ = ()

    @property
    def device(self) -> Device:
        """Where it runs."""
        return self._caller.device  # type: ignore[attr-defined, no-any-return]  # a DeviceCaller

    @property
    def events(self) -> tuple[Event, ...]:
        """The launches of the last call, in order."""
        return tuple(self._caller.events)  # type: ignore[attr-defined]  # likewise


class _Functions:
    """The kernel functions of a program on a device, built when first used."""

    def __init__(self, device: str, source: str, plan: Plan, name: str) -> None:
        self.plan = plan
        self._wanted = device
        self._source = source
        self._name = name
        self._kernels: dict[int, Any] = {}
        self._program: Any = None
        self._device: Device | None = None
        if has_devices():
            self._device = self._found()

    @property
    def device(self) -> Device:
        """The device; where the machine had none, it is looked for again.

        Raises:
            DeviceError: there is none.
        """
        if self._device is None:
            self._device = self._found()
        return self._device

    def _found(self) -> Device:
        device = find_device(self._wanted)
        self.plan.check(device.facts, self._name)
        return device

    def kernel(self, number: int) -> Any:
        """A kernel object; arguments are set on it under the device's lock."""
        if number not in self._kernels:
            if self._program is None:
                self._program = build_program(self.device, self._source, self._name)
            name = self.plan.kernels[number].name
            self._kernels[number] = pyopencl().Kernel(self._program, name)
        return self._kernels[number]


class DeviceCall:
    """The arguments of one call, checked, in device memory."""

    def __init__(
        self,
        caller: DeviceCaller,
        arrays: Sequence[Array],
        sizes: Mapping[str, int],
        held: Mapping[int, DeviceArray],
    ) -> None:
        self._caller = caller
        self._names = dict(sizes)
        self._buffers: dict[str, Any] = {}
        self._back: list[tuple[Array, Any]] = []
        self._lent = False  # whether kernels work on memory of the caller's
        self._check_assumptions()
        for array, param in zip(arrays, caller.signature.params, strict=True):
            own = held.get(id(array))
            self._buffers[param.name] = own.buffer if own else self._send(array, param)
            self._add_strides(array, param)
        self._status: Any = None
        if any(kernel.checks for kernel in caller.functions.plan.kernels):
            self._status = allocate(caller.device, 8 * _STATUS_WORDS)

    def _check_assumptions(self) -> None:
        for number, fact in enumerate(self._caller.functions.plan.assume):
            if not evaluate(fact, self._names):
                self._caller.fail(ErrorCode.ASSUMPTION_VIOLATED, number)

    def _add_strides(self, array: Array, param: Param) -> None:
        if not param.any_strides:
            return
        step = 1
        for axis in range(array.ndim - 1, -1, -1):
            self._names[f"{param.name}.stride{axis}"] = step
            step *= array.shape[axis]

    def _send(self, array: Array, param: Param) -> Any:
        """A buffer with the array's elements, or over its memory where the device shares that."""
        device = self._caller.device
        written = param.role.is_written
        if array.size == 0:
            return allocate(device, 1)
        if device.facts.zero_copy and array.flags.c_contiguous:
            cl = pyopencl()
            access = cl.mem_flags.READ_WRITE if written else cl.mem_flags.READ_ONLY
            flags = access | cl.mem_flags.USE_HOST_PTR
            flat = array.reshape(-1).view(np.uint8)
            buffer = cl.Buffer(device.context, flags, hostbuf=flat)
            self._lent = True
        else:
            buffer = allocate(device, nbytes(array.shape, array.dtype))
            if param.role is not Role.OUT:
                copy_in(device, buffer, np.ascontiguousarray(array))
        if written:
            self._back.append((array, buffer))
        return buffer

    def run(self, address: int, count: int = 1) -> None:
        """Enqueue the kernels `count` times.

        Raises:
            DeviceError: the device refuses a launch.
        """
        del address  # of kernels on the CPU
        device = self._caller.device
        device.check_process()
        if self._status is not None:
            copy_in(device, self._status, np.zeros(_STATUS_WORDS, np.int64))
        events: list[Event] = []

        def launch(number: int, groups: Sequence[int], names: Mapping[str, int]) -> None:
            events.append(self._launch(number, groups, names))

        with device.lock:
            for _ in range(count):
                events.clear()
                Runner(self._caller.functions.plan, self._names, launch, self._allocate).run()
        self._caller.events = events
        # the caller may change or free an array as soon as the call returns
        if count > 1 or self._lent or self._back or self._status is not None:
            self._finish()

    def _finish(self) -> None:
        cl = pyopencl()
        try:
            self._caller.device.queue.finish()
        except cl.Error as error:
            raise DeviceError(f"{self._caller.signature.name} failed: {error}") from error

    def _allocate(self, name: str, dtype: str, shape: Sequence[int]) -> None:
        size = nbytes(shape, BY_NAME[dtype].numpy)
        self._buffers[name] = allocate(self._caller.device, size)

    def _launch(self, number: int, groups: Sequence[int], names: Mapping[str, int]) -> Event:
        cl = pyopencl()
        launch = self._caller.functions.plan.kernels[number]
        kernel = self._caller.functions.kernel(number)
        arguments = [self._buffers[name] for name in launch.buffers]
        arguments += [np.int64(names[name]) for name in launch.scalars]
        if launch.checks:
            arguments.append(self._status)
        items = [g * n for g, n in zip(groups, launch.local, strict=True)]
        queue = self._caller.device.queue
        try:
            kernel.set_args(*arguments)
            handle = cl.enqueue_nd_range_kernel(queue, kernel, items, list(launch.local))
        except cl.Error as error:
            raise DeviceError(
                f"{self._caller.device.facts.name} refuses kernel {launch.name} with "
                f"{items} work-items in groups of {list(launch.local)}: {error}"
            ) from error
        return Event(launch.name, handle)

    def fetch(self) -> None:
        """Bring results back to the host, and look at what the kernels noted."""
        device = self._caller.device
        for array, buffer in self._back:
            if device.facts.zero_copy and array.flags.c_contiguous:
                _synchronise(device, buffer, array)
            elif array.flags.c_contiguous:
                copy_out(device, array, buffer)
            else:
                whole: Array = np.empty(array.shape, array.dtype)
                copy_out(device, whole, buffer)
                array[...] = whole
        if self._status is not None:
            words = np.zeros(_STATUS_WORDS, np.int64)
            copy_out(device, words, self._status)
            if words[0]:
                self._caller.fail(ErrorCode.INDEX_OUT_OF_RANGE, *map(int, words[1:]))


def _synchronise(device: Device, buffer: Any, array: Array) -> None:
    """Make what kernels wrote to the host's memory visible there."""
    cl = pyopencl()
    mapped, _ = cl.enqueue_map_buffer(
        device.queue, buffer, cl.map_flags.READ, 0, (array.nbytes,), np.uint8, is_blocking=True
    )
    mapped.base.release(device.queue)


class DeviceCaller(Caller):
    """Checks arguments as for the CPU, and runs on a device."""

    __slots__ = ("events", "functions")

    def __init__(
        self,
        signature: Signature,
        functions: _Functions,
        packers: Mapping[str, tuple[str, Callable[..., Array]]],
        accesses: Sequence[str],
    ) -> None:
        super().__init__(signature, 0, functions, packers, accesses)
        self.functions = functions
        self.events: list[Event] = []

    @property
    def device(self) -> Device:
        """Where the kernels run."""
        return self.functions.device

    def call(self, *args: Any, **keywords: Any) -> Any:
        """Check, run, and return the outputs."""
        bound, results = self.bind(args, keywords)
        bound.run(0)
        bound.fetch()
        return results[0] if len(results) == 1 else results or None

    def bind(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Any, tuple[Any, ...]]:
        """Check all arguments and put them into device memory."""
        held: dict[int, DeviceArray] = {}

        def proxied(value: Any) -> Any:
            if isinstance(value, DeviceArray):
                self._check_device(value)
                held[id(value.proxy)] = value
                return value.proxy
            if isinstance(value, (tuple, list)):
                return [proxied(item) for item in value]
            return value

        given = {key: proxied(v) if key == "out" else v for key, v in keywords.items()}
        arguments = [proxied(v) if isinstance(v, DeviceArray) else v for v in args]
        checked, results = self.checked(arguments, given)
        on_device = bool(held)
        final = []
        for result in results:
            if on_device and id(result) not in held and given.get("out") is None:
                made = DeviceArray.empty(result.shape, result.dtype, self.device)
                held[id(result)] = made
            final.append(held.get(id(result), result))
        call = DeviceCall(self, checked.arrays, checked.sizes, held)
        return call, tuple(final)

    def _check_device(self, array: DeviceArray) -> None:
        if array.device is not self.device:
            raise ArgumentValueError(
                f"{self.signature.name} runs on {self.device.facts.name}, but an argument is on "
                f"{array.device.facts.name}",
                hint="build for the device that holds the arrays, or pass array.numpy()",
            )


def load_device_kernel(
    signature: Signature,
    source: str,
    plan: Any,
    *,
    device: str,
    sources: Mapping[str, Source],
    packers: Mapping[str, tuple[str, Callable[..., Array]]],
    accesses: Sequence[str],
) -> DeviceKernel:
    """A callable kernel on a device.

    Args:
        signature: what it takes.
        source: OpenCL C of its functions.
        plan: how they are launched, as JSON data.
        device: a part of the device's name; empty: any.
        sources: its stages as text.
        packers: by packed input, its tag and what packs it.
        accesses: texts of the accesses whose numbers "index out of range" reports.

    A machine without any OpenCL device still gets the kernel, with its source; calling it raises.

    Raises:
        DeviceError: there are devices, but none of that name.
        CapabilityError: the device lacks something that the kernel needs.
    """
    functions = _Functions(device, source, Plan.from_json(plan), signature.name)
    caller = DeviceCaller(signature, functions, packers, accesses)
    digest = hashlib.sha256(f"{source}\n{plan!r}".encode()).hexdigest()
    return DeviceKernel(caller, digest, sources, {})

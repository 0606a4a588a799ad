"""OpenCL platforms and devices of this machine, as facts; one context and queue for each in use.

A device is named by a part of its platform's or its own name ("opencl:pocl", "opencl:h100"), never
by its number: the order in which drivers are found changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from tdsl.runtime.devices.errors import DeviceError
from tdsl.runtime.devices.pocl import name_processor, prepare_pocl

_INSTALL = "pip install 'tdsl[opencl]' brings pyopencl and PoCL, an OpenCL device on the CPU"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device can do.

    Attributes:
        platform, name, version, driver: what it says of itself.
        kind: "cpu", "gpu" or "accelerator".
        units: compute units.
        work_group: most work-items in a group; `work_items`: along x, y, z.
        local_bytes: local memory of a group, in bytes; `global_bytes`: of the device.
        largest_buffer: bytes of one buffer.
        fp64, int64_atomics, rounded_division: whether it has these.
        zero_copy: whether kernels can work on the host's own memory.
    """

    platform: str
    name: str
    version: str
    driver: str
    kind: str
    units: int
    work_group: int
    work_items: tuple[int, ...]
    local_bytes: int
    global_bytes: int
    largest_buffer: int
    fp64: bool
    int64_atomics: bool
    rounded_division: bool
    denormals: bool
    zero_copy: bool

    @property
    def features(self) -> frozenset[str]:
        """Names of what kernels may ask for."""
        flags = {
            "fp64": self.fp64,
            "int64_atomics": self.int64_atomics,
            "rounded_division": self.rounded_division,
        }
        return frozenset(name for name, has in flags.items() if has)

    def __str__(self) -> str:
        memory = f"{self.global_bytes / 2**30:.1f} GiB, {self.local_bytes // 1024} KiB local"
        lacks = sorted({"fp64", "int64_atomics", "rounded_division"} - self.features)
        note = f"; lacks {', '.join(lacks)}" if lacks else ""
        return (
            f"{self.name} ({self.kind}, {self.platform}, {self.version.strip()}): {self.units} "
            f"units, {memory}, groups of {self.work_group}{note}"
        )


@dataclass(slots=True, eq=False)
class Device:
    """A device with a context and an in-order queue that measures times. Made by `find_device`."""

    facts: Facts
    handle: Any
    context: Any
    queue: Any
    process: int = field(default_factory=os.getpid)
    lock: RLock = field(default_factory=RLock)

    def check_process(self) -> None:
        """Check that this process opened the device.

        Raises:
            DeviceError: it was inherited through a fork, in which OpenCL hangs.
        """
        if os.getpid() != self.process:
            raise DeviceError(
                f"{self.facts.name} was opened before this process was forked, and OpenCL does not "
                "survive a fork",
                hint="start processes by spawn or forkserver (multiprocessing.set_start_method)",
            )

    def __repr__(self) -> str:
        return f"<Device {self.facts.name}>"


def pyopencl() -> Any:
    """The pyopencl module.

    Raises:
        DeviceError: it is not installed, or finds no OpenCL loader.
    """
    prepare_pocl()
    try:
        import pyopencl as cl
    except ImportError as error:
        raise DeviceError(f"OpenCL needs pyopencl: {error}", hint=_INSTALL) from error
    return cl


def list_devices() -> list[Facts]:
    """All OpenCL devices of this machine; empty where there is no platform.

    Raises:
        DeviceError: pyopencl is not installed.
    """
    return [facts for facts, _ in _found()]


def has_devices() -> bool:
    """Whether there is any OpenCL device here."""
    try:
        return bool(list_devices())
    except DeviceError:
        return False


def _found() -> list[tuple[Facts, Any]]:
    cl = pyopencl()
    try:
        platforms = cl.get_platforms()
    except cl.LogicError:  # PLATFORM_NOT_FOUND_KHR
        return []
    found = []
    for platform in platforms:
        found += [(_facts(cl, platform, handle), handle) for handle in _devices_of(cl, platform)]
    return found


def _devices_of(cl: Any, platform: Any) -> Iterator[Any]:
    try:
        yield from platform.get_devices()
    except (cl.LogicError, cl.RuntimeError):  # a platform without devices
        return


def _facts(cl: Any, platform: Any, handle: Any) -> Facts:
    extensions = set(handle.extensions.split())
    single = handle.single_fp_config
    kinds = ((cl.device_type.CPU, "cpu"), (cl.device_type.GPU, "gpu"))
    kind = next((name for bit, name in kinds if handle.type & bit), "accelerator")
    config = cl.device_fp_config
    return Facts(
        platform=platform.name.strip(),
        name=handle.name.strip(),
        version=platform.version.strip(),
        driver=handle.driver_version,
        kind=kind,
        units=handle.max_compute_units,
        work_group=handle.max_work_group_size,
        work_items=tuple(handle.max_work_item_sizes),
        local_bytes=handle.local_mem_size,
        global_bytes=handle.global_mem_size,
        largest_buffer=handle.max_mem_alloc_size,
        fp64="cl_khr_fp64" in extensions,
        int64_atomics="cl_khr_int64_base_atomics" in extensions,
        rounded_division=bool(single & config.CORRECTLY_ROUNDED_DIVIDE_SQRT),
        denormals=bool(single & config.DENORM),
        zero_copy=kind == "cpu",
    )


_OPEN: dict[tuple[str, int], Device] = {}
_LOCK = RLock()


def find_device(name: str = "") -> Device:
    """The device that a target names; without a name a GPU if there is one.

    Args:
        name: a part of the name of a device or its platform, in any case ("pocl" is PoCL).

    Raises:
        DeviceError: there is none; the message lists what was found.
    """
    with _LOCK:
        key = (name.lower(), os.getpid())
        device = _OPEN.get(key)
        if device is None:
            device = _OPEN[key] = _open(name)
        return device


def device_facts(name: str = "") -> Facts:
    """What the device that a target names can do; it is not opened. Chosen as by `find_device`.

    Raises:
        DeviceError: there is none; the message lists what was found.
    """
    return _chosen(name)[0]


def _chosen(name: str) -> tuple[Facts, Any]:
    found = _found()
    if not found:
        raise DeviceError("no OpenCL platform was found on this machine", hint=_INSTALL)
    fitting = [pair for pair in found if _is_called(pair[0], name)]
    if not fitting:
        known = "\n".join(f"  {facts}" for facts, _ in found)
        raise DeviceError(
            f"no OpenCL device is called {name!r}; there are\n{known}",
            hint="a target names a device by a part of its name: td.target('opencl:NAME')",
        )
    return min(fitting, key=lambda pair: pair[0].kind != "gpu")


def _open(name: str) -> Device:
    cl = pyopencl()
    facts, handle = _chosen(name)
    for device in _OPEN.values():
        if device.handle == handle and device.process == os.getpid():
            return device
    name_processor(handle, facts.version)
    try:
        context = cl.Context([handle])
        queue = cl.CommandQueue(context, properties=cl.command_queue_properties.PROFILING_ENABLE)
    except cl.Error as error:
        raise DeviceError(f"{facts.name} cannot be opened: {error}") from error
    return Device(facts, handle, context, queue)


def _is_called(facts: Facts, name: str) -> bool:
    wanted = name.lower()
    texts = [facts.name.lower(), facts.platform.lower(), facts.version.lower()]
    return any(wanted in text for text in texts)

"""Arrays in device memory, to pass from kernel to kernel without copies through the host."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from tdsl.dtypes import BY_NAME
from tdsl.runtime.devices.device import Device, find_device, pyopencl
from tdsl.runtime.devices.errors import DeviceError

Array = np.ndarray[Any, Any]


class DeviceArray:
    """A contiguous array in the memory of a device.

    Kernels built for its device take it in the place of a numpy array, and then return device
    arrays. `numpy()` copies it back.

    Attributes:
        device: where it lives.
        shape, dtype: as of a numpy array.
        buffer: the pyopencl buffer.
    """

    __slots__ = ("buffer", "device", "dtype", "proxy", "shape")

    def __init__(self, device: Device, shape: Sequence[int], dtype: Any, buffer: Any) -> None:
        self.device = device
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.buffer = buffer
        self.proxy = _proxy(self.shape, self.dtype)

    @staticmethod
    def empty(
        shape: Sequence[int], dtype: Any = "float32", device: Device | str = ""
    ) -> DeviceArray:
        """A new array whose elements are anything.

        Raises:
            DeviceError: there is no such device, or it has no such memory.
        """
        where = find_device(device) if isinstance(device, str) else device
        known = BY_NAME.get(dtype) if isinstance(dtype, str) else None
        kind = known.numpy if known is not None else np.dtype(dtype)
        return DeviceArray(where, shape, kind, allocate(where, nbytes(shape, kind)))

    @staticmethod
    def of(array: Any, device: Device | str = "") -> DeviceArray:
        """A copy of a numpy array on a device."""
        source = np.ascontiguousarray(array)
        made = DeviceArray.empty(np.shape(array), source.dtype, device)
        made.fill(source)
        return made

    def fill(self, array: Any) -> None:
        """Copy a numpy array of the same shape and dtype into this one.

        Raises:
            ValueError: shape or dtype differ.
        """
        source = np.ascontiguousarray(array)
        if source.shape != self.shape and source.size != int(np.prod(self.shape)):
            raise ValueError(f"shape {source.shape} does not fit {self.shape}")
        if source.dtype != self.dtype:
            raise ValueError(f"dtype {source.dtype} is not {self.dtype}")
        if source.size:
            copy_in(self.device, self.buffer, source)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return nbytes(self.shape, self.dtype)

    def viewed(self, shape: Sequence[int], dtype: Any) -> DeviceArray:
        """The first elements of the same memory under another shape and type.

        Raises:
            ValueError: there is not so much memory.
        """
        kind = np.dtype(dtype)
        if nbytes(shape, kind) > self.nbytes:
            raise ValueError(f"{kind}{list(shape)} is larger than {self.nbytes} bytes")
        return DeviceArray(self.device, shape, kind, self.buffer)

    def copy_from(self, source: DeviceArray, start: int = 0) -> None:
        """Copy this many bytes from another array on the device, from byte `start` of it on.

        The call returns when the copy is enqueued.
        """
        if self.nbytes:
            copy_within(self.device, self.buffer, source.buffer, start, self.nbytes)

    def numpy(self) -> Array:
        """The elements as a numpy array, when everything enqueued so far has run."""
        result: Array = np.empty(self.shape, self.dtype)
        if result.size:
            copy_out(self.device, result, self.buffer)
        return result

    def __repr__(self) -> str:
        return f"<DeviceArray {self.dtype}{list(self.shape)} on {self.device.facts.name}>"


def _proxy(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """An array of the same form over memory that is reserved and never touched.

    Argument checks look at dtype, shape, layout and overlap: this has them all.
    """
    room = mmap.mmap(-1, max(nbytes(shape, dtype), 1))
    return np.frombuffer(room, dtype, count=int(np.prod(shape, dtype=np.int64))).reshape(shape)


def nbytes(shape: Sequence[int], dtype: np.dtype[Any]) -> int:
    """Bytes of an array."""
    count = 1
    for extent in shape:
        count *= extent
    return count * dtype.itemsize


def allocate(device: Device, size: int) -> Any:
    """A buffer of so many bytes (at least one: devices have no empty buffers).

    Raises:
        DeviceError: the device has no such memory.
    """
    cl = pyopencl()
    if size > device.facts.largest_buffer:
        raise DeviceError(
            f"a buffer of {size} bytes is larger than {device.facts.name} allows "
            f"({device.facts.largest_buffer} bytes)"
        )
    device.check_process()
    try:
        return cl.Buffer(device.context, cl.mem_flags.READ_WRITE, max(size, 1))
    except cl.Error as error:
        raise DeviceError(f"{device.facts.name} has no memory for {size} bytes: {error}") from error


def copy_in(device: Device, buffer: Any, source: Array) -> None:
    """Copy a contiguous array into a buffer."""
    device.check_process()
    pyopencl().enqueue_copy(device.queue, buffer, _bytes(source), is_blocking=True)


def copy_out(device: Device, target: Array, buffer: Any) -> None:
    """Copy a buffer into a contiguous array."""
    device.check_process()
    pyopencl().enqueue_copy(device.queue, _bytes(target), buffer, is_blocking=True)


def copy_within(device: Device, target: Any, source: Any, start: int, size: int) -> None:
    """Enqueue a copy of bytes from one buffer, from byte `start` of it on, into another."""
    device.check_process()
    pyopencl().enqueue_copy(device.queue, target, source, src_offset=start, byte_count=size)


def _bytes(array: Array) -> Array:
    """An array's memory; pyopencl does not know every dtype."""
    return array.reshape(-1).view(np.uint8)

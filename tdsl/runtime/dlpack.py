"""Arrays of other libraries as numpy views, without a copy, through DLPack."""

from __future__ import annotations

import ctypes
from math import prod
from typing import Any

import numpy as np

from tdsl.dtypes import ALL, DType, Kind, bfloat16

_DEVICES = {1: "cpu", 2: "cuda", 3: "cpu", 4: "opencl", 7: "vulkan", 8: "metal", 10: "rocm"}
_IMMUTABLE = ("jax", "jaxlib")  # their unversioned capsules cannot say so
_READ_ONLY = 1  # DLPACK_FLAG_BITMASK_READ_ONLY


def _code(dtype: DType) -> int:
    """The DLPack type code of an element type."""
    if dtype is bfloat16:
        return 4
    return {Kind.INT: 0, Kind.UINT: 1, Kind.FLOAT: 2, Kind.BOOL: 6}[dtype.kind]


_DTYPES = {(_code(dtype), dtype.bits): dtype.numpy for dtype in ALL}


class _Tensor(ctypes.Structure):
    """`DLTensor`, with which `DLManagedTensor` begins."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _VersionedTensor(ctypes.Structure):
    """The head of `DLManagedTensorVersioned`."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


class _Memory:
    """Memory described to numpy; owns the capsule, whose end frees the tensor."""

    def __init__(self, capsule: object, interface: dict[str, Any]) -> None:
        self.capsule = capsule
        self.__array_interface__ = interface


def device_name(value: Any) -> str:
    """The device of an object that speaks DLPack, such as ``cpu`` or ``cuda:0``."""
    kind, number = value.__dlpack_device__()
    name = _DEVICES.get(int(kind), f"device type {int(kind)}")
    return name if name == "cpu" else f"{name}:{number}"


def view(value: Any) -> np.ndarray[Any, Any]:
    """A numpy view of a CPU tensor.

    numpy's own reader knows no bfloat16, and calls all tensors of older exporters read-only.

    Raises whatever the exporter raises, and BufferError for what cannot be shared.
    """
    try:
        capsule = value.__dlpack__(max_version=(1, 0))
    except TypeError:  # an exporter from before versions
        capsule = value.__dlpack__()
    tensor, readonly = _read_capsule(capsule)
    dtype = _numpy_dtype(tensor)
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    if prod(shape) == 0:
        return np.empty(shape, dtype)
    strides = None
    if tensor.strides:
        strides = tuple(dtype.itemsize * tensor.strides[axis] for axis in range(tensor.ndim))
    immutable = type(value).__module__.partition(".")[0] in _IMMUTABLE
    interface = {
        "version": 3,
        "data": ((tensor.data or 0) + tensor.byte_offset, readonly or immutable),
        "typestr": f"<u{dtype.itemsize}",
        "shape": shape,
        "strides": strides,
    }
    return np.asarray(_Memory(capsule, interface)).view(dtype)


def _numpy_dtype(tensor: _Tensor) -> np.dtype[Any]:
    found = _DTYPES.get((tensor.code, tensor.bits))
    if found is None or tensor.lanes != 1:
        raise BufferError(
            f"its elements (DLPack type {tensor.code}, {tensor.bits} bits, {tensor.lanes} lanes) "
            "are of no dtype that kernels take"
        )
    return found


def _read_capsule(capsule: object) -> tuple[_Tensor, bool]:
    """The tensor in a capsule, and whether it is read-only."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype = ctypes.c_void_p
    pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    valid = ctypes.pythonapi.PyCapsule_IsValid
    valid.argtypes = [ctypes.py_object, ctypes.c_char_p]
    if not valid(capsule, b"dltensor_versioned"):
        return _Tensor.from_address(pointer(capsule, b"dltensor")), False
    versioned = _VersionedTensor.from_address(pointer(capsule, b"dltensor_versioned"))
    if versioned.major != 1:
        raise BufferError(f"DLPack version {versioned.major}.{versioned.minor} is not known")
    return versioned.tensor, bool(versioned.flags & _READ_ONLY)

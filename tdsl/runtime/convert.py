"""What a caller passes -> a numpy array that shares its memory, or a message why not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tdsl.dtypes import Kind
from tdsl.runtime import dlpack
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.packed import PackedArray
from tdsl.runtime.signature import Param, Role

Array = np.ndarray[Any, Any]


def as_array(value: object, param: Param, where: str) -> Array:
    """The array that `value` is, sharing its memory.

    Args:
        value: an ndarray, an object with DLPack or the buffer protocol, or, for a rank-0 input, a
            number.
        param: the parameter it is passed for.
        where: how messages call it, such as ``add: argument 'a'``.

    Raises:
        ArgumentTypeError: it is none of these, or lives on another device.
        ArgumentValueError: a number that the dtype cannot hold.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentTypeError(
            f"{where} is a masked array, and a kernel would ignore its mask",
            hint="pass array.filled(value)",
        )
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)
    if isinstance(value, PackedArray):
        raise ArgumentTypeError(
            f"{where} is an array packed by {value.tag}; this kernel takes it unpacked",
            hint=f"pass the array that {param.name} was packed from",
        )
    if _is_number(value):
        return _number(value, param, where)
    # a class has the methods of its instances
    if not isinstance(value, type) and hasattr(value, "__dlpack__"):
        return _from_dlpack(value, where)
    return _from_buffer(value, param, where)


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float, complex, np.generic))


def _from_dlpack(value: Any, where: str) -> Array:
    kind = type(value).__name__
    try:
        device = dlpack.device_name(value)
        if device == "cpu":
            return dlpack.view(value)
    except (BufferError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentTypeError(
            f"{where} is a {kind} that cannot be shared: {error}",
            hint="a tensor that records gradients: pass tensor.detach()",
        ) from error
    raise ArgumentTypeError(
        f"{where} is a {kind} on {device}; this kernel runs on the CPU",
        hint="copy it to the CPU first, for torch with tensor.cpu()",
    )


def _from_buffer(value: Any, param: Param, where: str) -> Array:
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError, BufferError, NotImplementedError) as error:
        kind = type(value).__name__
        raise ArgumentTypeError(
            f"{where} is a {kind}, not an array",
            hint=f"pass np.asarray({param.name}, np.{param.dtype})"
            if param.dtype != "bfloat16"
            else f"pass np.asarray({param.name}, ml_dtypes.bfloat16)",
        ) from error


def _number(value: Any, param: Param, where: str) -> Array:
    """A number for a shape-() input; its value must survive the conversion (floats may round)."""
    if param.shape or param.role is not Role.IN:
        raise ArgumentTypeError(
            f"{where} is the number {value!r}, the kernel takes an array: {param}",
            hint=f"pass np.full(shape, {value!r}, np.{param.dtype})",
        )
    element = param.element
    if isinstance(value, np.generic):
        value = value.item()
    fits_kind = {
        Kind.BOOL: isinstance(value, bool),
        Kind.INT: isinstance(value, int),
        Kind.UINT: isinstance(value, int),
        Kind.FLOAT: isinstance(value, (int, float)),
    }[element.kind]
    if not fits_kind:
        raise ArgumentTypeError(
            f"{where} is {value!r}, of type {type(value).__name__}; the kernel takes {param.dtype}"
        )
    try:
        with np.errstate(over="ignore"):
            array = np.array(value, element.numpy)
    except OverflowError:
        array = None
    infinite = array is not None and element.is_float and math.isinf(float(array))
    if array is None or (infinite and not (isinstance(value, float) and math.isinf(value))):
        raise ArgumentValueError(
            f"{where} is {value!r}, which {param.dtype} cannot hold",
            hint=None if element.is_float else f"it holds {element.min} to {element.max}",
        )
    return array

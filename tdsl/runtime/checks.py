"""Whether arrays fit the parameters of a kernel; the messages when they do not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tdsl.runtime.convert import Array
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.signature import Dim, Param, Role, shape_text

_OVERLAP_WORK = 10_000  # candidate solutions that numpy tries before we give up and refuse
_LARGEST_EXTENT = (1 << 63) - 1


def check_form(array: Array, param: Param, where: str) -> None:
    """Check dtype, rank, memory layout, alignment and writability.

    Raises:
        ArgumentTypeError: the dtype.
        ArgumentValueError: everything else.
    """
    if array.dtype != param.element.numpy or array.dtype.fields is not None:
        raise ArgumentTypeError(
            f"{where} has dtype {_dtype_text(array.dtype)}, the kernel takes {param.dtype}",
            hint=f"pass out=np.empty(shape, {_dtype_source(param.dtype)}), or none"
            if param.role is Role.OUT
            else f"convert it: {param.name}.astype({_dtype_source(param.dtype)})",
        )
    rank = len(param.shape)
    if array.ndim != rank:
        raise ArgumentValueError(
            f"{where} has {_count(array.ndim, 'dimension')}, shape {shape_text(array.shape)}; "
            f"the kernel takes {rank}: {shape_text(param.shape)}",
            hint=None if array.size == 0 else "reshape it",
        )
    _check_layout(array, param, where)
    if param.role.is_written and not array.flags.writeable:
        raise ArgumentValueError(
            f"{where} is read-only, and the kernel writes it", hint="pass a copy: np.array(x)"
        )


def _check_layout(array: Array, param: Param, where: str) -> None:
    if array.size == 0:
        return
    if not array.flags.aligned:
        address = array.__array_interface__["data"][0]
        raise ArgumentValueError(
            f"{where} is not aligned: its data begins at an address with remainder "
            f"{address % array.itemsize} modulo the {array.itemsize} bytes of {param.dtype}",
            hint=f"pass a copy: {param.name}.copy()",
        )
    if array.flags.c_contiguous:
        return
    if not param.any_strides:
        raise ArgumentValueError(
            f"{where} is not contiguous: shape {shape_text(array.shape)} has strides "
            f"{shape_text(array.strides)} bytes, row-major ones are "
            f"{shape_text(_row_major(array))}",
            hint="pass an array that is, such as np.empty(shape, dtype)"
            if param.role is Role.OUT
            else f"pass np.ascontiguousarray({param.name}), or declare the placeholder with "
            'strides="any"',
        )
    if any(stride % array.itemsize for stride in array.strides):
        raise ArgumentValueError(
            f"{where} has strides {shape_text(array.strides)} bytes, which are no multiples of the "
            f"{array.itemsize} bytes of {param.dtype}",
            hint=f"pass a copy: {param.name}.copy()",
        )
    if param.role.is_written and _may_overlap_itself(array):
        raise ArgumentValueError(
            f"{where} holds some element twice: shape {shape_text(array.shape)} with strides "
            f"{shape_text(array.strides)} bytes",
            hint=f"pass a copy: {param.name}.copy()",
        )


def check_shape(
    array: Array, param: Param, sizes: Mapping[str, int], origins: Mapping[str, str], where: str
) -> None:
    """Compare every extent with what the sizes say.

    Raises:
        ArgumentValueError: an extent differs; the message says where each size comes from.
    """
    for axis, (extent, dim) in enumerate(zip(array.shape, param.shape, strict=True)):
        expected = dim.evaluate(sizes)
        if extent == expected:
            continue
        wanted = shape_text([dim.evaluate(sizes) for dim in param.shape])
        symbolic = shape_text(param.shape)
        equation = wanted if wanted == symbolic else f"{symbolic} = {wanted}"
        raise ArgumentValueError(
            f"{where} has shape {shape_text(array.shape)}, expected {equation}: "
            f"dimension {axis} is {extent}, not {expected}{origin_text(dim, sizes, origins)}"
        )


def origin_text(dim: Dim, sizes: Mapping[str, int], origins: Mapping[str, str]) -> str:
    """Say where the sizes in a dimension come from: `` (N = 4 from argument 'a', dimension 0)``."""
    known = [f"{name} = {sizes[name]} from {origins[name]}" for name, _ in dim.terms]
    return f" ({'; '.join(known)})" if known else ""


def output_shape(param: Param, sizes: Mapping[str, int], where: str) -> tuple[int, ...]:
    """The shape of an output under `sizes`.

    Raises:
        ArgumentValueError: an extent is negative, or larger than any array.
    """
    shape = tuple(dim.evaluate(sizes) for dim in param.shape)
    for axis, extent in enumerate(shape):
        if not 0 <= extent <= _LARGEST_EXTENT:
            values = ", ".join(f"{name} = {sizes[name]}" for name, _ in param.shape[axis].terms)
            raise ArgumentValueError(
                f"{where} would have extent {extent} in dimension {axis}: "
                f"{param.shape[axis]} with {values}"
            )
    return shape


def check_apart(written: Array, other: Array, names: tuple[str, str], where: str) -> None:
    """Check that a written array shares no memory with another argument.

    Args:
        written: the array that the kernel writes.
        other: any other argument.
        names: how messages call the two.
        where: the function's name.

    Raises:
        ArgumentValueError: they overlap, or whether they do is too hard to tell.
    """
    if not np.may_share_memory(written, other):
        return
    try:  # numpy's stubs take no number of steps, its documentation does
        shared = np.shares_memory(written, other, _OVERLAP_WORK)  # type: ignore[arg-type]  # above
    except np.exceptions.TooHardError:
        shared = True
    if shared:
        raise ArgumentValueError(
            f"{where}: {names[0]}, which the kernel writes, overlaps {names[1]}",
            hint="pass an array of its own; to update in place, declare the placeholder with "
            "td.inout",
        )


def _may_overlap_itself(array: Array) -> bool:
    """Whether two indices may reach one element (exact for what slicing and transposing make)."""
    steps = sorted(
        (abs(stride), extent)
        for stride, extent in zip(array.strides, array.shape, strict=True)
        if extent > 1
    )
    reach = array.itemsize
    for stride, extent in steps:
        if stride < reach:
            return True
        reach += stride * (extent - 1)
    return False


def _row_major(array: Array) -> tuple[int, ...]:
    strides = [array.itemsize]
    for extent in reversed(array.shape[1:]):
        strides.append(strides[-1] * extent)
    return tuple(reversed(strides))


def _dtype_text(dtype: np.dtype[np.generic]) -> str:
    if dtype.fields is not None:
        return "structured"
    order = "" if dtype.isnative else " in the other byte order"
    return f"{dtype.newbyteorder('=').name}{order}"


def _dtype_source(name: str) -> str:
    return "ml_dtypes.bfloat16" if name == "bfloat16" else f"np.{name}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"

"""How the interpreter finds an element: bounds checks, and loads and stores on storage.

Parameters are flat lists, known when the program is compiled to closures. An allocation lives in
a slot of the frame, one `Copy` for each time it is entered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from tdsl.errors import TdslError
from tdsl.ir.expr import Buffer
from tdsl.ir.interp_shadow import Copy, Key, Shadow
from tdsl.ir.interp_values import Scalar, garbage

Frame: TypeAlias = list[Any]
Code: TypeAlias = Callable[[Frame], Any]

# the first slots of a frame; the others hold variables and copies of buffers
PATH, PADDED, ACCESS, TEAM, FIRST_SLOT = 0, 1, 2, 3, 4


class MemoryFault(TdslError, IndexError):  # noqa: N818 - a fault is what it is
    """An access outside its buffer, or a read of an element that nothing has written."""


@dataclass(slots=True)
class Parameter:
    """The storage of a parameter: None stands for an element never written."""

    name: str
    shape: tuple[int, ...]
    data: list[Scalar]
    shadow: Shadow | None


class Memory:
    """Where each buffer lives: parameters by themselves, allocations in frame slots."""

    def __init__(self, detect: bool) -> None:
        self.parameters: dict[Buffer, Parameter] = {}
        self.slots: dict[Buffer, int] = {}
        self.detect = detect
        self.runs = 0  # that came before the one at hand

    def restart(self, values: Mapping[Buffer, list[Scalar]]) -> None:
        """Forget everything that was run; *values* are those of the parameters that hold any."""
        self.runs += 1
        for buffer, found in self.parameters.items():
            found.data[:] = values.get(buffer) or [None] * len(found.data)
            if found.shadow is not None:
                found.shadow.elements.clear()

    def element(self, buffer: Buffer, indices: Sequence[Code], strict: bool) -> Code:
        """Code for the key of an element, checked against the bounds of the buffer.

        A single index into a buffer of another rank is a flat one (lowered IR). Where *strict* is
        set (in blocks), instances that only pad a tail may leave allocations.
        """
        found = self.parameters.get(buffer)
        if found is not None:
            return _parameter_element(found, indices)
        slot = self.slots.get(buffer)
        if slot is None:
            raise MemoryFault(f"{buffer.name} is used outside its allocation")
        return _copy_element(slot, len(buffer.shape), indices, strict)

    def load(self, buffer: Buffer, indices: Sequence[Code], strict: bool) -> Code:
        """Code for the value of an element.

        Reading what was never written is a fault in blocks, and garbage in lowered IR, where the
        lanes of a vector may reach into padding.
        """
        element = self.element(buffer, indices, strict)
        found = self.parameters.get(buffer)
        junk = garbage(buffer.dtype)
        load = (
            _parameter_load(found, element, strict, junk)
            if found is not None
            else _copy_load(self.slots[buffer], element, strict, junk)
        )
        if self.detect and (found is None or found.shadow is not None):
            return self._noted_load(buffer, element, load)
        return load

    def _noted_load(self, buffer: Buffer, element: Code, load: Code) -> Code:
        shadow_of = self.shadow_of(buffer)

        def noted(f: Frame) -> Scalar:
            if not f[PADDED]:  # padding is made of whatever is there, and nobody needs it
                shadow_of(f).read(element(f), f[ACCESS](f, buffer, None))
            return load(f)

        return noted

    def shadow_of(self, buffer: Buffer) -> Code:
        """Code for the shadow of the storage in use."""
        found = self.parameters.get(buffer)
        if found is not None:
            shadow = found.shadow
            return lambda _: shadow
        slot = self.slots[buffer]
        return lambda f: f[slot].shadow

    def store(self, buffer: Buffer) -> Callable[[Frame, Key, Scalar], None]:
        """Code that stores a value under a key of `element`."""
        found = self.parameters.get(buffer)
        if found is not None:
            data = found.data
            put = _store_parameter(found.name, data)
        else:
            put = _store_copy(self.slots[buffer])
        if not self.detect:
            return put
        shadow_of = self.shadow_of(buffer)

        def noted(f: Frame, key: Key, value: Scalar) -> None:
            shadow_of(f).write(key, f[ACCESS](f, buffer, value))
            put(f, key, value)

        return noted


def _store_parameter(name: str, data: list[Scalar]) -> Callable[[Frame, Key, Scalar], None]:
    def put(f: Frame, key: Key, value: Scalar) -> None:
        if f[PADDED]:
            message = f"an instance outside its block's domain writes parameter {name!r}"
            raise MemoryFault(message)
        data[key] = value

    return put


def _store_copy(slot: int) -> Callable[[Frame, Key, Scalar], None]:
    def put(f: Frame, key: Key, value: Scalar) -> None:
        f[slot].data[key] = value

    return put


def _outside(name: str, shape: Sequence[int], at: Sequence[int]) -> MemoryFault:
    where = f"{name}[{', '.join(map(str, at))}]"
    return MemoryFault(f"{where} lies outside {name}, whose shape is {list(shape)}")


def _parameter_element(p: Parameter, indices: Sequence[Code]) -> Code:
    name, shape, size = p.name, p.shape, len(p.data)
    if len(indices) == 1:
        (only,) = indices

        def flat(f: Frame) -> int:
            i: int = only(f)
            if 0 <= i < size:
                return i
            raise _outside(name, shape if len(shape) == 1 else (size,), (i,))

        return flat
    if len(indices) == 2:
        first, second = indices
        rows, columns = shape

        def matrix(f: Frame) -> int:
            i, j = first(f), second(f)
            if 0 <= i < rows and 0 <= j < columns:
                return int(i * columns + j)
            raise _outside(name, shape, (i, j))

        return matrix

    def general(f: Frame) -> int:
        at = 0
        for code, extent in zip(indices, shape, strict=True):
            i = code(f)
            if not 0 <= i < extent:
                raise _outside(name, shape, [c(f) for c in indices])
            at = at * extent + i
        return at

    return general


def _copy_element(slot: int, rank: int, indices: Sequence[Code], strict: bool) -> Code:
    if len(indices) == 1:
        (only,) = indices

        def flat(f: Frame) -> int:
            i: int = only(f)
            copy: Copy = f[slot]
            if 0 <= i < copy.size or (strict and f[PADDED]):
                return i
            raise _outside(copy.name, copy.shape if rank == 1 else (copy.size,), (i,))

        return flat

    def general(f: Frame) -> Key:
        key = tuple([code(f) for code in indices])
        copy: Copy = f[slot]
        at = 0
        for i, extent in zip(key, copy.shape, strict=True):
            if not 0 <= i < extent and not (strict and f[PADDED]):
                raise _outside(copy.name, copy.shape, key)
            at = at * extent + i
        return key if strict else at  # lowered accesses of one buffer may be flat or not

    return general


def _parameter_load(p: Parameter, element: Code, strict: bool, junk: Scalar) -> Code:
    data, name = p.data, p.name

    def load(f: Frame) -> Scalar:
        value = data[element(f)]
        if value is None:
            return _unwritten(f, name, element(f), strict, junk)
        return value

    return load


def _copy_load(slot: int, element: Code, strict: bool, junk: Scalar) -> Code:
    def load(f: Frame) -> Scalar:
        key = element(f)
        copy: Copy = f[slot]
        try:
            return copy.data[key]
        except KeyError:
            return _unwritten(f, copy.name, key, strict, junk)

    return load


def _unwritten(f: Frame, name: str, key: Key, strict: bool, junk: Scalar) -> Scalar:
    if strict and not f[PADDED]:
        at = key if isinstance(key, tuple) else (key,)
        raise MemoryFault(f"{name}[{', '.join(map(str, at))}] is read before it is written")
    return junk


def new_copy(buffer: Buffer, extents: Sequence[Code], detect: bool, unbounded: bool) -> Code:
    """Code that makes a fresh copy of an allocation; a layout may enlarge it (*unbounded*)."""
    name = buffer.name

    def make(f: Frame) -> Copy:
        shape = tuple([code(f) for code in extents])
        size = 1 << 62 if unbounded else prod(shape)
        return Copy(name, shape, size, {}, Shadow(name, shape) if detect else None)

    return make

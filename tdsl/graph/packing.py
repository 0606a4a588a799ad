"""Constants in the layouts that kernels read them in, packed once when a model is compiled.

A default schedule may ask for a constant argument in a layout of its own (`transform_layout(...,
prepacked=True)`). The kernel then takes a packed value in the constant's place, and nothing is
packed during a run. Kernels that want the same layout of the same constant share it, also those of
one model compiled for several shapes.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.graph.ir import Array, Value
from tdsl.runtime.kernel import Kernel

_Key = tuple[int, tuple[int, ...], tuple[int, ...], str, str]


class PackedConstants:
    """Packed copies of a model's constants. Attributes: `arrays`, by the value that stands for one.

    Constants are told apart by their memory, so that those of two graphs of one model are the same.
    """

    def __init__(self) -> None:
        self._made: dict[_Key, Value] = {}
        self._sources: list[Array] = []  # their memory must not be given to others
        self.arrays: dict[Value, Array] = {}

    def operands(
        self, kernel: Kernel, inputs: tuple[Value, ...], constants: Mapping[Value, Array]
    ) -> tuple[Value, ...]:
        """What a kernel takes in the place of `inputs`, its inputs in order."""
        names = [param.name for param in kernel.signature.inputs]
        return tuple(
            self._packed(kernel, name, value, constants[value]) if name in kernel.packed else value
            for name, value in zip(names, inputs, strict=True)
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all packed copies."""
        return sum(array.nbytes for array in self.arrays.values())

    def _packed(self, kernel: Kernel, name: str, value: Value, array: Array) -> Value:
        place = array.ctypes.data, array.shape, array.strides
        key = (*place, array.dtype.name, kernel.packed[name])
        if key not in self._made:
            packed = kernel.pack(name, array).array
            made = self._made[key] = Value(f"{value.name}.packed", packed.shape, value.dtype)
            self.arrays[made] = packed
            self._sources.append(array)
        return self._made[key]

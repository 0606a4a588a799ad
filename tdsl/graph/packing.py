"""Constants in the layouts that kernels read them in, packed once when a model is compiled.

A default schedule may ask for a constant argument in a layout of its own (`transform_layout(...,
prepacked=True)`). The kernel then takes a packed value in the constant's place, and nothing is
packed during a run. Kernels that want the same layout of the same constant share it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.graph.ir import Array, Value
from tdsl.runtime.kernel import Kernel


class PackedConstants:
    """Packed copies of a model's constants. Attributes: `arrays`, by the value that stands for one.

    Args:
        constants: the model's.
    """

    def __init__(self, constants: Mapping[Value, Array]) -> None:
        self._constants = constants
        self._made: dict[tuple[Value, str], Value] = {}
        self.arrays: dict[Value, Array] = {}

    def operands(self, kernel: Kernel, inputs: tuple[Value, ...]) -> tuple[Value, ...]:
        """What a kernel takes in the place of `inputs`, its inputs in order."""
        names = [param.name for param in kernel.signature.inputs]
        return tuple(
            self._packed(kernel, name, value) if name in kernel.packed else value
            for name, value in zip(names, inputs, strict=True)
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all packed copies."""
        return sum(array.nbytes for array in self.arrays.values())

    def _packed(self, kernel: Kernel, name: str, value: Value) -> Value:
        key = value, kernel.packed[name]
        if key not in self._made:
            array = kernel.pack(name, self._constants[value]).array
            made = self._made[key] = Value(f"{value.name}.packed", array.shape, value.dtype)
            self.arrays[made] = array
        return self._made[key]

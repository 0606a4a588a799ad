"""The checks of a kernel's call path, one LLVM IR instruction after the other.

Whatever fails a check goes to the block `slow`, before anything was changed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tdsl.dtypes import DType
from tdsl.runtime.native import layout
from tdsl.runtime.native.ir_text import Body
from tdsl.runtime.native.python_table import SYMBOL, Entry, dtype_entry
from tdsl.runtime.signature import Dim, Param, Signature, Solve

LARGEST_SIZE = 1 << 40  # larger sizes go the slow way, where integers do not overflow


def entry_symbol(kernel_symbol: str) -> str:
    """The symbol of the call path of a kernel."""
    return f"{kernel_symbol}.entry"


def hooks_symbol(kernel_symbol: str) -> str:
    """The symbol of the pointers to the slow path, the error handler, tags and size names."""
    return f"{kernel_symbol}.hooks"


@dataclass(slots=True)
class ArgumentValues:
    """What is known of one argument while its checks are emitted: names of IR values."""

    param: Param
    index: int
    object: str = ""
    data: str = ""
    extents: tuple[str, ...] = ()
    strides: tuple[str, ...] = ()
    bytes: str = ""


class Checks(Body):
    """A body that checks Python objects; sizes and fields that it read are IR values by name."""

    def __init__(self, signature: Signature, kernel: str, packed: Collection[str]) -> None:
        super().__init__()
        self.signature = signature
        self.kernel = kernel
        self.packed = packed
        self.sizes: dict[str, str] = {}
        self.arrays = [ArgumentValues(param, index) for index, param in enumerate(signature.params)]

    # -- Python objects ------------------------------------------------------------------------

    def table(self, index: int) -> str:
        """Load an entry of the table."""
        return self.emit(f"load ptr, ptr getelementptr (i8, ptr @{SYMBOL}, i64 {8 * index})")

    def hook(self, index: int) -> str:
        """Load one of the pointers that were filled in after loading."""
        return self.field(f'@"{hooks_symbol(self.kernel)}"', 8 * index)

    def field(self, base: str, offset: int, kind: str = "ptr") -> str:
        """Load the field of a struct at a byte offset."""
        return self.emit(f"load {kind}, ptr {self.offset(base, offset)}")

    def python(self, function: Entry, returns: str, arguments: str) -> str:
        """Call a C function of Python or numpy."""
        return self.emit(f"call {returns} {self.table(function)}({arguments})")

    def release(self, objects: Sequence[str]) -> None:
        """Give up our references."""
        for item in objects:
            self.line(f"call void {self.table(Entry.DECREF)}(ptr {item})")

    def check_array(self, array: ArgumentValues) -> None:
        """Check type, dtype, rank and flags of `array.object`, and read its fields."""
        param = array.param
        at = array.object
        kind = Entry.NDARRAY
        if param.name in self.packed:
            self.require_equal("ptr", self.field(at, layout.TYPE), self.table(Entry.PACKED))
            expected = self.hook(2 + array.index)
            self.require_equal("ptr", self.field(at, layout.PACKED_TAG), expected)
            at = self.field(at, layout.PACKED_ARRAY)
        self.require_equal("ptr", self.field(at, layout.TYPE), self.table(kind))
        self.require_equal("i32", self.field(at, layout.ARRAY_RANK, "i32"), str(len(param.shape)))
        dtype = self.table(dtype_entry(param.element.code))
        self.require_equal("ptr", self.field(at, layout.ARRAY_DTYPE), dtype)
        wanted = layout.ALIGNED
        if param.role.is_written:
            wanted |= layout.WRITEABLE
        if not param.any_strides or param.role.is_written:
            wanted |= layout.C_CONTIGUOUS
        flags = self.field(at, layout.ARRAY_FLAGS, "i32")
        self.require_equal("i32", self.emit(f"and i32 {flags}, {wanted}"), str(wanted))
        array.data = self.field(at, layout.ARRAY_DATA)
        if param.shape:
            shape = self.field(at, layout.ARRAY_SHAPE)
            array.extents = tuple(
                self.field(shape, 8 * axis, "i64") for axis in range(len(param.shape))
            )
            if not wanted & layout.C_CONTIGUOUS:
                array.strides = self.element_strides(at, param)

    def element_strides(self, at: str, param: Param) -> tuple[str, ...]:
        """Strides in elements; require that those in bytes are multiples of the itemsize."""
        strides = self.field(at, layout.ARRAY_STRIDES)
        size = param.element.bytes
        result = []
        for axis in range(len(param.shape)):
            stride = self.field(strides, 8 * axis, "i64")
            self.require_equal("i64", self.emit(f"and i64 {stride}, {size - 1}"), "0")
            result.append(self.emit(f"ashr i64 {stride}, {size.bit_length() - 1}"))
        return tuple(result)

    # -- scalars -------------------------------------------------------------------------------

    def check_scalar(self, array: ArgumentValues) -> None:
        """A rank-0 input: an array of rank 0, or a Python number, which goes to a stack slot."""
        slot = self.offset("%scalars", 8 * array.index)
        kind = self.field(array.object, layout.TYPE)
        is_array = self.emit(f"icmp eq ptr {kind}, {self.table(Entry.NDARRAY)}")
        in_array, in_number, have = self.label(), self.label(), self.label()
        self.branch(is_array, in_array, in_number)
        self.block(in_array)
        self.check_array(array)
        from_array = self.current
        self.jump(have)
        self.block(in_number)
        if array.param.element.is_float:
            self.store_float(array, kind, slot)
        else:
            self.store_integer(array, kind, slot)
        from_number = self.current
        self.jump(have)
        self.block(have)
        array.data = self.emit(
            f"phi ptr [ {array.data}, %{from_array} ], [ {slot}, %{from_number} ]"
        )

    def store_float(self, array: ArgumentValues, kind: str, slot: str) -> None:
        """A Python float; a finite one must stay finite."""
        self.require_equal("ptr", kind, self.table(Entry.FLOAT))
        value = self.python(Entry.FLOAT_VALUE, "double", f"ptr {array.object}")
        if array.param.element.bits == 64:
            self.line(f"store double {value}, ptr {slot}")
            return
        narrow = self.emit(f"fptrunc double {value} to float")
        back = self.emit(f"fpext float {narrow} to double")
        overflow = self.emit(f"fcmp oeq double {self.magnitude(back)}, 0x7FF0000000000000")
        infinite = self.emit(f"fcmp oeq double {self.magnitude(value)}, 0x7FF0000000000000")
        self.require_equal("i1", overflow, infinite)
        self.line(f"store float {narrow}, ptr {slot}")

    def magnitude(self, value: str) -> str:
        """The absolute value of a double, without an intrinsic to declare."""
        bits = self.emit(f"bitcast double {value} to i64")
        positive = self.emit(f"and i64 {bits}, 9223372036854775807")
        return self.emit(f"bitcast i64 {positive} to double")

    def store_integer(self, array: ArgumentValues, kind: str, slot: str) -> None:
        """A Python int within the range of the dtype."""
        element = array.param.element
        self.require_equal("ptr", kind, self.table(Entry.INT))
        value = self.python(Entry.INT_VALUE, "i64", f"ptr {array.object}, ptr %overflow")
        self.require_equal("i32", self.emit("load i32, ptr %overflow"), "0")
        if element.bits < 64 or not element.min:
            low = self.emit(f"icmp sge i64 {value}, {element.min}")
            high = self.emit(f"icmp sle i64 {value}, {min(element.max, (1 << 63) - 1)}")
            self.require(self.emit(f"and i1 {low}, {high}"))
        self.line(f"store i64 {value}, ptr {slot}")  # little-endian: the low bytes come first

    # -- sizes and shapes ----------------------------------------------------------------------

    def solve(self, step: Solve) -> None:
        """Fix a size from an extent."""
        value = self.arrays[step.param].extents[step.axis]
        if step.others or step.const:
            rest = self.affine(Dim(step.others, step.const))
            value = self.emit(f"sub i64 {value}, {rest}")
        if step.coefficient != 1:
            remainder = self.emit(f"srem i64 {value}, {step.coefficient}")
            self.require_equal("i64", remainder, "0")
            value = self.emit(f"sdiv i64 {value}, {step.coefficient}")
        self.require(self.emit(f"icmp ule i64 {value}, {LARGEST_SIZE}"))
        self.sizes[step.size] = value

    def affine(self, dim: Dim) -> str:
        """The extent of a dimension, all of whose sizes are fixed."""
        total = str(dim.const)
        for name, factor in dim.terms:
            term = self.sizes[name]
            if factor != 1:
                term = self.emit(f"mul i64 {term}, {factor}")
            total = term if total == "0" else self.emit(f"add i64 {total}, {term}")
        return total

    def check_shape(self, array: ArgumentValues, solved: Collection[tuple[int, int]] = ()) -> None:
        """Compare the extents that did not fix a size with what the sizes say."""
        pairs = [
            (extent, self.affine(dim))
            for axis, (extent, dim) in enumerate(zip(array.extents, array.param.shape, strict=True))
            if (array.index, axis) not in solved
        ]
        for extent, expected in pairs:
            self.require_equal("i64", extent, expected)

    def byte_size(self, extents: Sequence[str], dtype: DType) -> str:
        """Bytes of a contiguous array."""
        total = str(dtype.bytes)
        for extent in extents:
            total = self.emit(f"mul i64 {total}, {extent}")
        return total

    # -- overlap -------------------------------------------------------------------------------

    def span(self, array: ArgumentValues) -> tuple[str, str]:
        """First byte and end of the memory of an array, as integers."""
        start = self.emit(f"ptrtoint ptr {array.data} to i64")
        if not array.strides:
            return start, self.emit(f"add i64 {start}, {array.bytes}")
        size = array.param.element.bytes
        low, high = start, self.emit(f"add i64 {start}, {size}")
        for extent, stride in zip(array.extents, array.strides, strict=True):
            last = self.emit(f"sub i64 {extent}, 1")
            reach = self.emit(f"mul i64 {self.emit(f'mul i64 {last}, {stride}')}, {size}")
            negative = self.emit(f"icmp slt i64 {reach}, 0")
            down = self.emit(f"select i1 {negative}, i64 {reach}, i64 0")
            up = self.emit(f"select i1 {negative}, i64 0, i64 {reach}")
            low, high = self.emit(f"add i64 {low}, {down}"), self.emit(f"add i64 {high}, {up}")
        return low, high

    def require_apart(self, written: ArgumentValues, others: Sequence[ArgumentValues]) -> None:
        """Require that a written array overlaps none of the others."""
        if not others:
            return
        start, end = self.span(written)
        for other in others:
            other_start, other_end = self.span(other)
            before = self.emit(f"icmp ule i64 {end}, {other_start}")
            after = self.emit(f"icmp ule i64 {other_end}, {start}")
            self.require(self.emit(f"or i1 {before}, {after}"))

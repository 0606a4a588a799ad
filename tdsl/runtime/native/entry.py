"""The machine-code face of a kernel: a vectorcall function that checks arrays and runs the kernel.

`entry_ir` writes, for one signature, the LLVM IR of::

    PyObject *NAME.entry(PyObject *self, PyObject *const *args, size_t nargs, PyObject *kwnames)

It reads the numpy structs in place and takes about 30 ns for three arrays. It never raises on its
own: whatever it does not like (a list, another dtype, an overlap) it passes on, arguments
untouched, to a Python callable that handles the case or explains it. It may therefore be stricter
than the rules, and must never be laxer.

Objects of Python reach it through `NAME.hooks`, an array of pointers to fill in after
loading: the slow path, the callable that turns a kernel's error code into an exception, the tag of
each parameter (where packed), and the interned names of the sizes that come by keyword. Types,
dtypes and C functions come from the table `tdsl_python`.

The function is compiled without optimisation: a call takes 2 ns longer, and a build 5 ms less.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from tdsl.dtypes import ALL, int64
from tdsl.errors import InternalError
from tdsl.runtime.native import layout
from tdsl.runtime.native.entry_checks import (
    LARGEST_SIZE,
    ArgumentValues,
    Checks,
    entry_symbol,
    hooks_symbol,
)
from tdsl.runtime.native.python_table import SYMBOL, Entry, dtype_entry
from tdsl.runtime.signature import Role, Signature, solving_plan

GIL_BYTES = 1 << 16
"""Calls that touch fewer bytes keep the GIL: handing it over costs more than it gives."""

_LARGEST_FACTOR = 1 << 16  # with sizes up to 2**40, no extent overflows
_LARGE_OUTPUT = 1 << 20  # bytes; smaller ones numpy gets from pages that are in use already
_BUFFER = "{ ptr, ptr, ptr, i32, i32, i32, i32, i64 }"
_CONTEXT = "{ i32, i32, i32, i32, [4 x i64] }"


def entry_key() -> str:
    """What compiled call paths depend on besides their IR; part of an object's cache key."""
    offsets = [value for name, value in sorted(vars(layout).items()) if isinstance(value, int)]
    names = [entry.name for entry in Entry] + [dtype.name for dtype in ALL]
    return hashlib.sha256(repr((offsets, names)).encode()).hexdigest()[:16]


def has_fast_path(signature: Signature) -> bool:
    """Whether a call of this signature can be checked in machine code.

    Coefficients with which extents might overflow are left to Python's integers.
    """
    factors = [
        abs(number)
        for param in signature.params
        for dim in param.shape
        for number in (*(factor for _, factor in dim.terms), dim.const >> 24)
    ]
    return max(factors, default=0) <= _LARGEST_FACTOR


class _Entry(Checks):
    """The function as a whole."""

    def __init__(
        self, signature: Signature, kernel: str, packed: Collection[str], gil_bytes: int
    ) -> None:
        super().__init__(signature, kernel, packed)
        self.gil_bytes = gil_bytes
        self.inputs = self.arrays[: len(signature.inputs)]
        self.outputs = self.arrays[len(signature.inputs) :]
        self.free = signature.free_sizes

    def text(self) -> str:
        given = self.parse_arguments()
        self.check_inputs()
        self.describe_outputs()
        self.obtain_outputs(given)
        self.run()
        self.leave()
        name = entry_symbol(self.kernel)
        hooks = 2 + len(self.arrays) + len(self.free)
        return f"""
@{SYMBOL} = external global i8
@"{hooks_symbol(self.kernel)}" = global [{hooks} x ptr] zeroinitializer
@"{name}.format" = private constant [6 x i8] c"iLLLL\\00"

define ptr @"{name}"(ptr %self, ptr %args, i64 %nargs, ptr %kwnames) noinline optnone {{
entry:
{self.allocations()}
{self.render()}
}}
"""

    def allocations(self) -> str:
        ranks = max(1, sum(len(param.shape) for param in self.signature.params))
        sizes = max(1, len(self.sizes))
        buffers = len(self.arrays) + len(self.sizes)
        return f"""\
  %buffers = alloca [{buffers} x {_BUFFER}], align 16
  %extents = alloca [{ranks} x i64], align 16
  %strides = alloca [{ranks} x i64], align 16
  %sizes = alloca [{sizes} x i64], align 16
  %scalars = alloca [{max(1, len(self.arrays))} x i64], align 16
  %keywords = alloca [{1 + len(self.free)} x ptr], align 16
  %context = alloca {_CONTEXT}, align 16
  %overflow = alloca i32, align 4"""

    def parse_arguments(self) -> str:
        """Load the input objects and the keywords; return `out`, null where it is not given."""
        count = self.emit("and i64 %nargs, 9223372036854775807")
        self.require_equal("i64", count, str(len(self.inputs)))
        names = ["out"] if self.outputs else []
        names += self.free
        if names:
            self.parse_keywords(names)
        else:
            self.require(self.emit("icmp eq ptr %kwnames, null"))
        for array in self.inputs:
            array.object = self.field("%args", 8 * array.index)
        for index, size in enumerate(self.free, len(names) - len(self.free)):
            self.size_by_keyword(size, self.field("%keywords", 8 * index))
        return self.field("%keywords", 0) if self.outputs else "null"

    def parse_keywords(self, names: Sequence[str]) -> None:
        """Sort the keyword arguments into `%keywords`; what is not given stays null."""
        for index in range(len(names)):
            self.line(f"store ptr null, ptr {self.offset('%keywords', 8 * index)}")
        some, done = self.label(), self.label()
        self.branch(self.emit("icmp eq ptr %kwnames, null"), done, some)
        self.block(some)
        count = self.field("%kwnames", layout.TUPLE_SIZE, "i64")
        self.require(self.emit(f"icmp ule i64 {count}, {len(names)}"))
        known = [
            self.table(Entry.OUT)
            if name == "out"
            else self.hook(2 + len(self.arrays) + self.free.index(name))
            for name in names
        ]
        for position in range(len(names)):
            more = self.label()
            self.branch(self.emit(f"icmp ugt i64 {count}, {position}"), more, done)
            self.block(more)
            name = self.field("%kwnames", layout.TUPLE_ITEMS + 8 * position)
            value = self.field("%args", 8 * (len(self.inputs) + position))
            found = "false"
            for index, wanted in enumerate(known):
                place = self.offset("%keywords", 8 * index)
                same = self.emit(f"icmp eq ptr {name}, {wanted}")
                old = self.emit(f"load ptr, ptr {place}")
                new = self.emit(f"select i1 {same}, ptr {value}, ptr {old}")
                self.line(f"store ptr {new}, ptr {place}")
                found = self.emit(f"or i1 {found}, {same}")
            self.require(found)
        self.jump(done)
        self.block(done)

    def size_by_keyword(self, name: str, value: str) -> None:
        self.require(self.emit(f"icmp ne ptr {value}, null"))
        self.require_equal("ptr", self.field(value, layout.TYPE), self.table(Entry.INT))
        number = self.python(Entry.INT_VALUE, "i64", f"ptr {value}, ptr %overflow")
        self.require_equal("i32", self.emit("load i32, ptr %overflow"), "0")
        self.require(self.emit(f"icmp ule i64 {number}, {LARGEST_SIZE}"))
        self.sizes[name] = number

    def check_inputs(self) -> None:
        for array in self.inputs:
            param = array.param
            number = not param.shape and param.role is Role.IN and param.name not in self.packed
            wide = param.element.bits >= 32 or param.element.is_integer
            if number and wide:
                self.check_scalar(array)
            else:
                self.check_array(array)
        plan = solving_plan(self.signature, len(self.inputs))
        for step in plan.steps:
            self.solve(step)
        plain = {(step.param, step.axis) for step in plan.steps}
        for array in self.inputs:
            self.check_shape(array, plain)
            array.bytes = self.byte_size(array.extents, array.param.element)
        for index, array in enumerate(self.inputs):
            if array.param.role is Role.INOUT:
                others = [
                    other
                    for position, other in enumerate(self.inputs)
                    if position > index or (position < index and other.param.role is not Role.INOUT)
                ]
                self.require_apart(array, others)

    def describe_outputs(self) -> None:
        """Compute the extents of the outputs and write every extent and stride to the stack."""
        for array in self.outputs:
            array.extents = tuple(map(self.affine, array.param.shape))
            for extent, dim in zip(array.extents, array.param.shape, strict=True):
                if dim.const < 0 or any(factor < 0 for _, factor in dim.terms):
                    self.require(self.emit(f"icmp sge i64 {extent}, 0"))
            array.bytes = self.byte_size(array.extents, array.param.element)
        position = 0
        for array in self.arrays:
            strides = array.strides or self.row_major(array.extents)
            for extent, stride in zip(array.extents, strides, strict=True):
                self.line(f"store i64 {extent}, ptr {self.offset('%extents', 8 * position)}")
                self.line(f"store i64 {stride}, ptr {self.offset('%strides', 8 * position)}")
                position += 1

    def row_major(self, extents: Sequence[str]) -> tuple[str, ...]:
        strides = ["1"] if extents else []
        for extent in reversed(extents[1:]):
            strides.append(
                extent if strides[-1] == "1" else self.emit(f"mul i64 {strides[-1]}, {extent}")
            )
        return tuple(reversed(strides))

    def obtain_outputs(self, given: str) -> None:
        """Check the arrays of `out=`, or make new ones; both ways own a reference to each."""
        if not self.outputs:
            return
        fresh, take, go = self.label(), self.label(), self.label()
        self.branch(self.emit(f"icmp eq ptr {given}, null"), fresh, take)
        self.block(fresh)
        made = self.make_outputs()
        made_end = self.current
        self.jump(go)
        self.block(take)
        taken = self.take_outputs(given)
        taken_end = self.current
        self.jump(go)
        self.block(go)
        for array, (new, new_data), (old, old_data) in zip(self.outputs, made, taken, strict=True):
            array.object = self.emit(f"phi ptr [ {new}, %{made_end} ], [ {old}, %{taken_end} ]")
            array.data = self.emit(
                f"phi ptr [ {new_data}, %{made_end} ], [ {old_data}, %{taken_end} ]"
            )

    def make_outputs(self) -> list[tuple[str, str]]:
        objects: list[str] = []
        position = sum(len(array.extents) for array in self.inputs)
        for array in self.outputs:
            dtype = self.table(dtype_entry(array.param.element.code))
            self.line(f"call void {self.table(Entry.INCREF)}(ptr {dtype})")  # NEW_ARRAY eats one
            shape = self.offset("%extents", 8 * position)
            large = self.emit(f"icmp uge i64 {array.bytes}, {_LARGE_OUTPUT}")
            small_one, large_one = self.table(Entry.NEW_ARRAY), self.table(Entry.NEW_LARGE_ARRAY)
            new = self.emit(f"select i1 {large}, ptr {large_one}, ptr {small_one}")
            item = self.emit(
                f"call ptr {new}(i32 {len(array.extents)}, ptr {shape}, ptr {dtype}, i32 0)"
            )
            failed, made = self.label(), self.label()
            self.branch(self.emit(f"icmp eq ptr {item}, null"), failed, made)
            self.block(failed)
            self.release(objects)
            self.line(f"call void {self.table(Entry.CLEAR_ERROR)}()")
            self.jump("slow")
            self.block(made)
            objects.append(item)
            position += len(array.extents)
        return [(item, self.field(item, layout.ARRAY_DATA)) for item in objects]

    def take_outputs(self, given: str) -> list[tuple[str, str]]:
        objects = [given]
        if len(self.outputs) > 1:
            self.require_equal("ptr", self.field(given, layout.TYPE), self.table(Entry.TUPLE))
            count = self.field(given, layout.TUPLE_SIZE, "i64")
            self.require_equal("i64", count, str(len(self.outputs)))
            objects = [
                self.field(given, layout.TUPLE_ITEMS + 8 * index)
                for index in range(len(self.outputs))
            ]
        arrays = [
            ArgumentValues(array.param, array.index, item, bytes=array.bytes)
            for array, item in zip(self.outputs, objects, strict=True)
        ]
        for array in arrays:
            self.check_array(array)
            self.check_shape(array)
        for index, array in enumerate(arrays):
            self.require_apart(array, [*self.inputs, *arrays[:index]])
        for item in objects:
            self.line(f"call void {self.table(Entry.INCREF)}(ptr {item})")
        return [(array.object, array.data) for array in arrays]

    def run(self) -> None:
        """Fill the buffers and the context, call the kernel, take the GIL back."""
        position = 0
        for array in self.arrays:
            kind = array.param.element.code | len(array.extents) << 32
            self.fill(array.index, array.data, 8 * position, kind)
            position += len(array.extents)
        for index, name in enumerate(self.signature.sizes):
            place = self.offset("%sizes", 8 * index)
            self.line(f"store i64 {self.sizes[name]}, ptr {place}")
            self.fill(len(self.arrays) + index, place, 0, int64.code)
        threads = self.python(Entry.NUM_THREADS, "i32", "")
        self.line("store i32 1, ptr %context")
        self.line(f"store i32 {threads}, ptr {self.offset('%context', 4)}")
        self.line(f"store i64 0, ptr {self.offset('%context', 8)}")
        total = "0"
        for array in self.arrays:
            total = self.emit(f"add i64 {total}, {array.bytes}")
        before, release, go = self.current, self.label(), self.label()
        self.branch(self.emit(f"icmp sge i64 {total}, {self.gil_bytes}"), release, go)
        self.block(release)
        state = self.python(Entry.RELEASE_GIL, "ptr", "")
        self.jump(go)
        self.block(go)
        held = self.emit(f"phi ptr [ null, %{before} ], [ {state}, %{release} ]")
        count = len(self.arrays) + len(self.signature.sizes)
        code = self.emit(f'call i32 @"{self.kernel}"(ptr %buffers, i32 {count}, ptr %context)')
        take, back = self.label(), self.label()
        self.branch(self.emit(f"icmp eq ptr {held}, null"), back, take)
        self.block(take)
        self.line(f"call void {self.table(Entry.TAKE_GIL)}(ptr {held})")
        self.jump(back)
        self.block(back)
        self.branch(self.emit(f"icmp eq i32 {code}, 0"), "finished", "failed")
        self.block("failed")
        self.fail(code)

    def fill(self, index: int, data: str, offset: int, kind: int) -> None:
        base = 48 * index
        fields: Mapping[int, str] = {
            0: f"ptr {data}",
            8: f"ptr {self.offset('%extents', offset)}",
            16: f"ptr {self.offset('%strides', offset)}",
            24: f"i64 {kind}",  # dtype and rank
            32: "i64 0",  # device and flags
            40: "i64 0",
        }
        for at, value in fields.items():
            self.line(f"store {value}, ptr {self.offset('%buffers', base + at)}")

    def fail(self, code: str) -> None:
        self.release([array.object for array in self.outputs])
        handler = self.hook(1)
        info = [self.field("%context", 16 + 8 * index, "i64") for index in range(4)]
        numbers = ", ".join(f"i64 {value}" for value in info)
        result = self.emit(
            f"call ptr (ptr, ptr, ...) {self.table(Entry.CALL_FORMAT)}(ptr {handler}, "
            f'ptr @"{entry_symbol(self.kernel)}.format", i32 {code}, {numbers})'
        )
        self.line(f"ret ptr {result}")

    def leave(self) -> None:
        """Return the outputs (without any: the arrays written in place); the slow path."""
        self.block("finished")
        results = [array.object for array in self.outputs]
        if not results:
            results = [a.object for a in self.inputs if a.param.role is Role.INOUT]
            for item in results:
                self.line(f"call void {self.table(Entry.INCREF)}(ptr {item})")
        if len(results) == 1:
            self.line(f"ret ptr {results[0]}")
        else:
            self.return_tuple(results)
        self.block("slow")
        slow = self.hook(0)
        count = self.emit("and i64 %nargs, 9223372036854775807")
        result = self.python(Entry.CALL, "ptr", f"ptr {slow}, ptr %args, i64 {count}, ptr %kwnames")
        self.line(f"ret ptr {result}")

    def return_tuple(self, results: Sequence[str]) -> None:
        pair = self.python(Entry.NEW_TUPLE, "ptr", f"i64 {len(results)}")
        failed, made = self.label(), self.label()
        self.branch(self.emit(f"icmp eq ptr {pair}, null"), failed, made)
        self.block(failed)
        self.release(results)
        self.line("ret ptr null")
        self.block(made)
        for index, item in enumerate(results):
            place = self.offset(pair, layout.TUPLE_ITEMS + 8 * index)
            self.line(f"store ptr {item}, ptr {place}")
        self.line(f"ret ptr {pair}")


def entry_ir(
    signature: Signature,
    kernel_symbol: str,
    *,
    packed: Collection[str] = (),
    gil_bytes: int = GIL_BYTES,
    declare_kernel: bool = False,
) -> str:
    """LLVM IR of the call path of a kernel, to append to the module that defines the kernel.

    Args:
        signature: what the kernel takes; `has_fast_path(signature)` must hold.
        kernel_symbol: the kernel's own symbol.
        packed: names of the inputs that come as `PackedArray`.
        gil_bytes: release the GIL where the arguments hold at least so many bytes; 0 for a kernel
            that computes long on little data.
        declare_kernel: for a module of its own: declare the kernel instead of expecting it.
    """
    if not has_fast_path(signature):
        raise InternalError(f"{signature.name}: this signature is checked in Python")
    text = _Entry(signature, kernel_symbol, packed, gil_bytes).text()
    declaration = f'declare i32 @"{kernel_symbol}"(ptr, i32, ptr)\n' if declare_kernel else ""
    return declaration + text

"""The callable that a build gives: arguments checked, machine code run, arrays returned."""

from __future__ import annotations

import ctypes
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tdsl.runtime.call import Caller
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.native import layout
from tdsl.runtime.native.callable_type import callable_subtype, set_call_target
from tdsl.runtime.native.compiler import compile_ir
from tdsl.runtime.native.entry import GIL_BYTES, entry_ir, has_fast_path
from tdsl.runtime.native.entry_checks import entry_symbol, hooks_symbol
from tdsl.runtime.native.loader import LoadedObject, load_object
from tdsl.runtime.native.python_table import SYMBOL, table_address
from tdsl.runtime.packed import PackedArray, empty_in_lines
from tdsl.runtime.signature import Signature
from tdsl.runtime.timing import time_calls

Source = str | Callable[[], str]


class Kernel:
    """A compiled function of arrays.

    ``kernel(a, b)`` returns new arrays: one output: the array; several: a tuple; none: the arrays
    written in place. ``kernel(a, b, out=c)`` fills `c` (several: a tuple) and returns it.
    ``kernel(a, N=5)`` gives a size that no array fixes. Arrays are numpy arrays, or anything with
    DLPack or the buffer protocol; a shape-() input takes a number. `td.build` makes kernels.

    >>> import numpy as np
    >>> import tdsl as td
    >>> n = td.sizes("n")
    >>> x = td.placeholder((n,), "float32", name="x")
    >>> y = td.compute((n,), lambda i: x[i] * 2.0, name="y")
    >>> double = td.build(td.func("double", [x], [y]))
    >>> double
    <Kernel double(x: float32[n]) -> y: float32[n]>
    >>> double(np.arange(3, dtype=np.float32))
    array([0., 2., 4.], dtype=float32)
    >>> len(double.time(np.ones(3, np.float32), number=1, repeat=3))
    3

    A call raises:
        ArgumentTypeError: too many or too few arguments, unknown keywords, wrong element types.
        ArgumentValueError: shapes that do not fit, sizes that contradict each other, arrays that
            are not contiguous, not aligned, or overlap with an output.
        IndexError: an index that the data gave left its tensor; the outputs are filled.
    """

    __slots__ = ("__weakref__", "_caller", "_digest", "_hooks", "_packers", "_sources")

    def __init__(
        self,
        caller: Caller,
        digest: str,
        sources: Mapping[str, Source],
        packers: Mapping[str, Kernel],
    ) -> None:
        self._caller = caller
        self._digest = digest
        self._sources = dict(sources)
        self._packers = dict(packers)
        self._hooks: tuple[object, ...] = ()

    @property
    def signature(self) -> Signature:
        """What the kernel takes and returns."""
        return self._caller.signature

    @property
    def digest(self) -> str:
        """A hash of the machine code: two kernels with the same digest do the same."""
        return self._digest

    @property
    def packed(self) -> dict[str, str]:
        """Inputs that `pack` converts, each with the tag of its layout."""
        return {name: tag for name, (tag, _) in self._caller.packers.items()}

    @property
    def address(self) -> int:
        """The address of the kernel's ABI v1 function, valid as long as this object lives."""
        return self._caller.address

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Run the kernel (see the class).

        Raises:
            ArgumentTypeError: a TypeError: count, kind or dtype of an argument.
            ArgumentValueError: a ValueError: shape, size, strides, alignment, overlap, read-only.
            KernelError: the kernel found an index out of range, or ran out of memory.
        """
        return self._caller.call(*args, **keywords)

    def time(
        self,
        *args: Any,
        number: int | None = None,
        repeat: int = 5,
        min_repeat_ms: float = 10.0,
        **keywords: Any,
    ) -> list[float]:
        """Measure the kernel on these arguments, without the cost of calling it from Python.

        Outputs are allocated once. Arguments that the kernel writes in place are written by every
        call.

        Args:
            *args: as in a call.
            number: calls per measurement; by default as many as take `min_repeat_ms`.
            repeat: measurements.
            min_repeat_ms: the least a measurement takes when `number` is not given, milliseconds.
            **keywords: `out` and sizes, as in a call.

        Returns:
            Seconds per call, one figure per measurement.

        Raises:
            ArgumentTypeError, ArgumentValueError: as a call.
        """
        bound, _ = self._caller.bind(args, keywords)
        address = self._caller.address
        return time_calls(lambda count: bound.run(address, count), number, repeat, min_repeat_ms)

    def pack(self, name: str, array: Any) -> PackedArray:
        """Convert an input to the layout that this kernel keeps it in.

        What it returns is passed in the array's place. Without it, a kernel with a prepacked layout
        packs that input in every call.

        Raises:
            ArgumentValueError: no input of that name is packed.
        """
        if name not in self._packers:
            legal = ", ".join(self._packers) or "none"
            raise ArgumentValueError(
                f"{self.signature.name} takes {name!r} as it is; packed inputs: {legal}",
                hint="an input is packed by s.transform_layout(..., prepacked=True)",
            )
        tag, pack = self._caller.packers[name]
        (param,) = (p for p in self.signature.params if p.name == name)
        if not all(dim.is_constant for dim in param.shape):
            return PackedArray(pack(array), tag)
        shape = tuple(dim.const for dim in param.shape)
        made = empty_in_lines(shape, param.element.numpy)
        return PackedArray(pack(array, out=made), tag)

    def source(self, kind: str) -> str:
        """A stage of the kernel as text: "ir", "lowered", and "llvm" and "asm", or "opencl".

        Raises:
            ArgumentValueError: the kernel has no such stage.
        """
        if kind not in self._sources:
            raise ArgumentValueError(
                f"{self.signature.name} has no source {kind!r}",
                hint=f"one of {', '.join(self._sources) or '(none were kept)'}",
            )
        source = self._sources[kind]
        return source if isinstance(source, str) else source()

    def __repr__(self) -> str:
        return f"<Kernel {self.signature}>"

    def __reduce__(self) -> Any:
        raise ArgumentTypeError(
            f"{self!r} cannot be copied or pickled", hint="build it anew in the other process"
        )


def load_kernel(
    signature: Signature,
    code: bytes,
    symbol: str,
    *,
    sources: Mapping[str, Source] | None = None,
    packers: Mapping[str, Kernel] | None = None,
    accesses: Sequence[str] = (),
    has_entry: bool = True,
    imports: Mapping[str, int] | None = None,
) -> Kernel:
    """Link a kernel's object code and make it callable.

    Args:
        signature: what the kernel takes.
        code: an ELF object. It is trusted: nothing keeps it from doing harm.
        symbol: the kernel's symbol in it.
        sources: its stages as text, or functions that make them, by kind.
        packers: by input, the kernel (one input, one output) that packs it.
        accesses: texts of the accesses whose numbers "index out of range" reports.
        has_entry: `code` contains what `entry_ir(signature, symbol, packed=packers)` gave. Without
            it, the call path is compiled here, which takes some milliseconds.
        imports: addresses of further symbols that the object refers to.

    Raises:
        LoadError: the object does not link.
    """
    packers = packers or {}
    fast = has_fast_path(signature)
    loaded, entry = _link(code, symbol, fast and has_entry, imports or {})
    if fast and entry is None and layout.fast_path_reason() is None:
        entry = _separate_entry(signature, symbol, loaded[symbol], list(packers))
    caller = Caller(
        signature,
        loaded[symbol],
        (loaded, entry),
        {name: (packing_tag(name, packer), packer) for name, packer in packers.items()},
        tuple(accesses),
    )
    digest = hashlib.sha256(code).hexdigest()
    if entry is None:
        return Kernel(caller, digest, sources or {}, packers)
    kernel: Kernel = callable_subtype(Kernel)(caller, digest, sources or {}, packers)
    _install(kernel, entry, symbol)
    return kernel


def packing_tag(name: str, packer: Kernel) -> str:
    """What a packed array carries, so that no kernel takes what another one's packer made."""
    return f"{packer.signature.name}({name}) {packer.digest[:16]}"


def _link(
    code: bytes, symbol: str, has_entry: bool, imports: Mapping[str, int]
) -> tuple[LoadedObject, LoadedObject | None]:
    if not has_entry:
        return load_object(code, symbol, imports=imports), None
    more = (entry_symbol(symbol), hooks_symbol(symbol))
    table = {SYMBOL: table_address()}
    loaded = load_object(code, symbol, more_symbols=more, imports={**imports, **table})
    return loaded, loaded if layout.fast_path_reason() is None else None


def _separate_entry(
    signature: Signature, symbol: str, address: int, packed: Sequence[str]
) -> LoadedObject:
    text = entry_ir(signature, symbol, packed=packed, gil_bytes=GIL_BYTES, declare_kernel=True)
    return load_object(
        compile_ir(text),
        entry_symbol(symbol),
        more_symbols=(hooks_symbol(symbol),),
        imports={SYMBOL: table_address(), symbol: address},
    )


def _install(kernel: Kernel, entry: LoadedObject, symbol: str) -> None:
    """Fill in the hooks of the call path and make it what calling `kernel` runs."""
    caller = kernel._caller  # noqa: SLF001 - load_kernel is Kernel's constructor
    tags = {name: tag for name, (tag, _) in caller.packers.items()}
    hooks: list[object] = [caller.call, caller.fail]
    hooks += [tags.get(param.name) for param in kernel.signature.params]
    hooks += [sys.intern(name) for name in kernel.signature.free_sizes]
    pointers = (ctypes.c_size_t * len(hooks)).from_address(entry[hooks_symbol(symbol)])
    for index, hook in enumerate(hooks):
        pointers[index] = id(hook)
    kernel._hooks = tuple(hooks)  # noqa: SLF001 - the pointers above do not own
    set_call_target(kernel, Kernel, entry[entry_symbol(symbol)])

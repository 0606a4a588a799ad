"""A model as a library for programs without Python: one C function of its inputs and outputs.

The library holds the kernels, the constants in the layouts that kernels want, and an entry that
calls one kernel after the other. Intermediate values live in one arena, allocated for each call.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tdsl import driver
from tdsl.codegen.llvm.compile import compile_text
from tdsl.graph.builder import Graph
from tdsl.graph.compile import plan_model, steps_of
from tdsl.graph.entry import ModelEntry, constants_symbol
from tdsl.graph.errors import FeedError
from tdsl.graph.ir import Model, Value
from tdsl.graph.kernels import KernelTable, canonical
from tdsl.graph.onnx_import.importer import Declared, OnnxModel
from tdsl.graph.packing import PackedConstants
from tdsl.graph.recorded import tuned_or_default
from tdsl.graph.views import Views
from tdsl.ir.stmt import Program
from tdsl.lang.func import Func
from tdsl.library import Library, check_library, compile_object, write_objects
from tdsl.runtime.c_header import abi_symbol
from tdsl.runtime.call import Caller
from tdsl.runtime.kernel import Kernel, packing_tag
from tdsl.runtime.native.data_object import data_object
from tdsl.runtime.signature import Dim, Param, Role, Signature
from tdsl.schedules.default import default_schedule
from tdsl.target import Target, host, target as parse_target


def export_model(
    model: str | Path | bytes | Graph | Any,
    folder: str | Path,
    target: Target | str | None = None,
    *,
    name: str | None = None,
    sizes: Mapping[str, int] | None = None,
    schedules: Literal["default", "tuned"] = "default",
    disabled_passes: Collection[str] = (),
) -> Library:
    """Compile a model for programs without Python: a C header, an object and a static library.

    The function takes pointers to the inputs and outputs, in the model's order, and may be called
    by several threads at once. The library holds the weights and all that the kernels need.

    Args:
        model: a path, the bytes of a file, an onnx.ModelProto, or a Graph.
        folder: where NAME.h, NAME.o and libNAME.a go; it is made.
        target: any processor, of this machine's architecture or another; None: this machine's.
        name: the C function; None: after the file, or "model".
        sizes: a number for each extent of the inputs that has a name.
        schedules, disabled_passes: as of `td.Session`.

    >>> import tempfile
    >>> import tdsl as td
    >>> g = td.graph.Graph()
    >>> g.output("y", g.apply("relu", g.input("x", (3,))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(td.export_model(g, folder, name="relu3").signatures["relu3"])
    relu3(x: float32[3]) -> y: float32[3]

    Raises:
        ModelFormatError, UnsupportedModelError, GraphError: as of `td.Session`.
        FeedError: an extent has no number, or there is none of a name.
        DeclarationError: C has no function of that name.
        LoweringError: the target is no processor, or cannot run a kernel.
        OSError: the files cannot be written.
    """
    if name is None:
        stem = Path(model).stem if isinstance(model, (str, Path)) else "model"
        name = re.sub(r"\W", "_", stem)
    graph = _of_fixed_shapes(model, dict(sizes or {}))
    return _write(
        graph, parse_target(target), Path(folder), name, disabled_passes, tuned=schedules == "tuned"
    )


def _of_fixed_shapes(model: Any, sizes: dict[str, int]) -> Model:
    """The graph of a model whose extents all have numbers."""
    if isinstance(model, Graph):
        _check_sizes((), sizes)
        return model.build()
    source = OnnxModel(model)
    _check_sizes(source.inputs, sizes)
    return source.graph(
        {
            declared.name: tuple(n if isinstance(n, int) else sizes[str(n)] for n in declared.shape)
            for declared in source.inputs
            if declared.shape is not None
        }
    )


def _check_sizes(declared: Sequence[Declared], sizes: Mapping[str, int]) -> None:
    names = {extent: None for d in declared for extent in d.shape or () if isinstance(extent, str)}
    for size in sizes:
        if size not in names:
            listed = ", ".join(names) or "none"
            raise FeedError(f"no extent of this model is called {size!r}", hint=f"named: {listed}")
    for given in declared:
        if given.shape is None or None in given.shape:
            raise FeedError(f"input {given.name!r} has extents without a number or a name")
    for label in names:
        if label not in sizes:
            raise FeedError(
                f"the extent {label!r} of this model has no number", hint=f"sizes={{{label!r}: 1}}"
            )


def _write(
    model: Model, machine: Target, folder: Path, name: str, disabled: Collection[str], *,
    tuned: bool,
) -> Library:  # fmt: skip
    check_library(machine, name)
    optimised, _, fusion = plan_model(model, machine, disabled)
    kernels = _Objects(machine, name)

    def build(f: Func, constants: frozenset[str]) -> Kernel:
        schedule = (
            tuned_or_default(f, machine, constants, [])
            if tuned
            else default_schedule(f, machine, constants)
        )
        return kernels.add(schedule.program)

    table = KernelTable(
        build, lambda f: kernels.add(canonical(f).program), optimised.constants, PackedConstants()
    )
    steps, views = steps_of(fusion, table)
    constants = {**optimised.constants, **table.packed.arrays}
    entry = ModelEntry(
        replace(optimised, constants=constants), steps, Views(views), kernels.symbols, name
    )
    objects = {
        f"{name}.o": compile_text(entry.text(machine.triple), machine),
        f"{name}_constants.o": data_object(
            constants_symbol(name), entry.constant_bytes(), machine.triple
        ),
        **kernels.objects,
    }
    signatures = {name: _signature(optimised, name)}
    return write_objects(objects, signatures, machine, folder, name)


class _Objects:
    """The objects of kernels that are not loaded into this process.

    Attributes: `objects`, by file name; `symbols`, of the kernels' functions.
    """

    def __init__(self, target: Target, name: str) -> None:
        self._target, self._name = target, name
        self.objects: dict[str, bytes] = {}
        self.symbols: dict[Kernel, str] = {}

    def add(self, program: Program) -> Kernel:
        """Compile a kernel; what it returns describes it and packs its constants.

        Raises:
            LoweringError: the target cannot run it.
        """
        symbol = abi_symbol(f"{self._name}_{len(self.symbols)}")
        code = compile_object(program, self._target, symbol)
        packers = {
            argument: driver.build(packer, host())
            for argument, packer in driver.packing_programs(program, host()).items()
        }
        tagged = {name: (packing_tag(name, packer), packer) for name, packer in packers.items()}
        signature = driver.signature_of(program, self._target)
        kernel = Kernel(Caller(signature, 0, None, tagged, ()), symbol, {}, packers)
        self.objects[f"{symbol}.o"] = code
        self.symbols[kernel] = symbol
        return kernel


def _signature(model: Model, name: str) -> Signature:
    """What the model takes: its inputs, then its outputs."""
    params: list[Param] = []
    for role, pairs in (
        (Role.IN, [(value.name, value) for value in model.inputs]),
        (Role.OUT, list(model.outputs)),
    ):
        params += [_param(own, value, role) for own, value in pairs]
    taken = {param.name for param in params if param.role is Role.IN}
    return Signature(
        name,
        tuple(
            replace(param, name=f"{param.name}_out")
            if param.role is Role.OUT and param.name in taken
            else param
            for param in params
        ),
    )


def _param(name: str, value: Value, role: Role) -> Param:
    shape = tuple(Dim(const=extent) for extent in value.shape)
    return Param(name, value.dtype.name, shape, role=role)

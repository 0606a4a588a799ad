"""`td.Session`: a model loaded, compiled for the shapes it meets, and run."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tdsl.graph.builder import Graph
from tdsl.graph.compile import AnySize, Compiled, CompileReport, compile_model
from tdsl.graph.errors import FeedError, FeedTypeError, ValueNeededError
from tdsl.graph.ir import Array, Model
from tdsl.graph.onnx_import.importer import Declared, OnnxModel
from tdsl.graph.packing import PackedConstants
from tdsl.graph.parallel_compile import Helpers, Task
from tdsl.graph.profile import Profile, profile_of, stamps_for
from tdsl.graph.symbolic import GROWTH, SymbolicKernels
from tdsl.lang.func import Func
from tdsl.runtime import pool
from tdsl.target import Target, TargetKind, target as parse_target

_Shapes = tuple[tuple[int, ...], ...]
_MOST_VALUES = 16  # of inputs on whose value shapes depend, for which a plan is kept


class Session:
    """Runs an ONNX model, or a `td.graph.Graph`.

    A model whose shapes are all numbers is compiled at once, one with symbolic dimensions at its
    first run. Its kernels then serve every size: a new one is planned, which takes no compiler
    (`compiled_count` counts shapes, `symbolic_count` those kernels). Where shapes depend on the
    value of an input (NonZero), the model is planned for each value; the last 16 plans are kept.

    Args:
        model: a path, the bytes of a file, an onnx.ModelProto, or a Graph.
        target: what to compile for; None: this machine's processor. On an OpenCL device ("opencl")
            kernels are compiled for each size that is met, and run one after the other.
        schedules: "default", or "tuned" for those that `tdsl tune` recorded, where there are some
            (`report.tuned` names the kernels; `algorithms` are what to tune).
        threads: of parallel loops in this process; None leaves the number as it is.
        sizes: "symbolic", or "specialise" for kernels of their own for each size that is met. Those
            take a while to compile, and can be quicker (`report.single` names kernels that are
            specialised either way).
        disabled_passes: names of passes to leave out (and "fusion"): "winograd" for the plain
            algorithm of 3 x 3 convolutions, others for comparisons.

    >>> import numpy as np
    >>> import tdsl as td
    >>> g = td.graph.Graph()
    >>> g.output("y", g.apply("relu", g.input("x", (3,))))
    >>> session = td.Session(g)
    >>> session.run({"x": np.array([-1, 0, 2], np.float32)})
    {'y': array([0., 0., 2.], dtype=float32)}

    Raises:
        ModelFormatError: no model, or one beyond the limits.
        UnsupportedModelError: operators that tdsl lacks, all at once.
        GraphError: shapes that do not fit.
    """

    def __init__(
        self,
        model: str | Path | bytes | Graph | Any,
        target: Target | str | None = None,
        schedules: Literal["default", "tuned"] = "default",
        threads: int | None = None,
        *,
        sizes: Literal["symbolic", "specialise"] = "symbolic",
        disabled_passes: Collection[str] = (),
    ) -> None:
        if schedules not in ("default", "tuned"):
            raise FeedError(f"schedules is 'default' or 'tuned', not {schedules!r}")
        if sizes not in ("symbolic", "specialise"):
            raise FeedError(f"sizes is 'symbolic' or 'specialise', not {sizes!r}")
        if isinstance(disabled_passes, str):
            raise FeedTypeError(
                f"disabled_passes is a list of names, not the text {disabled_passes!r}",
                hint=f"[{disabled_passes!r}]",
            )
        if threads is not None:
            pool.set_num_threads(threads)
        self._target = parse_target(target) if isinstance(target, str) else target
        self._disabled = tuple(disabled_passes)
        self._tuned = schedules == "tuned"
        self._lock = threading.Lock()
        self._packed = PackedConstants()
        on_device = parse_target(self._target).kind is TargetKind.OPENCL
        shared = sizes == "symbolic" and not self._tuned and not on_device
        self._symbolic = SymbolicKernels() if shared else None
        self._compiled: dict[tuple[_Shapes, tuple[bytes, ...]], Compiled] = {}
        self._known_inputs: tuple[str, ...] = ()
        self._path = None
        if isinstance(model, (str, Path)) and not on_device:
            self._path = Path(model).resolve()
        self._source: OnnxModel | Model
        if isinstance(model, Graph):
            self._source = model.build()
            self.inputs = tuple(Declared(v.name, v.dtype, v.shape) for v in self._source.inputs)
            self.output_names = tuple(name for name, _ in self._source.outputs)
        else:
            self._source = OnnxModel(model)
            self.inputs = self._source.inputs
            self.output_names = self._source.outputs
        if all(_is_static(declared.shape) for declared in self.inputs):
            self._compile_early()

    @property
    def compiled_count(self) -> int:
        """How many different input shapes were compiled for."""
        return len(self._compiled)

    @property
    def symbolic_count(self) -> int:
        """How many kernels of symbolic sizes there are; a size that needs no new one is quick."""
        return 0 if self._symbolic is None else self._symbolic.count

    @property
    def report(self) -> CompileReport:
        """What became of the model when it was last compiled.

        Raises:
            FeedError: it was not compiled yet.
        """
        return self._last().report

    @property
    def algorithms(self) -> tuple[Func, ...]:
        """The different algorithms of the model's kernels, as it was last compiled.

        `td.autotune.model_tasks` makes tasks of them, and `schedules="tuned"` finds what
        `td.autotune.tune` recorded.

        Raises:
            FeedError: it was not compiled yet.
        """
        return self._last().algorithms

    @property
    def constant_names(self) -> tuple[frozenset[str], ...]:
        """Of each of the `algorithms`, the names of the arguments that are constants of the model.

        Raises:
            FeedError: it was not compiled yet.
        """
        return self._last().constant_names

    def run(
        self, feeds: Mapping[str, Any], outputs: Sequence[str] | None = None
    ) -> dict[str, Array]:
        """Compute the outputs, or those named, as arrays by name.

        Args:
            feeds: an array for each input, by name, of its dtype and shape (`session.inputs`).
            outputs: names of the outputs wanted (`session.output_names`); None: all.

        Raises:
            FeedError: an input is missing, unknown, or of a wrong shape; an unknown output.
            FeedTypeError: an input of a wrong element type; inputs or outputs that are no mapping,
                and no list of names.
        """
        wanted = self._wanted(outputs)
        arrays = self._checked(feeds)
        compiled = self._for(arrays)
        values = compiled.model.inputs
        made = compiled.executable.run({v: arrays[v.name] for v in values})
        return {name: made[name] for name in wanted}

    def profile(self, feeds: Mapping[str, Any], runs: int = 10) -> Profile:
        """Time each kernel in some runs after a first one; the median of each counts, in seconds.

        Raises:
            FeedError, FeedTypeError: as `run`; no runs.
        """
        if runs < 1:
            raise FeedError(f"a profile takes 1 run or more, not {runs}")
        arrays = self._checked(feeds)
        compiled = self._for(arrays)
        fed = {v: arrays[v.name] for v in compiled.model.inputs}
        compiled.executable.run(fed)
        measured = []
        for _ in range(runs):
            stamps = stamps_for(len(compiled.executable.steps))
            compiled.executable.run(fed, stamps)
            measured.append(stamps)
        return profile_of(compiled.executable.steps, measured)

    # -- steps of run --------------------------------------------------------------------------

    def _last(self) -> Compiled:
        if not self._compiled:
            raise FeedError(
                "the model was not compiled yet: its shapes are known at a run",
                hint="call session.run(feeds) first",
            )
        return next(reversed(self._compiled.values()))

    def _wanted(self, outputs: Sequence[str] | None) -> Sequence[str]:
        if outputs is None:
            return self.output_names
        if isinstance(outputs, str):
            raise FeedTypeError(
                f"outputs is a list of names, not the text {outputs!r}", hint=f"[{outputs!r}]"
            )
        for name in outputs:
            if name not in self.output_names:
                raise FeedError(
                    f"the model has no output {name!r}", hint=f"it has {_list(self.output_names)}"
                )
        return outputs

    def _checked(self, feeds: Mapping[str, Any]) -> dict[str, Array]:
        names = [declared.name for declared in self.inputs]
        if not isinstance(feeds, Mapping):
            raise FeedTypeError(
                f"inputs are a dictionary of arrays by name, not {type(feeds).__name__}",
                hint="session.run({" + ", ".join(f"{name!r}: ..." for name in names) + "})",
            )
        for name in feeds:
            if name not in names:
                raise FeedError(f"the model has no input {name!r}", hint=f"it has {_list(names)}")
        sizes: dict[str, tuple[int, str]] = {}
        arrays = {}
        for declared in self.inputs:
            if declared.name not in feeds:
                raise FeedError(f"input {declared.name!r} is missing", hint=_form(declared))
            arrays[declared.name] = _fitting(declared, feeds[declared.name], sizes)
        return arrays

    def _for(self, arrays: Mapping[str, Array]) -> Compiled:
        """The model compiled for these shapes, and for the values that shapes depend on."""
        with self._lock:
            while True:
                known = {name: arrays[name] for name in self._known_inputs}
                shapes = {name: array.shape for name, array in arrays.items()}
                key = (tuple(shapes.values()), tuple(a.tobytes() for a in known.values()))
                if key not in self._compiled:
                    self._forget_values()
                    try:
                        self._compiled[key] = self._compile(shapes, known)
                    except ValueNeededError as error:
                        self._known_inputs = (*self._known_inputs, error.name)
                        continue
                return self._compiled[key]

    def _forget_values(self) -> None:
        """Make room for one more of what was planned for values of inputs, which may never end."""
        for_values = [key for key in self._compiled if key[1]]
        for key in for_values[: max(0, len(for_values) - _MOST_VALUES + 1)]:
            del self._compiled[key]

    def _compile(
        self, shapes: Mapping[str, tuple[int, ...]], known: Mapping[str, Array]
    ) -> Compiled:
        source = self._source
        if isinstance(source, Model):
            return compile_model(source, self._target, self._disabled, tuned=self._tuned)
        model = source.graph(shapes, known)
        others = self._other_shapes(shapes)
        sizes = None
        if self._symbolic is not None and others != shapes:
            sizes = AnySize(self._symbolic, lambda: source.graph(others, known))
        if self._path is None or self._tuned or known:
            return compile_model(
                model, self._target, self._disabled, tuned=self._tuned, packed=self._packed,
                sizes=sizes,
            )  # fmt: skip
        target = None if self._target is None else str(self._target)
        task = Task(self._path, shapes, None if sizes is None else others, target, self._disabled)
        with Helpers(task) as helpers:
            return compile_model(
                model, self._target, self._disabled, packed=self._packed, missed=helpers.missed,
                sizes=sizes,
            )  # fmt: skip

    def _other_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes with other numbers for symbolic dimensions, for one of a name the same."""
        growth: dict[object, int] = {}
        others = {}
        for declared in self.inputs:
            shape = list(shapes[declared.name])
            for axis, extent in enumerate(declared.shape or ()):
                if not isinstance(extent, int):
                    label = extent or (declared.name, axis)
                    shape[axis] += growth.setdefault(label, GROWTH[len(growth) % len(GROWTH)])
            others[declared.name] = tuple(shape)
        return others

    def _compile_early(self) -> None:
        """Compile before the first run, unless shapes depend on data."""
        shapes = {d.name: _numbers(d.shape) for d in self.inputs}
        try:
            self._compiled[(tuple(shapes.values()), ())] = self._compile(shapes, {})
        except ValueNeededError as error:
            self._known_inputs = (error.name,)


def _is_static(shape: tuple[int | str | None, ...] | None) -> bool:
    return shape is not None and all(isinstance(extent, int) for extent in shape)


def _numbers(shape: tuple[int | str | None, ...] | None) -> tuple[int, ...]:
    return tuple(extent for extent in shape or () if isinstance(extent, int))


def _fitting(declared: Declared, given: Any, sizes: dict[str, tuple[int, str]]) -> Array:
    """An input as a contiguous array, its type and shape checked."""
    array = np.asarray(given)
    where = f"input {declared.name!r}"
    if array.dtype != declared.dtype.numpy:
        raise FeedTypeError(
            f"{where} is {declared.dtype}, got {array.dtype}",
            hint=f"array.astype({declared.dtype.name!r})",
        )
    shape = declared.shape
    if shape is None:
        return np.ascontiguousarray(array).reshape(array.shape)
    if len(shape) != array.ndim:
        raise FeedError(f"{where} has {len(shape)} axes, got {array.ndim}", hint=_form(declared))
    for axis, (wanted, extent) in enumerate(zip(shape, array.shape, strict=True)):
        if isinstance(wanted, int) and wanted != extent:
            raise FeedError(f"{where}: axis {axis} is {wanted}, got {extent}", hint=_form(declared))
        if isinstance(wanted, str):
            known, origin = sizes.setdefault(wanted, (extent, f"{where}, axis {axis}"))
            if known != extent:
                raise FeedError(
                    f"{where}: axis {axis} ({wanted}) is {extent}, but {known} in {origin}"
                )
    return np.ascontiguousarray(array).reshape(array.shape)


def _form(declared: Declared) -> str:
    if declared.shape is None:
        return f"{declared.name} is {declared.dtype} of any shape"
    extents = ", ".join("?" if extent is None else str(extent) for extent in declared.shape)
    return f"{declared.name} is {declared.dtype}[{extents}]"


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "none"

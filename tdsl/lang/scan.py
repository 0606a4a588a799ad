"""`td.scan`: a recurrence over one ordered axis, with one or several states of any shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.errors import DeclarationError, TypeMismatch, caller_span
from tdsl.ir.build import add, const, index
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Load, Select, Var
from tdsl.ir.stmt import For, IterVar, Seq
from tdsl.lang.compute import GROUP, Group, declare
from tdsl.lang.tensor import (
    ScanAxis,
    Stage,
    Tensor,
    as_index,
    as_shape,
    fresh_name,
    parameter_names,
)
from tdsl.lang.value import Value, as_expr, is_number

Prev = dict[str, Any]  # a Value where the state has shape (), else a Previous
Step = Callable[[ScanAxis, Prev], Mapping[str, object]]
_GUESSES = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64)


@dataclass(frozen=True, slots=True)
class State:
    """A declared state: its buffer (with the time axis first) and its value before step 0."""

    buffer: Buffer
    shape: tuple[Expr, ...]
    init: object

    def before(self, time: Expr, indices: tuple[Expr, ...]) -> Value:
        """The value after the step before: the initial one at time 0."""
        first = self._initial(indices)
        last = Load(self.buffer, (add(time, index(-1)), *indices))
        return Value(Select(Binary(BinaryOp.EQ, time, index(0)), first, last))

    def _initial(self, indices: tuple[Expr, ...]) -> Expr:
        dtype = self.buffer.dtype
        if is_number(self.init):
            return const(self.init, dtype)
        if isinstance(self.init, Tensor):
            return Load(self.init.buffer, indices)
        made = self.init(*map(Value, indices)) if callable(self.init) else self.init
        return as_expr(made, dtype if is_number(made) else None)


class Previous:
    """A state of the step before, indexed like a tensor."""

    def __init__(self, state: State, time: Expr) -> None:
        self._state = state
        self._time = time

    def __getitem__(self, at: object) -> Value:
        given = at if isinstance(at, tuple) else (at,)
        shape = self._state.shape
        name = self._state.buffer.name
        if len(given) != len(shape):
            raise DeclarationError(f"state {name} has {len(shape)} dimensions, got {len(given)}")
        indices = tuple(as_index(i, n, name) for i, n in zip(given, shape, strict=True))
        return self._state.before(self._time, indices)


def scan(
    axis: ScanAxis,
    states: Mapping[str, tuple[object, object]],
    step: Step,
    name: str | None = None,
) -> dict[str, Tensor]:
    """Run `step` along `axis`, keeping the states after each step.

    Args:
        axis: from `td.scan_axis`.
        states: for each state its shape, and its value before the first step: a number (its dtype
            is found from the step), a tensor of that shape, a value, or a function of indices.
        step: gets the axis and the states of the step before (`prev["h"][i]`; a state of shape ()
            is the value itself) and returns for each state an expression (shape ()), a function
            of indices, or a tensor declared by td.compute inside the step.
        name: outputs and blocks are called `name.state`.

    Returns:
        For each state a tensor with the time axis first: `out["h"][t]` is the state after step t.

    >>> from tdsl.lang.tensor import placeholder, scan_axis
    >>> X = placeholder((10,), "float32", name="X")
    >>> t = scan_axis(10, name="t")
    >>> scan(t, {"s": ((), 0.0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="cumsum")["s"]
    <tensor cumsum.s: float32[10]>

    Raises:
        DeclarationError: states and what the step returns do not match.
    """
    if not isinstance(axis, ScanAxis):
        raise TypeMismatch("td.scan needs an axis from td.scan_axis")
    if not states:
        raise DeclarationError("td.scan needs at least one state")
    label = fresh_name(name)
    guesses = _GUESSES if any(is_number(init) for _, init in states.values()) else _GUESSES[:1]
    failure: TypeMismatch | None = None
    for guess in guesses:
        try:
            return _declare(label, axis, states, step, guess)
        except TypeMismatch as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _declare(
    label: str, axis: ScanAxis, states: Mapping[str, tuple[object, object]], step: Step,
    guess: DType,
) -> dict[str, Tensor]:  # fmt: skip
    stage = Stage(label, caller_span())
    group = Group(axis, Var(axis.name), stage)
    declared = {key: _state(label, key, axis, spec, guess, stage) for key, spec in states.items()}
    token = GROUP.set(group)
    try:
        prev: Prev = {}
        for key, state in declared.items():
            previous = Previous(state, axis.var)
            prev[key] = previous if state.shape else state.before(axis.var, ())
        result = step(axis, prev)
        if set(result) != set(declared):
            raise DeclarationError(
                f"the step of {label} returned states {sorted(result)}, declared {sorted(declared)}"
            )
        for key, state in declared.items():
            _declare_state(f"{label}.{key}", state, result[key], stage)
    finally:
        GROUP.reset(token)
    body = group.nests[0] if len(group.nests) == 1 else Seq(tuple(group.nests))
    stage.nest = For(group.loop, axis.extent, body, span=stage.span)
    stage.buffers = tuple(group.buffers)
    kept = {state.buffer for state in declared.values()}
    stage.step_local = frozenset(b for b in group.buffers if b not in kept)
    return {key: Tensor(state.buffer) for key, state in declared.items()}


def _state(
    label: str, key: str, axis: ScanAxis, spec: tuple[object, object], guess: DType, stage: Stage
) -> State:
    shape, init = spec
    extents = as_shape(shape)
    if is_number(init):
        dtype = guess
    elif isinstance(init, Tensor):
        dtype = init.dtype
        if init.buffer.shape != extents:
            raise DeclarationError(f"initial {init.name} of state {key} has another shape")
    else:
        zeros = (Value(index(0)),) * len(extents)
        made = init(*zeros) if callable(init) else init
        dtype = guess if is_number(made) else as_expr(made).dtype
    buffer = Buffer(f"{label}.{key}", dtype, (axis.extent, *extents), False, stage)
    return State(buffer, extents, init)


def _declare_state(name: str, state: State, result: object, stage: Stage) -> None:
    names = [f"i{n}" for n in range(len(state.shape))]
    if callable(result) and not isinstance(result, Tensor):
        names = parameter_names(result, len(state.shape))
    iters = [IterVar(Var(n), e) for n, e in zip(names, state.shape, strict=True)]
    indices = tuple(Value(it.var) for it in iters)
    if isinstance(result, Tensor):
        element: object = result[indices]
    elif callable(result):
        element = result(*indices)
    elif state.shape:
        raise DeclarationError(
            f"state {name} has {len(state.shape)} dimensions", hint="return lambda i: ..."
        )
    else:
        element = result
    e = as_expr(element, state.buffer.dtype if is_number(element) else None)
    if e.dtype is not state.buffer.dtype:
        raise TypeMismatch(
            f"state {name} is {state.buffer.dtype} but its step gives {e.dtype}",
            hint=f"td.cast(..., {state.buffer.dtype.name!r})",
        )
    declare(name, iters, [e], stage, several=False, buffers=[state.buffer])

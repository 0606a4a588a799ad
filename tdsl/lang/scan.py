"""`td.scan`: a recurrence over one ordered axis, with one or several states of any shape."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tdsl import dtypes
from tdsl.dtypes import DType, as_dtype
from tdsl.errors import DeclarationError, TypeMismatch, caller_span, close_names
from tdsl.ir.build import add, index
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Expr, Load, Select, Var
from tdsl.ir.stmt import For, IterVar, Seq
from tdsl.lang.bounds import shown_shape
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
from tdsl.lang.value import Value, as_expr, is_number, literal

Spec = tuple[tuple[Expr, ...], object]  # the shape of a state, and its value before the first step
Guess = dict[str, DType]  # of each state that starts from a number
Step = Callable[[ScanAxis, "Prev"], Mapping[str, object]]
_MOST_GUESSES = 64
_COMMON = (dtypes.float32, dtypes.float64, dtypes.int32, dtypes.int64)


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
            return literal(self.init, dtype)
        if isinstance(self.init, Tensor):
            return Load(self.init.version, indices)
        made = self.init(*map(Value, indices)) if callable(self.init) else self.init
        return as_expr(made, dtype if is_number(made) else None)


class Prev(dict[str, Any]):
    """What a step gets: a Value for each state of shape (), else a Previous."""

    def __missing__(self, key: str) -> object:
        raise DeclarationError(f"the scan has no state {key!r}", hint=close_names(str(key), self))


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
            raise DeclarationError(
                f"state {name} has {len(shape)} dimensions but got {len(given)} indices"
            )
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
            Each state has a dtype of its own.
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
        TypeMismatch: dtypes that do not fit, whatever dtype the numbers are given.
    """
    if not isinstance(axis, ScanAxis):
        raise TypeMismatch(
            f"td.scan needs an axis from td.scan_axis, got {type(axis).__name__}",
            hint="t = td.scan_axis(T, name='t')",
        )
    if not isinstance(states, Mapping):
        raise TypeMismatch(f"states= is a dict of (shape, start), got {type(states).__name__}")
    if not states:
        raise DeclarationError("td.scan needs at least one state")
    _check_step(step)
    specs = {key: _spec(key, given) for key, given in states.items()}
    label = fresh_name(name)
    numbers = {key: start for key, spec in specs.items() if (start := _number(spec)) is not None}
    return _fitting(numbers, lambda guess: _declare(label, axis, specs, step, guess))


def _check_step(step: Step) -> None:
    try:
        inspect.signature(step).bind(None, None)
    except TypeError as error:
        raise DeclarationError(
            f"the step of a scan is called with the axis and the states before: {error}",
            hint="step=lambda t, prev: {...}",
        ) from None


def _fitting(
    numbers: dict[str, float], declare: Callable[[Guess], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """What is declared with dtypes that fit the states that start from numbers.

    Where two dtypes meet, each state that has one of them is tried with the other, fewest changes
    first.
    """
    first = {key: as_expr(number).dtype for key, number in numbers.items()}
    failure: TypeMismatch | None = None
    beyond_guessing: TypeMismatch | None = None
    tried: list[Guess] = []
    for start in (first, *(dict.fromkeys(first, dtype) for dtype in _COMMON)):
        todo = deque([start])
        while todo and len(tried) < _MOST_GUESSES:
            guess = todo.popleft()
            if guess in tried or not all(_fits(numbers[key], guess[key]) for key in guess):
                continue
            tried.append(guess)
            try:
                return declare(guess)
            except TypeMismatch as error:
                others = _others(guess, error)
                todo += others
                if not others:
                    beyond_guessing = beyond_guessing or error
                if start is first:
                    failure = error
    failure = beyond_guessing or failure
    assert failure is not None
    raise failure


def _others(guess: Guess, error: TypeMismatch) -> list[Guess]:
    """The guess with one state's dtype exchanged for the one that it met."""
    if error.mixed is None:
        return []
    one, other = map(as_dtype, error.mixed)
    met = {one: other, other: one}
    return [{**guess, key: met[dtype]} for key, dtype in guess.items() if dtype in met]


def _spec(key: str, given: object) -> Spec:
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return as_shape(given[0]), given[1]
    raise TypeMismatch(
        f"state {key} is declared by a pair (shape, start), got {given!r}",
        hint=f"states={{{key!r}: ((), 0.0)}} starts a scalar at 0",
    )


def _number(spec: Spec) -> float | None:
    """The number that a state starts from, which takes the dtype of the step."""
    shape, init = spec
    start = init(*(Value(index(0)) for _ in shape)) if callable(init) else init
    return start if is_number(start) and not isinstance(start, Tensor) else None


def _fits(number: float, dtype: DType) -> bool:
    try:
        literal(number, dtype)
    except TypeMismatch:
        return False
    return True


def _declare(
    label: str, axis: ScanAxis, specs: Mapping[str, Spec], step: Step, guess: Guess
) -> dict[str, Tensor]:
    stage = Stage(label, caller_span())
    group = Group(axis, Var(axis.name), stage)
    declared = {
        key: _state(f"{label}.{key}", axis, spec, guess.get(key), stage)
        for key, spec in specs.items()
    }
    token = GROUP.set(group)
    try:
        prev = Prev()
        for key, state in declared.items():
            previous = Previous(state, axis.var)
            prev[key] = previous if state.shape else state.before(axis.var, ())
        result = step(axis, prev)
        if not isinstance(result, Mapping):
            raise DeclarationError(
                f"the step of {label} returned a {type(result).__name__}",
                hint="return a dict with the new value of each state: {'h': ...}",
            )
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


def _state(name: str, axis: ScanAxis, spec: Spec, dtype: DType | None, stage: Stage) -> State:
    """A state of the dtype; None: of that which its start has."""
    shape, init = spec
    if isinstance(init, Tensor):
        dtype = init.dtype
        if init.buffer.shape != shape:
            raise DeclarationError(
                f"state {name} has the shape {shown_shape(shape)} but starts from {init.name} of "
                f"{shown_shape(init.buffer.shape)}"
            )
    elif dtype is None:
        zeros = (Value(index(0)),) * len(shape)
        dtype = as_expr(init(*zeros) if callable(init) else init).dtype
    return State(Buffer(name, dtype, (axis.extent, *shape), False, stage), shape, init)


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
            f"state {name} has the shape {shown_shape(state.shape)}, but the step returned one "
            f"{type(result).__name__} for it",
            hint=f"return lambda {', '.join(names)}: ...",
        )
    else:
        element = result
    e = as_expr(element, state.buffer.dtype if is_number(element) else None)
    if e.dtype is not state.buffer.dtype:
        raise TypeMismatch(
            f"state {name} is {state.buffer.dtype} but its step gives {e.dtype}",
            hint=f"td.cast(..., {state.buffer.dtype.name!r})",
            mixed=(state.buffer.dtype.name, e.dtype.name),
        )
    declare(name, iters, [e], stage, several=False, buffers=[state.buffer])

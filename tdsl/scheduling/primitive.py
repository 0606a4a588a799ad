"""`@primitive` declares a schedule primitive once: its name, its arguments and its documentation.

Argument checks, the trace, replay and schedule files all derive from that declaration.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from tdsl.errors import InternalError, TypeMismatch, call_form, close_names
from tdsl.scheduling.arguments import KINDS, Kind, checked, encoded
from tdsl.scheduling.core import ScheduleCore, State
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.trace import Step, Value

P = ParamSpec("P")
R = TypeVar("R")

PRIMITIVES: dict[str, Primitive[..., object]] = {}


class Primitive(Generic[P, R]):
    """A declared primitive. As an attribute of a schedule it is a method without the `Edit`."""

    __name__: str

    def __init__(self, function: Callable[Concatenate[Edit, P], R]) -> None:
        functools.update_wrapper(cast("Callable[..., R]", self), function)
        self.function = function
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.signature = inspect.Signature(parameters)
        self.kinds: dict[str, Kind] = {}
        for parameter in parameters:
            annotation = str(parameter.annotation)
            if annotation not in KINDS:
                raise InternalError(f"{function.__name__}: no argument kind {annotation!r}")
            self.kinds[parameter.name] = KINDS[annotation]

    @overload
    def __get__(self, core: None, owner: type) -> Primitive[P, R]: ...
    @overload
    def __get__(self, core: ScheduleCore, owner: type) -> Callable[P, R]: ...
    def __get__(self, core: ScheduleCore | None, owner: type) -> object:
        """The primitive itself on the class, a bound method on a schedule."""
        if core is None:
            return self

        @functools.wraps(self.function)
        def method(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.apply(core, *args, **kwargs)

        method.__signature__ = self.signature  # type: ignore[attr-defined]  # for help()
        return method

    def apply(self, core: ScheduleCore, *args: object, **kwargs: object) -> R:
        """Check the arguments, run the primitive, prove, and record the step.

        Raises:
            TypeMismatch: arguments of the wrong number or kind.
            ScheduleError: the step is refused; nothing has changed.
        """
        core.step_span = core.span()  # found once: walking frames is not free
        try:
            bound = self._bind(core, args, kwargs)
            arguments, options = self._encode(core, bound)
            edit = Edit(core, self.__name__)
            function = cast("Callable[..., R]", self.function)
            result = function(edit, *bound.args, **bound.kwargs)
            self._record(core, edit, arguments, options, result)
        finally:
            core.step_span = None
        return result

    def attempt(self, core: ScheduleCore, *args: object, **kwargs: object) -> State:
        """The state that a call would make; the schedule stays as it is.

        Raises:
            TypeMismatch: arguments of the wrong number or kind.
            ScheduleError: the step would be refused.
        """
        core.step_span = core.span()
        try:
            bound = self._bind(core, args, kwargs)
            edit = Edit(core, self.__name__)
            cast("Callable[..., R]", self.function)(edit, *bound.args, **bound.kwargs)
        finally:
            core.step_span = None
        return edit.outcome

    def _record(
        self,
        core: ScheduleCore,
        edit: Edit,
        args: tuple[Value, ...],
        options: tuple[tuple[str, Value], ...],
        result: R,
    ) -> None:
        unsafe = dict(options).get("unsafe") is True
        step = Step(
            self.__name__,
            args,
            options,
            unsafe=unsafe,
            unproven=edit.outcome.unproven and not unsafe,
            notes=tuple(edit.notes),
            span=core.span(),
        )
        core.install(edit.outcome, step, result)

    def _bind(
        self, core: ScheduleCore, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> inspect.BoundArguments:
        name = self.__name__
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = [key for key in kwargs if key not in self.signature.parameters]
            hint = close_names(unknown[0], self.signature.parameters) if unknown else None
            shown = f"the call is s.{call_form(name, self.signature)}"
            raise TypeMismatch(f"{name}: {error}", span=core.span(), hint=hint or shown) from None
        for key, value in list(bound.arguments.items()):
            kind = self.kinds[key]
            if self.signature.parameters[key].kind is inspect.Parameter.VAR_POSITIONAL:
                items = tuple(checked(core, name, key, kind, item) for item in value)
                bound.arguments[key] = items
            else:
                bound.arguments[key] = checked(core, name, key, kind, value)
        return bound

    def _encode(
        self, core: ScheduleCore, bound: inspect.BoundArguments
    ) -> tuple[tuple[Value, ...], tuple[tuple[str, Value], ...]]:
        args: list[Value] = []
        options: list[tuple[str, Value]] = []
        positional = True
        for parameter in self.signature.parameters.values():
            if parameter.name not in bound.arguments:
                positional = False
                continue
            value = bound.arguments[parameter.name]
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                args += [encoded(core, item) for item in value]
            elif parameter.default is parameter.empty and positional:
                args.append(encoded(core, value))
            elif value != parameter.default:
                options.append((parameter.name, encoded(core, value)))
        return tuple(args), tuple(options)


def primitive(function: Callable[Concatenate[Edit, P], R]) -> Primitive[P, R]:
    """Declare a schedule primitive; its parameters are annotated with aliases of `arguments`."""
    declared = Primitive(function)
    known = PRIMITIVES.get(declared.__name__)
    if known is not None and known.__module__ != declared.__module__:
        raise InternalError(f"two primitives are called {declared.__name__!r}")
    PRIMITIVES[declared.__name__] = cast("Primitive[..., object]", declared)
    return declared

"""Find what a command line names: `FILE.py:NAME`, a Func, a Schedule, or a function giving one."""

from __future__ import annotations

import inspect
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tdsl.errors import TdslError
from tdsl.lang.func import Func
from tdsl.scheduling import Schedule


class UsageError(TdslError, ValueError):
    """A command line that names something that is not there; it has no line of source to show."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.span = None


def locate(spec: str, sizes: str | None = None) -> Func | Schedule:
    """Run FILE.py and return its NAME: a Func, a Schedule, or what a function of that name gives.

    A function of no arguments is called; one of sizes gets those of `sizes`, "512x512x512".

    Raises:
        UsageError: no such file or name, or the name is something else.
    """
    found = open_file(spec).value
    if isinstance(found, (Func, Schedule)):
        return found
    if callable(found):
        made = _call(found, spec, sizes)
        if isinstance(made, (Func, Schedule)):
            return made
        raise UsageError(f"{spec} returned a {type(made).__name__}, not a Func or a Schedule")
    raise UsageError(f"{spec} is a {type(found).__name__}, not a Func or a Schedule")


@dataclass(frozen=True)
class Opened:
    """What `FILE.py:NAME` names: the value, and all else that the file defines."""

    path: Path
    name: str
    value: object
    scope: Mapping[str, object]


def open_file(spec: str) -> Opened:
    """Run the file of a `FILE.py:NAME` and find the name.

    Raises:
        UsageError: no such file or name.
    """
    path, separator, name = spec.rpartition(":")
    if not separator or not path:
        raise UsageError(
            f"{spec!r} is not FILE.py:NAME", hint="for example tutorials/tour/kernels.py:blur"
        )
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no file {path}")
    scope = _run(file)
    if name not in scope:
        raise UsageError(f"{path} defines no {name!r}", hint=_candidates(scope))
    return Opened(file.resolve(), name, scope[name], scope)


def _run(file: Path) -> dict[str, object]:
    """Run a file; as for `python FILE`, what lies beside it can be imported."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return runpy.run_path(str(file), run_name="__tdsl__")


def _call(function: Callable[..., object], spec: str, sizes: str | None) -> object:
    numbers = parse_sizes(sizes)
    required = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) > len(numbers):
        raise UsageError(
            f"{spec} takes {len(required)} sizes ({', '.join(required)}), got {len(numbers)}",
            hint="pass them as -s 512x512x512",
        )
    return function(*numbers)


def parse_sizes(sizes: str | None) -> list[int]:
    """The numbers of -s.

    Raises:
        UsageError: they are not joined by x.
    """
    if not sizes:
        return []
    parts = sizes.replace(",", "x").split("x")
    if not all(part.strip().isdigit() for part in parts):
        raise UsageError(f"sizes {sizes!r} are not numbers joined by x", hint="-s 512x512x512")
    return [int(part) for part in parts]


def _candidates(scope: Mapping[str, object]) -> str:
    names = [n for n, v in scope.items() if isinstance(v, (Func, Schedule))]
    return f"it defines {', '.join(names)}" if names else "it defines no Func and no Schedule"

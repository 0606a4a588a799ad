"""Find what a command line names: an operator, or `FILE.py:NAME`, a Func or what gives one."""

from __future__ import annotations

import difflib
import inspect
import runpy
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

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

    A function of no arguments is called; one of sizes gets those of `sizes`, "512x512x512". A name
    alone is an operator of the library.

    Raises:
        UsageError: no such operator, file or name, or the name is something else.
    """
    if ":" not in spec and not spec.endswith(".py"):
        return operator(spec, parse_sizes(sizes))
    opened = open_file(spec)
    if isinstance(opened.value, (Func, Schedule)):
        if sizes:
            kind = type(opened.value).__name__
            raise UsageError(
                f"{spec} is a {kind} and takes no sizes, got {sizes}",
                hint="leave -s out, or name a function of sizes",
            )
        return opened.value
    return _made(opened, spec, sizes)


def schedule_file(what: str, target: str | None = None) -> Schedule | None:
    """The schedule in a file that a command line names; None where it names something else.

    Raises:
        UsageError: there is no such file.
        FormatError: it does not parse.
        ScheduleError: the algorithm does not allow a step any more.
    """
    from tdsl.scheduling.file_format import parse_header, read_text
    from tdsl.scheduling.files import load_schedule
    from tdsl.scheduling.locations import find_algorithm

    path = Path(what)
    if path.suffix != ".py" and path.is_file():
        header = parse_header(read_text(path), path)
        return load_schedule(path, find_algorithm(header.location, header.where), target)
    if path.suffix == ".schedule":
        raise UsageError(f"there is no file {what}")
    return None


def locate_or_load(what: str, sizes: str | None, target: str | None) -> Func | Schedule:
    """As `locate`, or the schedule in a file.

    Raises:
        UsageError: nothing is there, or sizes that don't fit.
    """
    loaded = schedule_file(what, target)
    if loaded is None:
        return locate(what, sizes)
    if sizes:
        raise UsageError(
            f"{what} is a schedule file and takes no sizes, got {sizes}",
            hint="leave -s out; the line `algorithm` of the file has them: NAME(M=512)",
        )
    return loaded


def locate_sized(spec: str, sizes: str | None = None) -> tuple[Func | Schedule, dict[str, int]]:
    """As `locate`, but -s may also give the symbolic sizes of what is found, which are returned.

    Raises:
        UsageError: no such operator, file or name, or sizes that don't fit.
    """
    if ":" not in spec and not spec.endswith(".py"):
        return operator(spec, parse_sizes(sizes)), {}
    opened = open_file(spec)
    if isinstance(opened.value, (Func, Schedule)):
        return opened.value, locate_numbers(opened.value, sizes, spec)
    if inspect.isfunction(opened.value) and not inspect.signature(opened.value).parameters:
        made = _made(opened, spec, None)
        return made, locate_numbers(made, sizes, spec)
    return _made(opened, spec, sizes), {}


def locate_numbers(found: Func | Schedule, sizes: str | None, spec: str) -> dict[str, int]:
    """Numbers for symbolic sizes: by name, "M=512,N=64", or in the order in which they occur.

    Raises:
        UsageError: they don't fit.
    """
    func = found.func if isinstance(found, Schedule) else found
    names = [size.name for size in func.sizes]
    if not sizes:
        return {}
    if not names:
        raise UsageError(f"{spec} has no symbolic sizes, got -s {sizes}", hint="leave -s out")
    hint = "-s " + ",".join(f"{name}=512" for name in names)
    if "=" not in sizes:
        numbers = parse_sizes(sizes)
        if len(numbers) != len(names):
            listed = ", ".join(names)
            raise UsageError(f"{spec} has sizes {listed}, got {len(numbers)} numbers", hint=hint)
        return dict(zip(names, numbers, strict=True))
    given: dict[str, int] = {}
    for item in sizes.split(","):
        name, _, number = (part.strip() for part in item.partition("="))
        if name not in names or not number.isdecimal():
            listed = ", ".join(names)
            raise UsageError(f"{item!r} is no size of {spec}, which has {listed}", hint=hint)
        given[name] = int(number)
    return given


def _made(opened: Opened, spec: str, sizes: str | None) -> Func | Schedule:
    """What a function of sizes gives.

    Raises:
        UsageError: it is something else.
    """
    from tdsl.autotune.template import Template

    found = opened.value
    if isinstance(found, Template):
        raise UsageError(
            f"{spec} is a template: a schedule only with numbers for its knobs",
            hint=f"tdsl tune {spec} finds some; tdsl show takes the algorithm, or a function of it",
        )
    if callable(found) and not getattr(found, "__module__", "").startswith("tdsl."):
        made = _call(found, opened, sizes)
        if isinstance(made, (Func, Schedule)):
            return made
        raise UsageError(f"{spec} returned a {type(made).__name__}, not a Func or a Schedule")
    raise UsageError(
        f"{spec} is a {type(found).__name__}, not a Func or a Schedule",
        hint=_candidates(opened.scope),
    )


def operator(name: str, numbers: Sequence[int]) -> Func:
    """An operator of the library, of given sizes.

    Raises:
        UsageError: there is none of that name, or it takes other sizes.
    """
    from tdsl.schedules.workloads import WORKLOADS

    given = operator_sizes(name, numbers)
    return WORKLOADS[name](**given)


def operator_sizes(name: str, numbers: Sequence[int]) -> dict[str, int]:
    """The numbers of -s by the sizes of an operator.

    Raises:
        UsageError: there is no operator of that name, or it takes other sizes.
    """
    from tdsl.schedules.workloads import WORKLOADS, size_names

    if name not in WORKLOADS:
        close = difflib.get_close_matches(name, WORKLOADS, n=3)
        raise UsageError(
            f"there is no operator {name!r}",
            hint=f"did you mean {' or '.join(close)}?"
            if close
            else "tdsl tune --list names them; what a file holds is FILE.py:NAME",
        )
    names = size_names(name)
    if len(numbers) != len(names):
        example = "x".join(["64"] * len(names))
        raise UsageError(
            f"{name} takes {len(names)} sizes, {' x '.join(names)}, got {len(numbers)}",
            hint=f"such as -s {example}",
        )
    return dict(zip(names, numbers, strict=True))


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
        file = Path(spec)
        hint = _candidates(_run(file)) if file.is_file() else f"{spec}:NAME"
        raise UsageError(f"{spec!r} is not FILE.py:NAME", hint=hint)
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"there is no file {path}")
    scope = _run(file)
    if name not in scope:
        close = difflib.get_close_matches(name, _named(scope), n=1)
        hint = f"did you mean {close[0]}?" if close else _candidates(scope)
        raise UsageError(f"{path} defines no {name!r}", hint=hint)
    return Opened(file.resolve(), name, scope[name], scope)


def _run(file: Path) -> dict[str, object]:
    """Run a file; as for `python FILE`, what lies beside it can be imported."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with _of_the_user(file):
        return runpy.run_path(str(file), run_name="__tdsl__")


@contextmanager
def _of_the_user(file: Path) -> Iterator[None]:
    """Show what a user's file raises with the lines of that file alone.

    Raises:
        UsageError: the file raised something that is not tdsl's own.
    """
    try:
        yield
    except TdslError:
        raise
    except Exception as error:
        frames = error.__traceback__
        while frames is not None and not _is_in(frames.tb_frame.f_code, file):
            frames = frames.tb_next
        told = "".join(traceback.format_exception(type(error), error, frames)).rstrip()
        raise UsageError(f"{file} raised an exception\n\n{told}") from error


def _is_in(code: CodeType, file: Path) -> bool:
    return Path(code.co_filename).resolve() == file.resolve()


def _call(function: Callable[..., object], opened: Opened, sizes: str | None) -> object:
    given = named_sizes(function, parse_sizes(sizes), opened.name)
    with _of_the_user(opened.path):
        return function(**given)


def named_sizes(
    function: Callable[..., object], numbers: Sequence[int], name: str
) -> dict[str, int]:
    """The numbers of -s by the parameters of a function of sizes.

    Raises:
        UsageError: too many or too few.
    """
    parameters = list(inspect.signature(function).parameters.values())
    required = [p for p in parameters if p.default is p.empty]
    if not len(required) <= len(numbers) <= len(parameters):
        names = ", ".join(p.name for p in parameters) or "none"
        raise UsageError(
            f"{name} takes {len(parameters)} sizes ({names}), got {len(numbers)}",
            hint="pass them as -s 512x512x512" if parameters else "leave -s out",
        )
    return {p.name: number for p, number in zip(parameters, numbers, strict=False)}


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
    names = _named(scope)
    return f"it defines {', '.join(names)}" if names else "it defines no Func and no Schedule"


def _named(scope: Mapping[str, object]) -> list[str]:
    """What a file defines itself that a command may name: kernels, and functions giving one."""
    return [
        name
        for name, value in scope.items()
        if isinstance(value, (Func, Schedule))
        or (inspect.isfunction(value) and value.__globals__.get("__name__") == "__tdsl__")
    ]

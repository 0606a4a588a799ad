"""Where an algorithm is found: `FILE.py:NAME`, or `tdsl.schedules.MODULE:NAME(M=512)`."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from tdsl.errors import FormatError, Span, close_names
from tdsl.lang.func import Func

LIBRARY = "tdsl.schedules"
_FORM = re.compile(r"(?:(?P<place>.+):)?(?P<name>[A-Za-z_]\w*)(?:\((?P<sizes>[^()]*)\))?")


@dataclass(frozen=True, slots=True)
class Location:
    """An algorithm's place. `file` is absolute; a library operator has a `module` instead."""

    name: str
    file: Path | None = None
    module: str | None = None
    sizes: tuple[tuple[str, int], ...] = ()

    def text(self, folder: Path) -> str:
        """The form written in a file that lies in *folder*."""
        sizes = ", ".join(f"{key}={value}" for key, value in self.sizes)
        call = f"({sizes})" if sizes else ""
        if self.module is not None:
            return f"{self.module}:{self.name}{call}"
        if self.file is None:
            return f"{self.name}{call}"
        return f"{Path(os.path.relpath(self.file, folder)).as_posix()}:{self.name}{call}"


def parse_location(text: str, folder: Path, span: Span | None = None) -> Location:
    """The place that a header line names; file names are relative to *folder*.

    >>> parse_location("tdsl.schedules.gemm:matmul(M=64)", Path()).sizes
    (('M', 64),)

    Raises:
        FormatError: it has another form.
    """
    found = _FORM.fullmatch(text.strip())
    hint = "write FILE.py:NAME, or tdsl.schedules.MODULE:NAME(M=512)"
    if found is None:
        raise FormatError(f"{text!r} does not say where the algorithm is", span=span, hint=hint)
    place, name = found["place"], found["name"]
    sizes = _sizes(found["sizes"] or "", span)
    if place is None:
        return Location(name, sizes=sizes)
    if place.endswith(".py"):
        return Location(name, file=(folder / place).resolve(), sizes=sizes)
    if place == LIBRARY or place.startswith(LIBRARY + "."):
        return Location(name, module=place, sizes=sizes)
    raise FormatError(f"{place!r} is no Python file and no library module", span=span, hint=hint)


def _sizes(text: str, span: Span | None) -> tuple[tuple[str, int], ...]:
    sizes: list[tuple[str, int]] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = item.partition("=")
        if not key.strip().isidentifier() or not value.strip().isdigit():
            raise FormatError(f"{item!r} is no size such as M=512", span=span)
        sizes.append((key.strip(), int(value)))
    return tuple(sizes)


def find_algorithm(location: Location, span: Span | None = None) -> Func:
    """Run the file (or import the library module) and return the algorithm.

    NAME is a Func, a Schedule, or a function of no arguments, or of the sizes, that returns one.

    Args:
        location: where it is.
        span: the line that says so, for errors.

    Raises:
        FormatError: no file, no such name, or something else under that name.
    """
    scope = _scope(location, span)
    place = location.module or (location.file.name if location.file else "")
    if location.name not in scope:
        raise FormatError(
            f"{place} defines no {location.name!r}", span=span, hint=_defined(scope, location)
        )
    value = scope[location.name]
    if callable(value) and not isinstance(value, Func):
        value = _called(value, location, span)
    func = _algorithm(value)
    if func is None:
        raise FormatError(
            f"{location.name!r} in {place} is {type(value).__name__}, not an algorithm",
            span=span,
            hint=_defined(scope, location),
        )
    return func


def _algorithm(value: object) -> Func | None:
    """A Func, or that of a Schedule."""
    func = value if isinstance(value, Func) else getattr(value, "func", None)
    return func if isinstance(func, Func) else None


def _called(make: Callable[..., object], location: Location, span: Span | None) -> object:
    """What a function of sizes returns.

    Raises:
        FormatError: it takes others.
    """
    sizes = dict(location.sizes)
    try:
        inspect.signature(make).bind(**sizes)
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{location.name}{_shown(sizes)}: {error}",
            span=span,
            hint=f"write the sizes behind the name, such as {location.name}(M=512)",
        ) from None
    return make(**sizes)


def _shown(sizes: Mapping[str, int]) -> str:
    return "(" + ", ".join(f"{name}={value}" for name, value in sizes.items()) + ")"


def _defined(scope: Mapping[str, object], location: Location) -> str:
    """A hint: what could have been meant."""
    own = [
        name for name, value in scope.items()
        if _algorithm(value) is not None
        or (inspect.isfunction(value) and value.__module__ == scope.get("__name__"))
    ]  # fmt: skip
    return close_names(location.name, [name for name in own if not name.startswith("_")])


def _scope(location: Location, span: Span | None) -> dict[str, object]:
    if location.module is not None:
        return vars(_library_module(location.module, span))
    if location.file is None:
        raise FormatError(
            f"nothing says in which file {location.name!r} is",
            span=span,
            hint="write algorithm FILE.py:NAME in the header",
        )
    if not location.file.is_file():
        raise FormatError(f"there is no file {location.file}", span=span)
    for module in list(sys.modules.values()):
        if _file_of(module) == location.file and location.name in vars(module):
            return vars(module)
    spec = importlib.util.spec_from_file_location(f"_tdsl_{location.file.stem}", location.file)
    if spec is None or spec.loader is None:
        raise FormatError(f"{location.file} is no Python file", span=span)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(location.file.parent))
    try:
        _AsItIs(spec.name, str(location.file)).exec_module(module)
    finally:
        sys.path.remove(str(location.file.parent))
    return vars(module)


def _library_module(name: str, span: Span | None) -> ModuleType:
    try:
        known = importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what would hold it is missing, or holds no modules
        known = False
    if not known:
        place = importlib.import_module(LIBRARY).__path__
        modules = [f"{LIBRARY}.{module.name}" for module in pkgutil.iter_modules(place)]
        hint = close_names(name, modules)
        raise FormatError(f"there is no library module {name!r}", span=span, hint=hint)
    return importlib.import_module(name)


class _AsItIs(SourceFileLoader):
    """Runs the text of a file. Kept bytecode may be older, for seconds and sizes tell it apart."""

    def get_code(self, fullname: str) -> CodeType:
        """The text, compiled."""
        del fullname
        return self.source_to_code(self.get_data(self.path), self.path)


def _file_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def location_of(func: Func) -> Location:
    """Where *func* was declared: the name that holds it in its module, or the function around.

    Where neither is known, a function or a variable of the algorithm's own name is hoped for.
    """
    if func.span is None or not func.span.file.endswith(".py"):
        return Location(func.name)
    file = Path(func.span.file).resolve()
    for module in list(sys.modules.values()):
        if _file_of(module) == file:
            for name, value in list(vars(module).items()):
                if value is func:
                    return Location(name, file=file)
    return Location(_declaring(file, func) or func.name, file=file)


def _declaring(file: Path, func: Func) -> str | None:
    """The function at the top level of a file that declares an algorithm, None if none does."""
    assert func.span is not None
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    if func.name in {n.name for n in functions}:
        return func.name
    around = [n.name for n in functions if n.lineno <= func.span.line <= (n.end_lineno or 0)]
    return around[0] if around else None

"""Where an algorithm is found: `FILE.py:NAME`, or `tdsl.schedules.MODULE:NAME(M=512)`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from tdsl.errors import FormatError, Span
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


def find_algorithm(location: Location) -> Func:
    """Run the file (or import the library module) and return the algorithm.

    NAME is a Func, a Schedule, or a function of no arguments, or of the sizes, that returns one.

    Raises:
        FormatError: no file, no such name, or something else under that name.
    """
    scope = _scope(location)
    if location.name not in scope:
        raise FormatError(f"{location.text(Path())} does not define {location.name!r}")
    value = scope[location.name]
    if callable(value) and not isinstance(value, Func):
        value = value(**dict(location.sizes))
    value = getattr(value, "func", value)
    if not isinstance(value, Func):
        raise FormatError(f"{location.name!r} is {type(value).__name__}, not an algorithm")
    return value


def _scope(location: Location) -> dict[str, object]:
    if location.module is not None:
        return vars(importlib.import_module(location.module))
    if location.file is None:
        raise FormatError(
            f"nothing says in which file {location.name!r} is",
            hint="write algorithm FILE.py:NAME in the header",
        )
    if not location.file.is_file():
        raise FormatError(f"there is no file {location.file}")
    for module in list(sys.modules.values()):
        if _file_of(module) == location.file and location.name in vars(module):
            return vars(module)
    spec = importlib.util.spec_from_file_location(f"_tdsl_{location.file.stem}", location.file)
    if spec is None or spec.loader is None:
        raise FormatError(f"{location.file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(location.file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(location.file.parent))
    return vars(module)


def _file_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def location_of(func: Func) -> Location:
    """Where *func* was declared: the name that holds it in its module, else its own name."""
    if func.span is None or not func.span.file.endswith(".py"):
        return Location(func.name)
    file = Path(func.span.file).resolve()
    for module in list(sys.modules.values()):
        if _file_of(module) == file:
            for name, value in list(vars(module).items()):
                if value is func:
                    return Location(name, file=file)
    return Location(func.name, file=file)

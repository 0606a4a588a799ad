"""Schedule files: a header, and straight-line calls that are parsed, never executed.

::

    tdsl-schedule 1
    algorithm matmul.py:matmul_relu
    fingerprint 5f0c...
    target llvm

    io, jo, ii, ji = s.tile("D.i", "D.j", 9, 48)
    s.compute_at("C", jo)
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tdsl.errors import FormatError, Span, TypeMismatch
from tdsl.ir.equal import fingerprint
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.locations import Location, location_of, parse_location
from tdsl.scheduling.trace import Writer

MAGIC = "tdsl-schedule"
VERSION = 1
MAX_BYTES = 1 << 20
_KEYS = ("algorithm", "fingerprint", "target")


@dataclass(frozen=True, slots=True)
class Header:
    """What stands above the body; `lines` counts the lines up to it.

    `where` is the line that says where the algorithm is.
    """

    location: Location
    where: Span
    fingerprint: str
    target: str
    lines: int


def save_schedule(schedule: ScheduleCore, path: str | Path, algorithm: str | None = None) -> None:
    """Write a schedule to a file that people can read, edit and check.

    Args:
        schedule: what to write.
        path: the file; it is replaced at once or not at all.
        algorithm: where the algorithm is found, if not where it was declared: `FILE.py:NAME`
            relative to the file, or a library operator with its sizes.

    Raises:
        FormatError: the file cannot be written.
        TypeMismatch: no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeMismatch(f"a schedule is saved to a path, got {path!r}")
    path = Path(path)
    folder = path.resolve().parent
    if algorithm is not None:
        location = parse_location(algorithm, folder)
    else:
        location = schedule.location or location_of(schedule.func)
    lines = [
        f"{MAGIC} {VERSION}",
        f"algorithm {location.text(folder)}",
        f"fingerprint {fingerprint(schedule.func.program)}",
        f"target {schedule.target}",
        "",
    ]
    writer = Writer({"s"})
    lines += [writer.line(item) for item in schedule.trace.items]
    try:
        write_atomically(path, "\n".join(lines) + "\n")
    except OSError as error:
        raise FormatError(
            f"cannot write {path}: {error.strerror or error}",
            hint=None if folder.is_dir() else f"make the directory first: {folder}",
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Replace a file with *text* at once or not at all; it keeps its permissions."""
    descriptor, temporary = tempfile.mkstemp(dir=path.resolve().parent, prefix=path.name + ".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)  # to ask for it is to set it: to one that opens nothing
    os.umask(mask)
    return mask


def read_text(path: Path) -> str:
    """The text of a schedule file of bounded size.

    Raises:
        FormatError: too large, not UTF-8, or not there.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FormatError(f"{path} is larger than {MAX_BYTES} bytes", span=Span(str(path), 1))
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8 text", span=Span(str(path), 1)) from error
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}") from error


def parse_header(text: str, path: Path) -> Header:
    """The header of a schedule file: everything up to the first empty line.

    Raises:
        FormatError: not a schedule file, a newer version, an unknown or a missing line.
    """
    lines = text.split("\n")
    magic, _, version = lines[0].strip().partition(" ")
    first = Span(str(path), 1, 0, len(lines[0]))
    if magic != MAGIC or not version.isdigit():
        hint = f"the first line is '{MAGIC} {VERSION}'"
        raise FormatError(f"{path} is no schedule file", span=first, hint=hint)
    if int(version) > VERSION:
        raise FormatError(
            f"{path} has version {version}; this tdsl reads up to {VERSION}",
            span=first,
            hint="install a newer tdsl",
        )
    found: dict[str, str] = {}
    spans: dict[str, Span] = {}
    for count, line in enumerate(lines[1:], start=2):
        if not line.strip():
            break
        key, _, value = line.strip().partition(" ")
        span = Span(str(path), count, 0, len(line))
        if key not in _KEYS or key in found:
            what = "given twice" if key in found else "no line of a header"
            raise FormatError(f"{key!r} is {what}", span=span, hint=f"lines: {', '.join(_KEYS)}")
        found[key], spans[key] = value.strip(), span
    missing = [key for key in _KEYS if not found.get(key)]
    if missing:
        raise FormatError(f"the header has no line {missing[0]!r}", span=first)
    location = parse_location(found["algorithm"], path.resolve().parent, spans["algorithm"])
    where = spans["algorithm"]
    return Header(location, where, found["fingerprint"], found["target"], count)

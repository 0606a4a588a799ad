"""`tdsl build`: a kernel or a model as files that a C program is built with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tdsl.cli.locate import UsageError, locate_or_load
from tdsl.cli.models import named_extents

if TYPE_CHECKING:
    from tdsl.library import Library

What = Annotated[
    str,
    typer.Argument(
        metavar="OPERATOR|FILE.py:NAME|MODEL.onnx",
        help="An operator of the library (tdsl tune --list), or a Func, a Schedule or a function "
        "of sizes in a file, which is run; or an ONNX model.",
    ),
]


def build(
    what: What,
    *,
    sizes: Annotated[
        str | None,
        typer.Option("-s", "--sizes", help="Sizes, such as 512x512x512; of a model NAME=N,NAME=N."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Such as 'llvm -mcpu=znver4'; this machine's processor.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="For a Func: default, tuned, or a schedule file; a model: the first two."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="The folder of the files; made.")] = Path(),
    name: Annotated[
        str | None, typer.Option("--name", help="The C function (that of the Func).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What was written, for scripts.")] = False,
) -> None:
    """Compile a kernel or a model for programs without Python: NAME.h, NAME.o and libNAME.a.

    The library holds all that the code needs, its thread pool and a model's weights included; the
    header has a function of plain pointers. The target may be another machine than this one.
    FILE.py:NAME runs FILE.py.

    Example: tdsl build matmul -s 512x512x512 --target 'llvm -mcpu=neoverse-n1' --out arm
    """
    _check_folder(out)
    library = _library(what, sizes, target, schedule, out, name)
    if as_json:
        files = {"header": library.header, "object": library.object, "archive": library.archive}
        data = {key: str(path) for key, path in files.items()}
        functions = {one: str(taken) for one, taken in library.signatures.items()}
        typer.echo(json.dumps({**data, "functions": functions, "target": library.target.text}))
        return
    typer.echo(str(library))
    if library.target.is_native:
        typer.echo(f"cc program.c -I{out} -L{out} -l{library.name} -lpthread")


def _library(
    what: str, sizes: str | None, target: str | None, schedule: str | None, out: Path,
    name: str | None,
) -> Library:  # fmt: skip
    if not what.endswith(".onnx"):
        from tdsl.api import export_library

        found = locate_or_load(what, sizes, target)
        return export_library(found, out, target, schedule, name)
    from tdsl.graph.library import export_model

    if schedule not in (None, "default", "tuned"):
        raise UsageError(f"the schedules of a model are default or tuned, not {schedule!r}")
    if not Path(what).is_file():
        raise UsageError(f"there is no file {what}")
    chosen: Literal["default", "tuned"] = "tuned" if schedule == "tuned" else "default"
    extents = named_extents(sizes)
    return export_model(what, out, target, name=name, sizes=extents, schedules=chosen)


def _check_folder(folder: Path) -> None:
    """See that files can be written to a folder, before anything is compiled.

    Raises:
        UsageError: it is a file, or closed to this user.
    """
    existing = folder.resolve()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(f"{existing} is a file, not a folder", hint="--out takes a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{existing} is not writable", hint="name another folder with --out")

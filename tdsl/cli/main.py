"""Commands, and how errors are shown."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from tdsl.cli import building, explaining, fuzzing, models, reporting, tuning
from tdsl.cli.doctor import doctor
from tdsl.cli.records import db_commands
from tdsl.errors import LoweringError, TdslError

_TYPER = Path(typer.__file__).parent

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Spec = Annotated[
    str,
    typer.Argument(
        metavar="OPERATOR|FILE.py:NAME|FILE.schedule",
        help="An operator of the library (tdsl tune --list), a Func, a Schedule or a function of "
        "sizes in a file, which is run, or a schedule file.",
    ),
]
Sizes = Annotated[str | None, typer.Option("-s", "--sizes", help="Sizes, such as 512x512x512.")]


@app.command()
def show(
    what: Spec,
    *,
    ir: Annotated[bool, typer.Option("--ir", help="The program as IR text.")] = False,
    lowered: Annotated[bool, typer.Option("--lowered", help="After the passes.")] = False,
    llvm: Annotated[bool, typer.Option("--llvm", help="LLVM IR.")] = False,
    asm: Annotated[bool, typer.Option("--asm", help="Assembly.")] = False,
    opencl: Annotated[bool, typer.Option("--opencl", help="OpenCL C.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="The steps, as Python.")] = False,
    target: Annotated[
        str | None, typer.Option(help="What to compile for, such as opencl or 'llvm -mcpu=znver4'.")
    ] = None,
    sizes: Sizes = None,
) -> None:
    """Print the loop nest of a kernel, or its IR, LLVM IR, assembly or OpenCL C.

    Example: tdsl show tutorials/tour/kernels.py:matmul --asm
    """
    from tdsl.api import build, schedule_for
    from tdsl.cli.locate import locate_or_load
    from tdsl.scheduling import Schedule

    kinds = {"ir": ir, "lowered": lowered, "llvm": llvm, "asm": asm, "opencl": opencl}
    chosen = [kind for kind, wanted in kinds.items() if wanted]
    found = locate_or_load(what, sizes, target)
    wanted = target or ("opencl" if opencl else None)
    if isinstance(found, Schedule) and str(found.target).startswith("opencl"):
        wanted = target
    schedule = schedule_for(found, wanted)
    if trace:
        typer.echo(str(schedule.trace))
    if not chosen and not trace:
        typer.echo(str(schedule))
    if chosen:
        try:
            kernel = build(schedule, wanted)
        except LoweringError as error:
            if wanted == "opencl" and isinstance(found, Schedule):
                own = "this schedule was made for a processor; a Func gets one for devices"
                error.hint = f"{error.hint}; {own}" if error.hint else own
            raise
        for kind in chosen:
            typer.echo(kernel.source(kind))


@app.command()
def check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A schedule file.")],
    *,
    allow_unsafe: Annotated[
        bool, typer.Option("--allow-unsafe", help="Accept steps marked unsafe=True.")
    ] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Adapt or drop the lines that are refused.")
    ] = False,
) -> None:
    """Prove a schedule file again, step by step, against its algorithm as it is now.

    The first line that the algorithm no longer allows is shown with the reason. --fix adapts such
    lines or drops them, writes the file, and shows the difference.

    Example: tdsl check matmul.schedule --fix
    """
    from tdsl.cli.locate import UsageError
    from tdsl.scheduling.files import check_file
    from tdsl.scheduling.repair import repair_file

    if not Path(file).is_file():
        raise UsageError(
            f"there is no file {file}", hint="check takes a schedule file, as s.save(...) writes it"
        )
    if fix:
        repair = repair_file(file)
        for change in repair.changes:
            typer.echo(str(change))
        if repair.diff:
            typer.echo(repair.diff)
        repair.write()
    report = check_file(file, allow_unsafe=allow_unsafe)
    typer.echo(str(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Remove every compiled kernel.")] = False,
) -> None:
    """Show the cache of compiled kernels, or empty it.

    Example: tdsl cache --clear
    """
    from tdsl.cache import default_cache

    store = default_cache()
    if clear:
        typer.echo(f"removed {store.clear()} entries")
    typer.echo(str(store.stats()))


@app.command()
def devices(
    *, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """List the OpenCL devices of this machine. "opencl:NAME" takes a part of a name.

    Example: tdsl devices
    """
    from dataclasses import asdict

    from tdsl.runtime.devices import list_devices

    found = list_devices()
    if as_json:
        typer.echo(json.dumps([asdict(facts) for facts in found]))
    elif not found:
        typer.echo("no OpenCL platform was found; pip install 'tdsl[opencl]' brings PoCL")
    else:
        for facts in found:
            typer.echo(str(facts))


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tdsl {metadata.version('tdsl')}")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit."),
    ] = False,
) -> None:
    """Schedule, inspect, check and tune tensor kernels. FILE.py:NAME runs FILE.py."""


app.command()(building.build)
app.command()(doctor)
app.command()(explaining.explain)
app.command()(models.run)
app.command()(models.bench)
app.command()(tuning.tune)
app.command()(fuzzing.fuzz)
app.command()(reporting.report)
app.add_typer(db_commands, name="db")


def main() -> None:
    """Run the command line; errors of tdsl, and of files, are printed without a traceback."""
    try:
        app()
    except TdslError as error:
        if error.span is not None and Path(error.span.file).is_relative_to(_TYPER):
            error.span = None  # a command line called, and it has no line of source
        typer.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        typer.echo(f"{type(error).__name__}: {error.filename}: {error.strerror}", err=True)
        sys.exit(1)

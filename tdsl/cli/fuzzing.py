"""`tdsl fuzz`: attack an algorithm, or tdsl itself, with random schedules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tdsl.cli.locate import UsageError, named_sizes, open_file, parse_sizes
from tdsl.lang.func import Func
from tdsl.scheduling import Schedule
from tdsl.scheduling.locations import Location

Spec = Annotated[str, typer.Argument(metavar="FILE.py:NAME", help="A Func, or a function of one.")]


def fuzz(
    what: Spec,
    *,
    schedules: Annotated[int, typer.Option(min=1, help="How many to draw.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same schedules.")] = 0,
    sizes: Annotated[
        str | None, typer.Option("-s", "--sizes", help="Sizes, such as 64x64x64.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Such as llvm or opencl; again for several. All there are."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Failures are saved here, each as a test (./fuzz-found).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
) -> None:
    """Check random legal schedules of an algorithm against what it means.

    Each schedule is interpreted in several orders where the sizes are small, built, and run at
    several sizes; what it computes is compared with the unscheduled kernel and with numpy. A
    failure is a fault of tdsl: it is shrunk to the fewest steps that still fail, and saved as a
    test. FILE.py is run. The exit status tells whether something failed.

    Example: tdsl fuzz blur.py:blur --schedules 500 --seed 7
    """
    from tdsl.fuzzing.campaign import fuzz_algorithm
    from tdsl.scheduling.locations import find_algorithm

    location = location_for(what, sizes)
    find_algorithm(location)  # what is wrong with it is told here, not by each worker
    folder = out or Path("fuzz-found")
    chosen = target or default_targets()
    campaign = fuzz_algorithm(
        location, schedules, seed, chosen, jobs, folder, lambda text: typer.echo(text, err=True)
    )
    typer.echo(json.dumps(campaign.json(), indent=2) if as_json else str(campaign))
    if campaign.failures:
        raise typer.Exit(1)


def default_targets() -> list[str]:
    """The CPU, and OpenCL where there is a device."""
    from tdsl.runtime.devices import has_devices

    return ["llvm", "opencl"] if has_devices() else ["llvm"]


def location_for(what: str, sizes: str | None) -> Location:
    """Where the algorithm is that a command line names.

    Raises:
        UsageError: no such file or name, or sizes that do not fit.
    """
    opened, numbers = open_file(what), parse_sizes(sizes)
    value = opened.value
    if isinstance(value, Func | Schedule):
        if numbers:
            raise UsageError(f"{opened.name} is no function: it takes no sizes")
        return Location(opened.name, file=opened.path)
    if not callable(value):
        raise UsageError(f"{what} is a {type(value).__name__}, not a Func or a Schedule")
    given = named_sizes(value, numbers, opened.name)
    return Location(opened.name, file=opened.path, sizes=tuple(given.items()))

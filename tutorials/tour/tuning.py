"""A search: half a minute of candidates for the sharpening filter, and the file of the winner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tour.kernels import unsharp, unsharp_algorithm
from tour.timing import milliseconds

import tdsl as td
from tdsl.autotune.report import LiveReport, summary

Array = NDArray[Any]

PICTURE = (3, 600, 512)  # planes, height, width
MOST_TRIALS = 400


@td.template(unsharp_algorithm)
def tiles(s: td.Schedule, knob: td.autotune.Knobs) -> None:
    """Tiles of the picture; their size, and where the earlier stages are computed, are open."""
    c, y, x = s.loops("sharp")
    _, rows = knob.tile("rows", y, parts=2, max_inner=128)
    _, columns = knob.tile("columns", x, parts=2, max_inner=512)
    yo, xo, yi, xi = s.tile(y, x, rows, columns)
    s.compute_at("down", at=yi if knob.choice("down at each row", [True, False]) else xo)
    match knob.choice("padded", ["at strip", "at tile", "inline"]):
        case "at strip":
            s.compute_at("padded", at=yo)
        case "at tile":
            s.compute_at("padded", at=xo)
        case _:
            s.inline("padded")
    for block in set(s.blocks()) - {"sharp"}:
        s.vectorize(s.loops(block)[-1])
    s.vectorize(xi)
    s.parallel(s.fuse(c, yo))


def tune(console: Console, output: Path, seconds: float, trials: int) -> td.autotune.TaskResult:
    """Search for some seconds, with a live table; write the winner to a schedule file."""
    source = Path(__file__).with_name("kernels.py")
    task = td.autotune.task_of(tiles, PICTURE, location=f"{source}:unsharp_algorithm")
    database = output / "tuning.db"
    database.unlink(missing_ok=True)  # so that each tour measures anew
    with LiveReport(trials, console, seconds) as report:
        (result,) = td.autotune.tune(
            task, trials=trials, seconds=seconds, db=database, listener=report
        )
    if result.stopped == "interrupted":  # what was measured is kept; the tour ends here
        raise KeyboardInterrupt
    file = output / "unsharp.schedule"
    result.schedule.save(file, task.location)
    return replace(result, file=file)


def compare(schedules: dict[str, td.Schedule], image: Array) -> Table:
    """Build, check against the first and time all."""
    table = Table("schedule of unsharp", "time", "over naive", "numerics")
    kernels = {name: td.build(schedule) for name, schedule in schedules.items()}
    wanted, naive = None, 0.0
    for name, kernel in kernels.items():
        result = kernel(image)
        wanted = result if wanted is None else wanted
        if not np.array_equal(result, wanted):
            raise SystemExit(f"unsharp: the {name} schedule changed the result")
        taken = milliseconds(lambda kernel=kernel, out=result: kernel(image, out=out))
        naive = naive or taken
        numerics = schedules[name].numerics.value
        table.add_row(name, f"{taken:.3f} ms", f"{naive / taken:.1f} x", numerics)
    return table


def show(console: Console, output: Path, seconds: float = 25.0, trials: int = MOST_TRIALS) -> None:
    """Tune; compare with what there was before; print the file."""
    result = tune(console, output, seconds, trials)
    console.print(summary(result), markup=False, soft_wrap=True)
    algorithm = unsharp_algorithm()
    image = np.random.default_rng(0).random(PICTURE, dtype=np.float32)
    schedules = {
        "naive": td.Schedule(algorithm),
        "default": td.default_schedule(algorithm),
        "by hand": unsharp(),
        "tuned": td.load_schedule(str(result.file), algorithm),
    }
    console.print(compare(schedules, image))
    console.print(f"{result.file}, to read, edit and build with td.build(func, schedule=FILE):")
    text = Path(str(result.file)).read_text(encoding="utf-8")
    console.print(text, markup=False, soft_wrap=True)

"""Schedules kept beside the flat program that lowering makes of each, as text.

A file begins with an algorithm (of the fuzzer's corpus or of the operator library) and its extents,
a name for one that is symbolic. A schedule file and the lowered program follow. What a pass makes
is so seen in a diff, and a change that was not meant fails a test.
"""

from __future__ import annotations

import inspect
import warnings
from contextlib import suppress
from pathlib import Path

import tdsl as td
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.makers import random_step
from tdsl.ir.printer import print_program
from tdsl.lower import LoweringWarning, lower
from tdsl.schedules import workloads
from tests.fuzz.named import CORPUS

FOLDER = Path(__file__).with_name("programs")
_STEPS = (5, 11)
_LENGTHS = (700, 6000)  # of a text that shows something and can be read
_EXTENTS = (1, 3, 8, 17, 33)
_TRIES = 60
_PROGRAM = "tdsl-ir "  # begins the program


class Expected:
    """A file: the algorithm, the schedule, the program."""

    def __init__(self, name: str) -> None:
        self.path = FOLDER / f"{name}.txt"

    def kept(self) -> str:
        """The text as it should be."""
        return self.path.read_text()

    def made(self, scratch: Path) -> str:
        """What lowering makes of the schedule now; it is read from a file in `scratch`."""
        header, _, rest = self.kept().partition("\n")
        steps, _, _ = rest.partition(_PROGRAM)
        file = scratch / "kept.schedule"
        file.write_text(steps)
        return shown(td.load_schedule(file, algorithm(header)), header, steps)


def names() -> list[str]:
    """Of all programs."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))


def algorithm(header: str) -> td.Func:
    """The algorithm of a header such as `# conv2d F=16 C=C` or `# operator.softmax R=9 C=40`."""
    name, *extents = header.removeprefix("# ").split()
    given = dict(extent.split("=") for extent in extents)
    sizes = {k: int(v) if v.isdigit() else td.sizes(v) for k, v in given.items()}
    library, _, operator = name.partition(".")
    func = getattr(workloads, operator) if library == "operator" else CORPUS[name]
    made = func(**sizes)
    assert isinstance(made, td.Func)
    return made


def shown(schedule: td.Schedule, header: str, steps: str) -> str:
    """Header, schedule file and lowered program."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LoweringWarning)
        program = lower(schedule.program, schedule.target).program
    return f"{header}\n{steps}{print_program(program)}"


def draw(name: str, seed: int, target: str) -> Expected | None:
    """Keep a random schedule of an algorithm of the corpus; None: it is too long or too short."""
    rng = RandomDraw(f"{name}/{seed}")
    parameters = inspect.signature(CORPUS[name]).parameters
    # some algorithms assume something of their sizes, which are symbolic then
    share = 1.0 if "assume=" in inspect.getsource(CORPUS[name]) else 0.2
    extents = [p if rng.chance(share) else str(rng.choice(_EXTENTS)) for p in parameters]
    given = (f"{p}={extent}" for p, extent in zip(parameters, extents, strict=True))
    header = " ".join((f"# {name}", *given))
    schedule = td.Schedule(algorithm(header), target)
    wanted = rng.integer(*_STEPS)
    for _ in range(_TRIES):
        step = random_step(rng, schedule)
        with suppress(td.ScheduleError):
            if step is not None:
                step.apply(schedule)
        if len(schedule.trace) >= wanted:
            break
    kept = _keep(f"{name}_{seed}", schedule, header)
    if not _LENGTHS[0] <= kept.path.stat().st_size <= _LENGTHS[1]:
        kept.path.unlink()
        return None
    return kept


def keep_default(header: str, target: str) -> Expected:
    """Keep the default schedule of an algorithm."""
    schedule = td.default_schedule(algorithm(f"# {header}"), td.target(target))
    machine = target.rpartition("=")[2]
    name = f"{header.partition(' ')[0].rpartition('.')[2]}_{machine}"
    return _keep(name, schedule, f"# {header}")


def _keep(name: str, schedule: td.Schedule, header: str) -> Expected:
    expected = Expected(name)
    FOLDER.mkdir(exist_ok=True)
    schedule.save(expected.path)
    steps = f"{expected.path.read_text()}\n"
    expected.path.unlink()
    expected.path.write_text(shown(schedule, header, steps))
    return expected

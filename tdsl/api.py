"""What users call once a schedule stands: build a kernel from a Func or a Schedule."""

from __future__ import annotations

from pathlib import Path

from tdsl import driver
from tdsl.errors import FormatError, TypeMismatch
from tdsl.lang.func import Func
from tdsl.library import Library, write_library
from tdsl.runtime.kernel import Kernel
from tdsl.schedules.default import default_schedule
from tdsl.scheduling import Schedule, load_schedule
from tdsl.target import Target, target as parse_target

__all__ = ["Kernel", "Library", "build", "export_library", "schedule_for"]


def schedule_for(
    what: Schedule | Func, target: Target | str | None = None, schedule: str | Path | None = None
) -> Schedule:
    """The schedule that `build` would compile.

    Raises:
        TypeMismatch: neither a Func nor a Schedule, or a Schedule with `schedule=`.
        NotTuned: no tuned schedule is recorded.
        FormatError: a schedule file that does not parse or does not fit the algorithm.
    """
    chosen = parse_target(target) if isinstance(target, str) else target
    if isinstance(what, Schedule):
        if schedule is not None:
            raise TypeMismatch(
                "schedule= goes with a Func, but a Schedule was given",
                hint="pass the Func that it schedules, or leave schedule= out",
            )
        return what
    if not isinstance(what, Func):
        raise TypeMismatch(f"td.build takes a Func or a Schedule, got {type(what).__name__}")
    if schedule is None or schedule == "default":
        return default_schedule(what, chosen)
    if schedule == "tuned":
        from tdsl.autotune.lookup import tuned_schedule

        return tuned_schedule(what, chosen)
    if not Path(schedule).is_file():
        raise FormatError(
            f"there is no schedule file {str(schedule)!r}",
            hint="schedule= is 'default', 'tuned', or the path of a schedule file",
        )
    return load_schedule(schedule, what)


def build(
    what: Schedule | Func, target: Target | str | None = None, schedule: str | Path | None = None
) -> Kernel:
    """Compile a Schedule as it is, or a Func with its default schedule or one from a file.

    Args:
        what: a Schedule, or a Func.
        target: what to compile for; None: the schedule's own, this machine's CPU.
        schedule: for a Func: None or "default", "tuned", or the path of a schedule file.

    Returns:
        A callable: `kernel(a, b)` returns the output array (several outputs: a tuple),
        `kernel(a, b, out=c)` fills one.

    >>> import numpy as np
    >>> import tdsl as td
    >>> A = td.placeholder((4,), "float32", name="A")
    >>> B = td.compute((4,), lambda i: A[i] * 2.0 + 1.0, name="B")
    >>> td.build(td.func("twice", [A], [B]))(np.arange(4, dtype=np.float32))
    array([1., 3., 5., 7.], dtype=float32)

    Raises:
        TypeMismatch, FormatError: as `schedule_for`.
        LoweringError: the target cannot run the schedule as written.
    """
    chosen = parse_target(target) if isinstance(target, str) else target
    return driver.build(schedule_for(what, chosen, schedule), chosen)


def export_library(
    what: Schedule | Func,
    folder: str | Path,
    target: Target | str | None = None,
    schedule: str | Path | None = None,
    name: str | None = None,
) -> Library:
    """Compile for programs without Python: a C header, an object file and a static library.

    The library holds all that the kernel needs, its thread pool included. The target may be
    another machine: `"llvm -mcpu=neoverse-n1"` makes code for 64-bit ARM.

    Args:
        what: a Schedule, or a Func.
        folder: where NAME.h, NAME.o and libNAME.a go; it is made.
        target: what to compile for; None: the schedule's own, this machine's CPU.
        schedule: for a Func: None or "default", "tuned", or the path of a schedule file.
        name: the C function; None: that of the Func.

    Raises:
        TypeMismatch, FormatError: as `schedule_for`.
        DeclarationError: C has no function of that name.
        LoweringError: the target cannot run the schedule as written, or is no processor.
        OSError: the files cannot be written.
    """
    chosen = parse_target(target) if isinstance(target, str) else target
    scheduled = schedule_for(what, chosen, schedule)
    machine = chosen or scheduled.target
    return write_library(scheduled.program, machine, Path(folder), name or scheduled.func.name)

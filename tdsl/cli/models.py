"""`tdsl run` and `tdsl bench`: ONNX models on the command line."""

from __future__ import annotations

import json
import statistics
import time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zipfile import BadZipFile

import numpy as np
import typer

from tdsl.cli.locate import UsageError

if TYPE_CHECKING:
    from tdsl.graph.onnx_import.importer import Declared
    from tdsl.graph.session import Session

Model = Annotated[Path, typer.Argument(metavar="MODEL.onnx", help="An ONNX model.")]
Inputs = Annotated[
    Path | None, typer.Option("--inputs", help="An .npz file of inputs by name; else random ones.")
]
Extents = Annotated[
    list[str] | None, typer.Option("-s", "--size", help="NAME=N for an extent that has a name.")
]
Threads = Annotated[int | None, typer.Option("--threads", help="Threads of parallel loops.")]
On = Annotated[
    str | None, typer.Option("--target", help="Such as opencl; this machine's processor.")
]


class Schedules(Enum):
    """Which schedules the kernels of a model get."""

    DEFAULT = "default"
    TUNED = "tuned"


Chosen = Annotated[
    Schedules, typer.Option("--schedules", help="tuned: those that tdsl tune MODEL.onnx recorded.")
]


def run(
    model: Model,
    *,
    inputs: Inputs = None,
    size: Extents = None,
    outputs: Annotated[
        Path | None, typer.Option("--outputs", help="Write the outputs to this .npz file.")
    ] = None,
    threads: Threads = None,
    target: On = None,
    schedules: Chosen = Schedules.DEFAULT,
    report: Annotated[
        bool, typer.Option("--report", help="What the passes did, and what was not fused.")
    ] = False,
) -> None:
    """Run a model once and show its outputs.

    Example: tdsl run model.onnx --inputs inputs.npz --outputs outputs.npz
    """
    _check_folder(outputs)
    session = _session(model, target, schedules, threads)
    results = session.run(feeds_for(session, inputs, size or []))
    for name, array in results.items():
        numbers = np.array2string(array.reshape(-1)[:6], precision=6, threshold=6)
        typer.echo(f"{name}: {array.dtype}{list(array.shape)} {numbers}")
    if outputs is not None:
        np.savez(outputs, **results)  # type: ignore[arg-type]  # one might be allow_pickle
    if report:
        typer.echo(f"\n{session.report}\n\n{session.report.fusion}")


def bench(
    model: Model,
    *,
    inputs: Inputs = None,
    size: Extents = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Timed runs.")] = 20,
    threads: Threads = None,
    target: On = None,
    schedules: Chosen = Schedules.DEFAULT,
    profile: Annotated[
        bool, typer.Option("--profile", help="Time of each kernel, the slowest first.")
    ] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", help="Write a Chrome trace to this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures for scripts.")] = False,
) -> None:
    """Time a model: loading and compiling, then runs.

    Example: tdsl bench model.onnx --profile
    """
    _check_folder(trace)
    start = time.perf_counter()
    session = _session(model, target, schedules, threads)
    feeds = feeds_for(session, inputs, size or [])
    session.run(feeds)
    ready = time.perf_counter() - start
    seconds = [_timed(session, feeds) for _ in range(runs)]
    figures = {
        "ready_s": ready,
        "best_ms": 1e3 * min(seconds),
        "median_ms": 1e3 * statistics.median(seconds),
        "kernels": session.report.kernels,
    }
    if as_json:
        typer.echo(json.dumps(figures))
    else:
        typer.echo(f"ready after {ready:.2f} s; {figures['kernels']} kernels")
        typer.echo(f"best {figures['best_ms']:.3f} ms, median {figures['median_ms']:.3f} ms")
    if profile or trace is not None:
        measured = session.profile(feeds)
        if profile:
            typer.echo(str(measured))
            for text in session.report.single:
                typer.echo(f"for these sizes only: {text}")
        if trace is not None:
            trace.write_text(measured.chrome_trace(), encoding="utf-8")


def _session(model: Path, target: str | None, schedules: Schedules, threads: int | None) -> Session:
    from tdsl.graph.session import Session

    return Session(model, target, schedules.value, threads)


def _timed(session: Session, feeds: dict[str, Any]) -> float:
    start = time.perf_counter()
    session.run(feeds)
    return time.perf_counter() - start


def feeds_for(session: Session, inputs: Path | None, sizes: list[str]) -> dict[str, Any]:
    """The inputs from a file, or random ones; named extents are 1 unless given."""
    if inputs is not None:
        return _read_inputs(session, inputs)
    known = dict(map(_size, sizes))
    names = dict.fromkeys(n for d in session.inputs for n in d.shape or () if isinstance(n, str))
    for name in known:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise UsageError(f"no extent of this model is called {name!r}", hint=f"named: {listed}")
    random = np.random.default_rng(0)
    return {declared.name: _random(declared, known, random) for declared in session.inputs}


def named_extents(sizes: str | None) -> dict[str, int]:
    """The numbers of NAME=N,NAME=N.

    Raises:
        UsageError: it is something else.
    """
    return dict(_size(part.strip()) for part in (sizes or "").split(",") if part.strip())


def _read_inputs(session: Session, path: Path) -> dict[str, Any]:
    """The arrays of an .npz file that are inputs of the model.

    Raises:
        UsageError: there is no such file, or it is something else.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, OSError, BadZipFile) as error:
        raise UsageError(f"{path} holds no arrays: {error}", hint="np.savez makes it") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise UsageError(f"{path} holds one array without a name", hint="np.savez names them")
    with archive:
        names = {declared.name for declared in session.inputs}
        return {name: archive[name] for name in archive.files if name in names}


def _check_folder(path: Path | None) -> None:
    """Refuse a file to write in a folder that is not there, before anything runs."""
    if path is not None and not path.resolve().parent.is_dir():
        raise UsageError(f"there is no folder {path.resolve().parent} to write {path.name} to")


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal():
        raise UsageError(f"--size takes NAME=N, got {text!r}")
    return name, int(number)


def _random(declared: Declared, known: dict[str, int], random: np.random.Generator) -> Any:
    if declared.shape is None:
        raise UsageError(
            f"the shape of input {declared.name!r} is not declared", hint="pass --inputs FILE.npz"
        )
    shape = [n if isinstance(n, int) else known.get(n or "", 1) for n in declared.shape]
    if declared.dtype.is_float:
        return random.standard_normal(shape).astype(declared.dtype.numpy)
    return random.integers(0, 2, shape).astype(declared.dtype.numpy)

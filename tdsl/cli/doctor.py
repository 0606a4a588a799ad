"""`tdsl doctor`: what this machine is to tdsl, and whether everything works."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from tdsl import options
from tdsl.errors import TdslError

EXTRAS = {
    "pyopencl": "opencl",
    "onnx": "onnx",
    "distributed": "cluster",
    "jinja2": "report",
    "matplotlib": "report",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: is it well, what is it, and what would mend it."""

    name: str
    ok: bool
    text: str
    hint: str = ""

    def __str__(self) -> str:
        mark = "ok  " if self.ok else "FAIL" if self.name in _ESSENTIAL else "-   "
        help_line = f"\n{'':16}help: {self.hint}" if self.hint else ""
        return f"{mark} {self.name:10} {self.text}{help_line}"


def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False
) -> None:
    """Say what this machine is to tdsl, and whether a kernel builds and runs on it.

    The exit status is 1 where something is missing that kernels for the processor need.

    Example: tdsl doctor
    """
    found = list(_findings())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            typer.echo(str(finding))
    if any(not finding.ok and finding.name in _ESSENTIAL for finding in found):
        raise typer.Exit(1)


def _findings() -> Iterator[Finding]:
    for name, look in _LOOKS.items():
        try:
            yield look()
        except (TdslError, ImportError, OSError) as error:
            message = error.message if isinstance(error, TdslError) else str(error)
            hint = error.hint or "" if isinstance(error, TdslError) else ""
            yield Finding(name, ok=False, text=message, hint=hint)


def _versions() -> Finding:
    names = ("numpy", "llvmlite", "islpy", "ml_dtypes")
    parts = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    folder = Path(__file__).parent.parent
    text = f"{metadata.version('tdsl')} in {folder}; Python {platform.python_version()}, {parts}"
    return Finding("tdsl", ok=True, text=text)


def _processor() -> Finding:
    from tdsl.codegen.llvm.host import cpu_of
    from tdsl.target import target

    machine = target("llvm")
    caches = ", ".join(
        f"L{level} {size >> 10} KiB" for level, size in enumerate(_caches(machine), start=1)
    )
    return Finding(
        "processor",
        ok=True,
        text=f"{cpu_of(machine)[0]} ({machine.triple}): {machine.cores} hardware threads, "
        f"{machine.vector_registers} registers of {machine.vector_bits} bits, {caches}",
    )


def _caches(machine: object) -> tuple[int, ...]:
    return tuple(getattr(machine, name) for name in ("l1", "l2", "l3"))


def _threads() -> Finding:
    from tdsl.runtime import pool

    return Finding("threads", ok=True, text=f"{pool.num_threads()} run a kernel's parallel loops")


def _kernel() -> Finding:
    """Declare, schedule, build and run: if that works, the compiler does."""
    import time

    import numpy as np

    import tdsl as td

    n = td.sizes("N")
    assert isinstance(n, td.Size)
    given = td.placeholder((n,), "float32", name="given")
    doubled = td.compute((n,), lambda i: given[i] * 2.0, name="doubled")
    numbers = np.arange(1000, dtype=np.float32)
    start = time.perf_counter()
    result = td.build(td.func("doctor", [given], [doubled]))(numbers)
    taken = time.perf_counter() - start
    if not np.array_equal(result, 2 * numbers):
        return Finding("kernel", ok=False, text="a kernel ran and gave wrong numbers")
    return Finding("kernel", ok=True, text=f"built and ran in {1e3 * taken:.0f} ms, result right")


def _cache() -> Finding:
    from tdsl.cache import default_cache

    store = default_cache()
    problem = store.problem()
    if problem is not None:
        hint = "kernels are compiled anew in each process; set TDSL_CACHE_DIR to a folder of yours"
        return Finding("cache", ok=False, text=problem, hint=hint)
    return Finding("cache", ok=True, text=str(store.stats()))


def _database() -> Finding:
    from tdsl.records import Database, default_path

    path = default_path()
    if not path.exists():
        return Finding("database", ok=True, text=f"none yet ({path}); `tdsl tune` makes it")
    with Database(path) as db:
        count = len(list(db.workloads()))
    return Finding("database", ok=True, text=f"{path}: {count} workloads tuned")


def _opencl() -> Finding:
    from tdsl.runtime.devices import list_devices

    devices = list_devices()
    if not devices:
        hint = "pip install 'tdsl[opencl]' brings PoCL"
        return Finding("opencl", ok=False, text="no OpenCL platform was found", hint=hint)
    return Finding("opencl", ok=True, text="; ".join(map(str, devices)))


def _extras() -> Finding:
    missing = [name for name in EXTRAS if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding("extras", ok=True, text="all optional packages are installed")
    wanted = ",".join(dict.fromkeys(EXTRAS[name] for name in missing))
    text = f"not installed: {', '.join(missing)}"
    return Finding("extras", ok=False, text=text, hint=f"pip install 'tdsl[{wanted}]'")


def _switches() -> Finding:
    """Variables of the environment that change what tdsl does."""
    found = [f"{k}={v}" for k, v in os.environ.items() if k.startswith(options.PREFIX)]
    unknown = options.unknown_switches()
    text = " ".join(sorted(found)) or f"none are set ({options.PREFIX}*)"
    hint = "; ".join(f"{name} is none: {meant}" for name, meant in unknown.items())
    return Finding("switches", ok=not unknown, text=text, hint=hint)


_LOOKS: dict[str, Callable[[], Finding]] = {
    "tdsl": _versions,
    "processor": _processor,
    "threads": _threads,
    "kernel": _kernel,
    "cache": _cache,
    "database": _database,
    "opencl": _opencl,
    "extras": _extras,
    "switches": _switches,
}
_ESSENTIAL = frozenset({"tdsl", "processor", "threads", "kernel"})

"""Who takes part: each peer is a plug-in file, an interpreter to run it in, and an environment.

The rivals' side is the shared ``bench.py`` and what it imports, unmodified: ``TDSL_PEERS`` names
their folder (default ``../shared/peers``) and ``PEERS_ROOT`` the folder of their virtual
environments (default ``peers`` in the temporary directory; ``make peers`` fills it).
"""

import functools
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLUGINS = HERE / "plugins"
REPOSITORY = HERE.parent

# name -> the schedule that plugins/tdsl_kernels.py builds
OWN = {
    "tdsl": "hand",
    "tdsl-const": "const",
    "tdsl-default": "default",
    "tdsl-tuned": "tuned",
}
DEFAULT = ("numpy", "ort", "openvino", "halide", "numba", "torch", "jax", "tdsl")
LIMITS_PEER = "limits"


def thread_environment(threads: int) -> dict[str, str]:
    """This process's environment with every thread count that numpy and tdsl obey."""
    names = ("TDSL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    counts = dict.fromkeys(names, str(threads))
    return {**os.environ, **counts, "PYTHONPATH": str(REPOSITORY)}


@dataclass(frozen=True, slots=True)
class Peer:
    """How to start one peer: ``python worker.py plugin argument THREADS``.

    ``missing`` says why it can't be started here, None if nothing is known to be in the way.
    """

    name: str
    plugin: Path
    argument: str
    python: Path = Path(sys.executable)
    environment: Callable[[int], dict[str, str]] = thread_environment
    missing: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether this is tdsl, whose failures are failures of the run."""
        return self.name in OWN


def peers_folder() -> Path:
    """Where the shared bench files are."""
    return Path(os.environ.get("TDSL_PEERS", REPOSITORY / ".." / "shared" / "peers")).resolve()


def peers_root() -> Path:
    """Where the peers' virtual environments and models are."""
    return Path(os.environ.get("PEERS_ROOT", Path(tempfile.gettempdir()) / "peers")).resolve()


@functools.cache
def shared_bench() -> Any:
    """The shared ``bench.py`` as a module, None where there is none."""
    path = peers_folder() / "bench.py"
    if not path.is_file():
        return None
    os.environ["PEERS_ROOT"] = str(peers_root())  # read when the module is imported
    spec = importlib.util.spec_from_file_location("shared_bench", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the folder is read-only
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = writes
    return module


def known() -> tuple[str, ...]:
    """Every name that ``find`` accepts."""
    bench = shared_bench()
    return (*OWN, *(bench.PEERS if bench is not None else ()))


def find(name: str) -> Peer:
    """The peer called *name*, with ``missing`` set where it can't run here.

    ``NAME=FILE.py`` is a plug-in of your own, run by this interpreter.
    """
    if "=" in name:
        own_name, _, file = name.partition("=")
        return Peer(own_name, Path(file).resolve(), own_name, missing=_absent(Path(file)))
    if name == LIMITS_PEER:
        return Peer(name, PLUGINS / "limits.py", name)
    if name in OWN:
        return Peer(name, PLUGINS / "tdsl_kernels.py", OWN[name])
    return _rival(name)


def find_all(names: Iterable[str]) -> list[Peer]:
    """The peers called *names*, each once, in the order given."""
    return [find(name) for name in dict.fromkeys(names)]


def _rival(name: str) -> Peer:
    plugin = PLUGINS / "rival.py"
    bench = shared_bench()
    if bench is None:
        where = "set TDSL_PEERS to the folder that holds it"
        return Peer(name, plugin, name, missing=f"no bench.py in {peers_folder()}; {where}")
    if name not in bench.PEERS:
        return Peer(name, plugin, name, missing=f"unknown peer; known: {', '.join(known())}")
    venv = peers_root() / f"venv-{bench.PEERS[name][0]}"
    # numpy is one of our own dependencies: it needs no environment apart
    python = Path(sys.executable) if name == "numpy" else venv / "bin" / "python"
    missing = None if python.exists() else f"no {venv}; run `make peers` or set PEERS_ROOT"

    def environment(threads: int) -> dict[str, str]:
        shared: dict[str, str] = bench.env(name, threads)
        return {**shared, "TDSL_PEERS": str(peers_folder()), "PYTHONDONTWRITEBYTECODE": "1"}

    return Peer(name, plugin, name, python, environment, missing)


def _absent(file: Path) -> str | None:
    return None if file.is_file() else f"no file {file}"
